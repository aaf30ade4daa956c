"""Attention: its definition, pieces that merge, and the packed kernel against it."""

import importlib
import itertools
from functools import reduce

import numpy as np
import pytest

from workbench import kernels
from workbench.lm import attention
from workbench.lm.attention import Partial, Span, attend, packed_partial, partial
from workbench.lm.stores import TILE, new_stores

STORES = [("int8", None), ("ternary", "fixed"), ("ternary", "none"), ("ternary", "rms")]
STORES += [("ternary", "optimal")]
stores_of = pytest.mark.parametrize(("kind", "mode"), STORES, ids=[m or k for k, m in STORES])


@pytest.fixture
def rng():
    return np.random.default_rng(13)


def span(rng, slots, n=1, heads=6, kv_heads=2, head_dim=10, kind="f32", mode=None, start=0):
    """A causal span over random vectors; the last of n tokens sees all slots."""
    keys, values = new_stores(1, kv_heads, slots, head_dim, kind, mode)
    for store in (keys, values):
        store.write(0, 0, rng.normal(size=(slots, kv_heads, head_dim)).astype(np.float32))
    q = 3 * rng.normal(size=(n, heads, head_dim)).astype(np.float32)
    last = np.arange(slots - n, slots) + 1
    return Span(keys, values, 0, start, slots, q, np.full(n, start), last)


def definition(spans):
    """Token by token and head by head, in float64."""
    first = spans[0]
    n, heads, head_dim = first.q.shape
    share = heads // first.keys.heads
    output = np.zeros((n, heads, head_dim))
    for i in range(n):
        for h in range(heads):
            scores, values = [], []
            for part in spans:
                low, high = max(part.first[i], part.start), min(part.last[i], part.stop)
                k, v = (
                    store.read(0, low, max(low, high))[h // share].astype(float)
                    for store in (part.keys, part.values)
                )
                scores.append(k @ part.q[i, h].astype(float) / np.sqrt(head_dim))
                values.append(v)
            weights = np.exp(np.concatenate(scores) - max(np.concatenate(scores), default=0))
            if len(weights):
                output[i, h] = weights @ np.concatenate(values) / weights.sum()
    return output.reshape(n, -1)


@pytest.mark.parametrize(
    ("slots", "n", "heads", "kv_heads", "head_dim"),
    [
        (1, 1, 1, 1, 2),
        (5, 5, 6, 2, 10),
        (300, 1, 9, 3, 64),
        (140, 7, 4, 4, 6),
        (130, 3, 5, 1, 100),
        (40, 2, 2, 2, 16),
    ],
)
@pytest.mark.parametrize("method", ["plain", "tiled", "packed"])
def test_definition(rng, slots, n, heads, kv_heads, head_dim, method):
    kinds = STORES if method == "packed" else [("f32", None), ("f16", None), *STORES]
    for kind, mode in kinds:
        seen = span(rng, slots, n, heads, kv_heads, head_dim, kind, mode)
        got = attend([seen], method, tile=3)
        np.testing.assert_allclose(got, definition([seen]), atol=1e-5)
        assert got.dtype == np.float32


@pytest.mark.parametrize("tile", [1, 2, 7, 64, 255, 256, 257, 1000])
def test_tiles_of_any_size_agree(rng, tile):
    seen = span(rng, 300, n=4, head_dim=64)
    np.testing.assert_allclose(attend([seen], "tiled", tile=tile), attend([seen]), atol=1e-5)


def test_merging_is_associative_and_commutative(rng):
    seen = span(rng, 100, n=2)
    cuts = [0, 1, 13, 60, 61, 100]
    a, b, c, d, e = (partial(seen, *ends) for ends in itertools.pairwise(cuts))
    whole = partial(seen, 0, 100).result()
    for merged in (
        reduce(Partial.merge, [a, b, c, d, e]),
        a.merge(b.merge(c.merge(d.merge(e)))),
        e.merge(b).merge(d.merge(a.merge(c))),
    ):
        np.testing.assert_allclose(merged.result(), whole, atol=1e-6)


@pytest.mark.parametrize("constant", [-500.0, 30.0, 1e4])
@pytest.mark.parametrize("method", ["plain", "tiled"])
def test_a_constant_added_to_all_scores_changes_nothing(rng, constant, method):
    # one more dimension, in which all keys are 1, adds the query's number there to each score
    seen = span(rng, 50, n=3, heads=2, kv_heads=2, head_dim=10)
    seen.keys.data[..., 0] = 1
    seen.q[..., 0] = 0
    before = attend([seen], method, tile=8)
    seen.q[..., 0] = constant * np.sqrt(10)
    # scores near `constant` are known to its rounding only
    np.testing.assert_allclose(
        attend([seen], method, tile=8), before, atol=5e-7 * abs(constant) + 1e-6
    )


@pytest.mark.parametrize("method", ["plain", "tiled", "packed"])
@pytest.mark.parametrize("kind", ["int8", "ternary"])
def test_a_token_that_sees_nothing_gets_zero(rng, method, kind):
    seen = span(rng, 20, n=3, kind=kind)
    seen.last[1] = 0
    output = attend([seen], method, tile=4)
    np.testing.assert_array_equal(output[1], 0)
    np.testing.assert_allclose(output, definition([seen]), atol=2e-6)


@stores_of
def test_scores_from_codes_are_those_of_dequantized_keys(rng, kind, mode):
    keys, _ = new_stores(1, 3, 2 * TILE, 64, kind, mode)
    keys.write(0, 0, rng.normal(size=(2 * TILE, 3, 64)).astype(np.float32))
    q = rng.normal(size=(3, 5, 64)).astype(np.float32)
    scores = np.empty(3 * 5 * 2 * TILE, np.float32)
    kernel = kernels.load("attention_keys")
    room = np.empty((2, 8 * TILE), np.float32)
    kernel.scores(q, keys.data[0].reshape(-1), keys.scales[0], 0, keys.bits, scores, room)
    expected = q.astype(float) @ keys.read(0, 0, 2 * TILE).transpose(0, 2, 1)
    np.testing.assert_allclose(scores.reshape(3, 5, -1), expected, atol=1e-5)


@stores_of
def test_packed_is_the_same_on_any_number_of_threads(rng, kind, mode, monkeypatch):
    monkeypatch.setattr(attention, "WORK", 1)
    seen = span(rng, 400, n=2, heads=9, kv_heads=3, head_dim=64, kind=kind, mode=mode)
    one = attend([seen], "packed", threads=1, skip=1e-4)
    for threads in (2, 3, 7):
        np.testing.assert_array_equal(attend([seen], "packed", threads=threads, skip=1e-4), one)


@pytest.mark.parametrize("skip", [1e-6, 1e-3, 0.05, 0.9])
@stores_of
def test_skipping_costs_less_than_its_bound(rng, kind, mode, skip):
    seen = span(rng, 500, n=2, head_dim=64, kind=kind, mode=mode)
    seen.q[:] *= 3  # so that some weights are large and most are small
    exact, skipped = (attend([seen], "packed", skip=s) for s in (0.0, skip))
    bound = 500 * skip * np.abs(seen.values.read(0, 0, 500)).max()
    assert np.abs(exact - skipped).max() <= bound + 1e-6
    if skip >= 0.05:
        assert np.abs(exact - skipped).max() > 0


@pytest.mark.parametrize("start", [1, 4, TILE - 1, TILE, TILE + 9])
@stores_of
def test_spans_may_begin_and_end_within_tiles(rng, kind, mode, start):
    whole = span(rng, 2 * TILE + 30, n=2, kind=kind, mode=mode)
    parts = [
        Span(whole.keys, whole.values, 0, low, high, whole.q, whole.first, whole.last)
        for low, high in ((0, start), (start, start + 1), (start + 1, whole.stop))
    ]
    np.testing.assert_allclose(attend(parts, "packed"), attend([whole], "packed"), atol=2e-6)
    np.testing.assert_allclose(attend(parts, "packed"), definition(parts), atol=3e-6)


@stores_of
def test_compiled_and_plain_kernel_agree(rng, kind, mode, monkeypatch):
    for name in ("attention_keys", "attention_values"):
        if not kernels.status(name).compiled:
            pytest.skip(kernels.status(name).reason)
    seen = span(rng, 9, n=2, heads=2, kv_heads=1, head_dim=6, kind=kind, mode=mode)
    compiled = packed_partial(seen, 1e-3, 2)
    monkeypatch.setattr(
        kernels, "load", lambda name: importlib.import_module(f"pythran_kernels.{name}")
    )
    uncompiled = packed_partial(seen, 1e-3, 2)
    np.testing.assert_allclose(compiled.result(), uncompiled.result(), atol=1e-6)
    np.testing.assert_allclose(compiled.total, uncompiled.total, rtol=1e-5)
