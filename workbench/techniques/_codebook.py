"""Codes into a short list of levels, whoever chose the levels."""

import numpy as np
from jaxtyping import Float, Float32, UInt8

from workbench import kernels


def nearest(
    x: Float32[np.ndarray, "rows cols"], levels: Float[np.ndarray, " levels"]
) -> UInt8[np.ndarray, "rows cols"]:
    """Index of the nearest of at most 256 ascending levels; the lower one of two as near."""
    middle = (levels[1:].astype(np.float64) + levels[:-1]) / 2
    codes = np.empty(x.shape, np.uint8)
    kernels.load("codebook").assign(
        np.ascontiguousarray(x, np.float32), middle.astype(np.float32), codes
    )
    return codes
