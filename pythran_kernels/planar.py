"""Exact products of planar ternary weights (four rows a byte) with int8 activations.

A byte is u0 + 4 u1 + 16 u2 + 64 u3, u = weight + 1. Three masks give its prefixes; they and the
byte, each times x, are summed, and the row sums are differences of those sums. Sixteen rows a pass
load an activation once for all, and sixteen independent sums hide the latency of a multiplication.
gcc makes one `vpdpbusd` of every `sum += int16 * int16`: the factors must be 16 bits wide.
"""

# pythran export matmul(uint8[:], int8[:,:] order(C), int32[:], int32[:,:] order(C), int)
import numpy as np


def matmul(data, x, total, y, threads):
    """Write y (tokens, 4 * groups) = x (tokens, width) @ weights.T, on `threads` threads.

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
    """All tokens times the rows 4 * first to 4 * last - 1."""
    cols = data.shape[0] // (y.shape[1] // 4)
    # four long stretches at once: the processor fetches each of them ahead
    part = (last - first) // 4
    for g in range(first, first + part):
        for t in range(x.shape[0]):
            sixteen_rows(data, x, total[t], y, g, part, t, cols)
    for g in range(first + 4 * part, last):
        for t in range(x.shape[0]):
            four_rows(data, x, total[t], y, g, t, cols)


def sixteen_rows(data, x, total, y, g, part, t, cols):
    """Token t times the four rows 4g to 4g + 3, and those 4 part, 8 part and 12 part further on."""
    a = g * cols
    assert a >= 0
    assert part >= 0
    assert cols >= 0
    b = a + part * cols
    assert b >= 0
    c = b + part * cols
    assert c >= 0
    d = c + part * cols
    assert d >= 0
    a0 = a1 = a2 = a3 = np.int32(0)
    b0 = b1 = b2 = b3 = np.int32(0)
    c0 = c1 = c2 = c3 = np.int32(0)
    d0 = d1 = d2 = d3 = np.int32(0)
    # beyond cols x is 0, so that the next row's bytes may be read: only the last row has none
    for j in range(min(x.shape[1], data.shape[0] - d)):
        xj = np.int16(x[t, j])
        v = data[a + j]
        a0 += xj * np.int16(v & np.uint8(3))
        a1 += xj * np.int16(v & np.uint8(15))
        a2 += xj * np.int16(v & np.uint8(63))
        a3 += xj * np.int16(v)
        v = data[b + j]
        b0 += xj * np.int16(v & np.uint8(3))
        b1 += xj * np.int16(v & np.uint8(15))
        b2 += xj * np.int16(v & np.uint8(63))
        b3 += xj * np.int16(v)
        v = data[c + j]
        c0 += xj * np.int16(v & np.uint8(3))
        c1 += xj * np.int16(v & np.uint8(15))
        c2 += xj * np.int16(v & np.uint8(63))
        c3 += xj * np.int16(v)
        v = data[d + j]
        d0 += xj * np.int16(v & np.uint8(3))
        d1 += xj * np.int16(v & np.uint8(15))
        d2 += xj * np.int16(v & np.uint8(63))
        d3 += xj * np.int16(v)
    write(y, t, 4 * g, total, a0, a1, a2, a3)
    write(y, t, 4 * (g + part), total, b0, b1, b2, b3)
    write(y, t, 4 * (g + 2 * part), total, c0, c1, c2, c3)
    write(y, t, 4 * (g + 3 * part), total, d0, d1, d2, d3)


def four_rows(data, x, total, y, g, t, cols):
    """Token t times the rows 4g to 4g + 3."""
    a = g * cols
    assert a >= 0
    a0 = a1 = a2 = a3 = np.int32(0)
    for j in range(min(x.shape[1], data.shape[0] - a)):
        xj = np.int16(x[t, j])
        v = data[a + j]
        a0 += xj * np.int16(v & np.uint8(3))
        a1 += xj * np.int16(v & np.uint8(15))
        a2 += xj * np.int16(v & np.uint8(63))
        a3 += xj * np.int16(v)
    write(y, t, 4 * g, total, a0, a1, a2, a3)


def write(y, t, r, total, s0, s1, s2, s3):
    """From the sums of prefixes to row sums; w = u - 1 takes the sum of x off each."""
    y[t, r] = s0 - total
    y[t, r + 1] = ((s1 - s0) >> 2) - total
    y[t, r + 2] = ((s2 - s1) >> 4) - total
    y[t, r + 3] = ((s3 - s2) >> 6) - total
