"""The nearest level of a codebook.

Fewer numbers than the bound of the loop do not pay for a second thread.
"""

import numpy as np


# pythran export assign(float32[:,:] order(C), float32[:], uint8[:,:] order(C))
def assign(x, boundaries, codes):
    """How many of the boundaries between neighbouring levels each number exceeds."""
    rows, cols = x.shape
    # omp parallel for if(rows * cols > 16384)
    for r in range(rows):
        above = np.zeros(cols, np.int32)
        # over the numbers, not over the boundaries: no branch and no gather, so it vectorizes
        for k in range(boundaries.shape[0]):
            for c in range(cols):
                above[c] += np.int32(x[r, c] > boundaries[k])
        codes[r] = np.uint8(above)
