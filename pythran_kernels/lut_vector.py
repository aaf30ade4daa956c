"""Products by table lookup, a token at a time; the tables hold every pattern of g trits.

Eight groups of columns share a pass over the rows. A table holds the sums of the group's g
activations by a pattern's balanced-ternary number, and grows by block adds: with T the sums of the
last i trits, those of the last i + 1 are [T - x, T, T + x], one addition an entry. Four tables are
then woven into one: entry n of the j-th lies at 4 n + j, which a processor reads at 8 n + 2 j bytes
from one address, with nothing to compute.

Beyond the second cache every page of indices begins with a wait, for which the loop over the rows
is too long to look past. So it goes block by block, and first reads an index here and there in all
pages of the block: they then wait at the same time.
"""

# pythran export matmul(uint8[:], int16[:,:] order(C), int16[:,:] order(C), int32[:,:] order(C), int, int, int)
# pythran export matmul(uint16[:], int16[:,:] order(C), int16[:,:] order(C), int32[:,:] order(C), int, int, int)
import numpy as np

BLOCK = 2048  # rows whose indices are first touched: 4 or 8 pages of 4 KB
APART = 1024  # indices from one that is touched to the next: 4 or 2 a page


def matmul(q, x, table, y, g, size, threads):
    """Write y (tokens, rows) = x (tokens, groups * g) times the patterns q.

    q: a row's 8 indices side by side, row after row, for every 8 groups; then of each group left
    over, row after row. An index is the pattern's number + (3^g - 1) / 2.
    size: 3^g. table (3 * threads, 4 * size or more).
    """
    rows = y.shape[1]
    # omp parallel for num_threads(threads)
    for part in range(threads):
        first = rows * part // threads
        last = rows * (part + 1) // threads
        front = table[3 * part]
        back = table[3 * part + 1]
        grown = table[3 * part + 2]
        for token in range(x.shape[0]):
            span(q, x, front, back, grown, y[token], g, size, token, first, last)


def span(q, x, front, back, grown, y, g, size, token, first, last):
    """A token times the rows from first to last.

    No function reads an entry: passing it a row of the table would count references, with a lock.
    """
    rows = y.shape[0]
    groups = x.shape[1] // g
    for r in range(first, last):
        y[natural(r)] = np.int32(0)
    for k in range(groups // 8):
        for j in range(4):
            fill(x, token, (8 * k + j) * g, grown, j * size + size // 2, g)
        weave(grown, front, size)
        for j in range(4):
            fill(x, token, (8 * k + 4 + j) * g, grown, j * size + size // 2, g)
        weave(grown, back, size)
        for start in range(first, last, BLOCK):
            stop = min(start + BLOCK, last)
            seen = 0
            for i in range(8 * (rows * k + start), 8 * (rows * k + stop), APART):
                seen |= np.int64(q[natural(i)])
            grown[natural(0)] = np.int16(seen)  # free here; the loads must count for something
            for r in range(start, stop):
                i = natural(8 * (rows * k + r))
                low = np.int32(front[4 * np.int64(q[i])]) + np.int32(
                    front[4 * np.int64(q[i + 1]) + 1]
                )
                low += np.int32(front[4 * np.int64(q[i + 2]) + 2])
                low += np.int32(front[4 * np.int64(q[i + 3]) + 3])
                high = np.int32(back[4 * np.int64(q[i + 4])]) + np.int32(
                    back[4 * np.int64(q[i + 5]) + 1]
                )
                high += np.int32(back[4 * np.int64(q[i + 6]) + 2])
                high += np.int32(back[4 * np.int64(q[i + 7]) + 3])
                y[natural(r)] += low + high
    for k in range(groups // 8 * 8, groups):
        fill(x, token, k * g, grown, size // 2, g)
        for r in range(first, last):
            y[natural(r)] += np.int32(grown[np.int64(q[natural(rows * k + r)])])


def natural(value):
    """The value, below 2^32 and seen not to be negative, for which Pythran would look."""
    return np.int64(np.uint32(value))


def weave(grown, woven, size):
    """Four tables, one after the other, side by side."""
    b = natural(size)
    c = natural(2 * size)
    d = natural(3 * size)
    # omp simd
    for n in range(size):
        woven[4 * n] = grown[n]
        woven[4 * n + 1] = grown[b + n]
        woven[4 * n + 2] = grown[c + n]
        woven[4 * n + 3] = grown[d + n]


def fill(x, token, column, table, middle, g):
    """The sums of all patterns, that of number n at middle + n."""
    table[natural(middle)] = np.int16(0)
    step = 1
    for i in range(g):
        value = np.int16(x[token, column + g - 1 - i])
        low = middle - step // 2
        add(table, natural(low), natural(low + step), step, value)
        add(table, natural(low), natural(low - step), step, np.int16(-value))
        step = 3 * step


def add(table, source, target, count, value):
    """So many sums, each with one more activation."""
    # omp simd
    for n in range(count):
        table[target + n] = np.int16(table[source + n] + value)
