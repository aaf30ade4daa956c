"""How long attention of one new token takes over caches in float32, int8 and trits."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from workbench import kernels
from workbench.lm.attention import Span, attend
from workbench.lm.engine import LANES
from workbench.lm.stores import new_stores
from workbench.measure.timing import race

PEER = "f32 compiled"  # what the fast path runs, see pythran_kernels/decoder_attention.py
STORES = {"f32 BLAS": "f32", "int8": "int8", "ternary": "ternary"}


@dataclass(frozen=True)
class AttentionSpeed:
    """One way to store keys and values, at one number of tokens.

    Attributes
    ----------
    tokens : int
        In the cache.
    store : str
        "f32 compiled", "f32 BLAS", "int8" or "ternary".
    nbytes : int
        Of keys and values, a layer.
    median_s, min_s, max_s : float
        One token's attention in one layer.
    ratio, ratio_min, ratio_max : float
        How many times as fast as "f32 compiled", of samples taken in the same round.
    """

    tokens: int
    store: str
    nbytes: int
    median_s: float
    min_s: float
    max_s: float
    ratio: float
    ratio_min: float
    ratio_max: float


def race_attention(
    lengths: Sequence[int] = (512, 2048, 8192, 32768),
    *,
    heads: int = 9,
    kv_heads: int = 3,
    head_dim: int = 64,
    layers: int = 1,
    skip: float = 1e-6,
    seconds: float = 2.0,
    seed: int = 0,
) -> list[AttentionSpeed]:
    """Time attention over caches of Gaussian keys and values, on one thread.

    Parameters
    ----------
    lengths : sequence of int
        Tokens in the cache.
    heads, kv_heads, head_dim : int
        By default SmolLM2-135M's.
    layers : int
        Each call takes the next of so many layers: with 1 the cache stays in the processor's
        caches from call to call; with many it does not, as in a model.
    skip : float
        Weight below which int8 and ternary leave values out.
    seconds : float
        For each length.
    seed : int

    Returns
    -------
    list of AttentionSpeed
        Four for each length. All of them compute what their stores hold: an assertion compares.
    """
    found = []
    for tokens in lengths:
        rng = np.random.default_rng(seed)
        q = rng.normal(size=(heads, head_dim)).astype(np.float32)
        keys, values = rng.normal(size=(2, tokens, kv_heads, head_dim)).astype(np.float32)
        runners, nbytes = {}, {}
        runners[PEER], nbytes[PEER] = _compiled(q, keys, values, layers)
        for name, kind in STORES.items():
            stores = new_stores(layers, kv_heads, tokens, head_dim, kind)
            for store, vectors in zip(stores, (keys, values), strict=True):
                for layer in range(layers):
                    store.write(layer, 0, vectors)
            method = "plain" if kind == "f32" else "packed"
            runners[name] = _stored(q, *stores, tokens, method, skip)
            nbytes[name] = sum(store.nbytes for store in stores) // layers
            exact = _definition(q, *(store.read(0, 0, tokens) for store in stores))
            bound = tokens * skip * np.abs(stores[1].read(0, 0, tokens)).max()
            assert np.abs(runners[name]() - exact).max() < bound + 1e-4, name
        exact = _definition(q, keys.transpose(1, 0, 2), values.transpose(1, 0, 2))
        assert np.abs(runners[PEER]() - exact).max() < 1e-3, PEER

        laps = race(runners, to=[PEER], threads=1, seconds=seconds)
        for name, lap in laps.items():
            timing, ratio = lap.timing, lap.ratios[PEER]
            found.append(
                AttentionSpeed(
                    tokens,
                    name,
                    nbytes[name],
                    timing.median_s,
                    timing.min_s,
                    timing.max_s,
                    ratio.median,
                    ratio.min,
                    ratio.max,
                )
            )
    return found


def _stored(q, keys, values, tokens, method, skip):
    """A function that attends over these stores, in the next layer at each call."""
    first, last = np.zeros(1, int), np.full(1, tokens)
    spans = cycle(
        [Span(keys, values, layer, 0, tokens, q[None], first, last) for layer in range(keys.layers)]
    )
    return lambda: attend([next(spans)], method, skip=skip)


def _compiled(q, keys, values, layers):
    """The same over float32 in the layout of the fast path, and its bytes a layer."""
    tokens, kv_heads, head_dim = keys.shape
    lanes = LANES
    blocks = -(-tokens // lanes)
    by_lane = np.zeros((layers, kv_heads, blocks, head_dim, lanes), np.float32)
    by_token = np.zeros((layers, kv_heads, blocks * lanes, head_dim), np.float32)
    by_token[:, :, :tokens] = keys.transpose(1, 0, 2)
    by_lane[:] = by_token.reshape(layers, kv_heads, blocks, lanes, head_dim).swapaxes(3, 4)
    by_token[:, :, :tokens] = values.transpose(1, 0, 2)
    queries = np.ascontiguousarray(q.reshape(1, -1) * np.float32(head_dim**-0.5))
    scores = np.empty((1, blocks * lanes), np.float32)
    output = np.empty_like(queries)
    kernel = kernels.load("decoder_attention")
    layer = cycle(range(layers))

    def run():
        kernel.attend(queries, by_lane, by_token, scores, output, next(layer), tokens, len(q), 0, 0)
        return output

    return run, (by_lane.nbytes + by_token.nbytes) // layers


def _definition(q, keys, values):
    """(1, heads * head_dim) in float64; q (heads, head_dim), keys (kv_heads, tokens, head_dim)."""
    q = q.reshape(len(keys), -1, q.shape[1]).astype(float)
    scores = q @ keys.transpose(0, 2, 1) / np.sqrt(q.shape[2])
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    return (weights / weights.sum(axis=2, keepdims=True) @ values).reshape(1, -1)
