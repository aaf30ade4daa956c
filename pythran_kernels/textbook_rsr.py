"""RSR and RSR++: sum the activations that meet the same pattern of a few rows, then combine.

Dehghankar et al., "An Efficient Matrix Multiplication Algorithm for Accelerating Inference in
Binary and Ternary Neural Networks", ICML 2025; here over patterns of trits, not of two bit planes.
"""

# pythran export matmul(uint16[:,:] order(C), int32[:,:] order(C), int32[:,:] order(C), int32[:,:] order(C), int32[:,:] order(C), int32[:,:] order(C))
# pythran export matmul_folded(uint16[:,:] order(C), int32[:,:] order(C), int32[:,:] order(C), int32[:,:] order(C), int32[:,:] order(C), int)
import numpy as np


def matmul(columns, ends, trits, x, y, sums):
    """y (tokens, rows) = x (tokens, cols) times the blocks that `columns` and `ends` describe.

    Block b is the rows from b * k up. columns[b, ends[b, p]:ends[b, p + 1]] are those in which
    its k trits are pattern p, trits[:, p] (k, 3^k). sums has a row of at least 3^k for each thread.
    """
    threads = sums.shape[0]
    blocks = columns.shape[0]
    k, patterns = trits.shape
    # omp parallel for num_threads(threads)
    for part in range(threads):
        for b in range(blocks * part // threads, blocks * (part + 1) // threads):
            for t in range(x.shape[0]):
                sum_segments(columns, ends, x, sums, b, t, part, patterns)
                for i in range(min(k, y.shape[1] - b * k)):
                    total = np.int32(0)
                    for p in range(patterns):
                        total += trits[i, p] * sums[part, p]
                    y[t, b * k + i] = total


def matmul_folded(columns, ends, x, y, sums, k):
    """The same with the second step of RSR++: the first trit splits the patterns into thirds,
    whose difference is that row's result, and whose sum is the problem without that trit."""
    threads = sums.shape[0]
    blocks = columns.shape[0]
    patterns = ends.shape[1] - 1
    # omp parallel for num_threads(threads)
    for part in range(threads):
        for b in range(blocks * part // threads, blocks * (part + 1) // threads):
            for t in range(x.shape[0]):
                sum_segments(columns, ends, x, sums, b, t, part, patterns)
                third = patterns // 3
                for i in range(min(k, y.shape[1] - b * k)):
                    total = np.int32(0)
                    for p in range(third):
                        total += sums[part, 2 * third + p] - sums[part, p]
                    y[t, b * k + i] = total
                    for p in range(third):
                        sums[part, p] += sums[part, third + p] + sums[part, 2 * third + p]
                    third = third // 3


def sum_segments(columns, ends, x, sums, b, t, part, patterns):
    for p in range(patterns):
        total = np.int32(0)
        for j in range(ends[b, p], ends[b, p + 1]):
            total += x[t, columns[b, j]]
        sums[part, p] = total
