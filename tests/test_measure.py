"""Errors against their definitions, nulls, plain rounding at equal bytes, and reports."""

import itertools
import json

import numpy as np
import pytest

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.measure import error, nulls
from workbench.measure.plain import PlainRounding, interpolate
from workbench.measure.report import Report, Subject

FIXED_KEYS = {
    "tensor",
    "technique",
    "parameters",
    "nbytes",
    "bits_per_weight",
    "rel_mse",
    "snr_db",
    "cosine",
    "matmul_s",
}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def weights(rng):
    return rng.standard_normal((40, 300), np.float32) * np.float32(0.02)


def test_errors_are_their_definitions(weights, rng):
    decoded = weights + rng.standard_normal(weights.shape, np.float32) * np.float32(0.001)
    w, d = weights.astype(np.float64), decoded.astype(np.float64)
    relative = ((w - d) ** 2).sum() / (w**2).sum()
    assert error.relative_mse(weights, decoded) == pytest.approx(relative, rel=1e-6)
    assert error.snr_db(relative) == pytest.approx(-10 * np.log10(relative))
    angle = (w * d).sum() / np.linalg.norm(w) / np.linalg.norm(d)
    assert error.cosine(weights, decoded) == pytest.approx(angle, rel=1e-6)
    assert error.max_error(weights, decoded) == pytest.approx(np.abs(w - d).max(), rel=1e-5)


def test_errors_of_many_weights_lose_no_precision():
    weights = np.ones((1, 2**24 + 1), np.float32)
    weights[0, 0] = 2**12  # beside whose square a float32 sum does not see ones
    decoded = np.zeros_like(weights)
    decoded[0, 0] = 2**12
    assert error.relative_mse(weights, decoded) == 0.5


def test_errors_at_the_edges(weights):
    zeros = np.zeros_like(weights)
    assert error.relative_mse(weights, weights) == 0
    assert error.relative_mse(weights, zeros) == 1
    assert error.relative_mse(zeros, zeros) == 0
    assert error.relative_mse(zeros, weights) == np.inf
    assert error.snr_db(0) == np.inf
    assert error.snr_db(1) == 0
    assert error.cosine(zeros, zeros) == 1
    assert error.cosine(zeros, weights) == 0
    assert error.cosine(weights, -3 * weights) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("codes", "bits"),
    [([7, 7, 7], 0), ([0, 1], 1), ([-1, 0, 1], np.log2(3)), ([0, 0, 0, 1], 0.8112781)],
    ids=str,
)
def test_entropy(codes, bits):
    found = error.entropy_bits(np.array([codes]))
    assert found == pytest.approx(bits)
    assert not np.signbit(found)


@pytest.mark.parametrize("name", nulls.NULLS)
def test_nulls_keep_mean_and_variance_and_nothing_else(name, rng):
    rows = rng.standard_normal((1000, 1), np.float32)
    weights = rows * rng.standard_t(5, (1000, 500)).astype(np.float32) + np.float32(0.5)
    null = nulls.NULLS[name](weights, rng=rng)
    assert null.dtype == np.float32
    assert null.shape == weights.shape
    assert null.mean() == pytest.approx(weights.mean(), abs=0.02)
    assert null.std() == pytest.approx(weights.std(), rel=0.02)
    assert null.std(axis=1).std() < 0.3 * weights.std(axis=1).std()  # rows are alike now
    kurtosis = ((null - null.mean()) ** 4).mean() / null.var() ** 2
    if name == "shuffled":
        np.testing.assert_array_equal(np.sort(null, axis=None), np.sort(weights, axis=None))
    else:
        assert kurtosis == pytest.approx({"gaussian": 3, "laplace": 6}[name], rel=0.05)


def test_nulls_follow_the_seed(weights):
    recipe = wb.technique("tq2_0")
    first, again, other = (
        wb.measure(recipe, weights, rng=seed, plain=False, timing=False).nulls for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_interpolation_is_linear_in_the_logarithm():
    points = [(0, 1.0), (100, 0.1), (150, 0.5), (200, 0.001), (200, 0.01)]
    assert interpolate(points, 50) == pytest.approx(10**-0.5)
    assert interpolate(points, 150) == pytest.approx(0.01)
    assert interpolate(points, 999) == pytest.approx(0.001)
    assert interpolate([(0, 0.0)], 5) == 0
    exact = [*points, (300, 0.0)]
    assert interpolate(exact, 299) == pytest.approx(0.001)
    assert interpolate(exact, 300) == 0


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("parameters", [{}, {"scale": "tensor"}, {"group": 32}], ids=str)
def test_no_uniform_rounding_beats_the_plain_curve_at_its_own_size(weights, bits, parameters):
    recipe = wb.technique("uniform", bits=bits, scale_type="float16", **parameters)
    report = wb.measure(recipe, weights, nulls=False, timing=False)
    assert report.gain_db <= 1e-6
    assert report.plain_rel_mse <= report.rel_mse * (1 + 1e-9)


@pytest.mark.parametrize("shape", [(3, 70), (16, 300)], ids=str)
def test_plain_rounding_is_the_front_of_all_its_points(rng, shape):
    weights = rng.standard_normal(shape, np.float32)
    points = [(0, 1.0)]
    for bits in range(2, 9):
        for levels in ("symmetric", "asymmetric"):
            for sharing in ({"scale": "tensor"}, {}, {"group": 128}, {"group": 32}):
                recipe = wb.technique(
                    "uniform", bits=bits, levels=levels, scale_type="float16", **sharing
                )
                encoded = recipe.encode(weights)
                points.append((encoded.nbytes, error.relative_mse(weights, encoded.decode())))
    for nbytes in range(0, 2 * points[-1][0], 37):
        expected = pytest.approx(interpolate(points, nbytes), rel=1e-9)
        assert PlainRounding(weights).rel_mse(nbytes) == expected


def test_plain_rounding_gets_better_with_bytes(weights):
    plain = PlainRounding(weights)
    errors = [plain.rel_mse(nbytes) for nbytes in range(0, 14_000, 500)]
    assert errors[0] == 1
    assert all(before >= after for before, after in itertools.pairwise(errors))
    assert errors[-1] < 1e-4


def test_plain_rounding_is_not_asked_twice(weights, monkeypatch):
    plain = PlainRounding(weights)
    first = plain.rel_mse(5000)
    monkeypatch.setattr(PlainRounding, "_measured", None)
    assert plain.rel_mse(5000) == first


def test_report_is_what_encoded_says(weights):
    recipe = wb.technique("q4_0")
    encoded = recipe.encode(weights)
    report = wb.measure(recipe, weights, tensor="some.weight")
    assert report.tensor == "some.weight"
    assert report.technique == "q4_0"
    assert report.nbytes == encoded.nbytes
    assert report.bits_per_weight == 8 * encoded.nbytes / weights.size
    assert report.rel_mse == error.relative_mse(weights, encoded.decode())
    assert report.entropy_bits == error.entropy_bits(encoded.codes())
    assert 0 < report.matmul_s < 1
    assert report.gain_db == pytest.approx(10 * np.log10(report.plain_rel_mse / report.rel_mse))
    assert set(report.nulls) == {"shuffled", "gaussian", "laplace"}
    assert report.nulls["gaussian"] < report.nulls["laplace"]


def test_row_is_flat_json_with_the_promised_keys(weights):
    row = wb.measure(wb.technique("uniform", bits=3), weights).row()
    assert set(row) >= FIXED_KEYS
    assert row["parameters"]["bits"] == 3
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert all(not isinstance(row[key], dict | list) for key in set(row) - {"parameters"})


def test_an_exact_result_has_no_finite_snr():
    weights = np.tile([[1.0, 0.0, -1.0]], (3, 40))
    report = wb.measure(wb.technique("planar-ternary", rounding="optimal"), weights)
    assert (report.rel_mse, report.snr_db, report.max_error) == (0, np.inf, 0)
    assert report.gain_db == np.inf or report.plain_rel_mse == 0
    assert report.row()["snr_db"] is None


@pytest.mark.parametrize("name", wb.techniques())
def test_a_matrix_of_zeros_has_a_report(name):
    report = wb.measure(wb.technique(name), np.zeros((3, 70)))
    assert (report.rel_mse, report.cosine, report.plain_rel_mse, report.gain_db) == (0, 1, 0, 0)
    assert set(report.nulls.values()) == {0}
    json.dumps(report.row(), allow_nan=False)


def test_parts_that_were_not_asked_for_are_none(weights):
    report = wb.measure(wb.technique("q8_0"), weights, nulls=False, plain=False, timing=False)
    assert report.matmul_s is None
    assert report.output_rel_mse is None
    assert report.plain_rel_mse is None
    assert report.gain_db is None
    assert report.nulls is None
    assert report.row()["shuffled_rel_mse"] is None


@pytest.mark.parametrize("name", ["uniform", "planar-ternary"])
def test_output_error_is_that_of_the_products(weights, rng, name):
    x = rng.standard_normal((5, 300), np.float32)
    recipe = wb.technique(name)
    report = wb.measure(recipe, weights, x, nulls=False, plain=False, timing=False)
    y = weights.astype(np.float64) @ x.T
    difference = recipe.encode(weights).matmul(x.T) - y
    assert report.output_rel_mse == pytest.approx((difference**2).sum() / (y**2).sum(), rel=1e-4)


def test_refuses_inputs(weights):
    recipe = wb.technique("q8_0")
    with pytest.raises(WorkbenchError, match=r"takes \(tokens, 300\)"):
        wb.measure(recipe, weights, np.ones((300, 5)))
    with pytest.raises(WorkbenchError, match=r"x has shape \(0, 300\)"):
        wb.measure(recipe, weights, np.ones((0, 300)))
    with pytest.raises(WorkbenchError, match="x holds NaN"):
        wb.measure(recipe, weights, np.full((1, 300), np.nan))
    with pytest.raises(TypeError, match="x is int64"):
        wb.measure(recipe, weights, np.ones((1, 300), int))
    with pytest.raises(WorkbenchError, match="must have two axes"):
        wb.measure(recipe, weights[0])


def test_a_subject_makes_its_nulls_once(weights):
    subject = Subject(weights)
    assert subject.nulls is subject.nulls
    first, second = (subject.report(wb.technique("tq2_0"), timing=False) for _ in range(2))
    assert first == second


def test_every_number_of_a_report_is_described():
    assert all(field.description for field in Report.model_fields.values())
