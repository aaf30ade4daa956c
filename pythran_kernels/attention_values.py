"""Weighted sums of packed values; only those that some query gives weight to are unpacked.

Codes are as in attention_keys.py. Values lie token after token; byte d of a run of 2-bit codes
holds dimension d of four neighbouring tokens.
"""

# pythran export weigh(float32[:], float32[:,:] order(C), uint8[:], float32[:,:] order(C), int, int, float32[:], float32[:,:] order(C), int32[:,:] order(C))
import numpy as np

from .attention_keys import clear, unpack


def weigh(weights, limits, codes, scales, first, bits, output, room, chosen):
    """Write weights @ values of each head and row into output (heads * rows * dims).

    weights (heads * rows * tokens): of the tokens from `first` on, which the tokens of a byte must
    divide. limits (heads, rows): tokens that weigh less in every row are left out, unless
    they share a byte with others. codes: heads * slots runs of dims codes. scales (heads, slots).
    room (threads, 8 * dims + 8) and chosen (threads, tokens + 8): a thread each.
    """
    heads, rows = limits.shape
    threads = chosen.shape[0]
    tokens = weights.shape[0] // (heads * rows)
    dims = output.shape[0] // (heads * rows)
    each = 8 // bits
    # omp parallel for num_threads(threads)
    for k in range(threads):
        x = room[k]
        some = chosen[k]
        for h in range(k, heads, threads):
            clear(output, h * rows * dims, rows * dims)
            n = choose(weights, limits, h, tokens, each, some)
            for i in range(0, n, 8):
                for j in range(0, 8, each):
                    at = (h * scales.shape[1] + first + some[i + j]) // each * dims
                    unpack(codes, at, dims, bits, x, j * dims)
                for r in range(rows):
                    source = (h * rows + r) * tokens
                    for j in range(8):
                        token = some[i + j]
                        x[8 * dims + j] = np.float32(0)
                        if i + j < n:
                            x[8 * dims + j] = weights[source + token] * scales[h, first + token]
                    add_weighted(x, output, (h * rows + r) * dims, dims)


def choose(weights, limits, h, tokens, each, some):
    """List the tokens of bytes of which one weighs enough; how many there are."""
    rows = limits.shape[1]
    for j in range(tokens):
        some[j] = 0
    for r in range(rows):
        mark(weights, (h * rows + r) * tokens, limits[h, r], some, tokens)
    n = 0
    for g in range(0, tokens, each):
        kept = 0
        for i in range(each):
            kept |= some[g + i]
        for i in range(each):
            some[n + i] = g + i
        n += each * kept
    for i in range(n, n + 8):
        some[i] = 0
    return n


def mark(weights, at, limit, some, tokens):
    """some[j] = 1 for the tokens j that weigh enough."""
    assert at >= 0
    for j in range(tokens):
        some[j] |= np.int32(1) if weights[at + j] >= limit else np.int32(0)


def add_weighted(x, y, at, dims):
    """y[at:at + dims] += w @ x, x eight runs of dims and behind them w."""
    assert at >= 0
    assert dims >= 0
    w0 = x[8 * dims]
    w1 = x[8 * dims + 1]
    w2 = x[8 * dims + 2]
    w3 = x[8 * dims + 3]
    w4 = x[8 * dims + 4]
    w5 = x[8 * dims + 5]
    w6 = x[8 * dims + 6]
    w7 = x[8 * dims + 7]
    for d in range(dims):
        low = w0 * x[d] + w1 * x[dims + d] + w2 * x[2 * dims + d] + w3 * x[3 * dims + d]
        high = (
            w4 * x[4 * dims + d]
            + w5 * x[5 * dims + d]
            + w6 * x[6 * dims + d]
            + w7 * x[7 * dims + d]
        )
        y[at + d] += low + high
