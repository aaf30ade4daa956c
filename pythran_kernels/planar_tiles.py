"""Exact products of planar ternary weights with four tokens at a time.

As planar.py, with the roles turned: one byte (four rows) meets four tokens, so that its masks are
computed once for sixteen products. Rows are walked in blocks that stay in the level-2 cache while
every four tokens pass over them.
"""

# pythran export matmul(uint8[:], int8[:,:] order(C), int32[:], int32[:,:] order(C), int)
import numpy as np


def matmul(data, x, total, y, threads):
    """Write y (tokens, 4 * groups) = x (tokens, width) @ weights.T; 4 divides tokens.

    data (groups * cols): from packing.pack_planar. x = 0 from cols on. total: each token's sum of x.
    """
    groups = y.shape[1] // 4
    if threads == 1:
        span(data, x, total, y, 0, groups)
    else:
        # omp parallel for num_threads(threads)
        for k in range(threads):
            span(data, x, total, y, groups * k // threads, groups * (k + 1) // threads)


def span(data, x, total, y, first, last):
    """All tokens times the rows 4 * first to 4 * last - 1, 512 KB of them at a time."""
    cols = data.shape[0] // (y.shape[1] // 4)
    block = (1 << 19) // cols + 1
    for start in range(first, last, block):
        for t in range(0, x.shape[0], 4):
            for g in range(start, min(start + block, last)):
                four_by_four(data, x, total, y, g, t, cols)


def four_by_four(data, x, total, y, g, t, cols):
    """Tokens t to t + 3 times the rows 4g to 4g + 3."""
    start = g * cols
    assert start >= 0
    a0 = a1 = a2 = a3 = np.int32(0)
    b0 = b1 = b2 = b3 = np.int32(0)
    c0 = c1 = c2 = c3 = np.int32(0)
    d0 = d1 = d2 = d3 = np.int32(0)
    for j in range(min(x.shape[1], data.shape[0] - start)):
        v3 = data[start + j]
        v0 = np.int16(v3 & np.uint8(3))
        v1 = np.int16(v3 & np.uint8(15))
        v2 = np.int16(v3 & np.uint8(63))
        xa = np.int16(x[t, j])
        a0 += xa * v0
        a1 += xa * v1
        a2 += xa * v2
        a3 += xa * np.int16(v3)
        xb = np.int16(x[t + 1, j])
        b0 += xb * v0
        b1 += xb * v1
        b2 += xb * v2
        b3 += xb * np.int16(v3)
        xc = np.int16(x[t + 2, j])
        c0 += xc * v0
        c1 += xc * v1
        c2 += xc * v2
        c3 += xc * np.int16(v3)
        xd = np.int16(x[t + 3, j])
        d0 += xd * v0
        d1 += xd * v1
        d2 += xd * v2
        d3 += xd * np.int16(v3)
    write(y, t, 4 * g, total[t], a0, a1, a2, a3)
    write(y, t + 1, 4 * g, total[t + 1], b0, b1, b2, b3)
    write(y, t + 2, 4 * g, total[t + 2], c0, c1, c2, c3)
    write(y, t + 3, 4 * g, total[t + 3], d0, d1, d2, d3)


def write(y, t, r, total, s0, s1, s2, s3):
    """From the sums of prefixes to row sums; w = u - 1 takes the sum of x off each."""
    y[t, r] = s0 - total
    y[t, r + 1] = ((s1 - s0) >> 2) - total
    y[t, r + 2] = ((s2 - s1) >> 4) - total
    y[t, r + 3] = ((s3 - s2) >> 6) - total
