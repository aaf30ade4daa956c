"""Geometric grids, what rounding to them leaves, and the statistics that seed 004 reads from it.

A grid of n levels has both signs and the magnitudes ratio^-k, k = 0 … n/2 - 1, of the largest
magnitude of a row; weights are rounded to the nearest level.
"""

from math import e, sqrt

import numpy as np

PHI = (1 + sqrt(5)) / 2
EULER = e / sqrt(5)  # the document's "Euler-Fibonacci" ratio, 1.216
Q = PHI**-4  # 0.146
ROWS, COLS = 256, 768  # of random stand-ins


def levels(ratio: float, count: int) -> np.ndarray:
    """The levels of a geometric grid, ascending, largest magnitude 1."""
    magnitudes = ratio ** -np.arange(count // 2, dtype=float)
    return np.sort(np.concatenate([magnitudes, -magnitudes]))


def uniform_levels(count: int) -> np.ndarray:
    """`count` equally spaced levels, an end at the largest magnitude."""
    return np.linspace(-1, 1, count)


def indices(weights: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Index of the nearest level of each weight, rows scaled by their largest magnitude."""
    return np.searchsorted((grid[1:] + grid[:-1]) / 2, weights / _peak(weights))


def rounded(weights: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The weights at their nearest levels."""
    return grid[indices(weights, grid)] * _peak(weights)


def deviations(weights: np.ndarray, grid: np.ndarray, depth: int = 1) -> list[np.ndarray]:
    """What rounding leaves, what rounding that leaves, …; each in units of its rows' peaks."""
    found = []
    for _ in range(depth):
        scaled = weights / _peak(weights)
        weights = scaled - rounded(scaled, grid)
        found.append(weights)
    return found


def uniform_steps(weights: np.ndarray, count: int) -> np.ndarray:
    """Rounded to `count` equal steps from minus to plus the largest magnitude of a row."""
    step = 2 * _peak(weights) / (count - 1)
    return np.rint(weights / step) * step


def with_deviation(weights: np.ndarray, grid: np.ndarray, count: int = 256) -> np.ndarray:
    """The document's format: grid index and the deviation in `count` equal steps."""
    base = rounded(weights, grid)
    return base + uniform_steps(weights - base, count)


def snr(weights: np.ndarray, approximation: np.ndarray) -> float:
    """Signal to noise in dB over a whole matrix."""
    return float(10 * np.log10(np.square(weights).sum() / np.square(weights - approximation).sum()))


def clustering(error: np.ndarray) -> dict[str, float]:
    """Shares of errors that may be meant by "clusters at phi^-4".

    With a = abs(error) / its largest: D1 a <= phi^-4; D2 nearest power phi^-k (in the logarithm)
    has k = 4; D3 within 0.075 of phi^-4; D5 log_phi(1/a) within 0.075 of an integer, the only one
    that does not depend on scale.
    """
    a = np.abs(error).ravel()
    a = a / a.max()
    k = -np.log(np.maximum(a, 1e-300)) / np.log(PHI)
    return {
        "D1": float((a <= Q).mean()),
        "D2": float((np.rint(k) == 4).mean()),
        "D3": float((np.abs(a - Q) <= 0.075).mean()),
        "D5": float((np.abs(k - np.rint(k)) <= 0.075).mean()),
    }


def draw(kind: str, rng: np.random.Generator, rows: int = ROWS) -> np.ndarray:
    """Independent random weights of unit scale, (rows, 768)."""
    shape = (rows, COLS)
    if kind == "Gaussian":
        return rng.normal(size=shape)
    if kind == "Laplace":
        return rng.laplace(size=shape)
    return rng.standard_t(5, size=shape)


def _peak(weights: np.ndarray) -> np.ndarray:
    largest = np.abs(weights).max(axis=1, keepdims=True)
    return np.where(largest > 0, largest, 1)
