"""Stores of keys and values: what they lose, what they weigh, odd sizes."""

import numpy as np
import pytest

from workbench import ternary
from workbench.errors import WorkbenchError
from workbench.lm.stores import TILE, CodeStore, new_stores

KINDS = [("f32", None), ("f16", None), ("int8", None)]
KINDS += [("ternary", mode) for mode in ("fixed", "none", "rms", "optimal")]
IDS = [mode or kind for kind, mode in KINDS]
kinds = pytest.mark.parametrize(("kind", "mode"), KINDS, ids=IDS)


@pytest.fixture
def rng():
    return np.random.default_rng(12)


def vectors(rng, n, heads=2, head_dim=10):
    return rng.normal(size=(n, heads, head_dim)).astype(np.float32)


def rounded(x, kind, mode):
    """What seed 001 and the formulas say of vectors, one at a time."""
    if kind == "f32":
        return x
    if kind == "f16":
        return x.astype(np.float16).astype(np.float32)
    m = np.abs(x).max(axis=-1, keepdims=True)
    r = np.sqrt(np.square(x).mean(axis=-1, keepdims=True))
    if kind == "int8":
        return np.rint(x / (m / 127)) * (m / 127)
    if mode == "optimal":
        best = ternary.quantize(x.reshape(-1, x.shape[-1]), "optimal")
        return best.dequantize().reshape(x.shape)
    threshold, scale = {"fixed": (0.3 * m, m), "none": (0, m), "rms": (0.5 * r, 1.5 * r)}[mode]
    return np.sign(x) * (np.abs(x) > threshold) * scale


@kinds
@pytest.mark.parametrize("head_dim", [2, 10, 64])
@pytest.mark.parametrize("slots", [1, 7, TILE, TILE + 3])
def test_gives_back_the_rounded_vectors(rng, kind, mode, head_dim, slots):
    x = vectors(rng, slots, head_dim=head_dim)
    expected = rounded(x, kind, mode).transpose(1, 0, 2)
    for store in new_stores(3, 2, slots, head_dim, kind, mode):
        store.write(1, 0, x)
        np.testing.assert_allclose(store.read(1, 0, slots), expected, rtol=1e-5, atol=1e-6)
        assert store.read(1, 0, slots).dtype == np.float32


@kinds
def test_one_by_one_is_all_at_once_and_disturbs_no_neighbour(rng, kind, mode):
    x = vectors(rng, 2 * TILE)
    for one, all_at_once in zip(
        *[new_stores(1, 2, 2 * TILE, 10, kind, mode) for _ in "ab"], strict=True
    ):
        all_at_once.write(0, 0, x)
        for slot in rng.permutation(2 * TILE):
            one.write(0, int(slot), vectors(rng, 1))  # overwritten
            one.write(0, int(slot), x[slot : slot + 1])
        whole = one.read(0, 0, 2 * TILE)
        np.testing.assert_array_equal(whole, all_at_once.read(0, 0, 2 * TILE))
        np.testing.assert_array_equal(whole[:, 5:9], one.read(0, 5, 9))


@kinds
def test_what_is_saved_comes_back(rng, kind, mode):
    for store in new_stores(1, 2, TILE + 9, 10, kind, mode):
        store.write(0, 0, vectors(rng, TILE + 9))
        before = store.read(0, 0, TILE + 9).copy()
        saved = store.saved(0, 5, TILE + 3)
        store.write(0, 5, vectors(rng, TILE - 2))
        assert not np.array_equal(store.read(0, 0, TILE + 9), before)
        store.restore(0, 5, *saved)
        np.testing.assert_array_equal(store.read(0, 0, TILE + 9), before)


@kinds
@pytest.mark.parametrize("head_dim", [6, 64])
def test_bytes_are_those_of_the_arrays(kind, mode, head_dim):
    filled = -(-head_dim // 8) * 8
    vector = {
        "f32": 4 * head_dim,
        "f16": 2 * head_dim,
        "int8": filled + 4,
        "ternary": filled / 4 + 4,
    }
    for store in new_stores(3, 2, 2 * TILE, head_dim, kind, mode):
        arrays = [value for value in vars(store).values() if isinstance(value, np.ndarray)]
        assert store.nbytes == sum(array.nbytes for array in arrays)
        assert store.bytes_per_token == 3 * 2 * vector[kind]
        assert store.nbytes == 2 * TILE * store.bytes_per_token  # whole tiles: nothing is filled up


@kinds
def test_zero_vectors_stay_zero(kind, mode):
    for store in new_stores(1, 2, 3, 10, kind, mode):
        store.write(0, 0, np.zeros((3, 2, 10), np.float32))
        np.testing.assert_array_equal(store.read(0, 0, 3), 0)


def test_transposed_input(rng):
    x = rng.normal(size=(10, 2, 4)).astype(np.float32).T  # (4, 2, 10)
    for kind, mode in KINDS:
        keys, _ = new_stores(1, 2, 4, 10, kind, mode)
        keys.write(0, 0, x)
        np.testing.assert_allclose(
            keys.read(0, 0, 4),
            rounded(np.ascontiguousarray(x), kind, mode).transpose(1, 0, 2),
            atol=1e-6,
        )


def test_half_saturates():
    keys, _ = new_stores(1, 1, 1, 2, "f16")
    keys.write(0, 0, np.array([[[1e6, -1e6]]], np.float32))
    np.testing.assert_array_equal(keys.read(0, 0, 1), [[[65504, -65504]]])


def test_optimal_has_the_least_error(rng):
    x = vectors(rng, 50, head_dim=64)
    errors = {}
    for mode in ("fixed", "none", "rms", "optimal"):
        store = CodeStore(1, 2, 50, 64, "values", mode)
        store.write(0, 0, x)
        errors[mode] = np.square(store.read(0, 0, 50) - x.transpose(1, 0, 2)).sum()
    assert min(errors, key=errors.get) == "optimal"
    assert errors["rms"] < errors["fixed"] < errors["none"]


@pytest.mark.parametrize(
    ("kind", "mode", "match"),
    [
        ("f64", None, "store='f64' is not allowed: it is one of f32, f16, int8, ternary"),
        ("int8", "rms", "mode='rms' is not allowed with store='int8'"),
        ("ternary", "best", "mode='best' is not allowed with store='ternary'"),
    ],
    ids=["kind", "mode of int8", "mode"],
)
def test_refusals(kind, mode, match):
    with pytest.raises(WorkbenchError, match=match):
        new_stores(1, 1, 1, 2, kind, mode)
