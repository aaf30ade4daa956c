"""Products of int4 weights, a scale (and an offset) for every 32 columns; neighbouring rows are the lanes.

Weights lie in blocks of 32 rows. A block is one record of 16-bit words for each group of 32 columns:
eight words a row that hold four codes each, the column that comes first in the low bits, then a scale
k a row and, if `offsets` is 1, an offset l a row, both signed. In a record, the same word of all
rows is contiguous. A weight is unit * (k * (code - 8) + l), with a unit for each row. So one vector
instruction works on many rows and one column: no sum ever crosses lanes, and gcc vectorizes the
plain loop over rows. Sixteen products of 4 and 8 bits fit a sum of 16 bits.
"""

# pythran export multiply(uint16[:], int16[:], float32[:], int16[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), int16[:,:] order(C), int, int)
import numpy as np


def multiply(words, signed, units, x, step, total, y, room, offsets, threads):
    """Write y (tokens, 32 * blocks) = weights times the activations x * step, of one matrix.

    words, signed: the same memory. x (tokens, 32 * groups): -127 to 127. step, total (tokens, groups):
    what one unit of x is worth in each group, and that times the group's sum of x. room (threads,
    6144): begins on a cache line.
    """
    blocks = y.shape[1] // 32
    # omp parallel for num_threads(threads)
    for k in range(threads):
        first, last = blocks * k // threads, blocks * (k + 1) // threads
        span(words, signed, units, x, step, total, y, room, k, 0, 0, 32, offsets, first, last)


def span(words, signed, units, x, step, total, y, room, k, at, unit, size, offsets, first, last):
    """All tokens times the blocks first to last - 1 of the matrix at words[at], units[unit].

    size is 32: a loop over range(32) would be unrolled, and not vectorized.
    """
    groups = step.shape[1]
    assert unit >= 0
    record = 32 * (9 + offsets)
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
                    start = at + (i * groups + g) * record
                    add_group(
                        words, signed, room, k, step, total, y, start, size, offsets, 32 * i, g, t
                    )
            for r in range(row, 32 * end):
                y[t, r] *= units[unit + r]


def spread(x, room, k, size, g, t):
    """Each of the 32 numbers of group g of token t 32 times, as vectors want it, into room[k]."""
    assert k >= 0
    assert g >= 0
    assert t >= 0
    for c in range(size):
        v = x[t, 32 * g + c]
        for r in range(size):
            room[k, 32 * c + r] = v


def add_group(words, signed, room, k, step, total, y, a, size, offsets, row, g, t):
    """Add the record at words[a], group g, times token t to the rows from `row` on."""
    assert a >= 0
    assert k >= 0
    assert row >= 0
    assert g >= 0
    assert t >= 0
    offset = a + 256 + 32 * offsets
    assert offset >= 0
    unit = np.float32(step[t, g])
    eight = np.float32(8) * total[t, g]
    slope = np.float32(offsets) * total[t, g]
    for r in range(size):
        v = words[a + r]
        s = np.int16(v & np.uint16(15)) * room[k, r]
        s += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, 32 + r]
        s += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, 64 + r]
        s += np.int16(v >> np.uint16(12)) * room[k, 96 + r]
        v = words[a + 32 + r]
        s += np.int16(v & np.uint16(15)) * room[k, 128 + r]
        s += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, 160 + r]
        s += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, 192 + r]
        s += np.int16(v >> np.uint16(12)) * room[k, 224 + r]
        v = words[a + 64 + r]
        s += np.int16(v & np.uint16(15)) * room[k, 256 + r]
        s += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, 288 + r]
        s += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, 320 + r]
        s += np.int16(v >> np.uint16(12)) * room[k, 352 + r]
        v = words[a + 96 + r]
        s += np.int16(v & np.uint16(15)) * room[k, 384 + r]
        s += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, 416 + r]
        s += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, 448 + r]
        s += np.int16(v >> np.uint16(12)) * room[k, 480 + r]
        v = words[a + 128 + r]
        z = np.int16(v & np.uint16(15)) * room[k, 512 + r]
        z += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, 544 + r]
        z += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, 576 + r]
        z += np.int16(v >> np.uint16(12)) * room[k, 608 + r]
        v = words[a + 160 + r]
        z += np.int16(v & np.uint16(15)) * room[k, 640 + r]
        z += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, 672 + r]
        z += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, 704 + r]
        z += np.int16(v >> np.uint16(12)) * room[k, 736 + r]
        v = words[a + 192 + r]
        z += np.int16(v & np.uint16(15)) * room[k, 768 + r]
        z += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, 800 + r]
        z += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, 832 + r]
        z += np.int16(v >> np.uint16(12)) * room[k, 864 + r]
        v = words[a + 224 + r]
        z += np.int16(v & np.uint16(15)) * room[k, 896 + r]
        z += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, 928 + r]
        z += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, 960 + r]
        z += np.int16(v >> np.uint16(12)) * room[k, 992 + r]
        product = unit * np.float32(np.int32(np.int16(s)) + np.int32(np.int16(z))) - eight
        y[t, row + r] += (
            np.float32(signed[a + 256 + r]) * product + np.float32(signed[offset + r]) * slope
        )
