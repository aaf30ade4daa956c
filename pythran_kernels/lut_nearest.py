"""The nearest of many patterns of trits, of either sign, by the number of trits that differ."""

# pythran export nearest(int32[:], int32[:], int32[:], int32[:], int32, int32[:])
import numpy as np


def nearest(plus, minus, base_plus, base_minus, signs, out):
    """Write for each pattern distance * 2 * bases + 2 * base + sign of its nearest base.

    A pattern is two masks of at most 16 bits: where +1, where -1. sign is 1 for the base's
    negative, which counts where signs is 1. Among bases equally near, the first.
    """
    bases = base_plus.shape[0]
    for i in range(plus.shape[0]):
        best = np.int32(1 << 30)
        p = plus[i]
        m = minus[i]
        for b in range(bases):
            same = ones((base_plus[b] ^ p) | (base_minus[b] ^ m))
            key = np.int32(same * np.int32(2 * bases) + np.int32(2 * b))
            best = min(best, key)
        if signs == 1:
            for b in range(bases):
                other = ones((base_plus[b] ^ m) | (base_minus[b] ^ p))
                key = np.int32(other * np.int32(2 * bases) + np.int32(2 * b + 1))
                best = min(best, key)
        out[i] = best


def ones(v):
    """Bits that are 1 among the lowest 16."""
    v = v - ((v >> 1) & np.int32(0x5555))
    v = (v & np.int32(0x3333)) + ((v >> 2) & np.int32(0x3333))
    v = (v + (v >> 4)) & np.int32(0x0F0F)
    return (v + (v >> 8)) & np.int32(31)
