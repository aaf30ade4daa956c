"""Activations on their way into an integer product and out of it: int8, with one step a token."""

# pythran export quantize_tokens(float32[:,:] order(C), int8[:,:] order(C), float32[:], int32[:])
# pythran export total_tokens(int8[:,:] order(C), int32[:])
# pythran export rescale(int32[:,:] order(C), float32[:], float32[:], float32[:,:] order(C))
import numpy as np


def quantize_tokens(x, q, step, total):
    """Round each row of x (tokens, cols) to int8; returns False if x is not all finite.

    q = round_half_even(x * 127 / peak), peak = max(max |x|, 1e-5), one unit = step = peak / 127;
    q is 0 from column cols on. total receives the sum of each row of q.
    """
    tokens, cols = x.shape
    bits = x.view(np.int32)
    highest = np.empty(1, np.int32)
    for t in range(tokens):
        # the bits of |x| grow with |x|, and a maximum of integers, unlike one of floats, vectorizes
        most = np.int32(0)
        for c in range(cols):
            most = max(most, bits[t, c] & np.int32(0x7FFFFFFF))
        if most >= 0x7F800000:  # infinity, or NaN above it
            return False
        highest[0] = most
        peak = max(highest.view(np.float32)[0], np.float32(1e-5))
        inverse = np.float32(127) / peak
        step[t] = peak / np.float32(127)
        for c in range(cols):
            q[t, c] = np.int8(np.rint(x[t, c] * inverse))
        for c in range(cols, q.shape[1]):
            q[t, c] = 0
    total_tokens(q, total)
    return True


def total_tokens(q, total):
    """Write the sum of each row of q (tokens, width) into total (tokens,)."""
    for t in range(q.shape[0]):
        s = np.int32(0)
        for c in range(q.shape[1]):
            s += np.int32(q[t, c])
        total[t] = s


def rescale(sums, step, scales, y):
    """Write sums (tokens, width) * step (tokens,) * scales (rows,) into y (tokens, rows)."""
    for t in range(y.shape[0]):
        for r in range(y.shape[1]):
            y[t, r] = np.float32(sums[t, r]) * step[t] * scales[r]
