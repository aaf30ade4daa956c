"""Uniform rounding and the packing of its codes."""

import numpy as np
import pytest

import pythran_kernels.bits as plain_bits
import pythran_kernels.uniform as plain_uniform
import workbench as wb
from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.techniques._arrays import pack_bits, packed_bytes, unpack_bits
from workbench.techniques._uniform import SHRINKS

BITS = range(2, 9)
SHARING = [{}, {"scale": "tensor"}, {"group": 24}]


@pytest.fixture
def weights():
    return np.random.default_rng(0).standard_normal((11, 100), np.float32)


def error(recipe, weights):
    return float(((recipe.encode(weights).decode() - weights) ** 2).sum())


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [*range(1, 18), 1000])
def test_codes_lie_end_to_end(bits, count):
    codes = np.random.default_rng(count).integers(0, 2**bits, (1, count), np.uint8)
    packed = pack_bits(codes, bits)
    assert packed.size == packed_bytes(count, bits) == -(-count * bits // 8)
    stream = np.unpackbits(codes.reshape(-1, 1), axis=1, bitorder="little")[:, :bits]
    np.testing.assert_array_equal(packed, np.packbits(stream, bitorder="little"))
    np.testing.assert_array_equal(unpack_bits(packed, bits, codes.shape), codes)


@pytest.mark.parametrize("sharing", SHARING, ids=str)
@pytest.mark.parametrize("levels", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("bits", BITS)
def test_error_is_at_most_half_a_step(weights, bits, levels, sharing):
    recipe = wb.technique("uniform", bits=bits, levels=levels, clip="max", **sharing)
    encoded = recipe.encode(weights)
    group = sharing.get("group", weights.shape[1])
    step = np.repeat(encoded.arrays["step"], group, axis=1)[:, : weights.shape[1]]
    assert (np.abs(encoded.decode() - weights) <= step * 0.5001).all()


@pytest.mark.parametrize("levels", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("bits", BITS)
def test_all_levels_are_used_and_no_more(bits, levels):
    weights = np.linspace(-1, 1, 4096)[None]
    encoded = wb.technique("uniform", bits=bits, levels=levels, clip="max").encode(weights)
    assert np.unique(encoded.codes()).size == 2**bits - (levels == "symmetric")


@pytest.mark.parametrize("bits", BITS)
def test_what_was_decoded_is_a_fixed_point(weights, bits):
    recipe = wb.technique("uniform", bits=bits, clip="max")
    once = recipe.encode(weights).decode()
    np.testing.assert_allclose(recipe.encode(once).decode(), once, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("levels", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("bits", BITS)
def test_a_searched_range_is_never_worse(bits, levels):
    weights = np.random.default_rng(1).standard_t(3, (20, 300)).astype(np.float32)
    parameters = {"bits": bits, "levels": levels}
    covering = error(wb.technique("uniform", clip="max", **parameters), weights)
    searched = error(wb.technique("uniform", clip="mse", **parameters), weights)
    assert searched <= covering * 1.0001
    if bits < 5:
        assert searched < covering * 0.9


def test_zero_is_a_symmetric_level(weights):
    weights[:, ::3] = 0
    decoded = wb.technique("uniform", bits=3).encode(weights).decode()
    np.testing.assert_array_equal(decoded[:, ::3], 0)


def test_a_constant_asymmetric_row_is_exact():
    weights = np.full((2, 9), 0.3, np.float32)
    recipe = wb.technique("uniform", levels="asymmetric", clip="max")
    np.testing.assert_array_equal(recipe.encode(weights).decode(), weights)


def test_the_largest_floats_stay_finite():
    weights = np.array([[1.7e38, -1.7e38, 0, 1e38]])
    for levels in ("symmetric", "asymmetric"):
        recipe = wb.technique("uniform", bits=8, levels=levels)
        np.testing.assert_allclose(recipe.encode(weights).decode(), weights, atol=2e36)
        with pytest.raises(WorkbenchError, match=r"weights span 6.8e\+38, more than float32 can"):
            recipe.encode(2 * weights)


def test_float16_steps_must_fit(weights):
    with pytest.raises(WorkbenchError, match="does not fit float16"):
        wb.technique("uniform", scale_type="float16").encode(weights * 1e7)


@pytest.mark.parametrize("cols", [*range(1, 18), 100])
@pytest.mark.parametrize("symmetric", [False, True], ids=["asymmetric", "symmetric"])
def test_compiled_kernels_are_the_plain_ones(cols, symmetric):
    w = np.random.default_rng(cols).standard_normal((3, cols), np.float32)
    lengths = np.array([cols, max(cols - 1, 1), 1])
    results = []
    for module in (kernels.load("uniform"), plain_uniform):
        low, high = np.empty(3, np.float32), np.empty(3, np.float32)
        module.find_range(w, lengths, symmetric, low, high)
        found = low.copy(), high.copy()
        module.shrink_range(w, lengths, 7, SHRINKS[:9], low, high)
        codes = np.empty(w.shape, np.uint8)
        module.round_lines(w, 7, low, (high - low) / np.float32(6), codes)
        results.append((*found, low, high, codes))
    for ours, oracle in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, oracle)
    for r, length in enumerate(lengths):
        line = w[r, :length]
        bound = np.abs(line).max()
        expected = (-bound, bound) if symmetric else (line.min(), line.max())
        assert (results[0][0][r], results[0][1][r]) == expected


@pytest.mark.parametrize("bits", range(1, 9))
def test_compiled_packing_is_the_plain_one(bits):
    codes = np.random.default_rng(bits).integers(0, 2**bits, (5, 8), np.uint8)
    results = []
    for module in (kernels.load("bits"), plain_bits):
        packed, back = np.empty((5, bits), np.uint8), np.empty((5, 8), np.uint8)
        module.pack(codes, packed)
        module.unpack(packed, back)
        np.testing.assert_array_equal(back, codes)
        results.append(packed)
    np.testing.assert_array_equal(*results)
