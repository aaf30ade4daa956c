"""The two ceilings of this machine: multiply-adds of bytes in L1, and bytes read from memory."""

# pythran export multiply_add(uint8[:], int8[:], int, int32[:,:] order(C))
# pythran export read(uint64[:], int, uint64[:])
import numpy as np

# One product of a tile of four weight rows and four activation rows. Rows are the same bytes,
# each 64 further on, so that long rows fit into L1. The order of the products matters: gcc 12
# makes no vpdpbusd of a product whose two operands both appear for the first time and are both
# used again. Hence `u[i + 256]`, used once, and the row that comes last in its column.


def multiply_add(u, x, repeats, out):
    """Add to out (threads, 16) the products of a 4 x 4 tile, `repeats` times on every thread.

    u and x hold length + 320 values each; a repeat makes 2 * 16 * length operations.
    """
    length = u.shape[0] - 320
    threads = out.shape[0]
    # omp parallel for num_threads(threads) schedule(static)
    for thread in range(threads):
        for repeat in range(repeats):
            a00 = np.int32(0)
            a01 = np.int32(0)
            a02 = np.int32(0)
            a03 = np.int32(0)
            a10 = np.int32(0)
            a11 = np.int32(0)
            a12 = np.int32(0)
            a13 = np.int32(0)
            a20 = np.int32(0)
            a21 = np.int32(0)
            a22 = np.int32(0)
            a23 = np.int32(0)
            a30 = np.int32(0)
            a31 = np.int32(0)
            a32 = np.int32(0)
            a33 = np.int32(0)
            for i in range(length):
                a00 += np.int32(u[i + 256]) * np.int32(x[i])
                a10 += np.int32(u[i + 64]) * np.int32(x[i])
                a20 += np.int32(u[i + 128]) * np.int32(x[i])
                a30 += np.int32(u[i + 192]) * np.int32(x[i])
                a11 += np.int32(u[i + 64]) * np.int32(x[i + 64])
                a21 += np.int32(u[i + 128]) * np.int32(x[i + 64])
                a31 += np.int32(u[i + 192]) * np.int32(x[i + 64])
                a01 += np.int32(u[i]) * np.int32(x[i + 64])
                a02 += np.int32(u[i]) * np.int32(x[i + 128])
                a12 += np.int32(u[i + 64]) * np.int32(x[i + 128])
                a22 += np.int32(u[i + 128]) * np.int32(x[i + 128])
                a32 += np.int32(u[i + 192]) * np.int32(x[i + 128])
                a03 += np.int32(u[i]) * np.int32(x[i + 192])
                a13 += np.int32(u[i + 64]) * np.int32(x[i + 192])
                a23 += np.int32(u[i + 128]) * np.int32(x[i + 192])
                a33 += np.int32(u[i + 192]) * np.int32(x[i + 192])
            out[thread, 0] += a00
            out[thread, 1] += a01
            out[thread, 2] += a02
            out[thread, 3] += a03
            out[thread, 4] += a10
            out[thread, 5] += a11
            out[thread, 6] += a12
            out[thread, 7] += a13
            out[thread, 8] += a20
            out[thread, 9] += a21
            out[thread, 10] += a22
            out[thread, 11] += a23
            out[thread, 12] += a30
            out[thread, 13] += a31
            out[thread, 14] += a32
            out[thread, 15] += a33


def read(data, threads, out):
    """out[thread] = sum of that thread's share of data."""
    size = data.shape[0]
    # omp parallel for num_threads(threads) schedule(static)
    for thread in range(threads):
        total = np.uint64(0)
        for i in range(size * thread // threads, size * (thread + 1) // threads):
            total += data[i]
        out[thread] = total
