"""Causal attention over a cache of keys and values, one head of one token at a time.

Keys lie in blocks of `lanes` positions, (layers, kv_heads, blocks, depth, lanes), so that a loop over
positions is a loop over neighbours; depth is head_dim up to a multiple of eight, with zeros. Values lie
as (layers, kv_heads, positions, head_dim).
"""

# pythran export remember(float32[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), float32[:,:,:,:,:], float32[:,:,:,:], int, int, int, int, int)
# pythran export attend(float32[:,:] order(C), float32[:,:,:,:,:], float32[:,:,:,:], float32[:,:] order(C), float32[:,:] order(C), int, int, int, int, int)
import numpy as np

from .decoder_parts import exponential


def remember(qkv, cos, sin, keys, values, layer, position, heads, first, last):
    """Turn the queries and keys of tokens first to last - 1 in place; store keys and values.

    qkv (tokens, at least (heads + 2 kv_heads) * head_dim). Token t goes to position + t.
    """
    kv_heads = keys.shape[1]
    dim = values.shape[3]
    lanes = keys.shape[4]
    rotate(qkv, cos, sin, heads, kv_heads, dim, first, last)
    assert layer >= 0
    assert position >= 0
    for t in range(first, last):
        place = position + t
        assert t >= 0
        assert place >= 0
        block = place // lanes
        lane = place % lanes
        assert block >= 0
        assert lane >= 0
        for h in range(kv_heads):
            start = (heads + h) * dim
            assert start >= 0
            for i in range(dim):
                keys[layer, h, block, i, lane] = qkv[t, start + i]
            start = (heads + kv_heads + h) * dim
            assert start >= 0
            for i in range(dim):
                values[layer, h, place, i] = qkv[t, start + i]


def rotate(qkv, cos, sin, heads, kv_heads, dim, first, last):
    """Turn queries, divided by the root of dim, and keys of tokens first to last - 1 in place.

    cos, sin (tokens, head_dim / 2). Element i of a head turns with element i + head_dim / 2.
    """
    half = dim // 2
    scale = np.float32(np.float32(1) / np.sqrt(np.float32(dim)))
    for t in range(first, last):
        # without these, every index would be looked at, and nothing vectorized
        assert t >= 0
        for h in range(heads + kv_heads):
            start = h * dim
            other = start + half
            assert start >= 0
            assert other >= 0
            factor = scale if h < heads else np.float32(1)
            for i in range(half):
                a = qkv[t, start + i] * factor
                b = qkv[t, other + i] * factor
                qkv[t, start + i] = a * cos[t, i] - b * sin[t, i]
                qkv[t, other + i] = a * sin[t, i] + b * cos[t, i]


def attend(qkv, keys, values, scores, y, layer, length, heads, t, scratch):
    """All heads of token t, whose own position is length - 1: write y[t]."""
    for h in range(heads):
        attend_head(qkv, keys, values, scores, y, layer, length, heads, t, h, scratch)


def attend_head(qkv, keys, values, scores, y, layer, length, heads, t, head, scratch):
    """Write y[t, head * dim : (head + 1) * dim]; scores[scratch] is room for what is seen."""
    dim = values.shape[3]
    lanes = keys.shape[4]
    kv = head // (heads // keys.shape[1])
    start = head * dim
    # without these, every index would be looked at, and nothing vectorized
    assert layer >= 0
    assert scratch >= 0
    assert t >= 0
    assert kv >= 0
    assert start >= 0
    # scores: a product of the query with each key
    at = 0
    for block in range((length + lanes - 1) // lanes):
        assert at >= 0
        for i in range(lanes):
            scores[scratch, at + i] = 0
        for j in range(0, keys.shape[3], 8):
            a = qkv[t, start + j]
            b = qkv[t, start + j + 1]
            c = qkv[t, start + j + 2]
            d = qkv[t, start + j + 3]
            e = qkv[t, start + j + 4]
            f = qkv[t, start + j + 5]
            g = qkv[t, start + j + 6]
            h = qkv[t, start + j + 7]
            for i in range(lanes):
                scores[scratch, at + i] += (
                    a * keys[layer, kv, block, j, i]
                    + b * keys[layer, kv, block, j + 1, i]
                    + c * keys[layer, kv, block, j + 2, i]
                    + d * keys[layer, kv, block, j + 3, i]
                    + e * keys[layer, kv, block, j + 4, i]
                    + f * keys[layer, kv, block, j + 5, i]
                    + g * keys[layer, kv, block, j + 6, i]
                    + h * keys[layer, kv, block, j + 7, i]
                )
        at += lanes
    inverse = softmax(scores, scratch, length)
    padded = length + -length % 8
    # the mean of the values
    for j in range(dim):
        y[t, start + j] = 0
    for i in range(0, padded, 8):
        a = scores[scratch, i] * inverse
        b = scores[scratch, i + 1] * inverse
        c = scores[scratch, i + 2] * inverse
        d = scores[scratch, i + 3] * inverse
        e = scores[scratch, i + 4] * inverse
        f = scores[scratch, i + 5] * inverse
        g = scores[scratch, i + 6] * inverse
        h = scores[scratch, i + 7] * inverse
        for j in range(dim):
            y[t, start + j] += (
                a * values[layer, kv, i, j]
                + b * values[layer, kv, i + 1, j]
                + c * values[layer, kv, i + 2, j]
                + d * values[layer, kv, i + 3, j]
                + e * values[layer, kv, i + 4, j]
                + f * values[layer, kv, i + 5, j]
                + g * values[layer, kv, i + 6, j]
                + h * values[layer, kv, i + 7, j]
            )


def softmax(scores, scratch, length):
    """Make weights of scores[scratch, :length], not yet divided by their sum; returns 1 / the sum.

    Beyond the last position, weights of 0 up to a multiple of eight.
    """
    assert scratch >= 0
    peak = scores[scratch, 0]
    for i in range(length):
        peak = max(peak, scores[scratch, i])
    for i in range(length):
        scores[scratch, i] = exponential(scores[scratch, i] - peak)
    padded = length + -length % 8
    for i in range(length, padded):
        scores[scratch, i] = 0
    a = b = c = d = np.float32(0)
    for i in range(0, padded, 4):
        a += scores[scratch, i]
        b += scores[scratch, i + 1]
        c += scores[scratch, i + 2]
        d += scores[scratch, i + 3]
    return np.float32(np.float32(1) / ((a + b) + (c + d)))
