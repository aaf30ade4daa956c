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
    plane = words.shape[0] // 17
    # omp parallel for num_threads(threads)
    for k in range(threads):
        first, last = blocks * k // threads, blocks * (k + 1) // threads
        span(words, units, x, step, y, room, k, 0, plane, 0, 32, first, last)


def span(words, units, x, step, y, room, k, at, plane, unit, size, first, last):
    """All tokens times the blocks first to last - 1 of the matrix at words[at], units[unit]."""
    groups = step.shape[1]
    assert unit >= 0
    for t in range(x.shape[0]):
        spread(x, room, k, size, t)
        for b in range(first, last):
            row = 32 * b
            assert row >= 0
            for r in range(row, row + 32):
                y[t, r] = 0
            for g in range(groups):
                start = at + 32 * (b * groups + g)
                add_group(words, room, k, step, y, start, plane, size, row, g, t)
            for r in range(row, row + 32):
                y[t, r] *= units[unit + r]


def two(v, low, high):
    """The products of a word's two codes."""
    return np.int32(np.int16(np.int16(np.int16(v << 8) >> 8) * low + np.int16(v >> 8) * high))


def add_group(words, room, k, step, y, a, plane, size, row, g, t):
    """Add the words from words[a] on, group g, times token t to the rows from `row` on."""
    assert a >= 0
    assert k >= 0
    assert row >= 0
    assert g >= 0
    assert t >= 0
    assert plane >= 0
    c = 1024 * g
    assert c >= 0
    a1 = a + plane
    assert a1 >= 0
    a2 = a1 + plane
    assert a2 >= 0
    a3 = a2 + plane
    assert a3 >= 0
    a4 = a3 + plane
    assert a4 >= 0
    a5 = a4 + plane
    assert a5 >= 0
    a6 = a5 + plane
    assert a6 >= 0
    a7 = a6 + plane
    assert a7 >= 0
    a8 = a7 + plane
    assert a8 >= 0
    a9 = a8 + plane
    assert a9 >= 0
    a10 = a9 + plane
    assert a10 >= 0
    a11 = a10 + plane
    assert a11 >= 0
    a12 = a11 + plane
    assert a12 >= 0
    a13 = a12 + plane
    assert a13 >= 0
    a14 = a13 + plane
    assert a14 >= 0
    a15 = a14 + plane
    assert a15 >= 0
    scale = a15 + plane
    assert scale >= 0
    unit = np.float32(step[t, g])
    lanes = min(max(size, 32), 32)
    for r in range(lanes):
        s = two(words[a + r], room[k, c + r], room[k, c + 32 + r])
        s += two(words[a1 + r], room[k, c + 64 + r], room[k, c + 96 + r])
        s += two(words[a2 + r], room[k, c + 128 + r], room[k, c + 160 + r])
        s += two(words[a3 + r], room[k, c + 192 + r], room[k, c + 224 + r])
        s += two(words[a4 + r], room[k, c + 256 + r], room[k, c + 288 + r])
        s += two(words[a5 + r], room[k, c + 320 + r], room[k, c + 352 + r])
        s += two(words[a6 + r], room[k, c + 384 + r], room[k, c + 416 + r])
        s += two(words[a7 + r], room[k, c + 448 + r], room[k, c + 480 + r])
        s += two(words[a8 + r], room[k, c + 512 + r], room[k, c + 544 + r])
        s += two(words[a9 + r], room[k, c + 576 + r], room[k, c + 608 + r])
        s += two(words[a10 + r], room[k, c + 640 + r], room[k, c + 672 + r])
        s += two(words[a11 + r], room[k, c + 704 + r], room[k, c + 736 + r])
        s += two(words[a12 + r], room[k, c + 768 + r], room[k, c + 800 + r])
        s += two(words[a13 + r], room[k, c + 832 + r], room[k, c + 864 + r])
        s += two(words[a14 + r], room[k, c + 896 + r], room[k, c + 928 + r])
        s += two(words[a15 + r], room[k, c + 960 + r], room[k, c + 992 + r])
        y[t, row + r] += np.float32(words[scale + r]) * (unit * np.float32(s))
