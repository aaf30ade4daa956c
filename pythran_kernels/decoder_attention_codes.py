"""Attention as in decoder_attention.py over keys and values of 8 bits, with a scale a head vector.

Codes lie as the float32 numbers do there; scales as (layers, kv_heads, positions).
"""

# pythran export remember_codes(float32[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), int8[:,:,:,:,:], int8[:,:,:,:], float32[:,:,:], float32[:,:,:], int, int, int, int, int)
import numpy as np

from .decoder_attention import rotate, softmax
from .decoder_parts import largest


def remember_codes(
    qkv, cos, sin, keys, values, key_scales, value_scales, layer, position, heads, first, last
):
    """As decoder_attention.remember: numbers become multiples of the largest magnitude / 127."""
    kv_heads = keys.shape[1]
    dim = values.shape[3]
    lanes = keys.shape[4]
    rotate(qkv, cos, sin, heads, kv_heads, dim, first, last)
    for t in range(first, last):
        place = position + t
        for h in range(kv_heads):
            start = (heads + h) * dim
            scale = step(qkv, t, start, start + dim)
            key_scales[layer, h, place] = scale
            inverse = inverted(scale)
            for i in range(dim):
                code = np.int8(np.rint(qkv[t, start + i] * inverse))
                keys[layer, h, place // lanes, i, place % lanes] = code
            start = (heads + kv_heads + h) * dim
            scale = step(qkv, t, start, start + dim)
            value_scales[layer, h, place] = scale
            inverse = inverted(scale)
            for i in range(dim):
                values[layer, h, place, i] = np.int8(np.rint(qkv[t, start + i] * inverse))


def step(x, t, start, stop):
    """The largest |x[t, start:stop]| / 127; NaN where any of them is not finite."""
    bad = np.int32(0)
    for i in range(start, stop):
        bad += np.int32(x[t, i] - x[t, i] != np.float32(0))
    if bad > 0:
        return np.float32(np.nan)
    return np.float32(largest(x, t, start, stop) / np.float32(127))


def inverted(scale):
    """1 / scale, and 0 for 0 and NaN."""
    if scale > np.float32(0):
        return np.float32(np.float32(1) / scale)
    return np.float32(0)


def attend_head_codes(
    qkv, keys, values, key_scales, value_scales, scores, y, layer, length, heads, t, head, scratch
):
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
                    a * np.float32(keys[layer, kv, block, j, i])
                    + b * np.float32(keys[layer, kv, block, j + 1, i])
                    + c * np.float32(keys[layer, kv, block, j + 2, i])
                    + d * np.float32(keys[layer, kv, block, j + 3, i])
                    + e * np.float32(keys[layer, kv, block, j + 4, i])
                    + f * np.float32(keys[layer, kv, block, j + 5, i])
                    + g * np.float32(keys[layer, kv, block, j + 6, i])
                    + h * np.float32(keys[layer, kv, block, j + 7, i])
                )
        for i in range(lanes):
            scores[scratch, at + i] *= key_scales[layer, kv, at + i]
        at += lanes
    inverse = softmax(scores, scratch, length)
    padded = length + -length % 8
    # the mean of the values
    for j in range(dim):
        y[t, start + j] = 0
    for i in range(0, padded, 8):
        a = scores[scratch, i] * inverse * value_scales[layer, kv, i]
        b = scores[scratch, i + 1] * inverse * value_scales[layer, kv, i + 1]
        c = scores[scratch, i + 2] * inverse * value_scales[layer, kv, i + 2]
        d = scores[scratch, i + 3] * inverse * value_scales[layer, kv, i + 3]
        e = scores[scratch, i + 4] * inverse * value_scales[layer, kv, i + 4]
        f = scores[scratch, i + 5] * inverse * value_scales[layer, kv, i + 5]
        g = scores[scratch, i + 6] * inverse * value_scales[layer, kv, i + 6]
        h = scores[scratch, i + 7] * inverse * value_scales[layer, kv, i + 7]
        for j in range(dim):
            y[t, start + j] += (
                a * np.float32(values[layer, kv, i, j])
                + b * np.float32(values[layer, kv, i + 1, j])
                + c * np.float32(values[layer, kv, i + 2, j])
                + d * np.float32(values[layer, kv, i + 3, j])
                + e * np.float32(values[layer, kv, i + 4, j])
                + f * np.float32(values[layer, kv, i + 5, j])
                + g * np.float32(values[layer, kv, i + 6, j])
                + h * np.float32(values[layer, kv, i + 7, j])
            )
