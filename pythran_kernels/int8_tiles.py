"""Products of int8 weights as int8_rows.py, for many tokens: codes are unpacked once for all of them."""

# pythran export multiply(int16[:], float32[:], int16[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), int16[:,:] order(C), int)
import numpy as np


def multiply(words, units, x, step, y, room, threads):
    """As int8_rows.multiply."""
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
    # what stays in the first cache while the tokens pass over it: six blocks of one group
    scales = np.empty(192, np.float32)
    for b in range(first, last, 6):
        end = min(b + 6, last)
        row = 32 * b
        assert row >= 0
        for t in range(x.shape[0]):
            for r in range(row, 32 * end):
                y[t, r] = 0
        for g in range(groups):
            for i in range(b, end):
                start = at + 32 * (i * groups + g)
                unpack(words, room, k, scales, start, plane, size, 32 * (i - b))
            for t in range(x.shape[0]):
                add_group(room, k, scales, x, step, y, row, 32 * (end - b), g, t)
        for t in range(x.shape[0]):
            for r in range(row, 32 * end):
                y[t, r] *= units[unit + r]


def unpack(words, room, k, scales, a, plane, size, to):
    """The words from words[a] on into the columns from `to` on."""
    assert a >= 0
    assert k >= 0
    assert to >= 0
    lanes = min(max(size, 32), 32)
    for j in range(16):
        start = a + plane * j
        assert start >= 0
        for r in range(lanes):
            v = words[start + r]
            room[k, to + 384 * j + r] = np.int16(np.int16(v << 8) >> 8)
            room[k, to + 384 * j + 192 + r] = np.int16(v >> 8)
    scale = a + 16 * plane
    assert scale >= 0
    for r in range(lanes):
        scales[to + r] = np.float32(words[scale + r])


def add_group(room, k, scales, x, step, y, row, rows, g, t):
    """Add group g times token t to `rows` rows from `row` on."""
    assert k >= 0
    assert row >= 0
    assert g >= 0
    assert t >= 0
    c = 32 * g
    assert c >= 0
    unit = np.float32(step[t, g])
    for r in range(rows):
        s = np.int32(np.int16(room[k, r] * x[t, c] + room[k, 192 + r] * x[t, c + 1]))
        s += np.int32(np.int16(room[k, 384 + r] * x[t, c + 2] + room[k, 576 + r] * x[t, c + 3]))
        s += np.int32(np.int16(room[k, 768 + r] * x[t, c + 4] + room[k, 960 + r] * x[t, c + 5]))
        s += np.int32(np.int16(room[k, 1152 + r] * x[t, c + 6] + room[k, 1344 + r] * x[t, c + 7]))
        s += np.int32(np.int16(room[k, 1536 + r] * x[t, c + 8] + room[k, 1728 + r] * x[t, c + 9]))
        s += np.int32(np.int16(room[k, 1920 + r] * x[t, c + 10] + room[k, 2112 + r] * x[t, c + 11]))
        s += np.int32(np.int16(room[k, 2304 + r] * x[t, c + 12] + room[k, 2496 + r] * x[t, c + 13]))
        s += np.int32(np.int16(room[k, 2688 + r] * x[t, c + 14] + room[k, 2880 + r] * x[t, c + 15]))
        s += np.int32(np.int16(room[k, 3072 + r] * x[t, c + 16] + room[k, 3264 + r] * x[t, c + 17]))
        s += np.int32(np.int16(room[k, 3456 + r] * x[t, c + 18] + room[k, 3648 + r] * x[t, c + 19]))
        s += np.int32(np.int16(room[k, 3840 + r] * x[t, c + 20] + room[k, 4032 + r] * x[t, c + 21]))
        s += np.int32(np.int16(room[k, 4224 + r] * x[t, c + 22] + room[k, 4416 + r] * x[t, c + 23]))
        s += np.int32(np.int16(room[k, 4608 + r] * x[t, c + 24] + room[k, 4800 + r] * x[t, c + 25]))
        s += np.int32(np.int16(room[k, 4992 + r] * x[t, c + 26] + room[k, 5184 + r] * x[t, c + 27]))
        s += np.int32(np.int16(room[k, 5376 + r] * x[t, c + 28] + room[k, 5568 + r] * x[t, c + 29]))
        s += np.int32(np.int16(room[k, 5760 + r] * x[t, c + 30] + room[k, 5952 + r] * x[t, c + 31]))
        y[t, row + r] += scales[r] * (unit * np.float32(s))
