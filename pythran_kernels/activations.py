"""Activation quantization: one int8 scale per token, as BitNet b1.58 defines it."""

# pythran export quantize_tokens(float32[:,:] order(C), int8[:,:] order(C), float32[:])
import numpy as np


def quantize_tokens(x, q, step):
    """Round each row of x (tokens, cols) to int8; step receives the size of one unit.

    q = clip(round_half_even(x / step)), step = max(|x|, 1e-5) / 127.
    """
    tokens, cols = x.shape
    for t in range(tokens):
        peak = np.float32(1e-5)
        for c in range(cols):
            peak = max(peak, abs(x[t, c]))
        inverse = np.float32(127) / peak
        step[t] = peak / np.float32(127)
        for c in range(cols):
            q[t, c] = np.int8(np.rint(x[t, c] * inverse))
