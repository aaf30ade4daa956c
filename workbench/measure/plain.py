"""Plain rounding at the same number of bytes: the baseline that every report carries."""

import math

import numpy as np
from jaxtyping import Float32

from workbench.measure.error import relative_mse
from workbench.techniques.base import technique

SHARING = ({"scale": "tensor"}, {}, {"group": 128}, {"group": 32})  # {}: a scale a row
LEAST_BITS, MOST_BITS = 2, 8


class PlainRounding:
    """Uniform rounding of one matrix, as a curve of error over bytes.

    Its points are `uniform` at 2 to 8 bits, symmetric and asymmetric, with a float16 scale for the
    matrix, a row, or a group of 128 or 32, and the range of least squared error; and storing
    nothing at all, which leaves the error 1. Between the two nearest points that no other beats in
    bytes and error both, the logarithm of the error is interpolated; beyond the last it stays.

    Parameters
    ----------
    weights : float32 array (rows, cols)
    """

    def __init__(self, weights: Float32[np.ndarray, "rows cols"]):
        self.weights = weights
        self._points: dict[int, list[tuple[int, float]]] = {}

    def rel_mse(self, nbytes: int) -> float:
        """Relative mean squared error that plain rounding leaves when it may take `nbytes`."""
        highest = min(max(math.ceil(8 * nbytes / self.weights.size), LEAST_BITS), MOST_BITS)
        points = [(0, float(self.weights.any()))]
        for bits in range(highest, LEAST_BITS - 1, -1):
            points += self._at(bits)
            if all(size <= nbytes for size, _ in self._at(bits)):
                break  # fewer bits are farther from `nbytes` still
        return interpolate(points, nbytes)

    def _at(self, bits: int) -> list[tuple[int, float]]:
        if bits not in self._points:
            self._points[bits] = [
                self._measured(bits=bits, levels=levels, **sharing)
                for levels in ("symmetric", "asymmetric")
                for sharing in SHARING
            ]
        return self._points[bits]

    def _measured(self, **parameters):
        plain = technique("uniform", clip="mse", scale_type=self._type, **parameters)
        encoded = plain.encode(self.weights)
        return encoded.nbytes, relative_mse(self.weights, encoded.decode())

    @property
    def _type(self):
        # weights beyond float16 are no model's, but they must not stop a report
        return "float16" if np.abs(self.weights).max() < 6e4 else "float32"


def interpolate(points: list[tuple[int, float]], nbytes: int) -> float:
    """Error at `nbytes`, linear in its logarithm between points (bytes, error) that none beats.

    An exact point counts from its own size on: nothing leads up to a logarithm that is not there.

    Examples
    --------
    >>> round(interpolate([(0, 1.0), (100, 0.01), (100, 0.5), (200, 0.1), (300, 0.0)], 50), 3)
    0.1
    """
    if any(error == 0 and size <= nbytes for size, error in points):
        return 0.0
    front: list[tuple[int, float]] = []
    for size, error in sorted(points):
        if error > 0 and (not front or error < front[-1][1]):
            front.append((size, error))
    sizes, errors = zip(*front, strict=True)
    return math.exp(np.interp(nbytes, sizes, np.log(errors)))
