"""Products of int4 weights as int4_rows.py, for many tokens: codes are unpacked once for all of them."""

# pythran export multiply(uint16[:], int16[:], float32[:], int16[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), int16[:,:] order(C), int, int)
import numpy as np


def multiply(words, signed, units, x, step, total, y, room, offsets, threads):
    """As int4_rows.multiply."""
    blocks = y.shape[1] // 32
    plane = words.shape[0] // (9 + offsets)
    # omp parallel for num_threads(threads)
    for k in range(threads):
        first, last = blocks * k // threads, blocks * (k + 1) // threads
        span(
            words, signed, units, x, step, total, y, room, k, 0, plane, 0, 32, offsets, first, last
        )


def span(
    words, signed, units, x, step, total, y, room, k, at, plane, unit, size, offsets, first, last
):
    """All tokens times the blocks first to last - 1 of the matrix at words[at], units[unit]."""
    groups = step.shape[1]
    assert unit >= 0
    # what stays in the first cache while the tokens pass over it: six blocks of one group
    scales = np.empty(2 * 192, np.float32)
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
                unpack(words, signed, room, k, scales, start, plane, size, offsets, 32 * (i - b))
            for t in range(x.shape[0]):
                add_group(room, k, scales, x, step, total, y, offsets, row, 32 * (end - b), g, t)
        for t in range(x.shape[0]):
            for r in range(row, 32 * end):
                y[t, r] *= units[unit + r]


def unpack(words, signed, room, k, scales, a, plane, size, offsets, to):
    """The words from words[a] on into the columns from `to` on."""
    assert a >= 0
    assert k >= 0
    assert to >= 0
    lanes = min(max(size, 32), 32)
    for j in range(8):
        start = a + plane * j
        assert start >= 0
        for r in range(lanes):
            v = words[start + r]
            room[k, to + 768 * j + r] = np.int16(v & np.uint16(15))
            room[k, to + 768 * j + 192 + r] = np.int16((v >> np.uint16(4)) & np.uint16(15))
            room[k, to + 768 * j + 384 + r] = np.int16((v >> np.uint16(8)) & np.uint16(15))
            room[k, to + 768 * j + 576 + r] = np.int16(v >> np.uint16(12))
    scale = a + 8 * plane
    assert scale >= 0
    offset = scale + offsets * plane
    assert offset >= 0
    for r in range(lanes):
        scales[to + r] = np.float32(signed[scale + r])
        scales[192 + to + r] = np.float32(signed[offset + r])


def add_group(room, k, scales, x, step, total, y, offsets, row, rows, g, t):
    """Add group g times token t to `rows` rows from `row` on."""
    assert k >= 0
    assert row >= 0
    assert g >= 0
    assert t >= 0
    c = 32 * g
    assert c >= 0
    unit = np.float32(step[t, g])
    eight = np.float32(8) * total[t, g]
    slope = np.float32(offsets) * total[t, g]
    for r in range(rows):
        s = room[k, r] * x[t, c]
        s += room[k, 192 + r] * x[t, c + 1]
        s += room[k, 384 + r] * x[t, c + 2]
        s += room[k, 576 + r] * x[t, c + 3]
        s += room[k, 768 + r] * x[t, c + 4]
        s += room[k, 960 + r] * x[t, c + 5]
        s += room[k, 1152 + r] * x[t, c + 6]
        s += room[k, 1344 + r] * x[t, c + 7]
        s += room[k, 1536 + r] * x[t, c + 8]
        s += room[k, 1728 + r] * x[t, c + 9]
        s += room[k, 1920 + r] * x[t, c + 10]
        s += room[k, 2112 + r] * x[t, c + 11]
        s += room[k, 2304 + r] * x[t, c + 12]
        s += room[k, 2496 + r] * x[t, c + 13]
        s += room[k, 2688 + r] * x[t, c + 14]
        s += room[k, 2880 + r] * x[t, c + 15]
        z = room[k, 3072 + r] * x[t, c + 16]
        z += room[k, 3264 + r] * x[t, c + 17]
        z += room[k, 3456 + r] * x[t, c + 18]
        z += room[k, 3648 + r] * x[t, c + 19]
        z += room[k, 3840 + r] * x[t, c + 20]
        z += room[k, 4032 + r] * x[t, c + 21]
        z += room[k, 4224 + r] * x[t, c + 22]
        z += room[k, 4416 + r] * x[t, c + 23]
        z += room[k, 4608 + r] * x[t, c + 24]
        z += room[k, 4800 + r] * x[t, c + 25]
        z += room[k, 4992 + r] * x[t, c + 26]
        z += room[k, 5184 + r] * x[t, c + 27]
        z += room[k, 5376 + r] * x[t, c + 28]
        z += room[k, 5568 + r] * x[t, c + 29]
        z += room[k, 5760 + r] * x[t, c + 30]
        z += room[k, 5952 + r] * x[t, c + 31]
        product = unit * np.float32(np.int32(np.int16(s)) + np.int32(np.int16(z))) - eight
        y[t, row + r] += scales[r] * product + scales[192 + r] * slope
