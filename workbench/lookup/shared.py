"""Layers in one file: a dictionary of the patterns that they share, and what differs.

Shared are the patterns that occur in at least two layers. Each layer adds its differences, the
patterns that occur in it alone, and an index for each group: twice the place of its canonical
pattern among the shared ones and then its own, plus 1 for its negative. A layer alone in a file
has its own patterns only. Scales are no part of it.

The file is safetensors; all arrays are bytes. `shared` and `<layer>.own` are ascending sets of
canonical numbers, as a list or as a bit for each of them, whichever is smaller. Lists and
`<layer>.index<matrix>` (group after group) are bit planes, the lowest first, as many as the largest
possible value needs. `checksums` has the CRC-32 of every other array in their order.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from zlib import crc32

import numpy as np
from jaxtyping import Int8, Int16, Int32, Int64, UInt8

from workbench.errors import FormatError, WorkbenchError
from workbench.formats import open_safetensors
from workbench.formats.writing import replacing
from workbench.lookup import patterns
from workbench.lookup.product import check_index
from workbench.lookup.tiers import LARGEST_TIERED

UNSEEN, SHARED = -1, -2  # of a pattern; else the one layer in which it occurs
MOST_LAYERS = np.iinfo(np.int16).max
METADATA_KEY = "layers"

Stream = Iterable[tuple[str, np.ndarray]]


class Survey:
    """Which patterns of g trits occur in which layers, counted as layers are added.

    Attributes
    ----------
    g : int
    where : int16 array ((3^g + 1) / 2,)
        By canonical pattern: UNSEEN, SHARED, or the number of the one layer in which it occurs.
    own : list of int
        Patterns that occur in each layer and in no other.
    shared : int
        Patterns that occur in at least two.
    """

    def __init__(self, g: int):
        if not isinstance(g, int | np.integer) or not 1 <= g <= LARGEST_TIERED:
            raise WorkbenchError(
                f"g={g!r} is not allowed: it is a whole number from 1 to {LARGEST_TIERED}"
            )
        self.g = int(g)
        self.where: Int16[np.ndarray, " patterns"] = np.full(
            patterns.canonical_count(self.g), UNSEEN, np.int16
        )
        self.own: list[int] = []
        self.shared = 0

    def add(self, found: Int64[np.ndarray, " n"]) -> None:
        """One more layer, in which these canonical patterns occur (each once)."""
        if len(self.own) == MOST_LAYERS:
            raise WorkbenchError(f"more than {MOST_LAYERS} layers cannot share a dictionary")
        before = self.where[found]
        new, owned = before == UNSEEN, before[before >= 0]
        lost = np.bincount(owned, minlength=len(self.own)).tolist()
        self.own = [count - less for count, less in zip(self.own, lost, strict=True)]
        self.shared += len(owned)
        self.where[found] = np.where(new, np.int16(len(self.own)), np.int16(SHARED))
        self.own.append(int(new.sum()))

    @property
    def distinct(self) -> int:
        """Patterns that occur at all."""
        return self.shared + sum(self.own)


@dataclass(frozen=True)
class Plan:
    """What a file of layers holds, before any of it is written: every size follows from it.

    Attributes
    ----------
    g : int
        Trits of a pattern.
    layers : tuple of (name, shapes of its matrices)
    shared : int
        Patterns that layers share.
    own : tuple of int
        Patterns of each layer alone.
    """

    g: int
    layers: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]
    shared: int
    own: tuple[int, ...]

    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Shape of every array (uint8), in the order of the file."""
        found = {"shared": _set_shape(self.shared, self.g)}
        for layer, (_, shapes) in enumerate(self.layers):
            found[f"{layer}.own"] = _set_shape(self.own[layer], self.g)
            bits = self.index_bits(layer)
            for matrix, shape in enumerate(shapes):
                found[f"{layer}.index{matrix}"] = (bits, -(-group_count(shape, self.g) // 8))
        return found | {"checksums": (4 * len(found),)}

    def index_bits(self, layer: int) -> int:
        """Bits of an index of this layer."""
        return (2 * (self.shared + self.own[layer]) - 1).bit_length()

    def header(self) -> bytes:
        """The file's first bytes: length and header of safetensors."""
        layers = [
            {"name": name, "shapes": shapes, "own": own}
            for (name, shapes), own in zip(self.layers, self.own, strict=True)
        ]
        facts = {"g": self.g, "shared": self.shared, "layers": layers}
        entries: dict = {"__metadata__": {METADATA_KEY: json.dumps(facts)}}
        end = 0
        for name, shape in self.arrays().items():
            begin, end = end, end + math.prod(shape)
            entries[name] = {"dtype": "U8", "shape": shape, "data_offsets": [begin, end]}
        text = json.dumps(entries, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text

    def nbytes(self) -> dict[str, int]:
        """Bytes of the file by what they hold: dictionary, difference, index and header (with the
        checksums)."""
        sizes = dict.fromkeys(("dictionary", "difference", "index"), 0)
        sizes["header"] = len(self.header())
        for name, shape in self.arrays().items():
            part = name.partition(".")[2]
            kind = "index" if part.startswith("index") else "difference"
            kind = {"shared": "dictionary", "checksums": "header"}.get(name, kind)
            sizes[kind] += math.prod(shape)
        return sizes


def survey(matrices: Stream, g: int) -> tuple[Survey, Plan]:
    """Read layers once, one matrix at a time: what they share, and the file that they would fill.

    Parameters
    ----------
    matrices : iterable of (layer, matrix)
        Ternary matrices (rows, cols); those of a layer one after the other. Columns are filled up
        to whole groups.
    g : int
        Trits of a pattern, 1 to 16.
    """
    found, layers = Survey(g), []
    for layer, parts in by_layer(matrices):
        seen = np.zeros(len(found.where), bool)
        shapes = []
        for codes in parts:
            seen[np.abs(group_numbers(codes, g))] = True
            shapes.append(codes.shape)
        found.add(np.flatnonzero(seen))
        layers.append((layer, tuple(shapes)))
    return found, Plan(found.g, tuple(layers), found.shared, tuple(found.own))


def write_layers(path: str | os.PathLike, source: Callable[[], Stream], g: int) -> Plan:
    """Write layers with their shared dictionary, one matrix in memory at a time.

    Parameters
    ----------
    path : path
    source : function without arguments
        Returns the layers, as for `survey`; called twice, and both times the same must come.
    g : int
        Trits of a pattern, 1 to 16.

    Raises
    ------
    TypeError, WorkbenchError
        A matrix is not ternary (says where), the second reading differs, or the file cannot be
        written.
    """
    found, plan = survey(source(), g)
    arrays = plan.arrays()
    checksums = []
    with replacing(path) as temporary, open(temporary, "wb") as file:

        def put(name, data):
            if data.shape != arrays[name]:
                raise WorkbenchError(f"array {name!r} differs between two readings of the layers")
            file.write(data)
            checksums.append(crc32(data))

        file.write(plan.header())
        put("shared", _store_set(np.flatnonzero(found.where == SHARED), g))
        place = np.full(len(found.where), -1, np.int32)
        place[found.where == SHARED] = np.arange(plan.shared)
        for layer, (_, parts) in enumerate(by_layer(source())):
            own = np.flatnonzero(found.where == layer)
            put(f"{layer}.own", _store_set(own, g))
            place[own] = plan.shared + np.arange(len(own))
            for matrix, codes in enumerate(parts):
                number = group_numbers(codes, g)
                entry = place[np.abs(number)]
                if entry.min() < 0:
                    raise WorkbenchError(f"layer {layer} differs between two readings")
                index = 2 * entry + (number < 0)
                put(f"{layer}.index{matrix}", _planes(index, plan.index_bits(layer)))
            place[own] = -1
        file.write(np.array(checksums, "<u4").tobytes())
    return plan


def read_layers(path: str | os.PathLike) -> Iterator[tuple[str, Int8[np.ndarray, "rows cols"]]]:
    """The layers of a file of `write_layers`, one matrix at a time, out of the mapped file.

    Raises
    ------
    FormatError
        Not such a file, or damaged: says where.
    """
    file = open_safetensors(path)
    plan = _read_plan(path, file)
    start, sums = len(plan.header()), _bytes(file, "checksums").view("<u4")
    positions = {}
    for name, shape in plan.arrays().items():
        positions[name] = start
        start += math.prod(shape)

    def take(name):
        data = _bytes(file, name)
        if crc32(data) != sums[list(positions).index(name)]:
            raise FormatError(
                path, positions[name], f"array {name!r} is damaged: its checksum fails"
            )
        return data

    shared = _load_set(take("shared"), plan.shared, plan.g)
    for layer, (label, shapes) in enumerate(plan.layers):
        own = _load_set(take(f"{layer}.own"), plan.own[layer], plan.g)
        entries = np.concatenate([shared, own])
        for matrix, (rows, cols) in enumerate(shapes):
            name = f"{layer}.index{matrix}"
            index = _from_planes(take(name), group_count((rows, cols), plan.g))
            try:
                check_index(index, 2 * len(entries))
            except WorkbenchError as error:
                raise FormatError(path, positions[name], str(error)) from None
            number = np.where(index & 1, -entries[index >> 1], entries[index >> 1])
            yield (
                label,
                patterns.trits(number.reshape(rows, -1), plan.g).reshape(rows, -1)[:, :cols],
            )


def by_layer(matrices: Stream) -> Iterator[tuple[str, Iterator[np.ndarray]]]:
    """Layers and their matrices, each checked to be ternary as it is reached."""
    names = set()
    for layer, pairs in groupby(matrices, key=lambda pair: pair[0]):
        if layer in names:
            raise WorkbenchError(f"the matrices of {layer!r} do not come one after the other")
        names.add(layer)
        yield str(layer), (patterns.checked_trits(codes) for _, codes in pairs)


def group_count(shape: tuple[int, int], g: int) -> int:
    """Groups of g trits in a matrix, the last of each row filled up."""
    return shape[0] * -(-shape[1] // g)


def group_numbers(codes: np.ndarray, g: int) -> Int32[np.ndarray, " groups"]:
    """Pattern numbers of all groups of a matrix, row after row, the last of each row filled up."""
    return patterns.numbers(patterns.group(codes, g)[0]).ravel()


def _set_shape(count, g):
    """Of a set of canonical patterns: planes of a list, or one bit for each that there is."""
    everything = patterns.canonical_count(g)
    planes = ((everything - 1).bit_length(), -(-count // 8))
    bitmap = (-(-everything // 8),)
    return planes if math.prod(planes) < math.prod(bitmap) else bitmap


def _store_set(numbers, g):
    shape = _set_shape(len(numbers), g)
    if len(shape) == 2:
        return _planes(numbers, shape[0])
    bits = np.zeros(patterns.canonical_count(g), bool)
    bits[numbers] = True
    return np.packbits(bits, bitorder="little")


def _load_set(data, count, g) -> Int32[np.ndarray, " count"]:
    if data.ndim == 2:
        return _from_planes(data, count)
    everything = patterns.canonical_count(g)
    bits = np.unpackbits(data, count=everything, bitorder="little")
    return np.flatnonzero(bits).astype(np.int32)


def _planes(values, bits) -> UInt8[np.ndarray, "bits bytes"]:
    """Bit b of every value in row b, eight a byte, the first value lowest."""
    rows = np.empty((bits, -(-len(values) // 8)), np.uint8)
    for bit in range(bits):
        rows[bit] = np.packbits((values >> bit) & 1, bitorder="little")
    return rows


def _from_planes(planes, count) -> Int32[np.ndarray, " count"]:
    values = np.zeros(count, np.int32)
    for bit, row in enumerate(planes):
        values |= np.unpackbits(row, count=count, bitorder="little").astype(np.int32) << bit
    return values


def _bytes(file, name):
    return file[name].payload.view(np.uint8).reshape(file[name].shape)


def _read_plan(path, file) -> Plan:
    """From the metadata, held against the arrays that are there."""
    try:
        facts = json.loads(file.metadata[METADATA_KEY])
        layers = tuple(
            (row["name"], tuple((int(rows), int(cols)) for rows, cols in row["shapes"]))
            for row in facts["layers"]
        )
        own = tuple(int(row["own"]) for row in facts["layers"])
        plan = Plan(int(facts["g"]), layers, int(facts["shared"]), own)
        numbers = (plan.shared, *own, *(n for _, shapes in layers for pair in shapes for n in pair))
        if not 1 <= plan.g <= LARGEST_TIERED or min(numbers) < 0:
            raise ValueError("a negative number")
    except (KeyError, TypeError, ValueError, OverflowError):
        raise FormatError(
            path, 8, f"its metadata {METADATA_KEY!r} does not describe layers of patterns"
        ) from None
    arrays = {name: (tensor.quant, tensor.shape) for name, tensor in file.items()}
    if arrays != {name: ("U8", shape) for name, shape in plan.arrays().items()}:
        raise FormatError(path, 8, "its arrays are not those that its metadata describes")
    return plan
