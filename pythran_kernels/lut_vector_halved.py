"""Products by table lookup, a token at a time; a pattern and its negative share an entry.

As lut_vector.py, with tables of the (3^g + 1) / 2 patterns whose number is not negative, and the
sign of a pattern in the lowest bit of its index.
"""

# pythran export matmul(uint8[:], int16[:,:] order(C), int16[:,:] order(C), int32[:,:] order(C), int, int, int)
# pythran export matmul(uint16[:], int16[:,:] order(C), int16[:,:] order(C), int32[:,:] order(C), int, int, int)
import numpy as np

from .lut_vector import APART, BLOCK, natural, weave


def matmul(q, x, table, y, g, size, threads):
    """Write y (tokens, rows) = x (tokens, groups * g) times the patterns q.

    q: a row's 8 indices side by side, row after row, for every 8 groups; then of each group left
    over, row after row. An index is twice the magnitude of the pattern's number, plus 1 where the
    number is negative. size: (3^g + 1) / 2. table (3 * threads, 4 * size or more).
    """
    rows = y.shape[1]
    # omp parallel for num_threads(threads)
    for part in range(threads):
        first = rows * part // threads
        last = rows * (part + 1) // threads
        front = table[3 * part]
        back = table[3 * part + 1]
        grown = table[3 * part + 2]
        for token in range(x.shape[0]):
            span(q, x, front, back, grown, y[token], g, size, token, first, last)


def span(q, x, front, back, grown, y, g, size, token, first, last):
    """A token times the rows from first to last."""
    rows = y.shape[0]
    groups = x.shape[1] // g
    for r in range(first, last):
        y[natural(r)] = np.int32(0)
    for k in range(groups // 8):
        for j in range(4):
            fill(x, token, (8 * k + j) * g, grown, j * size, g)
        weave(grown, front, size)
        for j in range(4):
            fill(x, token, (8 * k + 4 + j) * g, grown, j * size, g)
        weave(grown, back, size)
        for start in range(first, last, BLOCK):
            stop = min(start + BLOCK, last)
            seen = 0
            for i in range(8 * (rows * k + start), 8 * (rows * k + stop), APART):
                seen |= np.int64(q[natural(i)])
            grown[natural(0)] = np.int16(seen)  # free here; the loads must count for something
            for r in range(start, stop):
                i = natural(8 * (rows * k + r))
                low = flip(front[4 * half(q[i])], q[i])
                low += flip(front[4 * half(q[i + 1]) + 1], q[i + 1])
                low += flip(front[4 * half(q[i + 2]) + 2], q[i + 2])
                low += flip(front[4 * half(q[i + 3]) + 3], q[i + 3])
                high = flip(back[4 * half(q[i + 4])], q[i + 4])
                high += flip(back[4 * half(q[i + 5]) + 1], q[i + 5])
                high += flip(back[4 * half(q[i + 6]) + 2], q[i + 6])
                high += flip(back[4 * half(q[i + 7]) + 3], q[i + 7])
                y[natural(r)] += low + high
    for k in range(groups // 8 * 8, groups):
        fill(x, token, k * g, grown, 0, g)
        for r in range(first, last):
            i = natural(rows * k + r)
            y[natural(r)] += flip(grown[half(q[i])], q[i])


def half(index):
    """The entry that an index means."""
    return np.int64(index) >> 1


def flip(value, index):
    """An entry, or its negative where the index says so."""
    sign = np.int32(index & 1)
    return (np.int32(value) ^ -sign) + sign


def fill(x, token, column, table, zero, g):
    """The sums of the patterns with numbers from 0 up, that of number n at zero + n."""
    table[natural(zero)] = np.int16(0)
    step = 1
    for i in range(g):
        value = np.int16(x[token, column + g - 1 - i])
        source = natural(zero)
        up = natural(zero + step)
        # omp simd
        for n in range(step // 2 + 1):
            table[up + n] = np.int16(value + table[source + n])
        # the lowest number with a leading 1 stands beside the highest without
        mirror(table, zero + step // 2, zero + step // 2 + 1, step // 2, value)
        step = 3 * step


def mirror(table, source, target, count, value):
    """From target up, the value less what lies from source down."""
    assert source >= 0
    assert target >= 0
    for n in range(count):
        place = source - n
        assert place >= 0
        table[target + n] = np.int16(value - table[place])
