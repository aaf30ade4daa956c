"""Hugging Face's packed BitNet weights: four output rows in a byte, one scale a matrix.

Byte [r, k] of the packed (rows / 4, cols) array holds, in bits 2 i and 2 i + 1, the code (weight
+ 1) of weight [r + i * rows / 4, k]. The file does not say what the scale beside it means: the
layer class BitLinear divides by it, AutoBitLinear multiplies.
(transformers, integrations/bitnet.py)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from jaxtyping import Float32, Int8, UInt8

from workbench.errors import WorkbenchError
from workbench.formats.tensor import Tensor


def unpack_bitnet(
    packed: UInt8[np.ndarray, "quarter cols"], rows: int | None = None
) -> Int8[np.ndarray, "rows cols"]:
    """The codes -1, 0, +1 of a packed matrix.

    Parameters
    ----------
    packed : uint8 array (rows / 4, cols)
    rows : int, optional
        Rows that the matrix is known to have, to check.

    Raises
    ------
    WorkbenchError
        `rows` is not four times the packed rows, or a code is 3.

    Examples
    --------
    >>> unpack_bitnet(np.array([[0b00_10_01_00]], np.uint8)).ravel()
    array([-1,  0,  1, -1], dtype=int8)
    """
    packed = np.asarray(packed)
    if packed.dtype != np.uint8:
        raise TypeError(f"packed is {packed.dtype}, but must be uint8")
    if packed.ndim != 2 or 0 in packed.shape:
        raise WorkbenchError(
            f"packed has shape {packed.shape}, but must have two axes (rows / 4, cols), none empty"
        )
    if rows is not None and rows != 4 * packed.shape[0]:
        raise WorkbenchError(
            f"{packed.shape[0]} packed rows hold {4 * packed.shape[0]} rows, not {rows}; matrices "
            "whose rows are no multiple of 4 are not read"
        )
    codes = np.concatenate([packed >> shift & 3 for shift in (0, 2, 4, 6)])
    if codes.max() > 2:
        row, col = np.argwhere(codes > 2)[0]
        raise WorkbenchError(
            f"the packed code of row {row}, column {col} is 3, which stands for no ternary weight"
        )
    return codes.astype(np.int8) - np.int8(1)


@dataclass(frozen=True, eq=False, repr=False)
class BitNetTensor:
    """A packed matrix with the interface of `Tensor`.

    Attributes
    ----------
    shape : (rows, cols) of the matrix, four times the rows of `packed`
    quant : "HF_BITNET"
    nbytes : int
        Bytes in the file, the scale included.
    weight_scale : "divide", "multiply" or None
        What `read` does with the scale; None: it refuses.
    """

    packed: Tensor
    scale: Tensor
    weight_scale: str | None
    quant: str = "HF_BITNET"

    @property
    def name(self) -> str:
        return self.packed.name

    @property
    def shape(self) -> tuple[int, int]:
        return 4 * self.packed.shape[0], self.packed.shape[1]

    @property
    def nbytes(self) -> int:
        return self.packed.nbytes + self.scale.nbytes

    @property
    def dtype(self) -> np.dtype:
        """Type of what `read` returns: float32."""
        return np.dtype(np.float32)

    def raw(self) -> UInt8[np.ndarray, "quarter cols"]:
        """The packed bytes of the file; nothing is copied."""
        return self.packed.raw()

    def read(
        self, rows: slice | None = None, threads: int | None = None
    ) -> Float32[np.ndarray, "rows cols"]:
        """The weights, scale included.

        Raises
        ------
        WorkbenchError
            Nobody said what the scale means, it is no positive number, or a code is 3.
        """
        if self.weight_scale is None:
            raise WorkbenchError(
                f"tensor {self.name!r} is packed by BitNet, and the file does not say what its "
                "weight_scale means; open it with weight_scale='divide' (layer class BitLinear) "
                "or 'multiply' (AutoBitLinear)"
            )
        (scale,) = self.scale.read().reshape(-1)
        if not (np.isfinite(scale) and scale > 0):
            raise WorkbenchError(f"the weight_scale of {self.name!r} is {scale}, not above 0")
        codes = unpack_bitnet(self.raw(), self.shape[0])
        factor = 1 / scale if self.weight_scale == "divide" else scale
        return (codes if rows is None else codes[rows]) * np.float32(factor)

    def __repr__(self) -> str:
        return f"BitNetTensor({self.name!r}, {self.shape}, {self.nbytes} bytes)"


def packed_bitnet(tensors: Mapping[str, Tensor], weight_scale: str | None) -> dict:
    """`tensors`, each uint8 ``x`` with a single number ``x_scale`` turned into a BitNetTensor."""
    found = {}
    for name, tensor in tensors.items():
        scale = tensors.get(f"{name}_scale")
        packed = tensor.quant == "U8" and len(tensor.shape) == 2
        if packed and scale is not None and prod(scale.shape) == 1:
            found[name] = BitNetTensor(tensor, scale, weight_scale)
    scales = {f"{name}_scale" for name in found}
    return {name: found.get(name, tensor) for name, tensor in tensors.items() if name not in scales}
