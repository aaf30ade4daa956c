"""What a dictionary shared by layers saves: bytes as layers are added, for every length of pattern.

`growth` reads layers once and counts the files that `workbench.lookup.shared` would write, a file
for each layer and one for all, beside packings that need no dictionary.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from jaxtyping import Int8

from workbench import ternary
from workbench.errors import WorkbenchError
from workbench.lookup.shared import Plan, Stream, Survey, by_layer, group_numbers
from workbench.ternary.packing import ROWS_PER_BYTE

# matrices of a layer of LLaMA 7B: rows (outputs), cols (inputs)
LLAMA_7B = ((4096, 4096),) * 4 + ((11008, 4096),) * 2 + ((4096, 11008),)
LAYER = re.compile(r"(?:^|\.)(?:blk|layers|h)\.(\d+)\.")


def random_layers(
    shapes: Iterable[tuple[int, int]] = LLAMA_7B,
    layers: int = 32,
    *,
    zeros: float = 0.44,
    seed: int = 0,
) -> Iterator[tuple[str, Int8[np.ndarray, "rows cols"]]]:
    """Layers of independent trits; each matrix is made when it is asked for.

    Parameters
    ----------
    shapes : iterable of (rows, cols)
        Matrices of a layer; by default those of LLaMA 7B, 202 million weights.
    layers : int
    zeros : float
        P(0), rounded to 1/32768; signs are equally probable. The document says 0.44.
    seed : int
        The same seed makes the same layers.

    Yields
    ------
    (layer, matrix)
    """
    if not 0 <= zeros <= 1 or layers < 1:
        raise WorkbenchError(
            f"zeros={zeros} is from 0 to 1, and layers={layers} a whole number from 1 up"
        )
    rng = np.random.default_rng(seed)
    each = round((1 - zeros) / 2 * (1 << 16))  # of 65,536 draws for either sign
    shapes = list(shapes)
    for layer in range(layers):
        for shape in shapes:
            drawn = rng.integers(0, 1 << 16, shape, np.uint16)
            yield f"layer {layer}", (drawn < each).astype(np.int8) - (drawn >= (1 << 16) - each)


def model_layers(
    weights: Mapping, *, rounding: str = "absmean"
) -> Iterator[tuple[str, Int8[np.ndarray, "rows cols"]]]:
    """The matrices of a model's numbered layers as trits, one at a time.

    Parameters
    ----------
    weights : Weights
        Matrices that hold only {-s, 0, +s} keep their trits.
    rounding : str
        How others are rounded, one scale a matrix, as BitNet b1.58 does.

    Raises
    ------
    WorkbenchError
        No matrix is in a numbered layer ("blk.0.…", "model.layers.0.…").
    """
    numbered = [
        (int(found[1]), name)
        for name, tensor in weights.items()
        if (found := LAYER.search(name)) and len(tensor.shape) == 2
    ]
    if not numbered:
        raise WorkbenchError("no matrix of this model is in a numbered layer (blk.0., layers.0.)")
    for layer, name in sorted(numbered):
        yield (
            f"layer {layer}",
            ternary.quantize(weights[name].read(), rounding, scale="tensor").codes,
        )


def growth(matrices: Stream, groups: Iterable[int] = range(2, 17)) -> Iterator[dict]:
    """Bytes of all layers seen so far, compiled each alone and together; one matrix at a time.

    Parameters
    ----------
    matrices : iterable of (layer, matrix)
        Ternary matrices (rows, cols); those of a layer one after the other. Columns are filled up
        to whole groups.
    groups : iterable of int
        Trits of a pattern, 1 to 16. Of memory, 16 takes half a gigabyte, smaller ones little.

    Yields
    ------
    dict
        After each layer a row for every g: g, layer (its name), layers (seen), weights, indices
        (one for each group), distinct, shared, own (patterns: that occur, in several layers, in
        one), files as they would be written: alone_bytes (one for each layer) and together_bytes,
        the latter being dictionary_bytes (shared patterns), difference_bytes (patterns of one
        layer), index_bytes and header_bytes. Beside them, without headers: number_bytes (every
        group's pattern as its number, without a dictionary), two_bit_bytes, base3_bytes
        (`workbench.ternary.pack`), entropy_bytes (of the trits of each matrix) and
        pattern_entropy_bytes (of the patterns of each layer, knowing how often each occurs there).
    """
    counters = [_Counter(g) for g in groups]
    facts = {"layers": 0, "weights": 0, "two_bit_bytes": 0, "base3_bytes": 0}
    entropy = 0.0
    for layer, parts in by_layer(matrices):
        for codes in parts:
            rows, cols = codes.shape
            facts["weights"] += codes.size
            facts["two_bit_bytes"] += -(-rows // ROWS_PER_BYTE["planar"]) * cols
            facts["base3_bytes"] += -(-rows // ROWS_PER_BYTE["base3"]) * cols
            trits = np.array([np.count_nonzero(codes == value) for value in (-1, 0, 1)])
            entropy += _entropy_bits(trits) / 8
            for counter in counters:
                counter.take(codes)
        facts["layers"] += 1
        for counter in counters:
            found = {"g": counter.g, "layer": layer, **facts, "entropy_bytes": math.ceil(entropy)}
            yield found | counter.close_layer(layer)


class _Counter:
    """Patterns of g trits: those of the layer being read, and the sizes of all layers before."""

    def __init__(self, g):
        self.survey = Survey(g)
        self.g = self.survey.g
        self.counts = np.zeros(len(self.survey.where), np.int64)
        self.layers, self.shapes = [], []
        self.alone = self.indices = self.number = 0
        self.entropy = 0.0

    def take(self, codes):
        number = group_numbers(codes, self.g)
        self.counts += np.bincount(np.abs(number), minlength=len(self.counts))
        self.shapes.append(codes.shape)
        self.indices += len(number)
        self.number += math.ceil(len(number) * (3**self.g - 1).bit_length() / 8)

    def close_layer(self, layer):
        found = np.flatnonzero(self.counts)
        times = self.counts[found]
        signed = int(times.sum() - self.counts[0])  # all other patterns have a negative
        self.entropy += (_entropy_bits(times) + signed) / 8
        self.counts[:] = 0
        self.survey.add(found)
        self.layers.append((layer, tuple(self.shapes)))
        self.shapes = []
        alone = Plan(self.g, (self.layers[-1],), 0, (len(found),))
        self.alone += sum(alone.nbytes().values())
        together = Plan(self.g, tuple(self.layers), self.survey.shared, tuple(self.survey.own))
        parts = together.nbytes()
        return {
            "indices": self.indices,
            "distinct": self.survey.distinct,
            "shared": self.survey.shared,
            "own": sum(self.survey.own),
            "alone_bytes": self.alone,
            "together_bytes": sum(parts.values()),
            **{f"{name}_bytes": size for name, size in parts.items()},
            "number_bytes": self.number,
            "pattern_entropy_bytes": math.ceil(self.entropy),
        }


def _entropy_bits(counts) -> float:
    """Bits that so many symbols take at least, coded by these frequencies."""
    counts = counts[counts > 0]
    return float(-(counts * np.log2(counts / counts.sum())).sum())
