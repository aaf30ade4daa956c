"""Products of int4 weights as int4_rows.py, for many tokens: codes are unpacked once for all of them."""

# pythran export multiply(uint16[:], int16[:], float32[:], int16[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), int, int, int)
import numpy as np


def multiply(words, signed, units, x, step, total, y, size, offsets, threads):
    """As int4_rows.multiply."""
    blocks = y.shape[1] // size
    # omp parallel for num_threads(threads)
    for k in range(threads):
        first, last = blocks * k // threads, blocks * (k + 1) // threads
        span(words, signed, units, x, step, total, y, 0, 0, size, offsets, first, last)


def span(words, signed, units, x, step, total, y, at, unit, size, offsets, first, last):
    """All tokens times the blocks first to last - 1 of the matrix at words[at], units[unit]."""
    groups = step.shape[1]
    record = (9 + offsets) * size
    # what stays in the first cache while the tokens pass over it: six blocks of one group
    codes = np.empty((32, 6 * size), np.int16)
    scales = np.empty((2, 6 * size), np.float32)
    for b in range(first, last, 6):
        end = min(b + 6, last)
        for t in range(x.shape[0]):
            for r in range(b * size, end * size):
                y[t, r] = 0
        for g in range(groups):
            for i in range(b, end):
                unpack(
                    words,
                    signed,
                    codes,
                    scales,
                    at + (i * groups + g) * record,
                    size,
                    offsets,
                    (i - b) * size,
                )
            for t in range(x.shape[0]):
                add_group(
                    codes, scales, x, step, total, y, offsets, b * size, (end - b) * size, g, t
                )
        for t in range(x.shape[0]):
            for r in range(b * size, end * size):
                y[t, r] *= units[unit + r]


def unpack(words, signed, codes, scales, a, size, offsets, to):
    """The record at words[a] into the columns from `to` on."""
    assert a >= 0
    assert size >= 0
    assert to >= 0
    for j in range(8):
        start = a + j * size
        assert start >= 0
        for r in range(size):
            v = words[start + r]
            codes[4 * j, to + r] = np.int16(v & np.uint16(15))
            codes[4 * j + 1, to + r] = np.int16((v >> np.uint16(4)) & np.uint16(15))
            codes[4 * j + 2, to + r] = np.int16((v >> np.uint16(8)) & np.uint16(15))
            codes[4 * j + 3, to + r] = np.int16(v >> np.uint16(12))
    scale = a + 8 * size
    assert scale >= 0
    offset = scale + offsets * size
    assert offset >= 0
    for r in range(size):
        scales[0, to + r] = np.float32(signed[scale + r])
        scales[1, to + r] = np.float32(signed[offset + r])


def add_group(codes, scales, x, step, total, y, offsets, row, rows, g, t):
    """Add group g times token t to `rows` rows from `row` on."""
    assert row >= 0
    assert g >= 0
    assert t >= 0
    c = 32 * g
    assert c >= 0
    unit = np.float32(step[t, g])
    eight = np.float32(8) * total[t, g]
    slope = np.float32(offsets) * total[t, g]
    for r in range(rows):
        s = codes[0, r] * x[t, c]
        s += codes[1, r] * x[t, c + 1]
        s += codes[2, r] * x[t, c + 2]
        s += codes[3, r] * x[t, c + 3]
        s += codes[4, r] * x[t, c + 4]
        s += codes[5, r] * x[t, c + 5]
        s += codes[6, r] * x[t, c + 6]
        s += codes[7, r] * x[t, c + 7]
        s += codes[8, r] * x[t, c + 8]
        s += codes[9, r] * x[t, c + 9]
        s += codes[10, r] * x[t, c + 10]
        s += codes[11, r] * x[t, c + 11]
        s += codes[12, r] * x[t, c + 12]
        s += codes[13, r] * x[t, c + 13]
        s += codes[14, r] * x[t, c + 14]
        s += codes[15, r] * x[t, c + 15]
        z = codes[16, r] * x[t, c + 16]
        z += codes[17, r] * x[t, c + 17]
        z += codes[18, r] * x[t, c + 18]
        z += codes[19, r] * x[t, c + 19]
        z += codes[20, r] * x[t, c + 20]
        z += codes[21, r] * x[t, c + 21]
        z += codes[22, r] * x[t, c + 22]
        z += codes[23, r] * x[t, c + 23]
        z += codes[24, r] * x[t, c + 24]
        z += codes[25, r] * x[t, c + 25]
        z += codes[26, r] * x[t, c + 26]
        z += codes[27, r] * x[t, c + 27]
        z += codes[28, r] * x[t, c + 28]
        z += codes[29, r] * x[t, c + 29]
        z += codes[30, r] * x[t, c + 30]
        z += codes[31, r] * x[t, c + 31]
        product = unit * np.float32(np.int32(np.int16(s)) + np.int32(np.int16(z))) - eight
        y[t, row + r] += scales[0, r] * product + scales[1, r] * slope
