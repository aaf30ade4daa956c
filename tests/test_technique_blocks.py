"""Techniques that are block formats of GGUF: the same bytes as gguf-py, whatever the width."""

import gguf
import numpy as np
import pytest

import workbench as wb
from workbench.formats.blocks import BLOCKS
from workbench.ternary import quantize

FORMATS = ["q4_0", "q4_1", "q8_0", "tq1_0", "tq2_0", "q2_0"]
TERNARY = ["tq1_0", "tq2_0", "q2_0"]
BITS = {"q4_0": 4.5, "q4_1": 5, "q8_0": 8.5, "tq1_0": 1.6875, "tq2_0": 2.0625, "q2_0": 2.25}


@pytest.fixture
def weights():
    return np.random.default_rng(0).standard_normal((5, 512), np.float32)


@pytest.mark.parametrize("name", ["q4_0", "q4_1", "q8_0", "tq1_0", "tq2_0"])
def test_bytes_and_values_are_those_of_gguf_py(weights, name):
    parameters = {"rounding": "amax"} if name in TERNARY else {}
    encoded = wb.technique(name, **parameters).encode(weights)
    kind = gguf.GGMLQuantizationType[name.upper()]
    np.testing.assert_array_equal(encoded.arrays["blocks"], gguf.quants.quantize(weights, kind))
    expected = gguf.quants.dequantize(encoded.arrays["blocks"], kind)
    np.testing.assert_array_equal(encoded.decode(), expected)


@pytest.mark.parametrize("name", FORMATS)
def test_bits_a_weight_and_padding(weights, name):
    block = BLOCKS[name.upper()]
    assert 8 * block.bytes / block.elements == BITS[name]
    whole = wb.technique(name).encode(weights)
    assert whole.arrays["blocks"].nbytes * 8 == weights.size * BITS[name]
    narrow = wb.technique(name).encode(weights[:, :257])
    assert narrow.arrays["blocks"].shape == (5, -(-257 // block.elements) * block.bytes)
    assert narrow.decode().shape == (5, 257)


@pytest.mark.parametrize("name", FORMATS)
def test_full_blocks_do_not_see_the_padding(weights, name):
    full = 512 - BLOCKS[name.upper()].elements
    wide = wb.technique(name).encode(weights[:, : full + 3]).decode()
    np.testing.assert_array_equal(
        wide[:, :full], wb.technique(name).encode(weights).decode()[:, :full]
    )


@pytest.mark.parametrize("name", FORMATS)
def test_codes_and_scales_make_the_weights(weights, name):
    encoded = wb.technique(name).encode(weights[:, :300])
    size = BLOCKS[name.upper()].elements
    for at in range(0, 300, size):
        codes = encoded.codes()[:, at : at + size].astype(np.float64)
        values = encoded.decode()[:, at : at + size]
        for row in range(5):  # the weights of a block are a straight line over its codes
            slope = np.polynomial.polynomial.polyfit(codes[row], values[row], 1)
            fitted = np.polynomial.polynomial.polyval(codes[row], slope)
            np.testing.assert_allclose(fitted, values[row], atol=1e-5)


@pytest.mark.parametrize("name", TERNARY)
def test_optimal_rounding_is_quantize_by_blocks(weights, name):
    encoded = wb.technique(name).encode(weights[:, :300])
    trits = quantize(weights[:, :300], "optimal", group=BLOCKS[name.upper()].elements)
    np.testing.assert_array_equal(encoded.codes(), trits.codes)
    np.testing.assert_allclose(encoded.decode(), trits.dequantize(), rtol=2**-11)


@pytest.mark.parametrize("name", TERNARY)
def test_roundings_agree_on_what_is_ternary(name):
    weights = np.random.default_rng(1).choice([-0.25, 0, 0.25], (4, 300))
    for rounding in ("optimal", "amax"):
        decoded = wb.technique(name, rounding=rounding).encode(weights).decode()
        np.testing.assert_array_equal(decoded, weights)


@pytest.mark.parametrize("name", TERNARY)
def test_optimal_beats_the_rule_of_llama_cpp(weights, name):
    errors = {
        rounding: np.square(
            wb.technique(name, rounding=rounding).encode(weights).decode() - weights
        ).sum()
        for rounding in ("optimal", "absmean", "amax")
    }
    assert errors["optimal"] < errors["absmean"] < errors["amax"]
