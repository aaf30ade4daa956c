"""Products of int4 weights, a scale (and an offset) for every 32 columns; neighbouring rows are the lanes.

A row has, for each group of 32 columns, eight words of 16 bits that hold four codes each, the column
that comes first in the low bits, then a scale k and, if `offsets` is 1, an offset l, both signed. A
weight is unit * (k * (code - 8) + l), with a unit for each row. Each of these words has a plane of its
own: first the group's words of 32 neighbouring rows, then those of the next group, then the next 32
rows. So one vector instruction works on many rows and one column, no sum ever crosses lanes, and gcc
vectorizes the plain loop over rows; and memory is read at nine or ten places that move on steadily,
which is what the processor fetches ahead best. Sixteen products of 4 and 8 bits fit a sum of 16 bits.
"""

# pythran export multiply(uint16[:], int16[:], float32[:], int16[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), int16[:,:] order(C), int, int)
import numpy as np


def multiply(words, signed, units, x, step, total, y, room, offsets, threads):
    """Write y (tokens, 32 * blocks) = weights times the activations x * step, of one matrix.

    words, signed: the same memory. x (tokens, 32 * groups): -127 to 127. step, total (tokens, groups):
    what one unit of x is worth in each group, and that times the group's sum of x. room (threads,
    1024 * groups): begins on a cache line.
    """
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
    """All tokens times the blocks first to last - 1 of the matrix at words[at], units[unit].

    Planes begin `plane` words apart. size is 32. Pythran would unroll a loop over range(32), and gcc
    would not vectorize it then; `lanes` is 32 too, but only gcc finds out.
    """
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
                add_group(
                    words, signed, room, k, step, total, y, start, plane, size, offsets, row, g, t
                )
            for r in range(row, row + 32):
                y[t, r] *= units[unit + r]


def spread(x, room, k, size, t):
    """Each number of token t 32 times, as vectors want it, into room[k]."""
    assert k >= 0
    assert t >= 0
    lanes = min(max(size, 32), 32)
    for c in range(x.shape[1]):
        v = x[t, c]
        for r in range(lanes):
            room[k, 32 * c + r] = v


def add_group(words, signed, room, k, step, total, y, a, plane, size, offsets, row, g, t):
    """Add the words from words[a] on, group g, times token t to the rows from `row` on."""
    assert a >= 0
    assert plane >= 0
    assert k >= 0
    assert row >= 0
    assert g >= 0
    assert t >= 0
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
    scale = a7 + plane
    assert scale >= 0
    offset = scale + offsets * plane
    assert offset >= 0
    unit = np.float32(step[t, g])
    eight = np.float32(8) * total[t, g]
    slope = np.float32(offsets) * total[t, g]
    lanes = min(max(size, 32), 32)
    for r in range(lanes):
        v = words[a + r]
        s = np.int16(v & np.uint16(15)) * room[k, c + r]
        s += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, c + 32 + r]
        s += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, c + 64 + r]
        s += np.int16(v >> np.uint16(12)) * room[k, c + 96 + r]
        v = words[a1 + r]
        s += np.int16(v & np.uint16(15)) * room[k, c + 128 + r]
        s += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, c + 160 + r]
        s += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, c + 192 + r]
        s += np.int16(v >> np.uint16(12)) * room[k, c + 224 + r]
        v = words[a2 + r]
        s += np.int16(v & np.uint16(15)) * room[k, c + 256 + r]
        s += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, c + 288 + r]
        s += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, c + 320 + r]
        s += np.int16(v >> np.uint16(12)) * room[k, c + 352 + r]
        v = words[a3 + r]
        s += np.int16(v & np.uint16(15)) * room[k, c + 384 + r]
        s += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, c + 416 + r]
        s += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, c + 448 + r]
        s += np.int16(v >> np.uint16(12)) * room[k, c + 480 + r]
        v = words[a4 + r]
        z = np.int16(v & np.uint16(15)) * room[k, c + 512 + r]
        z += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, c + 544 + r]
        z += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, c + 576 + r]
        z += np.int16(v >> np.uint16(12)) * room[k, c + 608 + r]
        v = words[a5 + r]
        z += np.int16(v & np.uint16(15)) * room[k, c + 640 + r]
        z += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, c + 672 + r]
        z += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, c + 704 + r]
        z += np.int16(v >> np.uint16(12)) * room[k, c + 736 + r]
        v = words[a6 + r]
        z += np.int16(v & np.uint16(15)) * room[k, c + 768 + r]
        z += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, c + 800 + r]
        z += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, c + 832 + r]
        z += np.int16(v >> np.uint16(12)) * room[k, c + 864 + r]
        v = words[a7 + r]
        z += np.int16(v & np.uint16(15)) * room[k, c + 896 + r]
        z += np.int16((v >> np.uint16(4)) & np.uint16(15)) * room[k, c + 928 + r]
        z += np.int16((v >> np.uint16(8)) & np.uint16(15)) * room[k, c + 960 + r]
        z += np.int16(v >> np.uint16(12)) * room[k, c + 992 + r]
        product = unit * np.float32(np.int32(np.int16(s)) + np.int32(np.int16(z))) - eight
        y[t, row + r] += (
            np.float32(signed[scale + r]) * product + np.float32(signed[offset + r]) * slope
        )
