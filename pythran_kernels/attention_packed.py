"""Attention straight from packed keys and values; the softmax between the two is the caller's.

A code of 8 bits is a number + 128; one of 2 bits a trit + 1, four to a byte. Its vector's scale is
applied to products and weights, not to codes. Keys lie in tiles of tokens, and in a tile one
dimension after the other, so that a query's number meets all tokens of a tile at once and nothing
is summed across a vector register; byte p of a dimension's run holds tokens p, p + run, p + 2 run
and p + 3 run. Values lie token after token for the same reason; byte d holds dimension d of four
neighbouring tokens. Loops stay in functions of their own, over flat arrays: so they vectorize.
"""

# pythran export scores(float32[:,:,:] order(C), uint8[:], float32[:,:] order(C), int, int, float32[:], float32[:,:] order(C))
# pythran export weigh(float32[:], float32[:,:] order(C), uint8[:], float32[:,:] order(C), int, int, float32[:], float32[:,:] order(C), int32[:,:] order(C))
import numpy as np


def scores(q, codes, scales, first, bits, score, room):
    """Write q . key of every row and token into score (heads * rows * tokens).

    q (heads, rows, dims), 8 divides dims: rows are the queries that share a key head. codes:
    heads * tiles * dims runs of a tile. scales (heads, tiles * tile). The tokens scored are those
    of the tiles from `first` on. room (threads, 8 * tile): a thread each.
    """
    heads, rows, dims = q.shape
    threads = room.shape[0]
    tile = room.shape[1] // 8
    tokens = score.shape[0] // (heads * rows)
    tiles = tokens // tile
    run = tile * bits // 8
    # omp parallel for num_threads(threads)
    for k in range(threads):
        numbers = room[k]
        for i in range(k, heads * tiles, threads):
            h = i // tiles
            t = i % tiles
            source = (h * (scales.shape[1] // tile) + first + t) * dims * run
            for r in range(rows):
                clear(score, (h * rows + r) * tokens + t * tile, tile)
            for d in range(0, dims, 8):
                for e in range(8):
                    unpack(codes, source + (d + e) * run, run, bits, numbers, e * tile)
                for r in range(rows):
                    add_products(
                        score, (h * rows + r) * tokens + t * tile, numbers, q, h, r, d, tile
                    )
            for r in range(rows):
                scale(
                    score, (h * rows + r) * tokens + t * tile, scales, h, (first + t) * tile, tile
                )


def scale(y, at, scales, h, first, n):
    """y[at:at + n] *= scales[h, first:first + n]."""
    assert at >= 0
    assert h >= 0
    assert first >= 0
    for j in range(n):
        y[at + j] *= scales[h, first + j]


def add_products(y, at, x, q, h, r, d, n):
    """y[at:at + n] += q[h, r, d:d + 8] @ x, x eight runs of n."""
    assert at >= 0
    q0 = q[h, r, d]
    q1 = q[h, r, d + 1]
    q2 = q[h, r, d + 2]
    q3 = q[h, r, d + 3]
    q4 = q[h, r, d + 4]
    q5 = q[h, r, d + 5]
    q6 = q[h, r, d + 6]
    q7 = q[h, r, d + 7]
    for j in range(n):
        low = q0 * x[j] + q1 * x[n + j] + q2 * x[2 * n + j] + q3 * x[3 * n + j]
        high = q4 * x[4 * n + j] + q5 * x[5 * n + j] + q6 * x[6 * n + j] + q7 * x[7 * n + j]
        y[at + j] += low + high


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


def clear(y, at, n):
    """y[at:at + n] = 0."""
    assert at >= 0
    for j in range(n):
        y[at + j] = np.float32(0)


def unpack(codes, at, run, bits, x, b):
    """A run of bytes as numbers x[b], x[b + 1], ...: masks, since shifts do not vectorize."""
    assert at >= 0
    assert b >= 0
    if bits == 8:
        for p in range(run):
            x[b + p] = np.float32(np.int32(codes[at + p]) - 128)
    else:
        field(codes, at, run, np.uint8(3), np.float32(1), x, b)
        field(codes, at, run, np.uint8(12), np.float32(1 / 4), x, b + run)
        field(codes, at, run, np.uint8(48), np.float32(1 / 16), x, b + 2 * run)
        field(codes, at, run, np.uint8(192), np.float32(1 / 64), x, b + 3 * run)


def field(codes, at, run, mask, unit, x, b):
    """The trits under one mask."""
    assert at >= 0
    assert b >= 0
    for p in range(run):
        x[b + p] = np.float32(np.int32(codes[at + p] & mask)) * unit - np.float32(1)
