"""Products of rounded activations with a matrix of any form; the forms are KINDS in lm/packing.py.

`matrices` tells of each matrix: kind, rows (with padding), rows of a block, first byte or 16-bit word,
one past the last, first scale. bytes_, words, signed, floats: the same memory. The lists have room for
each place in a layer (0: query, key and value; 1: output; 2: gate and up; 3: down) and the head (4):
x16 or x8 with step and total, see decoder_parts.py; sums, y (tokens, rows).
"""

# pythran export product(uint8[:], uint16[:], int16[:], float32[:], int64[:,:] order(C), int, int, int16[:,:] order(C) list, int8[:,:] order(C) list, float32[:,:] order(C) list, float32[:,:] order(C) list, int32[:] list, int32[:,:] order(C) list, float32[:,:] order(C) list, int16[:,:] order(C), int)
import numpy as np

from .base3 import span as base3
from .base3_tiles import span as base3_tiles
from .decoder_parts import round_groups, round_tokens
from .int4_rows import span as int4_rows
from .int4_tiles import span as int4_tiles
from .int8_rows import span as int8_rows
from .int8_tiles import span as int8_tiles
from .planar import span as planar
from .planar_tiles import span as planar_tiles

MANY = 4  # tokens from which unpacking the codes of int4 and int8 pays


def round_input(matrices, row, place, x, x16, x8, step, total, total8, first, last):
    """Round tokens first to last - 1 of x[place] as matrix `row`, which they enter, wants them."""
    if matrices[row, 0] < 3:
        round_groups(x[place], x16[place], step[place], total[place], first, last)
    else:
        round_tokens(x[place], x8[place], step[place], total8[place], first, last)


def product(
    bytes_, words, signed, floats, matrices, row, place, x16, x8, step, total, total8, sums, y,
    room, threads):  # fmt: skip
    """y[place] = the rounded activations times matrix `row`; each thread takes some of the rows."""
    kind, size = matrices[row, 0], matrices[row, 2]
    start, stop, scale = matrices[row, 3], matrices[row, 4], matrices[row, 5]
    blocks = matrices[row, 1] // size
    # omp parallel for num_threads(threads)
    for k in range(threads):
        first, last = blocks * k // threads, blocks * (k + 1) // threads
        if kind < 3:
            plane = (stop - start) // (9 + kind if kind < 2 else 17)
            grouped(
                words, signed, floats, kind, x16[place], step[place], total[place], y[place],
                room, k, start, plane, scale, size, first, last)  # fmt: skip
        else:
            ternary(bytes_[start:stop], kind, x8[place], total8[place], sums[place], first, last)
            rescale(sums[place], step[place], floats, scale, y[place], first * size, last * size)


def grouped(
    words, signed, floats, kind, x, step, total, y, room, k, start, plane, scale, size, first, last
):
    """Blocks first to last - 1 of an int4 or int8 matrix."""
    many = x.shape[0] >= MANY
    if kind == 2:
        if many:
            int8_tiles(signed, floats, x, step, y, room, k, start, plane, scale, size, first, last)
        else:
            int8_rows(signed, floats, x, step, y, room, k, start, plane, scale, size, first, last)
    elif many:
        int4_tiles(
            words, signed, floats, x, step, total, y, room, k, start, plane, scale, size, kind,
            first, last)  # fmt: skip
    else:
        int4_rows(
            words, signed, floats, x, step, total, y, room, k, start, plane, scale, size, kind,
            first, last)  # fmt: skip


def ternary(data, kind, x, total, sums, first, last):
    """Groups first to last - 1 of a planar or base-3 matrix; several tokens come in fours."""
    many = x.shape[0] > 1
    if kind == 3:
        if many:
            planar_tiles(data, x, total, sums, first, last)
        else:
            planar(data, x, total, sums, first, last)
    elif many:
        base3_tiles(data, x, total, sums, first, last)
    else:
        base3(data, x, total, sums, first, last)


def rescale(sums, step, floats, scale, y, first, last):
    """Rows first to last - 1 of y from exact sums."""
    assert scale >= 0
    assert first >= 0
    for t in range(y.shape[0]):
        unit = np.float32(step[t, 0])
        for r in range(first, last):
            y[t, r] = np.float32(sums[t, r]) * unit * floats[scale + r]
