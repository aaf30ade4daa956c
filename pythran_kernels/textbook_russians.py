"""Four Russians: a table of all sums of a few activations, built in Gray order, then lookups."""

# pythran export matmul(uint8[:,:] order(C), int32[:], int32[:], int8[:,:] order(C), int32[:,:] order(C), int32[:,:] order(C), int32[:,:] order(C))
# pythran export matmul(uint16[:,:] order(C), int32[:], int32[:], int8[:,:] order(C), int32[:,:] order(C), int32[:,:] order(C), int32[:,:] order(C))
import numpy as np


def matmul(q, steps, places, x, y, signed, table):
    """y (tokens, rows) = x (tokens, cols) times the patterns q (groups, rows) of cols / groups trits.

    Entry middle + place of a table is the sum of one pattern, middle - place that of its mirror
    image. The i-th pattern in Gray order differs from the one before in one trit by one: it adds
    x of that trit or subtracts it, signed[steps[i]], and has its place at places[i].
    Every thread takes a share of the rows and builds the tables; signed and table have a row for
    each, wide enough to share no cache line with its neighbour.
    """
    threads = table.shape[0]
    middle = places.shape[0]
    groups, rows = q.shape
    group = x.shape[1] // groups
    # omp parallel for num_threads(threads)
    for part in range(threads):
        first = rows * part // threads
        last = rows * (part + 1) // threads
        for t in range(x.shape[0]):
            for r in range(first, last):
                y[t, r] = np.int32(0)
        for k in range(groups):
            for t in range(x.shape[0]):
                for c in range(group):
                    signed[part, c] = np.int32(x[t, k * group + c])
                    signed[part, group + c] = -np.int32(x[t, k * group + c])
                table[part, middle] = np.int32(0)
                total = np.int32(0)
                for i in range(middle):
                    total += signed[part, steps[i]]
                    table[part, middle + places[i]] = total
                    table[part, middle - places[i]] = -total
                for r in range(first, last):
                    y[t, r] += table[part, q[k, r]]
