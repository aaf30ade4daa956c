"""Products by a dictionary of patterns: tables, a base with up to three trits changed, or computed.

A pattern of g trits is two halves, each with a table of all sums of its half; a dictionary entry's
sum is then one addition, whatever the entries, and so is that of a pattern outside it.
"""

# pythran export matmul(uint8[:], int16[:,:] order(C), int32[:,:] order(C), int32[:], uint8[:,:] order(C), int32[:,:] order(C), int16[:], int32[:,:] order(C), int, int, int, int, int)
# pythran export matmul(uint16[:], int16[:,:] order(C), int32[:,:] order(C), int32[:], uint8[:,:] order(C), int32[:,:] order(C), int16[:], int32[:,:] order(C), int, int, int, int, int)
# pythran export matmul(uint32[:], int16[:,:] order(C), int32[:,:] order(C), int32[:], uint8[:,:] order(C), int32[:,:] order(C), int16[:], int32[:,:] order(C), int, int, int, int, int)
import numpy as np

from .lut_vector import fill


def matmul(q, x, stored, bases, changes, computed, table, y, g, high, low, signed, threads):
    """Write y (tokens, rows) = x (tokens, groups * g) times the patterns q (groups * rows).

    An index is 2 * entry + 1 for the negative of an entry (signed = 1), or the entry (signed = 0).
    Entries count through `stored` (n, 2), then `bases` (n,), then `computed` (n, 2).
    stored, computed: where a pattern's halves lie in the tables of halves, the first of `high`
    entries, the second of `low` behind it. bases: index of a stored entry. changes (n, 3): which
    multiples of activations are added to it, 0 for none, else 1 + 4 * trit + (0, 1, 2, 3 for
    1, -1, 2, -2 times). table: high + low + 4 g + 1 + len(stored) entries and 32 more, a thread.
    """
    rows = y.shape[1]
    room = table.shape[0] // threads
    # omp parallel for num_threads(threads)
    for part in range(threads):
        first = rows * part // threads
        last = rows * (part + 1) // threads
        for token in range(x.shape[0]):
            for r in range(first, last):
                y[token, r] = np.int32(0)
            for k in range(q.shape[0] // rows):
                prepare(x, token, k * g, stored, table, part * room, g, high, low)
                place = rows * k
                steps = part * room + high + low
                entries = steps + 4 * g + 1
                span(
                    q, place, stored, bases, changes, computed, table, part * room, steps,
                    entries, y, token, first, last, signed)  # fmt: skip


def prepare(x, token, column, stored, table, start, g, high, low):
    """The tables of one group: halves, multiples of activations, dictionary."""
    front = 0
    size = 1
    while size < high:
        size *= 3
        front += 1
    fill(x, token, column, table, start + high // 2, front)
    fill(x, token, column + front, table, start + high + low // 2, g - front)
    steps = start + high + low
    assert steps >= 0
    table[steps] = np.int16(0)
    for i in range(g):
        value = x[token, column + i]
        table[steps + 1 + 4 * i] = value
        table[steps + 2 + 4 * i] = np.int16(-value)
        table[steps + 3 + 4 * i] = np.int16(2 * value)
        table[steps + 4 + 4 * i] = np.int16(-2 * value)
    entries = steps + 4 * g + 1
    assert entries >= 0
    for e in range(stored.shape[0]):
        a = start + np.int64(stored[e, 0])
        b = start + np.int64(stored[e, 1])
        assert a >= 0
        assert b >= 0
        table[entries + e] = np.int16(table[a] + table[b])


def span(
    q, place, stored, bases, changes, computed, table, start, steps, entries, y, token, first,
    last, signed):  # fmt: skip
    """One group of columns times the rows from first to last."""
    near = stored.shape[0]
    far = near + bases.shape[0]
    for r in range(first, last):
        i = place + r
        assert i >= 0
        index = np.int64(q[i])
        e = index >> signed
        value = np.int32(0)
        if e < near:
            value = get(table, entries + e)
        elif e < far:
            d = e - near
            assert d >= 0
            base = np.int64(bases[d])
            value = flip(get(table, entries + (base >> signed)), base & signed)
            value += get(table, steps + np.int64(changes[d, 0]))
            value += get(table, steps + np.int64(changes[d, 1]))
            value += get(table, steps + np.int64(changes[d, 2]))
        else:
            c = e - far
            assert c >= 0
            value = get(table, start + np.int64(computed[c, 0]))
            value += get(table, start + np.int64(computed[c, 1]))
        y[token, r] += flip(value, index & signed)


def get(table, place):
    """An entry, as int32."""
    assert place >= 0
    return np.int32(table[place])


def flip(value, sign):
    """The value, or its negative where sign is 1."""
    s = np.int32(sign)
    return (value ^ -s) + s
