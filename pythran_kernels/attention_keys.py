"""Scores of queries straight from packed keys: products with codes, then one scale a key.

A code of 8 bits is a number + 128; one of 2 bits a trit + 1, four to a byte. Keys lie in tiles of
tokens, and in a tile one dimension after the other, so that a query's number meets all tokens of a
tile at once and nothing is summed across a vector register; byte p of a dimension's run holds
tokens p, p + run, p + 2 run and p + 3 run. Loops stay in functions of their own, over flat arrays:
so they vectorize.
"""

# pythran export scores(float32[:,:,:] order(C), uint8[:], float32[:,:] order(C), int, int, float32[:], float32[:,:] order(C))
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
