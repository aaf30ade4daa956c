"""Look into a model: types, sizes, zeros, and whether its weights are natively ternary."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from workbench.formats import Tensor
from workbench.models.download import Progress
from workbench.models.fetching import quiet
from workbench.models.weights import Weights

CHUNK = 1 << 22  # weights decoded at a time: 16 MB, whatever the tensor's size
IN_CACHE = 1 << 16  # weights of a matrix in memory looked at together
GROUPS = (256, 128, 64, 32)  # columns that share a scale in the block formats there are
FEWEST = 8  # weights a scale below which any matrix would pass for a ternary one


@dataclass(frozen=True)
class TensorFacts:
    """What one tensor holds.

    Attributes
    ----------
    tensor : str
    shape : tuple of int
        (rows, cols) for a matrix.
    type : str
        How it is stored, such as "Q4_1".
    nbytes : int
    zeros : float or None
        Share of the weights that are exactly 0; None where they were not read.
    ternary : str
        Where all weights of a matrix are {-s, 0, +s}, what has a scale s of its own: "tensor",
        "row", or "group of 256" columns (128, 64, 32), the coarsest that fits. Else empty, also for
        a matrix of nothing but zeros.
    """

    tensor: str
    shape: tuple[int, ...]
    type: str
    nbytes: int
    zeros: float | None
    ternary: str


@dataclass(frozen=True)
class Inspection:
    """What a model holds.

    Attributes
    ----------
    name, path, architecture : str
    tensors : tuple of TensorFacts
        In the file's order.
    """

    name: str
    path: str
    architecture: str
    tensors: tuple[TensorFacts, ...]

    @property
    def weights(self) -> int:
        """How many weights all tensors have."""
        return sum(prod(facts.shape) for facts in self.tensors)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors in the file, without metadata."""
        return sum(facts.nbytes for facts in self.tensors)

    @property
    def zeros(self) -> float:
        """Share of all weights that were read that are exactly 0."""
        read = [facts for facts in self.tensors if facts.zeros is not None]
        size = sum(prod(facts.shape) for facts in read)
        return sum(facts.zeros * prod(facts.shape) for facts in read) / max(size, 1)

    @property
    def ternary_share(self) -> float:
        """Share of all weights that sit in natively ternary matrices."""
        ternary = sum(prod(facts.shape) for facts in self.tensors if facts.ternary)
        return ternary / max(self.weights, 1)


def inspect(weights: Weights, progress: Progress = quiet, *, values: bool = True) -> Inspection:
    """Look into a model; its weights are read once, a few megabytes at a time.

    Parameters
    ----------
    weights : Weights
    progress : callable (done, total, what)
        Called after each tensor, with bytes.
    values : bool
        Without, only what the header says: nothing about zeros and ternary weights.
    """
    total = sum(tensor.nbytes for tensor in weights.values())
    done, tensors = 0, []
    for tensor in weights.values():
        tensors.append(_look_at(tensor) if values else _from_header(tensor, None, ""))
        done += tensor.nbytes
        progress(done, total, "inspecting")
    return Inspection(weights.name, str(weights.path), weights.architecture, tuple(tensors))


def ternary_scale(matrix: np.ndarray) -> str:
    """What has a scale of its own where all weights of a float32 matrix are {-s, 0, +s}.

    One of the words of `TensorFacts.ternary`, empty where the matrix is not ternary.
    """
    for name in _Scales(matrix.shape).possible:  # the coarsest first, which is nearly always it
        if _fits(matrix, name):
            return name if matrix.any() else ""
    return ""


def _fits(matrix: np.ndarray, name: str) -> bool:
    """Has each part of this name only one magnitude besides 0? Mostly, the first rows tell."""
    scales = _Scales(matrix.shape, only=name)
    rows = max(1, IN_CACHE // matrix.shape[-1])
    for row in range(0, len(matrix), rows):
        scales.see(np.abs(matrix[row : row + rows]))
        if not scales.possible:
            return False
    return True


def _look_at(tensor: Tensor) -> TensorFacts:
    size = prod(tensor.shape)
    zeros = 0
    scales = _Scales(tensor.shape)
    for chunk in _chunks(tensor):
        magnitudes = np.abs(chunk)
        zeros += chunk.size - int(np.count_nonzero(magnitudes))
        scales.see(magnitudes)
    ternary = scales.coarsest() if zeros < size else ""
    share = zeros / size if size else 0.0
    return _from_header(tensor, share, ternary)


def _from_header(tensor: Tensor, zeros: float | None, ternary: str) -> TensorFacts:
    return TensorFacts(tensor.name, tensor.shape, tensor.quant, tensor.nbytes, zeros, ternary)


def _chunks(tensor: Tensor) -> Iterator[np.ndarray]:
    rows = prod(tensor.shape[:-1])
    step = max(1, CHUNK * rows // max(prod(tensor.shape), 1))
    for row in range(0, rows, step):
        yield tensor.read(rows=slice(row, row + step))


class _Scales:
    """Which parts of a matrix could share one scale, after the rows seen so far."""

    def __init__(self, shape: tuple[int, ...], only: str | None = None):
        self.possible: dict[str, int] = {}  # name: columns
        if len(shape) > 1 and prod(shape) >= FEWEST:
            cols = shape[-1]
            self.possible["tensor"] = cols
            if cols >= FEWEST:
                self.possible["row"] = cols
            self.possible |= {f"group of {n}": n for n in GROUPS if n < cols and cols % n == 0}
        if only is not None:
            self.possible = {only: self.possible[only]}
        self.smallest, self.largest = np.inf, 0.0  # of the whole tensor's magnitudes but 0

    def see(self, magnitudes: np.ndarray) -> None:
        """Strike out what these rows contradict. `magnitudes`: float32 (rows, cols)."""
        if not self.possible:
            return
        nonzero = np.where(magnitudes == 0, np.float32(np.inf), magnitudes)
        for name, cols in list(self.possible.items()):
            low = nonzero.reshape(-1, cols).min(axis=1)
            high = magnitudes.reshape(-1, cols).max(axis=1)
            if name == "tensor":
                self.smallest = np.minimum(self.smallest, low.min())  # keeps a NaN, unlike min
                self.largest = np.maximum(self.largest, high.max())
                fits = self.smallest == self.largest or self.largest == 0
            else:
                fits = ((low == high) | (high == 0)).all()
            if not fits:
                del self.possible[name]

    def coarsest(self) -> str:
        """The name of the largest part that has only one magnitude, or nothing."""
        return next(iter(self.possible), "")
