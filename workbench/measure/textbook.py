"""Textbook ternary products, to race ours against: each correct, compiled, and as fast as it got.

A matrix is prepared once (`DenseFloat(codes)`); `product(x)` gives the call that is timed.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
from jaxtyping import Int8

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.lookup.patterns import every, gray_walk

CACHE_LINE = 16  # int32 values between what two threads write


class Textbook(ABC):
    """A ternary matrix, prepared for one way to multiply it.

    Parameters
    ----------
    codes : int8 array (rows, cols) of {-1, 0, +1}

    Attributes
    ----------
    name : str
    shape : (rows, cols)
    """

    name: ClassVar[str]
    multiple: ClassVar[int] = 1
    """Zero columns are added up to a multiple of it."""

    def __init__(self, codes: np.ndarray):
        codes = np.asarray(codes)
        if codes.ndim != 2 or 0 in codes.shape:
            raise WorkbenchError(f"codes have shape {codes.shape}, but must be (rows, cols)")
        if codes.dtype.kind != "i" or codes.min() < -1 or codes.max() > 1:
            raise WorkbenchError("codes must be integers of {-1, 0, 1}")
        self.shape = codes.shape
        self._prepare(self._pad(codes.astype(np.int8, copy=False)))

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes that stand for the matrix, tables and permutations included."""

    def product(
        self, x: Int8[np.ndarray, "tokens cols"], threads: int = 1
    ) -> Callable[[], np.ndarray]:
        """A function that multiplies with x each time it is called.

        Returns
        -------
        function without arguments, of which each call returns the same array (tokens, rows):
        int32, or float32 with whole numbers in it, exact below 2^24
        """
        if x.dtype != np.int8 or x.ndim != 2 or x.shape[1] != self.shape[1]:
            raise WorkbenchError(
                f"x is {x.dtype} {x.shape}, but must be int8 (tokens, {self.shape[1]})"
            )
        if threads < 1:
            raise WorkbenchError(
                f"threads={threads} is not allowed: it is a whole number from 1 up"
            )
        result, multiply, *arguments = self._bind(np.ascontiguousarray(self._pad(x)), threads)

        def call():
            multiply(*arguments)
            return result

        return call

    @abstractmethod
    def _prepare(self, codes):
        """Keep what stands for the padded codes."""

    @abstractmethod
    def _bind(self, x, threads):
        """The array that receives the result, the kernel, and all its arguments."""

    def _pad(self, columns):
        return np.pad(columns, ((0, 0), (0, -columns.shape[1] % self.multiple)))

    def _result(self, x, dtype):
        return np.empty((len(x), self.shape[0]), dtype)


class DenseFloat(Textbook):
    """Every weight a float32."""

    name = "dense float32"
    multiple = 8

    def _prepare(self, codes):
        self._weights = np.ascontiguousarray(codes.T, dtype=np.float32)

    @property
    def nbytes(self):
        return self._weights.nbytes

    def _bind(self, x, threads):
        y = self._result(x, np.float32)
        kernel = kernels.load("textbook_dense").matmul
        return y, kernel, self._weights, x.astype(np.float32), y, threads


class SignSelect(Textbook):
    """Two bits a weight (00: 0, 01: +1, 10: -1), four columns a byte, looked up as float signs."""

    name = "sign lookup, float32"
    multiple = 4
    signs = np.array([0, 1, -1, 0], np.float32)

    def _prepare(self, codes):
        bits = (codes & 3) ^ (codes >> 1 & 1)  # -1, 0, 1 are 11, 00, 01 in two's complement
        bits = bits.astype(np.uint8).reshape(len(codes), -1, 4)
        bytes_ = np.bitwise_or.reduce(bits << np.arange(0, 8, 2, np.uint8), axis=2)
        self._bytes = np.ascontiguousarray(bytes_)

    @property
    def nbytes(self):
        return self._bytes.nbytes

    def _bind(self, x, threads):
        y = self._result(x, np.float32)
        kernel = kernels.load("textbook_signs").matmul
        return y, kernel, self._bytes, self.signs, x.astype(np.float32), y, threads


class TritLookup(Textbook):
    """Five trits a byte; a table of 243 entries gives each of them back."""

    name = "5-trit lookup table"
    multiple = 5

    def _prepare(self, codes):
        self._bytes = patterns(codes, 5).astype(np.uint8).T.copy()
        self._table = np.ascontiguousarray(every(5).T, dtype=np.int32)

    @property
    def nbytes(self):
        return self._bytes.nbytes + self._table.nbytes

    def _bind(self, x, threads):
        y = self._result(x, np.int32)
        kernel = kernels.load("textbook_trits").matmul
        return y, kernel, self._bytes, self._table, x, y, threads


class FourRussians(Textbook):
    """For each group of activations a table of all their signed sums, one addition an entry.

    Parameters
    ----------
    codes : int8 array (rows, cols) of {-1, 0, +1}
    group : int, optional
        Activations that share a table of 3^group entries, from 1 to 10. By default what costs
        least, where an entry costs as much as four lookups (as it did here).
    """

    name = "Four Russians"

    def __init__(self, codes: np.ndarray, group: int | None = None):
        if group is None:
            rows, cols = np.shape(codes)
            group = min(range(1, 9), key=lambda g: -(-cols // g) * (2 * 3**g + rows))
        if not 1 <= group <= 10:
            raise WorkbenchError(f"group={group} is not allowed: it is from 1 to 10")
        self.group = self.multiple = group
        super().__init__(codes)

    def _prepare(self, codes):
        width = np.uint8 if self.group <= 5 else np.uint16
        self._patterns = patterns(codes, self.group).astype(width).T.copy()
        self._steps, self._places = gray_walk(self.group)

    @property
    def nbytes(self):
        return self._patterns.nbytes + self._steps.nbytes + self._places.nbytes

    def _bind(self, x, threads):
        y = self._result(x, np.int32)
        signed = np.empty((threads, 2 * self.group + CACHE_LINE), np.int32)
        table = np.empty((threads, 3**self.group + CACHE_LINE), np.int32)
        kernel = kernels.load("textbook_russians").matmul
        return y, kernel, self._patterns, self._steps, self._places, x, y, signed, table


class AbstractRsr(Textbook):
    """Columns sorted by the pattern that a few rows have in them; activations summed by pattern.

    Parameters
    ----------
    codes : int8 array (rows, cols) of {-1, 0, +1}
        At most 65,536 columns.
    block : int, optional
        Rows that make a pattern, from 1 to 8. By default what costs least, where a pattern costs
        as much as sixteen activations (as it did here: its loop is short and ends unforeseen).
    """

    def __init__(self, codes: np.ndarray, block: int | None = None):
        if block is None:
            cols = np.shape(codes)[-1]
            block = min(range(1, 9), key=lambda k: (cols + 16 * 3**k) / k)
        if not 1 <= block <= 8:
            raise WorkbenchError(f"block={block} is not allowed: it is from 1 to 8")
        if np.shape(codes)[-1] > 1 << 16:
            raise WorkbenchError(f"{self.name} takes at most 65,536 columns")
        self.block = block
        super().__init__(codes)

    def _prepare(self, codes):
        codes = np.pad(codes, ((0, -len(codes) % self.block), (0, 0)))
        pattern = patterns(codes.T, self.block).T  # (blocks, cols)
        self._columns = np.argsort(pattern, axis=1, kind="stable").astype(np.uint16)
        self._ends = np.zeros((len(pattern), 3**self.block + 1), np.int32)
        for ends, row in zip(self._ends, pattern, strict=True):
            ends[1:] = np.bincount(row, minlength=3**self.block).cumsum()

    @property
    def nbytes(self):
        return self._columns.nbytes + self._ends.nbytes


class Rsr(AbstractRsr):
    """RSR: the sums times the matrix of all patterns."""

    name = "RSR"

    def _bind(self, x, threads):
        y = self._result(x, np.int32)
        sums = np.empty((threads, 3**self.block + CACHE_LINE), np.int32)
        trits = np.ascontiguousarray(every(self.block).T, dtype=np.int32)
        kernel = kernels.load("textbook_rsr").matmul
        return y, kernel, self._columns, self._ends, trits, x.astype(np.int32), y, sums


class RsrPlus(AbstractRsr):
    """RSR++: the sums folded to a third of their number, once a row."""

    name = "RSR++"

    def _bind(self, x, threads):
        y = self._result(x, np.int32)
        sums = np.empty((threads, 3**self.block + CACHE_LINE), np.int32)
        kernel = kernels.load("textbook_rsr").matmul_folded
        return y, kernel, self._columns, self._ends, x.astype(np.int32), y, sums, self.block


TEXTBOOK = (SignSelect, DenseFloat, TritLookup, FourRussians, Rsr, RsrPlus)


def patterns(codes: np.ndarray, group: int) -> np.ndarray:
    """Numbers, uint16 (n, cols / group), of groups of at most ten trits, first trit highest."""
    digits = (codes.reshape(len(codes), -1, group) + np.int8(1)).astype(np.uint8)
    numbers = np.zeros(digits.shape[:2], np.uint16)  # 3^10 < 2^16; and such are sorted by radix
    for i in range(group):
        numbers = 3 * numbers + digits[:, :, i]
    return numbers
