"""Ternary rounding: against definitions written out in NumPy, and against every other choice."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import pythran_kernels.rounding as plain
from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.ternary import quantize

RULES = ["absmean", "absmax", "rms", "optimal"]
SHARING = [{}, {"scale": "tensor"}, {"group": 5}, {"group": 64}, {"group": 1}]
every_rule = pytest.mark.parametrize("rounding", RULES)
every_sharing = pytest.mark.parametrize("sharing", SHARING, ids=str)


@pytest.fixture
def weights():
    return np.random.default_rng(0).standard_normal((7, 83), np.float32)


def parts(weights, scale="row", group=None):
    """The pieces of a matrix that share a scale, in the order of the scales."""
    if scale == "tensor":
        return [weights.ravel()]
    group = group or weights.shape[1]
    return [row[at : at + group] for row in weights for at in range(0, weights.shape[1], group)]


def by_definition(w, rounding):
    """Threshold and scale of one piece, in float64."""
    w = np.abs(w.astype(np.float64))
    if rounding == "absmean":
        mean = max(w.mean(), 1e-5)
        return 0.5 * mean, mean
    if rounding == "absmax":
        return 0.3 * w.max(), w.max()
    rms = np.sqrt((w**2).mean())
    return 0.5 * rms, 1.5 * rms


def squared_error(w, codes, scale):
    return float(((w.astype(np.float64) - codes * np.float64(scale)) ** 2).sum())


def least_error(w):
    """Of every threshold there is, with the best scale for each, the least squared error."""
    magnitudes = np.abs(w.astype(np.float64))
    errors = [(magnitudes**2).sum()]
    for threshold in np.unique(magnitudes):
        kept = magnitudes >= threshold
        errors.append(squared_error(magnitudes, kept, magnitudes[kept].mean()))
    return min(errors)


@every_sharing
@pytest.mark.parametrize("rounding", ["absmean", "absmax", "rms"])
def test_rules_are_their_definitions(weights, rounding, sharing):
    trits = quantize(weights, rounding, **sharing)
    pieces = zip(
        parts(weights, **sharing), parts(trits.codes, **sharing), trits.scales.ravel(), strict=True
    )
    for w, codes, scale in pieces:
        threshold, expected = by_definition(w, rounding)
        np.testing.assert_allclose(scale, expected, rtol=1e-6)
        clear = np.abs(np.abs(w) - threshold) > 1e-6
        np.testing.assert_array_equal(codes[clear], (np.sign(w) * (np.abs(w) > threshold))[clear])


def test_absmean_is_bitnet_to_the_bit(weights):
    trits = quantize(weights, scale="tensor")
    mean = np.maximum(np.abs(weights).mean(dtype=np.float64).astype(np.float32), np.float32(1e-5))
    expected = np.clip(np.rint(weights * (np.float32(1) / mean)), -1, 1)
    np.testing.assert_array_equal(trits.codes, expected)
    assert trits.scales.item() == mean


def test_absmean_rounds_halves_to_even():
    more = 2.0**-23  # the next float32 at one
    weights = np.array([[0.5, -0.5 - more, 1.5 - more, -1.5]])  # whose mean magnitude is 1
    np.testing.assert_array_equal(quantize(weights).codes, [[0, -1, 1, -1]])


def test_absmean_clamps_its_scale():
    trits = quantize(np.full((2, 3), 1e-7))
    np.testing.assert_array_equal(trits.codes, 0)
    np.testing.assert_array_equal(trits.scales, np.float32(1e-5))


@every_sharing
def test_optimal_has_the_least_error_there_is(weights, sharing):
    trits = quantize(weights, "optimal", **sharing)
    pieces = zip(
        parts(weights, **sharing), parts(trits.codes, **sharing), trits.scales.ravel(), strict=True
    )
    for w, codes, scale in pieces:
        assert squared_error(w, codes, scale) <= least_error(w) * (1 + 1e-6) + 1e-12


def test_optimal_beats_every_assignment_of_a_few_weights():
    w = np.random.default_rng(1).standard_normal(7).astype(np.float32)
    best = min(
        squared_error(w, np.array(q), (w @ q) / np.abs(q).sum() if any(q) else 0)
        for q in itertools.product((-1, 0, 1), repeat=7)
    )
    trits = quantize(w[None], "optimal")
    assert squared_error(w, trits.codes[0], trits.scales.item()) == pytest.approx(best, rel=1e-6)


@every_sharing
@pytest.mark.parametrize("refit", [False, True], ids=["rule", "refit"])
@pytest.mark.parametrize("threshold", [None, 0, 0.2, 0.9], ids=str)
@pytest.mark.parametrize("rounding", ["absmean", "absmax", "rms"])
@settings(max_examples=10, deadline=None)
@given(
    w=arrays(
        np.float32, (3, 13), elements=st.floats(-(2**9), 2**9, width=32, allow_subnormal=False)
    )
)
def test_nothing_beats_optimal(w, rounding, threshold, refit, sharing):
    other = quantize(w, rounding, threshold=threshold, refit=refit, **sharing)
    optimal = quantize(w, "optimal", **sharing)
    allowed = squared_error(w, other.dequantize(), 1) * (1 + 1e-5) + 1e-12
    assert squared_error(w, optimal.dequantize(), 1) <= allowed


@every_sharing
@pytest.mark.parametrize("rounding", ["absmean", "absmax", "rms"])
def test_refit_is_the_best_scale_for_its_trits(weights, rounding, sharing):
    rule = quantize(weights, rounding, **sharing)
    refit = quantize(weights, rounding, refit=True, **sharing)
    np.testing.assert_array_equal(refit.codes, rule.codes)
    pieces = zip(
        parts(weights, **sharing), parts(refit.codes, **sharing), refit.scales.ravel(), strict=True
    )
    for w, codes, scale in pieces:
        if codes.any():
            best = (w.astype(np.float64) @ codes) / np.abs(codes).sum()
            np.testing.assert_allclose(scale, best, rtol=1e-6)


@pytest.mark.parametrize("rounding", ["absmean", "absmax", "rms"])
def test_threshold_replaces_the_default(weights, rounding):
    default = {"absmean": 0.5, "absmax": 0.3, "rms": 0.5}[rounding]
    same = quantize(weights, rounding, threshold=default)
    np.testing.assert_array_equal(same.codes, quantize(weights, rounding).codes)
    everything = quantize(weights, rounding, threshold=0)
    np.testing.assert_array_equal(everything.codes, np.sign(weights))
    nothing = quantize(weights, rounding, threshold=1e6, refit=True)
    np.testing.assert_array_equal(nothing.dequantize(), 0)


@every_rule
@every_sharing
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 5), (3, 130)], ids=str)
def test_shapes(rounding, sharing, shape):
    weights = np.random.default_rng(2).standard_normal(shape)
    trits = quantize(weights, rounding, **sharing)
    assert trits.codes.shape == shape
    assert trits.codes.dtype == np.int8
    assert trits.scales.dtype == np.float32
    groups = -(-shape[1] // sharing.get("group", shape[1]))
    assert trits.scales.shape == ((1, 1) if "scale" in sharing else (shape[0], groups))
    assert trits.dequantize().shape == shape
    assert trits.dequantize().dtype == np.float32


@every_rule
@every_sharing
def test_a_group_of_zeros_stays_zero(weights, rounding, sharing):
    weights[1] = 0
    trits = quantize(weights, rounding, **sharing)
    np.testing.assert_array_equal(trits.codes[1], 0)
    assert np.isfinite(trits.scales).all()
    np.testing.assert_array_equal(quantize(np.zeros((2, 9)), rounding, **sharing).dequantize(), 0)


@every_rule
@pytest.mark.parametrize("size", [1e-42, 1e-30, 1e30, 3e38], ids=str)
def test_extreme_magnitudes_stay_finite(rounding, size):
    signs = np.random.default_rng(4).choice([-1.0, 0.0, 1.0], (3, 40))
    trits = quantize((signs * size).astype(np.float32), rounding)
    assert np.isfinite(trits.dequantize()).all()
    if rounding != "absmean" or size > 1e-5:
        np.testing.assert_array_equal(trits.codes, signs)


@every_rule
def test_short_last_group_counts_only_its_own_weights(weights, rounding):
    whole = quantize(weights, rounding, group=40)
    last = quantize(weights[:, 80:], rounding)
    np.testing.assert_array_equal(whole.codes[:, 80:], last.codes)
    np.testing.assert_array_equal(whole.scales[:, 2:], last.scales)


@every_rule
def test_form_of_the_input_makes_no_difference(weights, rounding):
    exact = weights.astype(np.float16)
    wide = np.zeros((14, 166))
    wide[::2, ::2] = exact
    expected = quantize(exact.astype(np.float32), rounding)
    for form in (exact, np.asfortranarray(exact), wide[::2, ::2]):
        trits = quantize(form, rounding)
        np.testing.assert_array_equal(trits.codes, expected.codes)
        np.testing.assert_array_equal(trits.scales, expected.scales)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rounding": "nearest"}, "rounding='nearest' is not allowed: it is one of absmean"),
        ({"scale": "column"}, "scale='column' is not allowed: it is one of tensor, row"),
        ({"group": 0}, "group=0 is not allowed: it is a whole number from 1 up"),
        ({"group": 2.5}, "group=2.5 is not allowed"),
        ({"group": 4, "scale": "tensor"}, "group=4 is not allowed with scale='tensor'"),
        ({"threshold": -1}, "threshold=-1 is not allowed: it is a number from 0 up"),
        ({"threshold": np.nan}, "threshold=nan is not allowed"),
        ({"threshold": 0.5, "rounding": "optimal"}, "rounding='optimal' finds its own"),
    ],
    ids=str,
)
def test_refuses_parameters(weights, parameters, message):
    with pytest.raises(WorkbenchError, match=message):
        quantize(weights, **parameters)


@every_rule
def test_refuses_weights(rounding):
    with pytest.raises(WorkbenchError, match="weights hold nan at row 1, column 2"):
        quantize(np.array([[1, 2, 3], [4, 5, np.nan]]), rounding)
    with pytest.raises(WorkbenchError, match="no axis may be empty"):
        quantize(np.ones((0, 3)), rounding)
    with pytest.raises(TypeError, match="weights are int64"):
        quantize(np.ones((2, 3), np.int64), rounding)


LENGTHS = [*range(1, 18), 64, 257]


@pytest.mark.parametrize("cols", LENGTHS)
def test_compiled_kernels_are_the_plain_ones(cols):
    compiled = kernels.load("rounding")
    rng = np.random.default_rng(cols)
    w = rng.standard_normal((3, cols), np.float32)
    w[1] = 0
    ascending = np.sort(np.abs(w), axis=1)
    results = []
    for module in (compiled, plain):
        total, square, peak = np.empty(3), np.empty(3), np.empty(3, np.float32)
        module.summarise(w, total, square, peak)
        cut, scale = np.empty(3, np.float32), np.empty(3, np.float32)
        module.best_threshold(ascending, cut, scale)
        codes = np.empty(w.shape, np.int8)
        module.ternarize(w, np.ones(3, np.float32), cut, codes)
        product, count = np.empty(3), np.empty(3, np.int64)
        module.correlate(w, codes, product, count)
        results.append((total, square, peak, cut, scale, codes, product, count))
    for ours, oracle in zip(*results, strict=True):
        # sums may be fused in the compiled ones
        np.testing.assert_allclose(ours, oracle, rtol=1e-12 if ours.dtype == np.float64 else 1e-6)
    np.testing.assert_allclose(results[0][0], np.abs(w).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(results[0][1], np.square(w).sum(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(results[0][2], np.abs(w).max(axis=1))
    np.testing.assert_array_equal(results[0][7], np.abs(results[0][5]).sum(axis=1))
