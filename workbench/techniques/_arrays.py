"""What several techniques keep beside their codes: narrow floats, and codes packed bit by bit."""

from typing import Literal

import numpy as np
from jaxtyping import UInt8

from workbench import kernels
from workbench.errors import WorkbenchError

FloatType = Literal["float16", "float32"]


def narrow(values: np.ndarray, dtype: FloatType) -> np.ndarray:
    """`values` as they are to be stored; refuses what would become infinite."""
    with np.errstate(over="ignore"):
        stored = values.astype(dtype)
    if not np.isfinite(stored).all():
        raise WorkbenchError(
            f"a scale of {np.abs(values).max():.4g} does not fit {dtype} "
            f"(largest: {np.finfo(dtype).max:.4g}); choose a wider type for the scales"
        )
    return stored


def packed_bytes(count: int, bits: int) -> int:
    """Bytes that `count` codes of `bits` bits take, end to end."""
    return -(-count * bits // 8)


def pack_bits(codes: UInt8[np.ndarray, "..."], bits: int) -> UInt8[np.ndarray, " bytes"]:
    """Codes below 2^bits end to end in row order, low bits first: code i at bit i * bits."""
    eights = -(-codes.size // 8)
    whole = np.zeros((eights, 8), np.uint8)
    whole.ravel()[: codes.size] = codes.ravel()
    out = np.empty((eights, bits), np.uint8)
    kernels.load("bits").pack(whole, out)
    return out.ravel()[: packed_bytes(codes.size, bits)]


def unpack_bits(
    packed: UInt8[np.ndarray, " bytes"], bits: int, shape: tuple[int, int]
) -> UInt8[np.ndarray, "rows cols"]:
    """Undo `pack_bits`."""
    count = shape[0] * shape[1]
    eights = -(-count // 8)
    whole = np.zeros((eights, bits), np.uint8)
    whole.ravel()[: packed.size] = packed
    codes = np.empty((eights, 8), np.uint8)
    kernels.load("bits").unpack(whole, codes)
    return codes.ravel()[:count].reshape(shape)
