"""Products of int8 weights as int8_rows.py, for many tokens: codes are unpacked once for all of them."""

# pythran export multiply(int16[:], float32[:], int16[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), int, int)
import numpy as np


def multiply(words, units, x, step, y, size, threads):
    """As int8_rows.multiply."""
    blocks = y.shape[1] // size
    # omp parallel for num_threads(threads)
    for k in range(threads):
        first, last = blocks * k // threads, blocks * (k + 1) // threads
        span(words, units, x, step, y, 0, 0, size, first, last)


def span(words, units, x, step, y, at, unit, size, first, last):
    """All tokens times the blocks first to last - 1 of the matrix at words[at], units[unit]."""
    groups = step.shape[1]
    record = 17 * size
    # what stays in the first cache while the tokens pass over it: six blocks of one group
    codes = np.empty((32, 6 * size), np.int16)
    scales = np.empty(6 * size, np.float32)
    for b in range(first, last, 6):
        end = min(b + 6, last)
        for t in range(x.shape[0]):
            for r in range(b * size, end * size):
                y[t, r] = 0
        for g in range(groups):
            for i in range(b, end):
                unpack(words, codes, scales, at + (i * groups + g) * record, size, (i - b) * size)
            for t in range(x.shape[0]):
                add_group(codes, scales, x, step, y, b * size, (end - b) * size, g, t)
        for t in range(x.shape[0]):
            for r in range(b * size, end * size):
                y[t, r] *= units[unit + r]


def unpack(words, codes, scales, a, size, to):
    """The record at words[a] into the columns from `to` on."""
    assert a >= 0
    assert size >= 0
    assert to >= 0
    for j in range(16):
        start = a + j * size
        assert start >= 0
        for r in range(size):
            v = words[start + r]
            codes[2 * j, to + r] = np.int16(np.int16(v << 8) >> 8)
            codes[2 * j + 1, to + r] = np.int16(v >> 8)
    scale = a + 16 * size
    assert scale >= 0
    for r in range(size):
        scales[to + r] = np.float32(words[scale + r])


def add_group(codes, scales, x, step, y, row, rows, g, t):
    """Add group g times token t to `rows` rows from `row` on."""
    assert row >= 0
    assert g >= 0
    assert t >= 0
    c = 32 * g
    assert c >= 0
    unit = np.float32(step[t, g])
    for r in range(rows):
        s = np.int32(np.int16(codes[0, r] * x[t, c] + codes[1, r] * x[t, c + 1]))
        s += np.int32(np.int16(codes[2, r] * x[t, c + 2] + codes[3, r] * x[t, c + 3]))
        s += np.int32(np.int16(codes[4, r] * x[t, c + 4] + codes[5, r] * x[t, c + 5]))
        s += np.int32(np.int16(codes[6, r] * x[t, c + 6] + codes[7, r] * x[t, c + 7]))
        s += np.int32(np.int16(codes[8, r] * x[t, c + 8] + codes[9, r] * x[t, c + 9]))
        s += np.int32(np.int16(codes[10, r] * x[t, c + 10] + codes[11, r] * x[t, c + 11]))
        s += np.int32(np.int16(codes[12, r] * x[t, c + 12] + codes[13, r] * x[t, c + 13]))
        s += np.int32(np.int16(codes[14, r] * x[t, c + 14] + codes[15, r] * x[t, c + 15]))
        s += np.int32(np.int16(codes[16, r] * x[t, c + 16] + codes[17, r] * x[t, c + 17]))
        s += np.int32(np.int16(codes[18, r] * x[t, c + 18] + codes[19, r] * x[t, c + 19]))
        s += np.int32(np.int16(codes[20, r] * x[t, c + 20] + codes[21, r] * x[t, c + 21]))
        s += np.int32(np.int16(codes[22, r] * x[t, c + 22] + codes[23, r] * x[t, c + 23]))
        s += np.int32(np.int16(codes[24, r] * x[t, c + 24] + codes[25, r] * x[t, c + 25]))
        s += np.int32(np.int16(codes[26, r] * x[t, c + 26] + codes[27, r] * x[t, c + 27]))
        s += np.int32(np.int16(codes[28, r] * x[t, c + 28] + codes[29, r] * x[t, c + 29]))
        s += np.int32(np.int16(codes[30, r] * x[t, c + 30] + codes[31, r] * x[t, c + 31]))
        y[t, row + r] += scales[r] * (unit * np.float32(s))
