"""One tensor of a weight file: known by name and shape, decoded only when it is read."""

from dataclasses import dataclass
from math import prod

import numpy as np
from jaxtyping import UInt8

from workbench.formats.blocks import decode_blocks


@dataclass(frozen=True, eq=False, repr=False)
class Tensor:
    """A named matrix in a mapped file.

    Attributes
    ----------
    name : str
    shape : tuple of int
        NumPy order: the last axis is contiguous, so a weight matrix is (rows, cols).
    quant : str
        Name in `workbench.formats.BLOCKS`, such as "Q4_1" or "F32".
    nbytes : int
        Bytes in the file.
    payload : uint8 array (bytes,)
        The rows, one after the other: a read-only view of the file.
    scale : float
        What all weights are multiplied with, in the types that keep one scale a tensor.
    """

    name: str
    shape: tuple[int, ...]
    quant: str
    nbytes: int
    payload: UInt8[np.ndarray, " bytes"]
    scale: float = 1.0

    @property
    def dtype(self) -> np.dtype:
        """Type of what `read` returns: float32, whatever the file holds."""
        return np.dtype(np.float32)

    def raw(self) -> UInt8[np.ndarray, "rows bytes"]:
        """The file's bytes, a row of weights each (leading axes flattened); nothing is copied."""
        return self.payload.reshape(prod(self.shape[:-1]), -1)

    def read(self, rows: slice | None = None, threads: int | None = None) -> np.ndarray:
        """The weights as float32; decodes only what is asked for.

        Parameters
        ----------
        rows : slice, optional
            Only these rows of `raw()`, as a (rows, cols) matrix; by default all, in `shape`.
        threads : int, optional
            By default one a core.
        """
        if rows is not None and not isinstance(rows, slice):
            raise TypeError(f"rows is {rows!r}, but must be a slice, such as slice(0, 64)")
        raw = self.raw() if rows is None else self.raw()[rows]
        weights = decode_blocks(self.quant, raw, self.shape[-1], scale=self.scale, threads=threads)
        return weights.reshape(self.shape) if rows is None else weights

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, {self.shape}, {self.quant}, {self.nbytes} bytes)"
