"""Attention of some tokens over what a cache holds: softmax(q k / sqrt(head_dim)) v.

A cache describes what is to be seen as spans: runs of slots, with the queries as they stand to
the keys there. Each piece of a span gives a partial result (the largest score, the sum of
exp(score - largest), and of that times values), and partial results merge, in any grouping, to
that of all pieces (online softmax; Milakov & Gimelshein 2018, arXiv:1805.02867, and Dao et al.
2022, arXiv:2205.14135).

Query heads that share a key head are treated as rows of one matrix: (n, heads, head_dim) becomes
(kv_heads, n * share, head_dim).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int32

from workbench import kernels
from workbench.lm.stores import TILE, CodeStore, Store

Method = Literal["plain", "tiled", "packed"]

WORK = 1 << 19  # multiplications that pay for a thread
LOWEST = np.float32(-3e38)  # stands for minus infinity, and can be subtracted from itself


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


@dataclass(frozen=True)
class Partial:
    """Attention over some of the tokens, not yet divided by the sum of the weights.

    Attributes
    ----------
    top : float32 array (kv_heads, rows, 1)
        The largest score; LOWEST where nothing is seen.
    total : float32 array (kv_heads, rows, 1)
        Sum of exp(score - top).
    output : float32 array (kv_heads, rows, head_dim)
        Sum of exp(score - top) * value.
    """

    top: Float32[np.ndarray, "kv_heads rows 1"]
    total: Float32[np.ndarray, "kv_heads rows 1"]
    output: Float32[np.ndarray, "kv_heads rows head_dim"]

    def merge(self, other: "Partial") -> "Partial":
        """The partial result over the tokens of both."""
        top = np.maximum(self.top, other.top)
        ours, theirs = np.exp(self.top - top), np.exp(other.top - top)
        return Partial(
            top,
            self.total * ours + other.total * theirs,
            self.output * ours + other.output * theirs,
        )

    def result(self) -> Float32[np.ndarray, "kv_heads rows head_dim"]:
        """Attention itself; 0 for a row that sees nothing."""
        return self.output / np.where(self.total == 0, 1, self.total)  # NaN stays NaN


def attend(
    spans: Sequence[Span],
    method: Method = "plain",
    *,
    tile: int = 256,
    skip: float = 0.0,
    threads: int = 1,
) -> Float32[np.ndarray, "n heads*head_dim"]:
    """Attention over all tokens of the spans.

    Parameters
    ----------
    spans : sequence of Span
        Of the same n tokens.
    method : {"plain", "tiled", "packed"}
        All scores of a span at once, as float32 matrices; `tile` tokens at a time, so that no more
        than those are in float32; or compiled, straight from the codes (a span that has none is
        done plainly).
    tile : int
    skip : float
        "packed" leaves out values of less than this weight, which changes no output by more than
        tokens * skip * the largest magnitude of a value.
    threads : int
        At most, for "packed"; the result is the same with any number. The others use BLAS's.
    """
    pieces = []
    for span in spans:
        if method == "packed" and isinstance(span.keys, CodeStore):  # and so are the values
            pieces.append(packed_partial(span, skip, threads))
        else:
            step = tile if method == "tiled" else span.stop - span.start
            pieces += [
                partial(span, at, min(at + step, span.stop))
                for at in range(span.start, span.stop, step)
            ]
    output = reduce(Partial.merge, pieces).result()
    n, heads, head_dim = spans[0].q.shape
    by_token = output.reshape(len(output), n, -1, head_dim).transpose(1, 0, 2, 3)
    return by_token.reshape(n, heads * head_dim)


def partial(span: Span, start: int, stop: int) -> Partial:
    """Partial result over the slots start to stop - 1 of a span, in float32 matrices."""
    keys = span.keys.read(span.layer, start, stop)  # (kv_heads, slots, head_dim)
    values = span.values.read(span.layer, start, stop)
    scores = _queries(span) @ keys.transpose(0, 2, 1)  # (kv_heads, rows, slots)
    top, total = _soften(scores, span, start)
    return Partial(top, total, scores @ values)


def packed_partial(span: Span, skip: float, threads: int) -> Partial:
    """Partial result over a span, straight from codes; see pythran_kernels/attention_keys.py."""
    keys, values, layer = span.keys, span.values, span.layer
    dims = keys.data.shape[3]
    q = _queries(span)  # (kv_heads, rows, head_dim)
    kv_heads, rows, head_dim = q.shape
    if dims > head_dim:
        q = np.pad(q, ((0, 0), (0, 0), (0, dims - head_dim)))
    q = np.ascontiguousarray(q)  # arithmetic keeps the order of axes, which may be another

    first = span.start // TILE  # whole tiles: what else they hold is not seen
    tokens = (-(-span.stop // TILE) - first) * TILE
    threads = max(1, min(threads, kv_heads * rows * tokens * dims // WORK))
    scores = np.empty((kv_heads, rows, tokens), np.float32)
    room = np.empty((threads, 8 * TILE), np.float32)
    kernels.load("attention_keys").scores(
        q, keys.data[layer].reshape(-1), keys.scales[layer], first, keys.bits, scores.ravel(), room
    )
    top, total = _soften(scores, span, first * TILE)

    output = np.empty((kv_heads, rows, dims), np.float32)
    room = np.empty((threads, 8 * dims + 8), np.float32)
    chosen = np.empty((threads, tokens + 8), np.int32)
    limits = np.float32(skip) * total[..., 0]
    codes = values.data[layer].reshape(-1)
    kernels.load("attention_values").weigh(
        scores.ravel(),
        limits,
        codes,
        values.scales[layer],
        first * TILE,
        values.bits,
        output.ravel(),
        room,
        chosen,
    )
    return Partial(top, total, output[..., :head_dim])


def _queries(span):
    """Scaled, those that share a key head together: (kv_heads, n * share, head_dim)."""
    n, _, head_dim = span.q.shape
    q = span.q.reshape(n, span.keys.heads, -1, head_dim).transpose(1, 0, 2, 3)
    return q.reshape(span.keys.heads, -1, head_dim) * np.float32(head_dim**-0.5)


def _soften(scores, span, start):
    """Scores of the slots from `start` on become exp(score - top); returns top and their sum."""
    before, behind = max(span.start - start, 0), span.stop - start
    stop = start + scores.shape[2]
    causal = span.first.max() > max(start, span.start) or span.last.min() < min(stop, span.stop)
    if causal:
        slot = np.arange(start, stop)
        unseen = (slot < span.first[:, None]) | (slot >= span.last[:, None])  # (n, slots)
        unseen |= (slot < span.start) | (slot >= span.stop)
        unseen = np.repeat(unseen, scores.shape[1] // len(unseen), axis=0)  # (rows, slots)
        np.copyto(scores, LOWEST, where=unseen)
    else:  # for one token, which sees the whole span, masks would take as long as the rest
        scores[..., :before] = LOWEST
        scores[..., behind:] = LOWEST
    top = scores.max(axis=2, keepdims=True)
    scores -= top
    np.exp(scores, out=scores)
    if causal:
        np.copyto(scores, 0, where=unseen)  # also in rows that see nothing
    return top, scores.sum(axis=2, keepdims=True)
