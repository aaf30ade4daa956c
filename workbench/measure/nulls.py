"""Matrices that share something with real weights but not their structure.

What a technique gains on real weights, it gains from their structure only as far as it gains less
on these.
"""

import numpy as np
from jaxtyping import Float32


def shuffled(
    weights: Float32[np.ndarray, "rows cols"], *, rng: np.random.Generator
) -> Float32[np.ndarray, "rows cols"]:
    """The same numbers at random places: every histogram kept, every neighbourhood lost."""
    return rng.permutation(weights.ravel()).reshape(weights.shape)


def gaussian(
    weights: Float32[np.ndarray, "rows cols"], *, rng: np.random.Generator
) -> Float32[np.ndarray, "rows cols"]:
    """Independent Gaussian numbers of the same mean and variance."""
    return _with_moments(rng.standard_normal(weights.shape, np.float32), weights)


def laplace(
    weights: Float32[np.ndarray, "rows cols"], *, rng: np.random.Generator
) -> Float32[np.ndarray, "rows cols"]:
    """Independent Laplace numbers (heavier tails) of the same mean and variance."""
    size = rng.standard_exponential(weights.shape, np.float32)
    sign = rng.integers(0, 2, weights.shape, np.int8) * 2 - 1
    return _with_moments(size * sign / np.float32(np.sqrt(2)), weights)


NULLS = {"shuffled": shuffled, "gaussian": gaussian, "laplace": laplace}


def _with_moments(noise, weights):
    """Standard noise with the mean and standard deviation of `weights`."""
    mean = weights.mean(dtype=np.float64)
    spread = weights.std(dtype=np.float64)
    return noise * np.float32(spread) + np.float32(mean)
