"""Rounding to {-1, 0, +1}: what decides the threshold and the scale, a row of numbers at a time.

A "row" here is whatever shares a scale: a group, a row or a whole matrix laid out as one row.
Fewer numbers than the bound of each loop do not pay for a second thread.
"""

import numpy as np

LANES = 32  # sums kept apart, so that adding to one need not wait for the one before


# pythran export summarise(float32[:,:] order(C), float64[:], float64[:], float32[:])
def summarise(w, total, square, peak):
    """Of each row of w: sum |w| into total, sum w^2 into square, max |w| into peak."""
    rows, cols = w.shape  # noqa: RUF059 (the pragma reads cols)
    # omp parallel for if(rows * cols > 65536)
    for r in range(rows):
        totals = np.zeros(LANES, np.float64)
        squares = np.zeros(LANES, np.float64)
        peaks = np.zeros(LANES, np.float32)
        add_magnitudes(w, r, totals, squares, peaks)
        total[r] = np.sum(totals)
        square[r] = np.sum(squares)
        peak[r] = np.max(peaks)


def add_magnitudes(w, r, totals, squares, peaks):
    """Column c goes to lane c modulo their number."""
    cols = w.shape[1]
    lanes = totals.shape[0]
    whole = cols - cols % lanes
    for start in range(0, whole, lanes):
        for k in range(lanes):
            a = abs(w[r, start + k])
            totals[k] += np.float64(a)
            squares[k] += np.float64(a) * np.float64(a)
            peaks[k] = max(peaks[k], a)
    for c in range(whole, cols):
        a = abs(w[r, c])
        totals[c - whole] += np.float64(a)
        squares[c - whole] += np.float64(a) * np.float64(a)
        peaks[c - whole] = max(peaks[c - whole], a)


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
    rows, cols = w.shape  # noqa: RUF059 (the pragma reads cols)
    # omp parallel for if(rows * cols > 65536)
    for r in range(rows):
        s = inverse[r]
        t = threshold[r]
        # an expression, not a loop: stores of single bytes may overlap anything, so that a loop
        # of them does not vectorize
        q[r] = np.int8(np.int32(w[r] * s > t) - np.int32(w[r] * s < -t))


# pythran export correlate(float32[:,:] order(C), int8[:,:] order(C), float64[:], int64[:])
def correlate(w, q, product, count):
    """Of each row: sum w * q into product, how many q are not zero into count."""
    rows, cols = w.shape  # noqa: RUF059 (the pragma reads cols)
    # omp parallel for if(rows * cols > 65536)
    for r in range(rows):
        products = np.zeros(LANES, np.float64)
        counts = np.zeros(LANES, np.int64)
        add_products(w, q, r, products, counts)
        product[r] = np.sum(products)
        count[r] = np.sum(counts)


def add_products(w, q, r, products, counts):
    """Column c goes to lane c modulo their number."""
    cols = w.shape[1]
    lanes = products.shape[0]
    whole = cols - cols % lanes
    for start in range(0, whole, lanes):
        for k in range(lanes):
            products[k] += np.float64(w[r, start + k]) * np.float64(q[r, start + k])
            counts[k] += np.int64(abs(q[r, start + k]))
    for c in range(whole, cols):
        products[c - whole] += np.float64(w[r, c]) * np.float64(q[r, c])
        counts[c - whole] += np.int64(abs(q[r, c]))
