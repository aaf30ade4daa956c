"""Products by table lookup, 32 tokens at a time: an entry is a vector of 32 sums, 64 bytes.

The tables hold every pattern of g trits, as in lut_vector.py, those of 8 groups interleaved: a
lookup is one load at a constant distance from 512 times its index. Sums are 16 bits wide and flow
into 32 before they could overflow, after 255 activations of at most 128.
"""

# pythran export matmul(uint8[:], int16[:], int16[:,:] order(C), int16[:], int32[:], int, int, int)
# pythran export matmul(uint16[:], int16[:], int16[:,:] order(C), int16[:], int32[:], int, int, int)
import numpy as np


def matmul(q, x, table, sums, y, rows, g, threads):
    """Write y (rows, blocks, 32) = the patterns q times x (blocks, eights of groups, g, 8, 32).

    x has the first trits of eight groups side by side, then the second ones and so on; groups
    missing from the last eight are zeros. q: as in lut_vector.py. table: 32 * 8 * 3^g entries of each thread. sums: 32 for each of the
    rows that a thread takes at a time.

    gcc would compare addresses before each addition to see whether sums and entries overlap;
    `omp simd` says that they do not. Pythran then no longer knows that indices are not negative,
    so `natural` tells gcc.
    """
    blocks = y.shape[0] // (32 * rows)
    height = sums.shape[0] // (32 * threads)
    # omp parallel for num_threads(threads)
    for part in range(threads):
        own = table[part]
        base = 32 * height * part
        end = rows * (part + 1) // threads
        for block in range(blocks):
            for first in range(rows * part // threads, end, height):
                last = min(first + height, end)
                span(q, x, own, sums, y, rows, g, base, first, last, block)


def span(q, x, table, sums, y, rows, g, base, first, last, block):
    """32 tokens times the rows from first to last."""
    groups = q.shape[0] // rows
    column = block * ((groups + 7) // 8)
    for r in range(first, last):
        o = natural(32 * (y.shape[0] // (32 * rows) * r + block))
        s = natural(base + 32 * (r - first))
        # omp simd
        for t in range(32):
            y[o + t] = np.int32(0)
        # omp simd
        for t in range(32):
            sums[s + t] = np.int16(0)
    held = 0  # activations in a sum
    for k in range(groups // 8):
        if held + 8 * g > 255:
            widen(sums, base, y, rows, first, last, block)
            held = 0
        held += 8 * g
        fill(x, column + k, table, g)
        for r in range(first, last):
            i = natural(8 * (rows * k + r))
            s = natural(base + 32 * (r - first))
            a = 256 * np.int64(q[i])
            b = 256 * np.int64(q[i + 1]) + 32
            c = 256 * np.int64(q[i + 2]) + 64
            d = 256 * np.int64(q[i + 3]) + 96
            e = 256 * np.int64(q[i + 4]) + 128
            f = 256 * np.int64(q[i + 5]) + 160
            h = 256 * np.int64(q[i + 6]) + 192
            m = 256 * np.int64(q[i + 7]) + 224
            # omp simd
            for t in range(32):
                low = table[a + t] + table[b + t] + table[c + t] + table[d + t]
                high = table[e + t] + table[f + t] + table[h + t] + table[m + t]
                sums[s + t] = np.int16(sums[s + t] + np.int16(low + high))
    for k in range(groups // 8 * 8, groups):
        if held + g > 255:
            widen(sums, base, y, rows, first, last, block)
            held = 0
        held += g
        if k % 8 == 0:
            fill(x, column + k // 8, table, g)
        for r in range(first, last):
            s = natural(base + 32 * (r - first))
            a = 256 * np.int64(q[natural(rows * k + r)]) + 32 * (k % 8)
            # omp simd
            for t in range(32):
                sums[s + t] = np.int16(sums[s + t] + table[a + t])
    widen(sums, base, y, rows, first, last, block)


def natural(value):
    """The value, below 2^32 and seen not to be negative."""
    return np.int64(np.uint32(value))


def widen(sums, base, y, rows, first, last, block):
    """Add the 16-bit sums to the results and begin them anew."""
    for r in range(first, last):
        o = natural(32 * (y.shape[0] // (32 * rows) * r + block))
        s = natural(base + 32 * (r - first))
        # omp simd
        for t in range(32):
            y[o + t] = y[o + t] + np.int32(sums[s + t])
        # omp simd
        for t in range(32):
            sums[s + t] = np.int16(0)


def fill(x, eight, table, g):
    """The sums of all patterns for eight groups, those of the pattern with index n at 256 n."""
    size = 1
    for i in range(g):
        size = 3 * size
    middle = natural(256 * (size // 2))
    # omp simd
    for t in range(256):
        table[middle + t] = np.int16(0)
    step = 1
    for i in range(g):
        c = natural(256 * (eight * g + g - 1 - i))
        for n in range(step):
            m = natural(middle + 256 * (n - step // 2))
            a = natural(m + 256 * step)
            b = natural(m - 256 * step)
            # omp simd
            for t in range(256):
                table[a + t] = np.int16(table[m + t] + x[c + t])
                table[b + t] = np.int16(table[m + t] - x[c + t])
        step = 3 * step
