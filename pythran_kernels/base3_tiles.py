"""Exact products of base-3 ternary weights (five rows a byte) with int8 activations.

With v0 the byte and v(k+1) = 3 v(k) mod 256, the digit of row k is (3 v(k) - v(k+1)) / 256: linear
in the v. So no digit is ever extracted: six sums of v(k) x give the sums of five rows. Four
tokens at a time: the v are computed once for them.
"""

# pythran export matmul(uint8[:], int8[:,:] order(C), int32[:], int32[:,:] order(C), int)
import numpy as np


def matmul(data, x, total, y, threads):
    """Write y (tokens, 5 * groups) = x (tokens, width) @ weights.T; 4 divides tokens.

    data (groups * cols): from packing.pack_base3. x = 0 from cols on. total: each token's sum of x.
    """
    groups = y.shape[1] // 5
    if threads == 1:
        span(data, x, total, y, 0, groups)
    else:
        # omp parallel for num_threads(threads)
        for k in range(threads):
            span(data, x, total, y, groups * k // threads, groups * (k + 1) // threads)


def span(data, x, total, y, first, last):
    """All tokens times the rows 5 * first to 5 * last - 1, 512 KB of them at a time."""
    cols = data.shape[0] // (y.shape[1] // 5)
    block = (1 << 19) // cols + 1
    for start in range(first, last, block):
        for t in range(0, x.shape[0], 4):
            for g in range(start, min(start + block, last)):
                five_by_four(data, x, total, y, g, t, cols)


def five_by_four(data, x, total, y, g, t, cols):
    """Tokens t to t + 3 times the rows 5g to 5g + 4."""
    start = g * cols
    assert start >= 0
    a0 = a1 = a2 = a3 = a4 = a5 = np.int32(0)
    b0 = b1 = b2 = b3 = b4 = b5 = np.int32(0)
    c0 = c1 = c2 = c3 = c4 = c5 = np.int32(0)
    d0 = d1 = d2 = d3 = d4 = d5 = np.int32(0)
    for j in range(min(x.shape[1], data.shape[0] - start)):
        v0 = data[start + j]
        v1 = np.uint8(3 * np.int32(v0) & 255)
        v2 = np.uint8(3 * np.int32(v1) & 255)
        v3 = np.uint8(3 * np.int32(v2) & 255)
        v4 = np.uint8(3 * np.int32(v3) & 255)
        v5 = np.uint8(3 * np.int32(v4) & 255)
        xa = np.int16(x[t, j])
        a0 += xa * np.int16(v0)
        a1 += xa * np.int16(v1)
        a2 += xa * np.int16(v2)
        a3 += xa * np.int16(v3)
        a4 += xa * np.int16(v4)
        a5 += xa * np.int16(v5)
        xb = np.int16(x[t + 1, j])
        b0 += xb * np.int16(v0)
        b1 += xb * np.int16(v1)
        b2 += xb * np.int16(v2)
        b3 += xb * np.int16(v3)
        b4 += xb * np.int16(v4)
        b5 += xb * np.int16(v5)
        xc = np.int16(x[t + 2, j])
        c0 += xc * np.int16(v0)
        c1 += xc * np.int16(v1)
        c2 += xc * np.int16(v2)
        c3 += xc * np.int16(v3)
        c4 += xc * np.int16(v4)
        c5 += xc * np.int16(v5)
        xd = np.int16(x[t + 3, j])
        d0 += xd * np.int16(v0)
        d1 += xd * np.int16(v1)
        d2 += xd * np.int16(v2)
        d3 += xd * np.int16(v3)
        d4 += xd * np.int16(v4)
        d5 += xd * np.int16(v5)
    write(y, t, 5 * g, total[t], a0, a1, a2, a3, a4, a5)
    write(y, t + 1, 5 * g, total[t + 1], b0, b1, b2, b3, b4, b5)
    write(y, t + 2, 5 * g, total[t + 2], c0, c1, c2, c3, c4, c5)
    write(y, t + 3, 5 * g, total[t + 3], d0, d1, d2, d3, d4, d5)


def write(y, t, r, total, s0, s1, s2, s3, s4, s5):
    """From the sums of v(k) x to row sums; w = digit - 1 takes the sum of x off each."""
    y[t, r] = ((3 * np.int64(s0) - s1) >> 8) - total
    y[t, r + 1] = ((3 * np.int64(s1) - s2) >> 8) - total
    y[t, r + 2] = ((3 * np.int64(s2) - s3) >> 8) - total
    y[t, r + 3] = ((3 * np.int64(s3) - s4) >> 8) - total
    y[t, r + 4] = ((3 * np.int64(s4) - s5) >> 8) - total
