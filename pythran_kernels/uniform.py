"""Rounding to evenly spaced levels: the range of each line, then the nearest level.

A line holds the weights that share a range; only its first lengths[r] numbers count.
Fewer numbers than the bound of each loop do not pay for a second thread.
"""

import numpy as np


# pythran export find_range(float32[:,:] order(C), int64[:], bool, float32[:], float32[:])
def find_range(w, lengths, symmetric, low, high):
    """The smallest range that covers each line, around zero if symmetric."""
    rows, cols = w.shape  # noqa: RUF059 (the pragma reads cols)
    # omp parallel for if(rows * cols > 65536)
    for r in range(rows):
        least = w[r, 0]
        most = w[r, 0]
        for c in range(lengths[r]):
            least = min(least, w[r, c])
            most = max(most, w[r, c])
        if symmetric:
            most = max(most, -least)
            least = -most
        low[r] = least
        high[r] = most


def squared_errors(w, r, length, low, step, top, errors):
    """Add the squared error of line r under each candidate range to errors."""
    for c in range(length):
        v = w[r, c]
        # over the candidates, not along the line: no chain of additions, so it vectorizes
        for k in range(errors.shape[0]):
            q = np.rint((v - low[k]) / step[k])
            q = min(max(q, np.float32(0)), top)
            d = v - (low[k] + step[k] * q)
            errors[k] += np.float64(d) * np.float64(d)


# pythran export shrink_range(float32[:,:] order(C), int64[:], int, float32[:], float32[:], float32[:])
def shrink_range(w, lengths, levels, factors, low, high):
    """Multiply each line's range by that one of the factors that leaves the least squared error."""
    rows, cols = w.shape  # noqa: RUF059 (the pragma reads cols)
    top = np.float32(levels - 1)
    # omp parallel for if(rows * cols > 4096)
    for r in range(rows):
        lows = factors * low[r]
        steps = factors * ((high[r] - low[r]) / top)
        if steps[factors.shape[0] - 1] > 0:
            errors = np.zeros(factors.shape[0], np.float64)
            squared_errors(w, r, lengths[r], lows, steps, top, errors)
            best = factors[np.argmin(errors)]
            low[r] *= best
            high[r] *= best


# pythran export round_lines(float32[:,:] order(C), int, float32[:], float32[:], uint8[:,:] order(C))
def round_lines(w, levels, low, step, codes):
    """The nearest of the levels low + step * (0 ... levels - 1), halves to even."""
    rows, cols = w.shape  # noqa: RUF059 (the pragma reads cols)
    top = np.float32(levels - 1)
    # omp parallel for if(rows * cols > 65536)
    for r in range(rows):
        unit = step[r]
        if unit == 0:  # a line of one value, at level 0
            unit = np.float32(1)
        least = low[r]
        # an expression, not a loop: stores of single bytes may overlap anything, so that a loop
        # of them does not vectorize
        q = np.rint((w[r] - least) / unit)
        codes[r] = np.uint8(np.int32(np.minimum(np.maximum(q, np.float32(0)), top)))
