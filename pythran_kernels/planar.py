"""Exact product of planar ternary weights (four rows a byte) with int8 activations."""

# pythran export matmul(uint8[:,:] order(C), int8[:,:] order(C), int32[:,:] order(C), int)
import numpy as np


def matmul(data, x, y, threads):
    """y (tokens, rows) = x (tokens, cols) @ weights.T, on `threads` threads.

    data (ceil(rows / 4), cols) as packing.pack_planar writes it.
    """
    groups = data.shape[0]
    # omp parallel for num_threads(threads)
    for g in range(groups):
        for t in range(x.shape[0]):
            four_rows(data, x, y, g, t)


def four_rows(data, x, y, g, t):
    """Token t times the rows 4g to 4g + 3.

    The byte is u0 + 4 u1 + 16 u2 + 64 u3 with u = weight + 1. Its four prefixes need three masks,
    and the row sums are differences of theirs.
    """
    total = np.int32(0)
    a = np.int32(0)
    b = np.int32(0)
    c = np.int32(0)
    d = np.int32(0)
    for j in range(x.shape[1]):
        total += np.int32(x[t, j])
        a += np.int32(data[g, j] & np.uint8(3)) * np.int32(x[t, j])
        b += np.int32(data[g, j] & np.uint8(15)) * np.int32(x[t, j])
        c += np.int32(data[g, j] & np.uint8(63)) * np.int32(x[t, j])
        d += np.int32(data[g, j]) * np.int32(x[t, j])
    rows = y.shape[1]
    y[t, 4 * g] = a - total
    if 4 * g + 1 < rows:
        y[t, 4 * g + 1] = ((b - a) >> 2) - total
    if 4 * g + 2 < rows:
        y[t, 4 * g + 2] = ((c - b) >> 4) - total
    if 4 * g + 3 < rows:
        y[t, 4 * g + 3] = ((d - c) >> 6) - total
