"""Five trits a byte, each looked up in a table of 243 entries."""

# pythran export matmul(uint8[:,:] order(C), int32[:,:] order(C), int8[:,:] order(C), int32[:,:] order(C), int)
import numpy as np


def matmul(q, table, x, y, threads):
    """y (tokens, rows) = x (tokens, cols) times the trits of q (cols / 5, rows).

    table[i, q[b, r]] is the weight of row r in column 5b + i.
    """
    rows = q.shape[1]
    # omp parallel for num_threads(threads)
    for part in range(threads):
        first = rows * part // threads
        last = rows * (part + 1) // threads
        for t in range(x.shape[0]):
            for r in range(first, last):
                y[t, r] = np.int32(0)
            for b in range(q.shape[0]):
                x0 = np.int32(x[t, 5 * b])
                x1 = np.int32(x[t, 5 * b + 1])
                x2 = np.int32(x[t, 5 * b + 2])
                x3 = np.int32(x[t, 5 * b + 3])
                x4 = np.int32(x[t, 5 * b + 4])
                for r in range(first, last):
                    y[t, r] += (
                        table[0, q[b, r]] * x0
                        + table[1, q[b, r]] * x1
                        + table[2, q[b, r]] * x2
                        + table[3, q[b, r]] * x3
                        + table[4, q[b, r]] * x4
                    )
