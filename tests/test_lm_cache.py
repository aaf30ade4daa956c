"""Caches: chunks or one by one, full contexts, rings that keep their sinks, what is refused."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.lm.cache import ENDLESS, new_cache
from workbench.lm.config import Config
from workbench.lm.rope import rotate, tables

N = 60  # tokens of a text
OPTIONS = {
    "f32": {},
    "tiled": {"attention": "tiled", "tile": 7},
    "f16": {"store": "f16"},
    "int8": {"store": "int8", "skip": 0.0},
    "ternary": {"store": "ternary", "skip": 0.0},
    "int8 and ternary": {"store": "int8", "value_store": "ternary", "skip": 0.0},
    "ternary and f32": {"store": "ternary", "value_store": "f32"},
    "ternary plain": {"store": "ternary", "mode": "rms", "attention": "plain"},
}
RINGS = {
    "ring": {"sinks": 4, "window": 13},
    "ring absolute": {"sinks": 4, "window": 13, "positions": "absolute"},
    "ring without sinks": {"sinks": 0, "window": 13},
    "ring int8": {"sinks": 3, "window": 8, "store": "int8"},
    "ring ternary": {"sinks": 1, "window": 17, "store": "ternary"},
    "ring of one": {"sinks": 2, "window": 1},
}
RINGS = {name: {"layout": "ring", **options} for name, options in RINGS.items()}


def config(order="halves", head_dim=8, heads=6, kv_heads=2, layers=2, context=N):
    return Config(
        architecture="llama",
        vocab=4,
        width=heads * head_dim,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        ff=4,
        context=context,
        norm_eps=1e-5,
        rope_base=1000.0,
        rope_order=order,
        activation="silu",
        sub_norms=False,
        tied=True,
    )


@pytest.fixture
def text():
    """Queries, keys and values (layers, N, heads, head_dim) of a text."""
    rng = np.random.default_rng(14)
    shapes = [(2, N, heads, 8) for heads in (6, 2, 2)]
    return [2 * rng.normal(size=shape).astype(np.float32) for shape in shapes]


def run(cache, text, chunks):
    """Outputs (layers, tokens, width) of a text that is taken in by chunks."""
    outputs = [[] for _ in text[0]]
    for n in chunks:
        new = slice(cache.length, cache.length + n)
        for layer, (q, k, v) in enumerate(zip(*text, strict=True)):
            outputs[layer].append(cache.attend(layer, q[new], k[new], v[new]))
        cache.advance(n)
    return np.array([np.concatenate(rows) for rows in outputs])


def definition(config, text, kept=lambda i: range(i + 1), place=lambda i, j: j):
    """Token i attends to the tokens kept(i), which stand at the positions place(i, j); float64."""
    output = np.zeros((len(text[0]), N, config.heads, config.head_dim))

    def turn(x, position):
        cos, sin = tables(np.array([position]), config.head_dim, config.rope_base)
        return rotate(x[None], cos, sin, config.rope_order)[0].astype(float)

    for layer, (q, k, v) in enumerate(zip(*text, strict=True)):
        for i in range(N):
            seen = list(kept(i))
            share = config.heads // config.kv_heads
            query = turn(q[i], place(i, i))
            keys = np.array([turn(k[j], place(i, j)) for j in seen]).repeat(share, axis=1)
            scores = np.einsum("hd,jhd->hj", query, keys) / np.sqrt(config.head_dim)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            output[layer, i] = np.einsum("hj,jhd->hd", weights, v[seen].repeat(share, axis=1))
    return output.reshape(len(text[0]), N, -1)


@pytest.mark.parametrize("order", ["halves", "interleaved"])
@pytest.mark.parametrize("attention", ["plain", "tiled"])
def test_definition(text, order, attention):
    cache = new_cache(config(order), attention=attention, tile=9)
    np.testing.assert_allclose(run(cache, text, [N]), definition(config(order), text), atol=5e-6)


@pytest.mark.parametrize("positions", ["cache", "absolute"])
def test_definition_of_a_ring(text, positions):
    sinks, window = 4, 13

    def kept(i):
        return [j for j in range(i + 1) if j < sinks or j > i - window]

    def place(i, j):
        return kept(i).index(j) if positions == "cache" else j

    cache = new_cache(config(), layout="ring", sinks=sinks, window=window, positions=positions)
    expected = definition(config(), text, kept, place)
    np.testing.assert_allclose(run(cache, text, [1] * N), expected, atol=5e-6)


@pytest.mark.parametrize("options", [*OPTIONS.values(), *RINGS.values()], ids=[*OPTIONS, *RINGS])
@pytest.mark.parametrize("chunks", [[N], [1, 20, 1, 38], [7] * 8 + [4]], ids=str)
def test_chunks_are_the_same_as_one_by_one(text, options, chunks):
    one_by_one = run(new_cache(config(), **options), text, [1] * N)
    cache = new_cache(config(), **options)
    np.testing.assert_allclose(run(cache, text, chunks), one_by_one, atol=1e-5)
    assert cache.length == N


@pytest.mark.parametrize("ring", RINGS.values(), ids=RINGS)
def test_a_ring_is_full_attention_until_it_is_full(text, ring):
    plain = {key: ring[key] for key in ("store",) if key in ring}
    cache = new_cache(config(), **ring)
    n = cache.keys.slots
    full = run(new_cache(config(), **plain), text, [n])
    np.testing.assert_array_equal(run(cache, text, [n]), full)


@pytest.mark.parametrize("chunks", [[1] * N, [N], [25, 35]], ids=["one by one", "all", "two"])
def test_sinks_stay_in_the_ring(text, chunks):
    cache = new_cache(config(), layout="ring", sinks=4, window=9)
    run(cache, text, chunks)
    for layer, (_, k, v) in enumerate(zip(*text, strict=True)):
        turned = rotate(k, *tables(np.arange(N), 8, 1000.0), "halves").transpose(1, 0, 2)
        stored = cache.keys.read(layer, 0, 13)
        np.testing.assert_allclose(stored[:, :4], turned[:, :4], atol=1e-5)  # token 0 among them
        np.testing.assert_array_equal(cache.values.read(layer, 0, 1)[:, 0], v[0])
        recent = {stored[0, slot].tobytes() for slot in range(4, 13)}
        assert recent == {turned[0, position].tobytes() for position in range(N - 9, N)}


def test_a_ring_keeps_its_size_and_has_no_end(text):
    cache = new_cache(config(context=20), layout="ring")
    assert (cache.sinks, cache.window, cache.positions) == (4, 16, "cache")
    before = cache.nbytes
    run(cache, text, [N])
    assert cache.nbytes == before == 20 * cache.bytes_per_token
    assert cache.context == ENDLESS


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_bytes(options):
    kept = new_cache(config(context=256), **options)
    assert kept.nbytes == 256 * kept.bytes_per_token
    per_number = {"f32": 4, "f16": 2, "int8": 1, "ternary": 0.25}
    store = options.get("store", "f32")
    vectors = [
        8 * per_number[kind] + (4 if kind in ("int8", "ternary") else 0)
        for kind in (store, options.get("value_store", store))
    ]
    assert kept.bytes_per_token == 2 * 2 * sum(vectors)


def test_a_ring_may_be_told_its_size_twice():
    assert new_cache(config(), 13, layout="ring", sinks=4, window=9).keys.slots == 13


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("which", ["keys", "values"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_numbers_that_are_not_finite_are_refused_and_not_stored(text, options, which, value):
    cache = new_cache(config(), **options)
    q, k, v = (part[0, :3].copy() for part in text)
    {"keys": k, "values": v}[which][1, 1, 3] = value
    before = [each.read(0, 0, N) for each in (cache.keys, cache.values)]
    with (
        np.errstate(all="ignore"),
        pytest.raises(WorkbenchError, match="the keys or values of layer 0 outgrow float32"),
    ):
        cache.attend(0, q, k, v)
    after = [each.read(0, 0, N) for each in (cache.keys, cache.values)]
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("ring", RINGS.values(), ids=RINGS)
@pytest.mark.parametrize("tokens", [1, 5, 30])
def test_a_ring_takes_back_what_it_stored(text, ring, tokens):
    cache = new_cache(config(), **ring)
    run(cache, text, [25])
    slots = cache.keys.slots
    before = [each.read(layer, 0, slots) for each in (cache.keys, cache.values) for layer in (0, 1)]
    for layer, (q, k, v) in enumerate(zip(*text, strict=True)):
        cache.attend(layer, q[25 : 25 + tokens], k[25 : 25 + tokens], v[25 : 25 + tokens])
    cache.undo()
    after = [each.read(layer, 0, slots) for each in (cache.keys, cache.values) for layer in (0, 1)]
    np.testing.assert_array_equal(after, before)
    assert cache.length == 25


def test_a_full_context_is_refused_and_nothing_is_stored(text):
    cache = new_cache(config(), context=10)
    run(cache, text, [8])
    before = cache.keys.data.copy()
    q, k, v = (part[0, 8:11] for part in text)
    with pytest.raises(
        WorkbenchError, match="context of 10 tokens is full: 8 are in it and 3 more"
    ):
        cache.attend(0, q, k, v)
    np.testing.assert_array_equal(cache.keys.data, before)
    assert cache.length == 8
    cache.attend(0, q[:2], k[:2], v[:2])


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("length", [0, 1, 30])
def test_truncation_goes_back(text, options, length):
    cache = new_cache(config(), **options)
    straight = run(cache, text, [N])
    cache.truncate(length)
    again = run(cache, text, [N - length])
    np.testing.assert_allclose(again, straight[:, length:], atol=5e-6)


def test_a_ring_goes_back_while_it_has_forgotten_nothing(text):
    cache = new_cache(config(), layout="ring", sinks=2, window=18)
    first = run(cache, text, [20])
    cache.truncate(5)
    np.testing.assert_allclose(run(cache, text, [15]), first[:, 5:], atol=1e-6)
    run(cache, text, [1])
    with pytest.raises(WorkbenchError, match="length=20 is not allowed: a ring that has forgotten"):
        cache.truncate(20)
    cache.truncate(21)
    assert cache.length == 21
    cache.truncate(0)
    np.testing.assert_allclose(run(cache, text, [20]), first, atol=1e-6)


@pytest.mark.parametrize("options", [{}, RINGS["ring"]], ids=["contiguous", "ring"])
@pytest.mark.parametrize("length", [-1, 6])
def test_truncation_refuses_what_was_not_seen(text, options, length):
    cache = new_cache(config(), **options)
    run(cache, text, [5])
    with pytest.raises(WorkbenchError, match=f"length={length} is not allowed: .* 0 to 5"):
        cache.truncate(length)


def test_one_layer_one_head_one_token():
    cache = new_cache(config(head_dim=2, heads=1, kv_heads=1, layers=1, context=1), store="ternary")
    ones = np.ones((1, 1, 2), np.float32)
    np.testing.assert_allclose(cache.attend(0, ones, ones, 2 * ones), [[2, 2]])


REFUSED = {
    "store": ({"store": "f8"}, "store='f8' is not allowed: it is one of f32"),
    "values": ({"value_store": "f8"}, "value_store='f8' is not allowed: it is one of f32"),
    "mode": ({"mode": "rms"}, "mode='rms' is not allowed with store='f32'"),
    "layout": ({"layout": "paged"}, "layout='paged' is not allowed: it is one of contiguous, ring"),
    "sinks": ({"sinks": 4}, "sinks=4 is not allowed with layout='contiguous'"),
    "window": ({"layout": "ring", "window": 0}, "window=0 is not allowed: .* from 1 up"),
    "whole": ({"layout": "ring", "sinks": 1.5}, "sinks=1.5 is not allowed: .* from 0 up"),
    "positions": ({"layout": "ring", "positions": "x"}, "positions='x' is not allowed"),
    "both sizes": (
        {"layout": "ring", "context": 8, "sinks": 4, "window": 100},
        "context=8 is not allowed with sinks=4 and window=100: .* keeps 104 tokens",
    ),
    "attention": ({"attention": "flash"}, "attention='flash' is not allowed: .* plain, tiled"),
    "packed": ({"attention": "packed"}, "attention='packed' is not allowed with store='f32'"),
    "skip": ({"skip": 0.1}, "skip=0.1 is not allowed with attention='plain'"),
    "share": ({"store": "int8", "skip": 1.0}, "skip=1.0 is not allowed"),
    "context": ({"context": 0}, "context=0 is not allowed"),
    "memory": ({"context": 2**30}, "a cache of 1073741824 tokens would take 262144 MB"),
    "threads": ({"threads": 0}, "threads=0 is not allowed"),
    "tile": ({"tile": True}, "tile=True is not allowed"),
}


@pytest.mark.parametrize(("options", "match"), REFUSED.values(), ids=REFUSED)
def test_refusals(options, match):
    with pytest.raises(WorkbenchError, match=match):
        new_cache(config(), **options)
