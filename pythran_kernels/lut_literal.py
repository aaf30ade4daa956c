"""Every entry of a table of patterns times activations, against the table of their sums."""

# pythran export compare(int16[:,:] order(C), int16[:,:] order(C), int32[:], int32[:], int16[:,:] order(C), int64[:])
import numpy as np


def compare(front, back, front_sums, back_sums, table, found):
    """Write how many entries front[i] + back[j] differ from the row of their sum, the smallest
    entry and the largest.

    front, back (patterns, x): products of the halves of a pattern. *_sums: of their trits.
    table (2 g + 1, x): row s + g for the sum s.
    """
    middle = table.shape[0] // 2
    differing = np.int64(0)
    smallest = np.int16(32767)
    largest = np.int16(-32768)
    for i in range(front.shape[0]):
        for j in range(back.shape[0]):
            row = middle + front_sums[i] + back_sums[j]
            assert row >= 0
            wrong = np.int16(0)
            for x in range(table.shape[1]):
                entry = np.int16(front[i, x] + back[j, x])
                wrong += np.int16(entry != table[row, x])
                smallest = min(smallest, entry)
                largest = max(largest, entry)
            differing += wrong
    found[0] = differing
    found[1] = smallest
    found[2] = largest
