"""Other engines' kernels, called once a row from compiled code, where the loop costs nothing."""

# pythran export dot_rows(int(int32, int, int, int, int, int, int, int32), int32, int, int, int, int, int, int, int, int)
import numpy as np


def dot_rows(dot, cols, weights, row_bytes, x, token_bytes, y, rows, tokens, threads):
    """y[t, r] = dot(weights row r, x row t), for a function with the signature of ggml's vec_dot.

    dot(cols, result, 0, weights, 0, x, 0, 1) takes addresses and writes one float32. weights, x
    and y are the addresses of the first row of each; y is float32 (tokens, rows).
    """
    # omp parallel for num_threads(threads)
    for part in range(threads):
        for t in range(tokens):
            for r in range(rows * part // threads, rows * (part + 1) // threads):
                dot(
                    cols,
                    y + 4 * (t * rows + r),
                    0,
                    weights + r * row_bytes,
                    0,
                    x + t * token_bytes,
                    0,
                    np.int32(1),
                )
