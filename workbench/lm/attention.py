"""Attention of some tokens over what a cache holds: softmax(q k / sqrt(head_dim)) v.

A cache describes what is to be seen as spans: runs of slots, with the queries as they stand to
the keys there. The result does not depend on how the slots are cut into spans.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

from workbench.lm.stores import Store


@dataclass(frozen=True)
class Span:
    """Slots start to stop - 1 of a layer, and the queries that look at them.

    Attributes
    ----------
    keys, values : Store
    layer : int
    start, stop : int
    q : float32 array (n, heads, head_dim)
        Rotated as these keys ask for.
    first, last : int32 arrays (n,)
        Token i sees the slots from first[i] up to, but not, last[i].
    """

    keys: Store
    values: Store
    layer: int
    start: int
    stop: int
    q: Float32[np.ndarray, "n heads head_dim"]
    first: Int32[np.ndarray, " n"]
    last: Int32[np.ndarray, " n"]


def plain(spans: Sequence[Span]) -> Float32[np.ndarray, "n heads*head_dim"]:
    """All scores at once: the definition, and the fastest over float32 for short contexts.

    A token that sees nothing gets 0.
    """
    scores = np.concatenate([_masked_scores(span) for span in spans], axis=-1)
    top = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(np.isfinite(top), top, 0))  # (kv_heads, n, share, slots)
    total = weights.sum(axis=-1, keepdims=True)
    weights /= np.where(total > 0, total, 1)

    output, start = 0, 0
    for span in spans:
        width = span.stop - span.start
        output = output + _weighted_sum(weights[..., start : start + width], span)
        start += width
    return _by_token(output)


def _masked_scores(span):
    """Scaled products (kv_heads, n, share, slots), -inf where a token does not see a slot."""
    keys = span.keys.read(span.layer, slice(span.start, span.stop))  # (kv_heads, slots, head_dim)
    n, heads, head_dim = span.q.shape
    share = heads // len(keys)
    # consecutive query heads share a key head: (n, heads, hd) -> (kv_heads, n * share, hd)
    q = span.q.reshape(n, len(keys), share, head_dim).transpose(1, 0, 2, 3)
    q = q.reshape(len(keys), n * share, head_dim) * np.float32(head_dim**-0.5)
    scores = q @ keys.transpose(0, 2, 1)  # (kv_heads, n * share, slots)
    scores = scores.reshape(len(keys), n, share, -1)
    slot = np.arange(span.start, span.stop)
    unseen = (slot < span.first[:, None]) | (slot >= span.last[:, None])  # (n, slots)
    np.copyto(scores, -np.inf, where=unseen[None, :, None, :])
    return scores


def _weighted_sum(weights, span):
    """(kv_heads, n, share, slots) of weights -> (kv_heads, n, share, head_dim)."""
    values = span.values.read(span.layer, slice(span.start, span.stop))
    kv_heads, n, share, slots = weights.shape
    return (weights.reshape(kv_heads, n * share, slots) @ values).reshape(kv_heads, n, share, -1)


def _by_token(output):
    """(kv_heads, n, share, head_dim) -> (n, heads * head_dim)."""
    kv_heads, n, share, head_dim = output.shape
    return output.transpose(1, 0, 2, 3).reshape(n, kv_heads * share * head_dim)
