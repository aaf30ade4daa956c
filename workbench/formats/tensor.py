"""One tensor of a weight file: known by name and shape, decoded only when it is read."""

from dataclasses import dataclass
from math import prod

import numpy as np
from jaxtyping import Float32, UInt8

from workbench.errors import WorkbenchError
from workbench.formats.blocks import decode_blocks, row_bytes


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

    @classmethod
    def of(
        cls, name: str, quant: str, raw: UInt8[np.ndarray, "rows bytes"], shape: tuple[int, ...]
    ) -> "Tensor":
        """A tensor of blocks in memory, as `write_gguf` takes it.

        Raises
        ------
        WorkbenchError
            Rows of this shape are no whole number of blocks, or take another number of bytes.
        """
        raw, shape = np.asarray(raw), tuple(shape)
        expected = prod(shape[:-1]), row_bytes(quant, shape[-1])
        if raw.dtype != np.uint8 or raw.shape != expected:
            raise WorkbenchError(
                f"raw is {raw.dtype} {raw.shape}, but {shape} in {quant} takes uint8 {expected}"
            )
        payload = np.ascontiguousarray(raw).reshape(-1)
        return cls(name, shape, quant, payload.size, payload)

    @property
    def dtype(self) -> np.dtype:
        """Type of what `read` returns: float32, whatever the file holds."""
        return np.dtype(np.float32)

    def raw(self) -> UInt8[np.ndarray, "rows bytes"]:
        """The file's bytes, a row of weights each (leading axes flattened); nothing is copied."""
        rows = prod(self.shape[:-1])
        return self.payload.reshape(rows, len(self.payload) // rows if rows else 0)

    def stored(self) -> UInt8[np.ndarray, " bytes"]:
        """All bytes of the tensor as a GGUF file holds them, a scale of its own included."""
        if self.nbytes == len(self.payload):
            return self.payload
        tail = np.zeros(self.nbytes - len(self.payload), np.uint8)
        tail[:4] = np.array([self.scale], "<f4").view(np.uint8)
        return np.concatenate([self.payload, tail])

    def read(
        self, rows: slice | None = None, threads: int | None = None
    ) -> Float32[np.ndarray, "..."]:
        """The weights as float32; decodes only what is asked for.

        Parameters
        ----------
        rows : slice, optional
            Only these rows of `raw()`, as a (rows, cols) matrix; by default all, in `shape`.
        threads : int, optional
            By default one a core.

        Raises
        ------
        WorkbenchError
            No decoder for this type.
        """
        if rows is not None and not isinstance(rows, slice):
            raise TypeError(f"rows is {rows!r}, but must be a slice, such as slice(0, 64)")
        raw = self.raw() if rows is None else self.raw()[rows]
        cols = self.shape[-1] if self.shape else 1  # safetensors has tensors without axes
        if 0 in self.shape:  # and empty ones
            return np.zeros(self.shape if rows is None else (len(raw), cols), np.float32)
        weights = decode_blocks(self.quant, raw, cols, scale=self.scale, threads=threads)
        return weights.reshape(self.shape) if rows is None else weights

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, {self.shape}, {self.quant}, {self.nbytes} bytes)"
