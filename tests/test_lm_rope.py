"""Rotary positions: both orders, distances alone, lengths kept."""

import numpy as np
import pytest

from workbench.lm.rope import rotate, tables

ORDERS = ["interleaved", "halves"]


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def turned(x, positions, order, base=10000.0, factors=None):
    return rotate(x, *tables(positions, x.shape[-1], base, factors), order)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("position", [0, 1, 7, 100_000])
def test_is_multiplication_by_a_complex_number(rng, order, position):
    x = rng.normal(size=(1, 2, 6)).astype(np.float32)
    pairs = (
        x.reshape(1, 2, 3, 2) if order == "interleaved" else x.reshape(1, 2, 2, 3).swapaxes(2, 3)
    )
    angles = position * 500.0 ** (-np.arange(0, 6, 2) / 6)
    expected = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(1j * angles)
    got = turned(x, np.array([position]), order, base=500.0)
    got = (
        got.reshape(1, 2, 3, 2)
        if order == "interleaved"
        else got.reshape(1, 2, 2, 3).swapaxes(2, 3)
    )
    np.testing.assert_allclose(got[..., 0] + 1j * got[..., 1], expected, atol=1e-6)


@pytest.mark.parametrize("order", ORDERS)
def test_products_depend_on_distance_alone(rng, order):
    q, k = rng.normal(size=(2, 1, 1, 64)).astype(np.float32)
    products = [
        (turned(q, np.array([p + 5]), order) * turned(k, np.array([p]), order)).sum()
        for p in (0, 3, 900, 50_000)
    ]
    np.testing.assert_allclose(products, products[0], atol=2e-5)


@pytest.mark.parametrize("order", ORDERS)
def test_takes_any_strides_and_leaves_its_input_alone(rng, order):
    x = rng.normal(size=(8, 3, 5)).astype(np.float32).transpose(2, 1, 0)  # (5, 3, 8)
    before = x.copy()
    got = turned(x, np.arange(5), order)
    np.testing.assert_array_equal(got, turned(np.ascontiguousarray(x), np.arange(5), order))
    np.testing.assert_array_equal(x, before)
    assert got.flags.c_contiguous
    assert got.dtype == np.float32


def test_factors_divide_angles():
    plain = tables(np.array([6]), 8)
    stretched = tables(np.array([12]), 8, factors=(2, 2, 2, 2))
    np.testing.assert_array_equal(plain, stretched)
    cos, _ = tables(np.array([6]), 8, factors=(1, 2, 4, 8))
    np.testing.assert_allclose(cos[0], np.cos(6 * 10000.0 ** (-np.arange(4) / 4) / [1, 2, 4, 8]))
