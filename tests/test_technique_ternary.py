"""What is special to the techniques that store trits."""

import numpy as np
import pytest

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.ternary import quantize

TERNARY = ["planar-ternary", "base3-ternary", "entropy-ternary"]
ROUNDINGS = [
    {"rounding": "optimal"},
    {"rounding": "absmax"},
    {"refit": True},
    {"rounding": "rms", "refit": True, "group": 32},
    {"rounding": "absmean"},
    {"rounding": "optimal", "scale": "tensor"},
    {"rounding": "optimal", "scale_type": "float16"},
    {"rounding": "absmax", "threshold": 1},
]
every_one = pytest.mark.parametrize("name", TERNARY)


@every_one
@pytest.mark.parametrize("parameters", ROUNDINGS, ids=str)
def test_exact_on_ternary_is_true(name, parameters):
    rng = np.random.default_rng(0)
    trits = rng.choice([-1, 0, 1], (6, 100), p=[0.3, 0.2, 0.5])
    weights = (trits * rng.uniform(0.01, 2, (6, 1))).astype(np.float32)
    recipe = wb.technique(name, **parameters)
    same = np.array_equal(recipe.encode(weights).decode(), weights)
    assert same == recipe.exact_on_ternary


@every_one
@pytest.mark.parametrize("group", [None, 32], ids=str)
def test_decodes_to_what_quantize_says(name, group):
    weights = np.random.default_rng(1).standard_normal((9, 70), np.float32)
    encoded = wb.technique(name, rounding="rms", group=group).encode(weights)
    trits = quantize(weights, "rms", group=group)
    np.testing.assert_array_equal(encoded.codes(), trits.codes)
    np.testing.assert_array_equal(encoded.decode(), trits.dequantize())


@pytest.mark.parametrize(("name", "bits"), [("planar-ternary", 2), ("base3-ternary", 1.6)])
def test_bits_a_weight(name, bits):
    encoded = wb.technique(name).encode(np.ones((400, 500)))
    assert encoded.arrays["trits"].nbytes * 8 == bits * 200_000
    assert bits < encoded.bits_per_weight < bits + 0.1


@pytest.mark.parametrize("name", ["planar-ternary", "base3-ternary"])
def test_worst_integers_are_exact(name):
    weights = np.where(np.arange(40_000) % 2, 1.0, -1.0)[None]
    encoded = wb.technique(name, rounding="optimal").encode(weights)
    for x in (np.where(weights[0] > 0, 127, -128), np.where(weights[0] > 0, -128, 127)):
        np.testing.assert_array_equal(encoded.matmul(x.astype(np.int8)), weights @ x)


@pytest.mark.parametrize("name", ["planar-ternary", "base3-ternary"])
def test_damaged_trits_are_refused(name):
    encoded = wb.technique(name).encode(np.ones((5, 8)))
    encoded.arrays["trits"][0, 3] = 255 if name == "planar-ternary" else 1
    with pytest.raises(WorkbenchError, match="they were not written by pack"):
        encoded.decode()


@every_one
def test_float16_scales_take_half_and_must_fit(name):
    weights = np.random.default_rng(2).standard_normal((50, 640))
    wide = wb.technique(name, group=32).encode(weights)
    narrow = wb.technique(name, group=32, scale_type="float16").encode(weights)
    assert wide.nbytes - narrow.nbytes == pytest.approx(50 * 20 * 2, abs=8)
    with pytest.raises(WorkbenchError, match=r"does not fit float16 .* choose a wider type"):
        narrow.technique.encode(weights * 1e6)
