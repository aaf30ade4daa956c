"""How far decoded weights are from the originals, in sums of float64 precision."""

import numpy as np
from jaxtyping import Float32


def relative_mse(
    weights: Float32[np.ndarray, "rows cols"], decoded: Float32[np.ndarray, "rows cols"]
) -> float:
    """sum (w - d)^2 / sum w^2: 0 is exact, 1 is what a matrix of zeros leaves.

    Of an all-zero matrix: 0 if it came back as zeros, infinity if not.
    """
    noise = _energy(weights - decoded)
    if noise == 0:
        return 0.0
    signal = _energy(weights)
    return noise / signal if signal else np.inf


def snr_db(rel_mse: float) -> float:
    """Signal over noise in decibels, -10 log10(rel_mse); infinite where nothing is lost."""
    return float(-10 * np.log10(rel_mse)) if rel_mse > 0 else np.inf


def cosine(
    weights: Float32[np.ndarray, "rows cols"], decoded: Float32[np.ndarray, "rows cols"]
) -> float:
    """Cosine of the angle between the two matrices as vectors; blind to a common factor.

    1 where both are all zero, 0 where one is.
    """
    norms = np.sqrt(_energy(weights)) * np.sqrt(_energy(decoded))
    if norms == 0:
        return float(not weights.any() and not decoded.any())
    return float(np.clip(_dot(weights, decoded) / norms, -1, 1))


def max_error(
    weights: Float32[np.ndarray, "rows cols"], decoded: Float32[np.ndarray, "rows cols"]
) -> float:
    """The largest abs(w - d), in units of the weights."""
    return float(np.abs(weights - decoded).max())


def entropy_bits(codes: np.ndarray) -> float:
    """Empirical entropy of integer codes, in bits a code.

    No coder that treats each weight alone needs less; scales and tables come on top.
    """
    _, counts = np.unique(codes, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # not -0.0 where all codes are one


def _energy(values) -> float:
    return _dot(values, values)


def _dot(left, right) -> float:
    # row by row in float64, without a float64 copy of either matrix
    return float(np.einsum("rc,rc->r", left, right, dtype=np.float64).sum())
