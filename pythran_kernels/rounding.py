"""Rounding to {-1, 0, +1}: what decides the threshold and the scale, a row of numbers at a time.

A "row" here is whatever shares a scale: a group, a row or a whole matrix laid out as one row.
Fewer numbers than the bound of each loop do not pay for a second thread.
"""

import numpy as np


# pythran export summarise(float32[:,:] order(C), float64[:], float64[:], float32[:])
def summarise(w, total, square, peak):
    """Of each row of w: sum |w| into total, sum w^2 into square, max |w| into peak."""
    rows, cols = w.shape
    # omp parallel for if(rows * cols > 65536)
    for r in range(rows):
        t = 0.0
        s = 0.0
        p = np.float32(0)
        for c in range(cols):
            a = abs(w[r, c])
            t += np.float64(a)
            s += np.float64(a) * np.float64(a)
            p = max(p, a)
        total[r] = t
        square[r] = s
        peak[r] = p


# pythran export best_threshold(float32[:,:] order(C), float32[:], float32[:])
def best_threshold(ascending, threshold, scale):
    """The least-squares ternary rounding of each row of magnitudes, sorted ascending.

    Keeping the k largest with scale S_k / k (their mean) leaves the error |w|^2 - S_k^2 / k, so
    the best k maximises S_k^2 / k. Numbers above threshold are the ones to keep; equal ones stay
    together, because within a run of equals S_k^2 / k is convex in k: its best end is an end.
    """
    rows, cols = ascending.shape
    # omp parallel for if(rows * cols > 65536)
    for r in range(rows):
        kept = 0.0
        best = 0.0
        below = np.float32(0)
        mean = 0.0
        for i in range(cols):
            c = cols - 1 - i
            a = ascending[r, c]
            after = np.float32(0)
            if c > 0:
                after = ascending[r, c - 1]
            kept += np.float64(a)
            gain = kept * kept / np.float64(i + 1)
            if gain > best and (after < a):
                best = gain
                below = after
                mean = kept / np.float64(i + 1)
        threshold[r] = below
        scale[r] = np.float32(mean)


# pythran export ternarize(float32[:,:] order(C), float32[:], float32[:], int8[:,:] order(C))
def ternarize(w, inverse, threshold, q):
    """q = sign(w) where |w| * inverse > threshold (both a row), else 0."""
    rows, cols = w.shape
    # omp parallel for if(rows * cols > 65536)
    for r in range(rows):
        for c in range(cols):
            v = w[r, c] * inverse[r]
            q[r, c] = np.int8(v > threshold[r]) - np.int8(v < -threshold[r])


# pythran export correlate(float32[:,:] order(C), int8[:,:] order(C), float64[:], int64[:])
def correlate(w, q, product, count):
    """Of each row: sum w * q into product, how many q are not zero into count."""
    rows, cols = w.shape
    # omp parallel for if(rows * cols > 65536)
    for r in range(rows):
        p = 0.0
        n = 0
        for c in range(cols):
            p += np.float64(w[r, c]) * np.float64(q[r, c])
            n += np.int64(abs(q[r, c]))
        product[r] = p
        count[r] = n
