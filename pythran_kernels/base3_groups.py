"""Product of base-3 ternary weights with int8 activations, a scale for each group of columns."""

# pythran export matmul(uint8[:], int8[:,:] order(C), float32[:], float32[:,:] order(C), float32[:,:] order(C), int, int)
import numpy as np


def matmul(data, x, step, scales, y, group, threads):
    """Write y (tokens, rows) = step * x (tokens, cols) @ (weights * scales).T.

    data (ceil(rows / 5) * cols) as packing.pack_base3 writes it; scales (rows, parts): one for every
    `group` neighbouring columns. Sums within a group are exact, sums over groups are float32.
    """
    tokens, cols = x.shape
    parts = scales.shape[1]
    total = np.zeros((tokens, parts), np.int32)
    for t in range(tokens):
        for p in range(parts):
            for j in range(p * group, min(p * group + group, cols)):
                total[t, p] += np.int32(x[t, j])
    # omp parallel for num_threads(threads)
    for g in range((y.shape[1] + 4) // 5):
        for t in range(tokens):
            five_rows(data, x, total, step[t], scales, y, group, g, t)


def five_rows(data, x, total, step, scales, y, group, g, t):
    """Token t times the rows 5g to 5g + 4."""
    last = y.shape[1] - 1
    rows = (
        5 * g,
        min(5 * g + 1, last),
        min(5 * g + 2, last),
        min(5 * g + 3, last),
        min(5 * g + 4, last),
    )
    y0 = y1 = y2 = y3 = y4 = np.float32(0)
    for p in range(scales.shape[1]):
        s0, s1, s2, s3, s4, s5 = multiples(data, x, t, g, p, group)
        y0 += scales[rows[0], p] * np.float32(((3 * np.int64(s0) - s1) >> 8) - total[t, p])
        y1 += scales[rows[1], p] * np.float32(((3 * np.int64(s1) - s2) >> 8) - total[t, p])
        y2 += scales[rows[2], p] * np.float32(((3 * np.int64(s2) - s3) >> 8) - total[t, p])
        y3 += scales[rows[3], p] * np.float32(((3 * np.int64(s3) - s4) >> 8) - total[t, p])
        y4 += scales[rows[4], p] * np.float32(((3 * np.int64(s4) - s5) >> 8) - total[t, p])
    # rows beyond the last one share its place: the true one is written last
    y[t, rows[4]] = step * y4
    y[t, rows[3]] = step * y3
    y[t, rows[2]] = step * y2
    y[t, rows[1]] = step * y1
    y[t, rows[0]] = step * y0


def multiples(data, x, t, g, p, group):
    """The six sums of base3.py of bytes (g, j) over the columns of group p."""
    first = p * group
    start = g * x.shape[1] + first
    assert first >= 0
    assert t >= 0
    assert start >= 0
    s0 = s1 = s2 = s3 = s4 = s5 = np.int32(0)
    for j in range(min(group, x.shape[1] - first)):
        xj = np.int16(x[t, first + j])
        v0 = data[start + j]
        v1 = np.uint8(3 * np.int32(v0) & 255)
        v2 = np.uint8(3 * np.int32(v1) & 255)
        v3 = np.uint8(3 * np.int32(v2) & 255)
        v4 = np.uint8(3 * np.int32(v3) & 255)
        v5 = np.uint8(3 * np.int32(v4) & 255)
        s0 += xj * np.int16(v0)
        s1 += xj * np.int16(v1)
        s2 += xj * np.int16(v2)
        s3 += xj * np.int16(v3)
        s4 += xj * np.int16(v4)
        s5 += xj * np.int16(v5)
    return s0, s1, s2, s3, s4, s5
