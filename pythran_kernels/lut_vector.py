"""Products by table lookup, a token at a time; the tables hold every pattern of g trits.

Eight groups of columns share a pass over the rows. A table holds the sums of the group's g
activations by a pattern's balanced-ternary number, and grows by block adds: with T the sums of the
last i trits, those of the last i + 1 are [T - x, T, T + x], one addition an entry.
"""

# pythran export matmul(uint8[:], int16[:,:] order(C), int16[:], int32[:,:] order(C), int, int, int)
# pythran export matmul(uint16[:], int16[:,:] order(C), int16[:], int32[:,:] order(C), int, int, int)
import numpy as np


def matmul(q, x, table, y, g, size, threads):
    """Write y (tokens, rows) = x (tokens, groups * g) times the patterns q.

    q: a row's 8 indices side by side, row after row, for every 8 groups; then of each group left
    over, row after row. An index is the pattern's number + (3^g - 1) / 2.
    size: 3^g. table: room for 8 * size entries, and 32 more, of each thread.
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
                fill(x, token, (8 * k + j) * g, table, start + j * size + size // 2, g)
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
            fill(x, token, k * g, table, start + size // 2, g)
            for r in range(first, last):
                y[token, r] += entry(q, rows * k + r, table, start)


def entry(q, i, table, start):
    """What index i finds in the table at start."""
    assert i >= 0
    place = start + np.int64(q[i])
    assert place >= 0
    return np.int32(table[place])


def fill(x, token, column, table, middle, g):
    """The sums of all patterns, that of number n at middle + n."""
    table[middle] = np.int16(0)
    step = 1
    for i in range(g):
        value = np.int16(x[token, column + g - 1 - i])
        low = middle - step // 2
        add(table, low, low + step, step, value)
        add(table, low, low - step, step, np.int16(-value))
        step = 3 * step


def add(table, source, target, count, value):
    """So many sums, each with one more activation."""
    assert source >= 0
    assert target >= 0
    for n in range(count):
        table[target + n] = np.int16(table[source + n] + value)
