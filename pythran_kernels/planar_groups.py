"""Product of planar ternary weights with int8 activations, a scale for each group of columns."""

# pythran export matmul(uint8[:], int8[:,:] order(C), float32[:], float32[:,:] order(C), float32[:,:] order(C), int, int)
import numpy as np


def matmul(data, x, step, scales, y, group, threads):
    """Write y (tokens, rows) = step * x (tokens, cols) @ (weights * scales).T.

    data (ceil(rows / 4) * cols) as packing.pack_planar writes it; scales (rows, parts): one for every
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
    for g in range((y.shape[1] + 3) // 4):
        for t in range(tokens):
            four_rows(data, x, total, step[t], scales, y, group, g, t)


def four_rows(data, x, total, step, scales, y, group, g, t):
    """Token t times the rows 4g to 4g + 3."""
    last = y.shape[1] - 1
    rows = 4 * g, min(4 * g + 1, last), min(4 * g + 2, last), min(4 * g + 3, last)
    y0 = y1 = y2 = y3 = np.float32(0)
    for p in range(scales.shape[1]):
        s0, s1, s2, s3 = prefixes(data, x, t, g, p, group)
        y0 += scales[rows[0], p] * np.float32(s0 - total[t, p])
        y1 += scales[rows[1], p] * np.float32(((s1 - s0) >> 2) - total[t, p])
        y2 += scales[rows[2], p] * np.float32(((s2 - s1) >> 4) - total[t, p])
        y3 += scales[rows[3], p] * np.float32(((s3 - s2) >> 6) - total[t, p])
    # rows beyond the last one share its place: the true one is written last
    y[t, rows[3]] = step * y3
    y[t, rows[2]] = step * y2
    y[t, rows[1]] = step * y1
    y[t, rows[0]] = step * y0


def prefixes(data, x, t, g, p, group):
    """The four sums of planar.py of bytes (g, j) over the columns of group p."""
    first = p * group
    start = g * x.shape[1] + first
    assert first >= 0
    assert t >= 0
    assert start >= 0
    s0 = s1 = s2 = s3 = np.int32(0)
    for j in range(min(group, x.shape[1] - first)):
        xj = np.int16(x[t, first + j])
        v = data[start + j]
        s0 += xj * np.int16(v & np.uint8(3))
        s1 += xj * np.int16(v & np.uint8(15))
        s2 += xj * np.int16(v & np.uint8(63))
        s3 += xj * np.int16(v)
    return s0, s1, s2, s3
