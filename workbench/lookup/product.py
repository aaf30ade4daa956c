"""Exact products with tables of every pattern of a group: Four Russians, as fast as it got here.

An entry of a table is a sum of g activations, at most 128 g in magnitude: 16 bits hold it up to
g = 255, so that no table here needs 32. Where sums are vectors they too have 16 bits, and go on in
32 after 255 activations, since 128 * 255 <= 32767.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int8, Int32

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.lookup import patterns

SLOTS = 8  # groups of columns that share a pass over the rows
MOST_ROWS = 8192  # whose 16-bit sums for 32 tokens, half a megabyte, are kept at hand
LANES = 32  # tokens of a vector; 64 bytes of sums
SPARE = 32  # entries (64 bytes) between the tables of two threads
LARGEST_WHOLE = 10  # 3^10 patterns are the last that an index of 16 bits numbers
VECTORS_FROM = 3  # tokens from which 32 at a time, most of them idle, take less time (measured)


@dataclass(frozen=True, eq=False)
class WholeTables:
    """A ternary matrix as pattern numbers, for tables that hold every pattern of g trits.

    Attributes
    ----------
    index : uint8 or uint16 array (groups * rows,)
        A row's 8 indices side by side, row after row, for every 8 groups of columns; then of each
        group left over, row after row. symmetry: twice the magnitude of the pattern's number, plus
        1 where that is negative; else the number + (3^g - 1) / 2.
    shape : (rows, cols)
    g : int
    symmetry : bool
        One entry for a pattern and its negative: half the table, and a sign at every lookup.
    """

    index: np.ndarray
    shape: tuple[int, int]
    g: int
    symmetry: bool = False

    @classmethod
    def of(cls, codes: np.ndarray, g: int, symmetry: bool = False) -> "WholeTables":
        """From a ternary matrix (rows, cols); columns are filled up to whole groups.

        Raises
        ------
        TypeError, WorkbenchError
            `codes` are no ternary matrix (says where), or g is not from 1 to 10.
        """
        check_whole(g)
        groups, _ = patterns.group(codes, g)
        return cls(arrange(groups, symmetry), np.shape(codes), g, symmetry)

    @property
    def groups(self) -> int:
        """Groups of columns."""
        return -(-self.shape[1] // self.g)

    @property
    def entries(self) -> int:
        """Entries of a group's table."""
        return entries(self.g, self.symmetry)

    @property
    def nbytes(self) -> int:
        """Bytes of the indices."""
        return self.index.nbytes

    def matmul(
        self, x: Int8[np.ndarray, "tokens cols"], threads: int = 1
    ) -> Int32[np.ndarray, "tokens rows"]:
        """``x @ codes.T``, exact. The result may be a transposed view."""
        return self.bind(x, threads)()

    def bind(self, x: Int8[np.ndarray, "tokens cols"], threads: int = 1):
        """A function that multiplies with x, tables included, each time it is called.

        Raises
        ------
        TypeError, WorkbenchError
            x does not fit, or indices are beyond the table (says which).
        """
        check_activations(x, self.shape, threads)
        check_index(self.index, self.entries << self.symmetry)
        tokens, (rows, cols) = len(x), self.shape
        if max(len(self.index), (tokens + LANES) * max(rows, cols + SLOTS * self.g)) >> 32:
            raise WorkbenchError(
                f"{tokens} tokens times {rows} x {cols} weights are too many at once: indices, "
                "activations and results must be fewer than 2^32 each"
            )
        if tokens >= VECTORS_FROM and not self.symmetry:
            return self._bind_vectors(x, threads)
        wide = np.zeros((tokens, self.groups * self.g), np.int16)
        wide[:, :cols] = x
        table = np.empty((3 * threads, SLOTS // 2 * self.entries + SPARE), np.int16)
        y = np.empty((tokens, rows), np.int32)
        kernel = kernels.load("lut_vector_halved" if self.symmetry else "lut_vector").matmul

        def call():
            kernel(self.index, wide, table, y, self.g, self.entries, threads)
            return y

        return call

    def _bind_vectors(self, x, threads):
        tokens, cols = x.shape
        blocks = -(-tokens // LANES)
        eights = -(-self.groups // SLOTS)
        padded = np.zeros((blocks * LANES, eights * SLOTS * self.g), np.int8)
        padded[:tokens, :cols] = x
        lanes = aligned((blocks, eights, self.g, SLOTS, LANES), np.int16)
        lanes[:] = padded.reshape(blocks, LANES, eights, SLOTS, self.g).transpose(0, 2, 4, 3, 1)
        table = aligned((threads, SLOTS * self.entries * LANES), np.int16)
        height = min(-(-self.shape[0] // threads), MOST_ROWS)
        sums = aligned((threads * height * LANES,), np.int16)
        y = aligned((self.shape[0], blocks * LANES), np.int32)
        kernel = kernels.load("lut_tokens").matmul
        flat = lanes.reshape(-1), table, sums, y.reshape(-1), self.shape[0], self.g

        def call():
            kernel(self.index, *flat, threads)
            return y.T[:tokens]

        return call


def check_whole(g: int, name: str = "g") -> None:
    """Refuse a group whose table of all patterns does not fit; `name` is what the user set."""
    if not isinstance(g, int | np.integer) or g < 1:
        raise WorkbenchError(f"{name}={g!r} is not allowed: it is a whole number from 1 up")
    if g > LARGEST_WHOLE:
        raise WorkbenchError(
            f"{name}={g} is not allowed with tables of every pattern: a table of {3**g:,} entries "
            f"takes {2 * 3**g:,} bytes, but at most {2 * 3**LARGEST_WHOLE:,} ({name}="
            f"{LARGEST_WHOLE}) are filled; take tiers"
        )


def entries(g: int, symmetry: bool) -> int:
    """Entries of a table of all patterns of g trits."""
    return patterns.canonical_count(g) if symmetry else patterns.count(g)


def arrange(groups: Int8[np.ndarray, "rows groups g"], symmetry: bool) -> np.ndarray:
    """Groups of trits as the indices that `WholeTables` describes."""
    g = groups.shape[2]
    number = patterns.numbers(groups)
    if symmetry:
        canonical, negative = patterns.canonical(number)
        index = 2 * canonical + negative
    else:
        index = number + 3**g // 2
    index = index.astype(index_type(entries(g, symmetry) << symmetry))
    eights = index.shape[1] // SLOTS * SLOTS
    together = index[:, :eights].reshape(len(index), -1, SLOTS).transpose(1, 0, 2)
    return np.concatenate([together.ravel(), index[:, eights:].T.ravel()])


def disarrange(
    index: np.ndarray, shape: tuple[int, int], g: int, symmetry: bool
) -> Int8[np.ndarray, "rows cols"]:
    """Undo `arrange`: the ternary matrix."""
    rows, cols = shape
    groups = -(-cols // g)
    eights = groups // SLOTS * SLOTS
    number = np.empty((rows, groups), np.int64)
    split = eights * rows
    together = index[:split].reshape(-1, rows, SLOTS).transpose(1, 0, 2)
    number[:, :eights] = together.reshape(rows, eights)
    number[:, eights:] = index[split:].reshape(-1, rows).T
    if symmetry:
        number = np.where(number & 1, -(number >> 1), number >> 1)
    else:
        number -= 3**g // 2
    return patterns.trits(number, g).reshape(rows, -1)[:, :cols]


def index_type(symbols: int) -> type:
    """The narrowest unsigned type for indices below `symbols`."""
    return np.uint8 if symbols <= 1 << 8 else np.uint16 if symbols <= 1 << 16 else np.uint32


def check_index(index: np.ndarray, symbols: int) -> None:
    """Refuse indices beyond the table, which no kernel looks at twice."""
    if index.size and index.max() >= symbols:
        place = int(np.argmax(index >= symbols))
        raise WorkbenchError(
            f"index {place} of {index.size} is {index[place]}, but must be below {symbols}: "
            "the data are damaged"
        )


def check_activations(x: np.ndarray, shape: tuple[int, int], threads: int) -> None:
    """Refuse activations that do not fit, or what is no number of threads."""
    if x.dtype != np.int8:
        raise TypeError(f"x is {x.dtype}, but must be int8")
    if x.ndim != 2 or x.shape[1] != shape[1] or len(x) == 0:
        raise WorkbenchError(f"x has shape {x.shape}, but must have (tokens, {shape[1]})")
    if not isinstance(threads, int | np.integer) or threads < 1:
        raise WorkbenchError(f"threads={threads!r} is not allowed: it is a whole number from 1 up")
    if shape[1] >= 1 << 24:
        raise WorkbenchError(f"{shape[1]} columns are too many: sums must fit 32 bits")


def aligned(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Uninitialized array that begins on a cache line, so that no entry spans two."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)
