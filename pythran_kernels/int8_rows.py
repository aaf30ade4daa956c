"""Products of int8 weights, a scale for every 32 columns; neighbouring rows are the lanes.

As int4_rows.py, with sixteen words a row and group that hold two codes each, the first column's in the
low byte, and then its scale k: a weight is unit * k * code. Two products of 8 bits fit a sum of 16.
"""

# pythran export multiply(int16[:], float32[:], int16[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), int, int)
import numpy as np


def multiply(words, units, x, step, y, size, threads):
    """Write y (tokens, rows) = weights times the activations x * step, of one matrix."""
    blocks = y.shape[1] // size
    # omp parallel for num_threads(threads)
    for k in range(threads):
        first, last = blocks * k // threads, blocks * (k + 1) // threads
        span(words, units, x, step, y, 0, 0, size, first, last)


def span(words, units, x, step, y, at, unit, size, first, last):
    """All tokens times the blocks first to last - 1 of the matrix at words[at], units[unit]."""
    groups = step.shape[1]
    record = 17 * size
    # memory is read faster at a dozen places at once than at one
    for b in range(first, last, 12):
        end = min(b + 12, last)
        for t in range(x.shape[0]):
            for r in range(b * size, end * size):
                y[t, r] = 0
            for g in range(groups):
                for i in range(b, end):
                    row = i * size
                    start = at + (i * groups + g) * record
                    add_group(words, x, step, y, start, size, row, g, t)
            for r in range(b * size, end * size):
                y[t, r] *= units[unit + r]


def two(v, low, high):
    """The products of a word's two codes."""
    return np.int32(np.int16(np.int16(np.int16(v << 8) >> 8) * low + np.int16(v >> 8) * high))


def add_group(words, x, step, y, a, size, row, g, t):
    """Add the record at words[a], group g, times token t to the rows from `row` on."""
    assert a >= 0
    assert size >= 0
    assert row >= 0
    assert g >= 0
    assert t >= 0
    c = 32 * g
    assert c >= 0
    b = a + size
    d = b + size
    e = d + size
    f = e + size
    h = f + size
    i = h + size
    j = i + size
    k = j + size
    aa = k + size
    m = aa + size
    n = m + size
    o = n + size
    p = o + size
    q = p + size
    u = q + size
    scale = u + size
    unit = np.float32(step[t, g])
    for r in range(size):
        s = two(words[a + r], x[t, c], x[t, c + 1])
        s += two(words[b + r], x[t, c + 2], x[t, c + 3])
        s += two(words[d + r], x[t, c + 4], x[t, c + 5])
        s += two(words[e + r], x[t, c + 6], x[t, c + 7])
        s += two(words[f + r], x[t, c + 8], x[t, c + 9])
        s += two(words[h + r], x[t, c + 10], x[t, c + 11])
        s += two(words[i + r], x[t, c + 12], x[t, c + 13])
        s += two(words[j + r], x[t, c + 14], x[t, c + 15])
        s += two(words[k + r], x[t, c + 16], x[t, c + 17])
        s += two(words[aa + r], x[t, c + 18], x[t, c + 19])
        s += two(words[m + r], x[t, c + 20], x[t, c + 21])
        s += two(words[n + r], x[t, c + 22], x[t, c + 23])
        s += two(words[o + r], x[t, c + 24], x[t, c + 25])
        s += two(words[p + r], x[t, c + 26], x[t, c + 27])
        s += two(words[q + r], x[t, c + 28], x[t, c + 29])
        s += two(words[u + r], x[t, c + 30], x[t, c + 31])
        y[t, row + r] += np.float32(words[scale + r]) * (unit * np.float32(s))
