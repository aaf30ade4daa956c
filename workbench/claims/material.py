"""What the checks measure on: matrices and trits of a real model, and random stand-ins for them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from workbench import kernels, ternary
from workbench.errors import WorkbenchError
from workbench.models import Weights, activations, catalog

TRITS = np.array([-1, 0, 1], np.int8)
SMOLLM2 = "smollm2-135m"
TERNARY, TWIN = "english-ternary", "english-float"  # our own, and the same trained in float32
HELD_OUT = "english-held-out.txt"
SMALLEST = 64  # rows or columns below which a matrix is not a layer
TABLE = re.compile(  # whose rows are tokens or positions
    r"(^output|(^|\.)(token_embd|position_embd|embed_tokens|wte|wpe|lm_head))\.weight$"
)


def present(model: str) -> bool:
    """Whether a model of the catalog is on this machine."""
    return model in catalog() and catalog()[model].present


def runs(model: str) -> bool:
    """Whether a model is here, and compiled kernels, without which it takes minutes a token."""
    return present(model) and kernels.status("decoder").compiled


def held_out(model: str, tokens: int) -> np.ndarray:
    """The first tokens of the bundled text that our own models were not trained on; int32."""
    from workbench.lm import open_language_model, read_text

    tokenizer = open_language_model(model).tokenizer
    ids = tokenizer.encode(read_text(HELD_OUT)[: 16 * tokens])
    return np.array(ids[:tokens], np.int32)


def random_file(folder: str | os.PathLike, nbytes: int) -> Path:
    """A file of random bytes."""
    path = Path(folder, f"{nbytes}-bytes")
    path.write_bytes(np.random.default_rng(0).bytes(nbytes))
    return path


def names(weights) -> list[str]:
    """Names of a model's linear layers.

    Raises
    ------
    WorkbenchError
        It has none.
    """
    found = [
        name
        for name, tensor in weights.items()
        if len(tensor.shape) == 2 and min(tensor.shape) >= SMALLEST and not TABLE.search(name)
    ]
    if not found:
        raise WorkbenchError(
            f"a model with a weight matrix of at least {SMALLEST} x {SMALLEST} besides its "
            "token tables"
        )
    return found


def matrices(weights, most: int = 4_000_000) -> dict[str, np.ndarray]:
    """The linear layers of a model as float32; of a large model, first rows of spread-out ones.

    Parameters
    ----------
    weights : Weights
    most : int
        About how many weights to return at most.
    """
    chosen = names(weights)
    least = sum(SMALLEST * weights[name].shape[1] for name in chosen)
    chosen = chosen[:: -(-least // most)]
    total = sum(int(np.prod(weights[name].shape)) for name in chosen)
    share = min(1.0, most / total)
    rows = {name: max(SMALLEST, round(share * weights[name].shape[0])) for name in chosen}
    return {name: weights[name].read(rows=slice(0, rows[name])) for name in chosen}


def trits(weights, most: int = 4_000_000) -> dict[str, np.ndarray]:
    """The linear layers rounded to int8 {-1, 0, +1} as BitNet b1.58 does: one absmean a matrix.

    A matrix that holds only {-s, 0, +s} keeps its trits.
    """
    return {
        name: ternary.quantize(matrix, "absmean", scale="tensor").codes
        for name, matrix in matrices(weights, most).items()
    }


def is_ternary(matrix: np.ndarray) -> bool:
    """Whether each row holds only {-s, 0, +s}."""
    magnitudes = np.abs(matrix)
    largest = magnitudes.max(axis=1, keepdims=True)
    return bool(((magnitudes == 0) | (magnitudes == largest)).all() and (magnitudes == 0).any())


def shuffled_rows(matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same values in every row, in random order."""
    return rng.permuted(matrix, axis=1)


def recorded_inputs(weights) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Layers whose inputs were recorded on a text: name, matrix, float32 (tokens, cols).

    Raises
    ------
    WorkbenchError
        No layer has any: only the bundled slice and the model it is cut from do.
    """
    found = False
    for name in names(weights):
        x = activations(weights, name) if isinstance(weights, Weights) else None
        if x is not None:
            found = True
            yield name, weights[name].read(), x
    if not found:
        raise WorkbenchError("a model with recorded activations (smollm2-slice has them)")


def to_int8(x: np.ndarray) -> np.ndarray:
    """Activations (tokens, cols) as int8, 127 for the largest magnitude of each token."""
    return ternary.quantize_activations(np.ascontiguousarray(x, np.float32))[0]
