"""One tensor of a weight file: known by name and shape, decoded only when it is read."""

from dataclasses import dataclass
from math import prod

import numpy as np
from jaxtyping import UInt8

from workbench.formats.blocks import BLOCKS, decode_blocks


@dataclass(frozen=True, eq=False, repr=False)
class Tensor:
    """A named matrix in a mapped file.

    Attributes
    ----------
    name : str
    shape : tuple of int
        NumPy order: the last axis is contiguous, so a weight matrix is (rows, cols).
    quant : str
        Name in `workbench.formats.blocks.BLOCKS`, such as "Q4_1" or "F32".
    nbytes : int
        Bytes in the file.
    """

    name: str
    shape: tuple[int, ...]
    quant: str
    nbytes: int
    payload: np.ndarray
    """The rows of the tensor: a read-only uint8 view of the file, without what follows them."""

    @property
    def rows(self) -> int:
        """Product of all axes but the last."""
        return prod(self.shape[:-1])

    @property
    def dtype(self) -> np.dtype:
        """What `read` returns: float32, whatever the file holds."""
        return np.dtype(np.float32)

    def raw(self) -> UInt8[np.ndarray, "rows bytes"]:
        """The bytes of the file, a row of blocks each; read-only, nothing is copied."""
        return self.payload.reshape(self.rows, -1)

    def read(self, rows: slice | None = None, threads: int | None = None) -> np.ndarray:
        """The weights as float32.

        Parameters
        ----------
        rows : slice, optional
            Only these rows (of `raw`), as a (rows, cols) matrix; by default all, in `shape`.
        threads : int, optional
            By default one a core.
        """
        raw = self.raw() if rows is None else self.raw()[rows]
        decoded = decode_blocks(self.quant, raw, self.shape[-1])
        return decoded.reshape(self.shape) if rows is None else decoded

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, {self.shape}, {self.quant}, {self.nbytes} bytes)"


def row_bytes(quant: str, cols: int) -> int:
    return BLOCKS[quant].row_bytes(cols)
