"""Exact product of base-3 ternary weights (five rows a byte) with int8 activations."""

# pythran export matmul(uint8[:,:] order(C), int8[:,:] order(C), int32[:,:] order(C), int)
import numpy as np


def matmul(data, x, y, threads):
    """y (tokens, rows) = x (tokens, cols) @ weights.T, on `threads` threads.

    data (ceil(rows / 5), cols) as packing.pack_base3 writes it.
    """
    groups = data.shape[0]
    # omp parallel for num_threads(threads)
    for g in range(groups):
        for t in range(x.shape[0]):
            five_rows(data, x, y, g, t)


def five_rows(data, x, y, g, t):
    """Token t times the rows 5g to 5g + 4.

    With v0 the byte and v(k+1) = 3 v(k) mod 256, digit k is (3 v(k) - v(k+1)) / 256: linear in the
    v, so that no digit is ever extracted; six sums of v(k) x give the five rows.
    """
    total = np.int32(0)
    a = np.int32(0)
    b = np.int32(0)
    c = np.int32(0)
    d = np.int32(0)
    e = np.int32(0)
    f = np.int32(0)
    for j in range(x.shape[1]):
        v0 = data[g, j]
        v1 = np.uint8(3 * np.int32(v0) & 255)
        v2 = np.uint8(3 * np.int32(v1) & 255)
        v3 = np.uint8(3 * np.int32(v2) & 255)
        v4 = np.uint8(3 * np.int32(v3) & 255)
        v5 = np.uint8(3 * np.int32(v4) & 255)
        total += np.int32(x[t, j])
        a += np.int32(v0) * np.int32(x[t, j])
        b += np.int32(v1) * np.int32(x[t, j])
        c += np.int32(v2) * np.int32(x[t, j])
        d += np.int32(v3) * np.int32(x[t, j])
        e += np.int32(v4) * np.int32(x[t, j])
        f += np.int32(v5) * np.int32(x[t, j])
    rows = y.shape[1]
    y[t, 5 * g] = row(a, b) - total
    if 5 * g + 1 < rows:
        y[t, 5 * g + 1] = row(b, c) - total
    if 5 * g + 2 < rows:
        y[t, 5 * g + 2] = row(c, d) - total
    if 5 * g + 3 < rows:
        y[t, 5 * g + 3] = row(d, e) - total
    if 5 * g + 4 < rows:
        y[t, 5 * g + 4] = row(e, f) - total


def row(this, following):
    """The sum of one digit times x, from two neighbouring sums of v times x."""
    return (3 * np.int64(this) - np.int64(following)) >> 8
