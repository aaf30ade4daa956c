"""Products of int8 weights, a scale for every 32 columns; neighbouring rows are the lanes.

As int4_rows.py, with sixteen words a row and group that hold two codes each, the first column's in the
low byte, and then its scale k: a weight is unit * k * code. Two products of 8 bits fit a sum of 16.
"""

# pythran export multiply(int16[:], float32[:], int16[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), int16[:,:] order(C), int)
import numpy as np

from .int4_rows import spread


def multiply(words, units, x, step, y, room, threads):
    """Write y (tokens, 32 * blocks) = weights times the activations x * step, of one matrix."""
    blocks = y.shape[1] // 32
    # omp parallel for num_threads(threads)
    for k in range(threads):
        first, last = blocks * k // threads, blocks * (k + 1) // threads
        span(words, units, x, step, y, room, k, 0, 0, 32, first, last)


def span(words, units, x, step, y, room, k, at, unit, size, first, last):
    """All tokens times the blocks first to last - 1 of the matrix at words[at], units[unit]."""
    groups = step.shape[1]
    assert unit >= 0
    # memory is read faster at a dozen places at once than at one
    for b in range(first, last, 12):
        end = min(b + 12, last)
        row = 32 * b
        assert row >= 0
        for t in range(x.shape[0]):
            for r in range(row, 32 * end):
                y[t, r] = 0
            for g in range(groups):
                spread(x, room, k, size, g, t)
                for i in range(b, end):
                    start = at + (i * groups + g) * 544
                    add_group(words, room, k, step, y, start, size, 32 * i, g, t)
            for r in range(row, 32 * end):
                y[t, r] *= units[unit + r]


def two(v, low, high):
    """The products of a word's two codes."""
    return np.int32(np.int16(np.int16(np.int16(v << 8) >> 8) * low + np.int16(v >> 8) * high))


def add_group(words, room, k, step, y, a, size, row, g, t):
    """Add the record at words[a], group g, times token t to the rows from `row` on."""
    assert a >= 0
    assert k >= 0
    assert row >= 0
    assert g >= 0
    assert t >= 0
    unit = np.float32(step[t, g])
    for r in range(size):
        s = two(words[a + r], room[k, r], room[k, 32 + r])
        s += two(words[a + 32 + r], room[k, 64 + r], room[k, 96 + r])
        s += two(words[a + 64 + r], room[k, 128 + r], room[k, 160 + r])
        s += two(words[a + 96 + r], room[k, 192 + r], room[k, 224 + r])
        s += two(words[a + 128 + r], room[k, 256 + r], room[k, 288 + r])
        s += two(words[a + 160 + r], room[k, 320 + r], room[k, 352 + r])
        s += two(words[a + 192 + r], room[k, 384 + r], room[k, 416 + r])
        s += two(words[a + 224 + r], room[k, 448 + r], room[k, 480 + r])
        s += two(words[a + 256 + r], room[k, 512 + r], room[k, 544 + r])
        s += two(words[a + 288 + r], room[k, 576 + r], room[k, 608 + r])
        s += two(words[a + 320 + r], room[k, 640 + r], room[k, 672 + r])
        s += two(words[a + 352 + r], room[k, 704 + r], room[k, 736 + r])
        s += two(words[a + 384 + r], room[k, 768 + r], room[k, 800 + r])
        s += two(words[a + 416 + r], room[k, 832 + r], room[k, 864 + r])
        s += two(words[a + 448 + r], room[k, 896 + r], room[k, 928 + r])
        s += two(words[a + 480 + r], room[k, 960 + r], room[k, 992 + r])
        y[t, row + r] += np.float32(words[a + 512 + r]) * (unit * np.float32(s))
