"""Exact products of base-3 ternary weights (five rows a byte) with int8 activations.

With v0 the byte and v(k+1) = 3 v(k) mod 256, the digit of row k is (3 v(k) - v(k+1)) / 256: linear
in the v. So no digit is ever extracted: six sums of v(k) x give the sums of five rows.
"""

# pythran export matmul(uint8[:], int8[:,:] order(C), int32[:], int32[:,:] order(C), int)
import numpy as np


def matmul(data, x, total, y, threads):
    """Write y (tokens, 5 * groups) = x (tokens, width) @ weights.T, on `threads` threads.

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
    """All tokens times the rows 5 * first to 5 * last - 1."""
    cols = data.shape[0] // (y.shape[1] // 5)
    part = (last - first) // 2
    # two long stretches at once: the processor fetches each of them ahead; rows of 6 KB are long
    apart, stride = (part, 1) if cols < 6144 else (1, 2)
    for g in range(first, first + part * stride, stride):
        for t in range(x.shape[0]):
            ten_rows(data, x, total[t], y, g, apart, t, cols)
    if first + 2 * part < last:
        for t in range(x.shape[0]):
            five_rows(data, x, total[t], y, last - 1, t, cols)


def ten_rows(data, x, total, y, g, apart, t, cols):
    """Token t times the five rows 5g to 5g + 4, and those 5 * apart further on."""
    a = g * cols
    assert a >= 0
    assert apart >= 0
    assert cols >= 0
    b = a + apart * cols
    assert b >= 0
    a0 = a1 = a2 = a3 = a4 = a5 = np.int32(0)
    b0 = b1 = b2 = b3 = b4 = b5 = np.int32(0)
    # beyond cols x is 0, so that the next row's bytes may be read: only the last row has none
    for j in range(min(x.shape[1], data.shape[0] - b)):
        xj = np.int16(x[t, j])
        v0 = data[a + j]
        v1 = np.uint8(3 * np.int32(v0) & 255)
        v2 = np.uint8(3 * np.int32(v1) & 255)
        v3 = np.uint8(3 * np.int32(v2) & 255)
        v4 = np.uint8(3 * np.int32(v3) & 255)
        v5 = np.uint8(3 * np.int32(v4) & 255)
        a0 += xj * np.int16(v0)
        a1 += xj * np.int16(v1)
        a2 += xj * np.int16(v2)
        a3 += xj * np.int16(v3)
        a4 += xj * np.int16(v4)
        a5 += xj * np.int16(v5)
        v0 = data[b + j]
        v1 = np.uint8(3 * np.int32(v0) & 255)
        v2 = np.uint8(3 * np.int32(v1) & 255)
        v3 = np.uint8(3 * np.int32(v2) & 255)
        v4 = np.uint8(3 * np.int32(v3) & 255)
        v5 = np.uint8(3 * np.int32(v4) & 255)
        b0 += xj * np.int16(v0)
        b1 += xj * np.int16(v1)
        b2 += xj * np.int16(v2)
        b3 += xj * np.int16(v3)
        b4 += xj * np.int16(v4)
        b5 += xj * np.int16(v5)
    write(y, t, 5 * g, total, a0, a1, a2, a3, a4, a5)
    write(y, t, 5 * (g + apart), total, b0, b1, b2, b3, b4, b5)


def five_rows(data, x, total, y, g, t, cols):
    """Token t times the rows 5g to 5g + 4."""
    a = g * cols
    assert a >= 0
    a0 = a1 = a2 = a3 = a4 = a5 = np.int32(0)
    for j in range(min(x.shape[1], data.shape[0] - a)):
        xj = np.int16(x[t, j])
        v0 = data[a + j]
        v1 = np.uint8(3 * np.int32(v0) & 255)
        v2 = np.uint8(3 * np.int32(v1) & 255)
        v3 = np.uint8(3 * np.int32(v2) & 255)
        v4 = np.uint8(3 * np.int32(v3) & 255)
        v5 = np.uint8(3 * np.int32(v4) & 255)
        a0 += xj * np.int16(v0)
        a1 += xj * np.int16(v1)
        a2 += xj * np.int16(v2)
        a3 += xj * np.int16(v3)
        a4 += xj * np.int16(v4)
        a5 += xj * np.int16(v5)
    write(y, t, 5 * g, total, a0, a1, a2, a3, a4, a5)


def write(y, t, r, total, s0, s1, s2, s3, s4, s5):
    """From the sums of v(k) x to row sums; w = digit - 1 takes the sum of x off each."""
    y[t, r] = ((3 * np.int64(s0) - s1) >> 8) - total
    y[t, r + 1] = ((3 * np.int64(s1) - s2) >> 8) - total
    y[t, r + 2] = ((3 * np.int64(s2) - s3) >> 8) - total
    y[t, r + 3] = ((3 * np.int64(s3) - s4) >> 8) - total
    y[t, r + 4] = ((3 * np.int64(s4) - s5) >> 8) - total
