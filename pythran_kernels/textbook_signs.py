"""Two bits a weight looked up as a float sign, multiplied and added in float32."""

# pythran export matmul(uint8[:,:] order(C), float32[:], float32[:,:] order(C), float32[:,:] order(C), int)
import numpy as np


def matmul(q, signs, x, y, threads):
    """y (tokens, rows) = x (tokens, cols) times the signs of q (rows, cols / 4).

    Bits 2i and 2i + 1 of byte b are the code of column 4b + i, and signs[code] its weight.
    """
    # omp parallel for num_threads(threads)
    for r in range(q.shape[0]):
        for t in range(x.shape[0]):
            total = np.float32(0)
            for b in range(q.shape[1]):
                total += (
                    signs[q[r, b] & 3] * x[t, 4 * b]
                    + signs[(q[r, b] >> 2) & 3] * x[t, 4 * b + 1]
                    + signs[(q[r, b] >> 4) & 3] * x[t, 4 * b + 2]
                    + signs[q[r, b] >> 6] * x[t, 4 * b + 3]
                )
            y[t, r] = total
