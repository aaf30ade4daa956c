"""The nearest level of a codebook."""

import numpy as np


# pythran export assign(float32[:,:] order(C), float32[:], uint8[:,:] order(C))
def assign(x, boundaries, codes):
    """How many of the boundaries between neighbouring levels each number exceeds."""
    # omp parallel for
    for r in range(x.shape[0]):
        for c in range(x.shape[1]):
            codes[r, c] = 0
        # over the numbers, not over the boundaries: no branch and no gather, so it vectorizes
        for k in range(boundaries.shape[0]):
            for c in range(x.shape[1]):
                codes[r, c] += np.uint8(x[r, c] > boundaries[k])
