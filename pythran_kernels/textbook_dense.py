"""Dense float32 product, column by column: gcc does not reorder the float sums of a row."""

# pythran export matmul(float32[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), int)
import numpy as np


def matmul(weights, x, y, threads):
    """y (tokens, rows) = x (tokens, cols) @ weights (cols, rows); cols is a multiple of 8."""
    cols, rows = weights.shape
    # omp parallel for num_threads(threads)
    for part in range(threads):
        first = rows * part // threads
        last = rows * (part + 1) // threads
        for t in range(x.shape[0]):
            for r in range(first, last):
                y[t, r] = np.float32(0)
            for block in range(cols // 8):
                c = 8 * block
                x0 = x[t, c]
                x1 = x[t, c + 1]
                x2 = x[t, c + 2]
                x3 = x[t, c + 3]
                x4 = x[t, c + 4]
                x5 = x[t, c + 5]
                x6 = x[t, c + 6]
                x7 = x[t, c + 7]
                for r in range(first, last):
                    y[t, r] += (
                        weights[c, r] * x0
                        + weights[c + 1, r] * x1
                        + weights[c + 2, r] * x2
                        + weights[c + 3, r] * x3
                        + weights[c + 4, r] * x4
                        + weights[c + 5, r] * x5
                        + weights[c + 6, r] * x6
                        + weights[c + 7, r] * x7
                    )
