"""Products by table lookup, a token at a time; a pattern and its negative share an entry.

As lut_vector.py, with tables of the (3^g + 1) / 2 patterns whose number is not negative, and the
sign of a pattern in the lowest bit of its index.
"""

# pythran export matmul(uint8[:], int16[:,:] order(C), int16[:], int32[:,:] order(C), int, int, int)
# pythran export matmul(uint16[:], int16[:,:] order(C), int16[:], int32[:,:] order(C), int, int, int)
import numpy as np


def matmul(q, x, table, y, g, size, threads):
    """Write y (tokens, rows) = x (tokens, groups * g) times the patterns q.

    q: a row's 8 indices side by side, row after row, for every 8 groups; then of each group left
    over, row after row. An index is twice the magnitude of the pattern's number, plus 1 where the
    number is negative. size: (3^g + 1) / 2. table: room for 8 * size entries, and 32 more, of each
    thread.
    """
    rows = y.shape[1]
    room = table.shape[0] // threads
    # omp parallel for num_threads(threads)
    for part in range(threads):
        span(
            q,
            x,
            table,
            y,
            g,
            size,
            part * room,
            rows * part // threads,
            rows * (part + 1) // threads,
        )


def span(q, x, table, y, g, size, start, first, last):
    """All tokens times the rows from first to last."""
    rows = y.shape[1]
    groups = x.shape[1] // g
    for token in range(x.shape[0]):
        for r in range(first, last):
            y[token, r] = np.int32(0)
        for k in range(groups // 8):
            for j in range(8):
                fill(x, token, (8 * k + j) * g, table, start + j * size, g)
            for r in range(first, last):
                i = 8 * (rows * k + r)
                low = entry(q, i, table, start) + entry(q, i + 1, table, start + size)
                low += entry(q, i + 2, table, start + 2 * size)
                low += entry(q, i + 3, table, start + 3 * size)
                high = entry(q, i + 4, table, start + 4 * size)
                high += entry(q, i + 5, table, start + 5 * size)
                high += entry(q, i + 6, table, start + 6 * size)
                high += entry(q, i + 7, table, start + 7 * size)
                y[token, r] += low + high
        for k in range(groups // 8 * 8, groups):
            fill(x, token, k * g, table, start, g)
            for r in range(first, last):
                y[token, r] += entry(q, rows * k + r, table, start)


def entry(q, i, table, start):
    """What index i finds in the table at start, or its negative."""
    assert i >= 0
    place = start + (np.int64(q[i]) >> 1)
    assert place >= 0
    sign = np.int32(q[i] & 1)
    return (np.int32(table[place]) ^ -sign) + sign


def fill(x, token, column, table, zero, g):
    """The sums of the patterns with numbers from 0 up, that of number n at zero + n."""
    table[zero] = np.int16(0)
    step = 1
    for i in range(g):
        value = np.int16(x[token, column + g - 1 - i])
        up = zero + step
        assert zero >= 0
        assert up >= 0
        for n in range(step // 2 + 1):
            table[up + n] = np.int16(value + table[zero + n])
        down = zero + step // 2 + 1  # the lowest number with a leading 1
        source = zero + step // 2
        for n in range(step // 2):
            place = source - n
            assert place >= 0
            table[down + n] = np.int16(value - table[place])
        step = 3 * step
