"""Products of int4 weights, a scale (and an offset) for every 32 columns; neighbouring rows are the lanes.

Weights lie in blocks of `size` rows. A block is one record of 16-bit words for each group of 32
columns: eight words a row that hold four codes each, the column that comes first in the low bits,
then a scale k a row and, if `offsets` is 1, an offset l a row, both signed. In a record the same word of
all rows is contiguous. A weight is unit * (k * (code - 8) + l), with a unit for each row. So one
vector instruction works on many rows and the same column: no sum ever crosses lanes, and gcc
vectorizes the plain loop over rows. Sixteen products of 4 and 8 bits fit a sum of 16 bits.
"""

# pythran export multiply(uint16[:], int16[:], float32[:], int16[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), int, int, int)
import numpy as np


def multiply(words, signed, units, x, step, total, y, size, offsets, threads):
    """Write y (tokens, rows) = weights times the activations x * step, of one matrix.

    words, signed: the same memory. x (tokens, 32 * groups): -127 to 127. step, total (tokens, groups):
    what one unit of x is worth in each group, and that times the group's sum of x.
    """
    blocks = y.shape[1] // size
    # omp parallel for num_threads(threads)
    for k in range(threads):
        first, last = blocks * k // threads, blocks * (k + 1) // threads
        span(words, signed, units, x, step, total, y, 0, 0, size, offsets, first, last)


def span(words, signed, units, x, step, total, y, at, unit, size, offsets, first, last):
    """All tokens times the blocks first to last - 1 of the matrix at words[at], units[unit]."""
    groups = step.shape[1]
    record = (9 + offsets) * size
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
                    add_group(words, signed, x, step, total, y, start, size, offsets, row, g, t)
            for r in range(b * size, end * size):
                y[t, r] *= units[unit + r]


def add_group(words, signed, x, step, total, y, a, size, offsets, row, g, t):
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
    scale = j + size
    offset = scale + offsets * size
    assert offset >= 0
    unit = np.float32(step[t, g])
    eight = np.float32(8) * total[t, g]
    slope = np.float32(offsets) * total[t, g]
    for r in range(size):
        v = words[a + r]
        s = np.int16(v & np.uint16(15)) * x[t, c]
        s += np.int16((v >> np.uint16(4)) & np.uint16(15)) * x[t, c + 1]
        s += np.int16((v >> np.uint16(8)) & np.uint16(15)) * x[t, c + 2]
        s += np.int16(v >> np.uint16(12)) * x[t, c + 3]
        v = words[b + r]
        s += np.int16(v & np.uint16(15)) * x[t, c + 4]
        s += np.int16((v >> np.uint16(4)) & np.uint16(15)) * x[t, c + 5]
        s += np.int16((v >> np.uint16(8)) & np.uint16(15)) * x[t, c + 6]
        s += np.int16(v >> np.uint16(12)) * x[t, c + 7]
        v = words[d + r]
        s += np.int16(v & np.uint16(15)) * x[t, c + 8]
        s += np.int16((v >> np.uint16(4)) & np.uint16(15)) * x[t, c + 9]
        s += np.int16((v >> np.uint16(8)) & np.uint16(15)) * x[t, c + 10]
        s += np.int16(v >> np.uint16(12)) * x[t, c + 11]
        v = words[e + r]
        s += np.int16(v & np.uint16(15)) * x[t, c + 12]
        s += np.int16((v >> np.uint16(4)) & np.uint16(15)) * x[t, c + 13]
        s += np.int16((v >> np.uint16(8)) & np.uint16(15)) * x[t, c + 14]
        s += np.int16(v >> np.uint16(12)) * x[t, c + 15]
        v = words[f + r]
        z = np.int16(v & np.uint16(15)) * x[t, c + 16]
        z += np.int16((v >> np.uint16(4)) & np.uint16(15)) * x[t, c + 17]
        z += np.int16((v >> np.uint16(8)) & np.uint16(15)) * x[t, c + 18]
        z += np.int16(v >> np.uint16(12)) * x[t, c + 19]
        v = words[h + r]
        z += np.int16(v & np.uint16(15)) * x[t, c + 20]
        z += np.int16((v >> np.uint16(4)) & np.uint16(15)) * x[t, c + 21]
        z += np.int16((v >> np.uint16(8)) & np.uint16(15)) * x[t, c + 22]
        z += np.int16(v >> np.uint16(12)) * x[t, c + 23]
        v = words[i + r]
        z += np.int16(v & np.uint16(15)) * x[t, c + 24]
        z += np.int16((v >> np.uint16(4)) & np.uint16(15)) * x[t, c + 25]
        z += np.int16((v >> np.uint16(8)) & np.uint16(15)) * x[t, c + 26]
        z += np.int16(v >> np.uint16(12)) * x[t, c + 27]
        v = words[j + r]
        z += np.int16(v & np.uint16(15)) * x[t, c + 28]
        z += np.int16((v >> np.uint16(4)) & np.uint16(15)) * x[t, c + 29]
        z += np.int16((v >> np.uint16(8)) & np.uint16(15)) * x[t, c + 30]
        z += np.int16(v >> np.uint16(12)) * x[t, c + 31]
        product = unit * np.float32(np.int32(np.int16(s)) + np.int32(np.int16(z))) - eight
        y[t, row + r] += (
            np.float32(signed[scale + r]) * product + np.float32(signed[offset + r]) * slope
        )
