"""NF4 and Lloyd-Max: levels that are not evenly spaced."""

import numpy as np
import pytest
from scipy import stats

import pythran_kernels.codebook as plain
import workbench as wb
from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.techniques._codebook import nearest
from workbench.techniques.lloyd_max import fit_levels
from workbench.techniques.nf4 import LEVELS, _dynamic_map


@pytest.fixture
def weights():
    return np.random.default_rng(0).standard_normal((20, 333), np.float32)


def relative_error(encoded, weights):
    return float(((encoded.decode() - weights) ** 2).sum() / (weights**2).sum())


@pytest.mark.parametrize("count", [1, 2, 3, 16, 256])
def test_nearest_is_nearest(weights, count):
    levels = np.sort(np.random.default_rng(count).standard_normal(count)).astype(np.float32)
    distance = np.abs(weights[..., None] - levels)
    chosen = np.take_along_axis(distance, nearest(weights, levels)[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(chosen, distance.min(axis=-1), atol=1e-6)


@pytest.mark.parametrize("cols", [*range(1, 18), 333])
def test_compiled_kernel_is_the_plain_one(weights, cols):
    x = np.ascontiguousarray(weights[:3, :cols])
    boundaries = np.array([-0.5, 0, 0.7], np.float32)
    results = [np.empty(x.shape, np.uint8) for _ in range(2)]
    kernels.load("codebook").assign(x, boundaries, results[0])
    plain.assign(x, boundaries, results[1])
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(results[0], np.searchsorted(boundaries, x))


def test_nf4_levels_are_normal_quantiles():
    # QLoRA's construction: eight quantiles below zero, nine above, one zero between them
    offset = 0.5 * ((1 - 1 / 32) + (1 - 1 / 30))
    above = stats.norm.ppf(np.linspace(offset, 0.5, 9)[:-1])
    below = -stats.norm.ppf(np.linspace(offset, 0.5, 8)[:-1])
    levels = np.sort(np.concatenate([above, [0], below])) / above.max()
    np.testing.assert_allclose(LEVELS, levels, atol=1e-6)


def test_nf4_layout_is_bitsandbytes(weights):
    encoded = wb.technique("nf4").encode(weights)
    flat = weights.ravel()
    for place in (0, 1, 63, 64, 6659):
        block = flat[place // 64 * 64 :][:64]
        assert encoded.arrays["scales"][place // 64] == np.abs(block).max()
        byte = encoded.arrays["codes"][place // 2]
        code = byte >> 4 if place % 2 == 0 else byte & 15
        value = flat[place] / np.abs(block).max()
        assert code == np.abs(LEVELS - value).argmin()


def test_dynamic_map_has_256_levels():
    levels = _dynamic_map()
    assert np.unique(levels).size == 256
    assert (levels[0], levels[-1]) == (np.float32(-0.99296875), 1)
    np.testing.assert_allclose(np.abs(levels[levels != 0]).min(), 5.5e-7, rtol=1e-6)


def test_double_quantization_saves_what_it_should(weights):
    plain = wb.technique("nf4").encode(weights)
    double = wb.technique("nf4", double_quantization=True).encode(weights)
    blocks = -(-weights.size // 64)
    saved = sum(array.nbytes for array in plain.arrays.values()) - sum(
        array.nbytes for array in double.arrays.values()
    )
    assert saved == 3 * blocks - 4 - 4
    np.testing.assert_array_equal(plain.codes(), double.codes())
    assert relative_error(double, weights) < relative_error(plain, weights) * 1.05


@pytest.mark.parametrize(
    ("levels", "distortion"),
    [(2, 0.3634), (4, 0.1175), (8, 0.03454), (16, 0.009497), (32, 0.002499)],
)
def test_lloyd_max_reaches_the_known_gaussian_optimum(levels, distortion):
    # Max 1960, table I
    sample = np.random.default_rng(1).standard_normal((1000, 1000), np.float32)
    encoded = wb.technique("lloyd-max", levels=levels).encode(sample)
    assert relative_error(encoded, sample) == pytest.approx(distortion, rel=0.01)


@pytest.mark.parametrize("levels", [2, 3, 16, 200])
def test_lloyd_max_levels_are_means_of_their_cells(weights, levels):
    book = fit_levels(weights, None, levels)
    codes = nearest(weights, book)
    assert (np.diff(book) > 0).all()
    for level in range(levels):
        cell = weights[codes == level]
        assert cell.mean() == pytest.approx(book[level], abs=5e-3)


def test_lloyd_max_with_a_level_a_value_is_exact():
    weights = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 7.0]])
    encoded = wb.technique("lloyd-max", levels=4).encode(weights)
    np.testing.assert_array_equal(encoded.decode(), weights)


def test_scales_a_row_help_where_rows_differ(weights):
    uneven = weights * np.logspace(-2, 1, 20, dtype=np.float32)[:, None]
    uneven[3] = 0
    one = wb.technique("lloyd-max", levels=8).encode(uneven)
    each = wb.technique("lloyd-max", levels=8, scale="row").encode(uneven)
    assert relative_error(each, uneven) < 0.8 * relative_error(one, uneven)
    np.testing.assert_array_equal(each.decode()[3], 0)


def test_large_rows_count_for_more_in_the_levels():
    rng = np.random.default_rng(2)
    large = 10 * rng.standard_normal((1, 20_000))  # one level a side is best at 0.798 of its size
    small = 0.1 * rng.choice([-1.0, 1.0], (1, 20_000))  # at 1
    encoded = wb.technique("lloyd-max", levels=2, scale="row").encode(np.vstack([large, small]))
    np.testing.assert_allclose(encoded.arrays["codebook"], [-0.798, 0.798], atol=0.01)


@pytest.mark.parametrize(("levels", "bits"), [(2, 1), (3, 2), (4, 2), (5, 3), (16, 4), (256, 8)])
def test_lloyd_max_takes_whole_bits(weights, levels, bits):
    encoded = wb.technique("lloyd-max", levels=levels).encode(weights)
    assert encoded.arrays["codes"].size == -(-weights.size * bits // 8)


def test_an_index_beyond_the_codebook_is_refused(weights):
    encoded = wb.technique("lloyd-max", levels=3).encode(weights)
    encoded.arrays["codes"][5] = 255
    with pytest.raises(WorkbenchError, match="'codes' holds 3, but there are 3 levels"):
        encoded.decode()
