"""Products by table lookup, 32 tokens at a time: an entry is a vector of 32 sums, 64 bytes.

The tables hold every pattern of g trits, as in lut_vector.py; a lookup adds one cache line. Eight
of them are added in 16 bits before a row's 32-bit sums are touched.
"""

# pythran export matmul(uint8[:], int16[:], int16[:], int32[:], int32[:], int, int, int, int, int)
# pythran export matmul(uint16[:], int16[:], int16[:], int32[:], int32[:], int, int, int, int, int)
import numpy as np


def matmul(q, x, table, sums, y, rows, g, size, zero, threads):
    """Write y (rows, blocks, 32) = the patterns q times x (blocks, groups * g, 32).

    q and size: as in lut_vector.py. table: 32 * 8 * size entries of each thread. sums: 32 for each
    of the rows that a thread takes at a time; few enough, they stay in the level-2 cache while all
    groups pass over them. zero: 0; loops over 32 tokens run from there, since Pythran takes a loop
    apart that runs from a 0 it can see, and gcc then finds no vector in it.
    """
    assert rows >= 0
    assert zero >= 0
    blocks = y.shape[0] // (32 * rows)
    room = table.shape[0] // threads
    height = sums.shape[0] // (32 * threads)
    # omp parallel for num_threads(threads)
    for part in range(threads):
        base = 32 * height * part
        end = rows * (part + 1) // threads
        for block in range(blocks):
            for first in range(rows * part // threads, end, height):
                last = min(first + height, end)
                span(q, x, table, sums, rows, g, size, zero, part * room, base, first, last, block)
                for r in range(first, last):
                    copy(sums, base + 32 * (r - first), y, 32 * (blocks * r + block), zero)


def copy(sums, source, y, target, zero):
    """The sums of a row for 32 tokens."""
    assert source >= 0
    assert target >= 0
    assert zero >= 0
    for t in range(zero, zero + 32):
        y[target + t] = sums[source + t]


def span(q, x, table, sums, rows, g, size, zero, start, base, first, last, block):
    """32 tokens times the rows from first to last."""
    assert zero >= 0
    groups = q.shape[0] // rows
    column = block * groups * g
    for i in range(base, base + 32 * (last - first)):
        sums[i] = np.int32(0)
    for k in range(groups // 8):
        for j in range(8):
            fill(x, column + (8 * k + j) * g, table, start + 32 * (j * size + size // 2), g, zero)
        for r in range(first, last):
            i = 8 * (rows * k + r)
            assert i >= 0
            o = base + 32 * (r - first)
            a = start + 32 * np.int64(q[i])
            b = start + 32 * (size + np.int64(q[i + 1]))
            c = start + 32 * (2 * size + np.int64(q[i + 2]))
            d = start + 32 * (3 * size + np.int64(q[i + 3]))
            e = start + 32 * (4 * size + np.int64(q[i + 4]))
            f = start + 32 * (5 * size + np.int64(q[i + 5]))
            h = start + 32 * (6 * size + np.int64(q[i + 6]))
            m = start + 32 * (7 * size + np.int64(q[i + 7]))
            assert o >= 0
            assert a >= 0
            assert b >= 0
            assert c >= 0
            assert d >= 0
            assert e >= 0
            assert f >= 0
            assert h >= 0
            assert m >= 0
            for t in range(zero, zero + 32):
                low = table[a + t] + table[b + t] + table[c + t] + table[d + t]
                high = table[e + t] + table[f + t] + table[h + t] + table[m + t]
                sums[o + t] = sums[o + t] + np.int32(np.int16(low + high))
    for k in range(groups // 8 * 8, groups):
        fill(x, column + k * g, table, start + 32 * (size // 2), g, zero)
        for r in range(first, last):
            i = rows * k + r
            assert i >= 0
            o = base + 32 * (r - first)
            a = start + 32 * np.int64(q[i])
            assert o >= 0
            assert a >= 0
            for t in range(zero, zero + 32):
                sums[o + t] = sums[o + t] + np.int32(table[a + t])


def fill(x, column, table, middle, g, zero):
    """The sums of all patterns, that of number n at middle + 32 n."""
    assert zero >= 0  # one of middle too would cost the loops below theirs (Pythran 0.19)
    for t in range(zero, zero + 32):
        table[middle + t] = np.int16(0)
    step = 1
    for i in range(g):
        c = 32 * (column + g - 1 - i)
        assert c >= 0
        half = step // 2
        for n in range(step):
            m = middle + 32 * (n - half)
            a = m + 32 * step
            b = m - 32 * step
            assert m >= 0
            assert a >= 0
            assert b >= 0
            for t in range(zero, zero + 32):
                table[a + t] = np.int16(table[m + t] + x[c + t])
            for t in range(zero, zero + 32):
                table[b + t] = np.int16(table[m + t] - x[c + t])
        step = 3 * step
