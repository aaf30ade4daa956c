"""Products are exact for every size, thread count and worst case, compiled and as plain Python."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.ternary import linear, matmul, matmul_tokens, pack, quantize_activations
from workbench.ternary.product import MAX_COLS, PARALLEL_FROM

LAYOUTS = ["planar", "base3"]
ROWS = {"planar": 4, "base3": 5}


def trits(rows, cols, seed=0):
    return np.random.default_rng(seed).integers(-1, 2, (rows, cols)).astype(np.int8)


def int8s(*shape, seed=1):
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)


def exact(codes, x):
    return codes.astype(np.int64) @ x.astype(np.int64)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cols", [*range(1, 18), 31, 32, 33, 63, 64, 65, 127, 128, 129, 600])
def test_every_small_size(layout, cols):
    for rows in range(1, 42):
        codes = trits(rows, cols, seed=rows)
        packed = pack(codes, layout)
        for tokens in (1, 4, 7):
            x = int8s(cols, tokens, seed=rows)
            np.testing.assert_array_equal(matmul(packed, x), exact(codes, x))


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(deadline=None)
@given(
    rows=st.integers(1, 70),
    cols=st.integers(1, 700),
    tokens=st.integers(1, 11),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_size(layout, rows, cols, tokens, seed):
    codes, x = trits(rows, cols, seed), int8s(cols, tokens, seed=seed)
    y = matmul(pack(codes, layout), x)
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, exact(codes, x))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tokens", [1, 4])
@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("weight", [-1, 1])
@pytest.mark.parametrize("cols", [576, MAX_COLS])
def test_largest_sums(layout, tokens, value, weight, cols):
    packed = pack(np.full((11, cols), weight, np.int8), layout)
    x = np.full((cols, tokens), value, np.int8)
    assert (matmul(packed, x) == weight * value * cols).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_largest_sums_of_any_byte(layout):
    """The bound on columns holds for bytes that pack never writes, too: no sum wraps around."""
    groups, cols = 3, MAX_COLS
    data = np.full(groups * cols, 255, np.uint8)
    x = np.full((1, cols), -128, np.int8)
    y = np.empty((1, groups * ROWS[layout]), np.int32)
    total = x.sum(axis=1, dtype=np.int32)
    kernels.load(layout).matmul(data, x, total, y, 1)
    assert (y == (3 - 1 if layout == "planar" else 2 - 1) * -128 * cols).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tokens", [1, 3, 4, 9])
@pytest.mark.parametrize("rows", [1023, 1024])
def test_threads_agree(layout, tokens, rows):
    codes, x = trits(rows, 576), int8s(576, tokens)
    assert rows * 576 >= PARALLEL_FROM
    packed = pack(codes, layout)
    for threads in (1, 2, 3, 5, np.int64(2)):
        np.testing.assert_array_equal(matmul(packed, x, threads), exact(codes, x))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_more_threads_than_rows(layout):
    codes, x = trits(3, 65536), int8s(65536, 4)
    np.testing.assert_array_equal(matmul(pack(codes, layout), x, 4), exact(codes, x))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("module", ["", "_tiles"])
@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (9, 5), (21, 70)])
@pytest.mark.parametrize("threads", [1, 2])
def test_plain_python_agrees(layout, module, rows, cols, threads):
    packed = pack(trits(rows, cols), layout)
    x = np.zeros((4, 128), np.int8)
    x[:, :cols] = int8s(4, cols)
    total = x.sum(axis=1, dtype=np.int32)
    y = [np.empty((4, len(packed.data) * ROWS[layout]), np.int32) for _ in range(2)]
    plain = importlib.import_module(f"pythran_kernels.{layout}{module}")
    plain.matmul(packed.data.reshape(-1), x, total, y[0], threads)
    kernels.load(layout + module).matmul(packed.data.reshape(-1), x, total, y[1], threads)
    np.testing.assert_array_equal(*y)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "change",
    [
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 3, axis=0)[::3],
        lambda x: x[::-1][::-1],
    ],
    ids=["fortran", "strided", "reversed"],
)
def test_x_in_any_order(layout, change):
    codes, x = trits(10, 128), int8s(128, 5)
    packed = pack(codes, layout)
    np.testing.assert_array_equal(matmul(packed, change(x)), exact(codes, x))
    np.testing.assert_array_equal(matmul(packed, change(x)[:, 2]), exact(codes, x[:, 2]))
    np.testing.assert_array_equal(matmul_tokens(packed, change(x).T), exact(codes, x).T)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: matmul(p, np.ones(6, np.int8)), WorkbenchError, r"takes \(5,\) or \(5, tokens"),
        (lambda p: matmul(p, np.ones((5, 1, 1), np.int8)), WorkbenchError, "x has shape"),
        (lambda p: matmul(p, np.ones(5)), TypeError, "x is float64, but must be int8"),
        (lambda p: matmul(p, np.ones(5, np.int8), 0), WorkbenchError, "threads=0 is not allowed"),
        (lambda p: matmul(p, np.ones(5, np.int8), 1.5), WorkbenchError, "threads=1.5 is not"),
        (lambda p: matmul_tokens(p, np.ones((2, 6), np.int8)), WorkbenchError, "tokens, 5"),
        (lambda p: linear(p, np.ones((2, 1), np.float32), np.ones((1, 5))), WorkbenchError, "sca"),
        (lambda p: linear(p, np.ones((3, 1)), np.ones((1, 5))), TypeError, "scales are float64"),
        (lambda p: linear(p, ONES, np.ones((1, 6))), WorkbenchError, "x has shape"),
        (lambda p: linear(p, ONES, np.ones((1, 5), int)), TypeError, "x is int64"),
        (lambda p: linear(p, ONES, np.full((1, 5), np.nan)), WorkbenchError, "NaN or infinity"),
        (lambda p: linear(p, ONES, np.ones((1, 5)), group=0), WorkbenchError, "group=0 is not"),
        (lambda p: linear(p, ONES, np.ones((1, 5)), group=2), WorkbenchError, "with group=2"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call(pack(trits(3, 5)))


ONES = np.ones((3, 1), np.float32)


def test_too_many_columns():
    packed = pack(np.zeros((1, MAX_COLS + 1), np.int8))
    with pytest.raises(WorkbenchError, match="has 65794 columns, but sums of more than 65793"):
        matmul(packed, np.zeros(MAX_COLS + 1, np.int8))
    with pytest.raises(WorkbenchError, match="has 65794 columns"):
        linear(packed, np.ones((1, 2), np.float32), np.ones((1, MAX_COLS + 1)), group=60000)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_tokens(layout):
    packed = pack(trits(5, 70), layout)
    assert matmul(packed, np.zeros((70, 0), np.int8)).shape == (5, 0)
    assert linear(packed, np.ones((5, 1), np.float32), np.zeros((0, 70))).shape == (0, 5)
    assert linear(packed, np.ones((5, 2), np.float32), np.zeros((0, 70)), group=35).shape == (0, 5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", [1, 4, 5, 6, 23])
@pytest.mark.parametrize("cols", [1, 64, 200])
@pytest.mark.parametrize("group", [None, 1, 32, 64, 100, 300])
@pytest.mark.parametrize("kind", [np.int8, np.float32, np.float16, np.float64])
def test_linear(layout, rows, cols, group, kind):
    rng = np.random.default_rng(0)
    codes = trits(rows, cols)
    parts = 1 if group is None else -(-cols // group)
    scales = rng.random((rows, parts), np.float32)
    x = int8s(6, cols) if kind == np.int8 else rng.standard_normal((6, cols)).astype(kind)
    q, step = (x, np.ones(6)) if kind == np.int8 else quantize_activations(x)
    weights = codes * np.repeat(scales.astype(float), group or cols, axis=1)[:, :cols]
    expected = (q * step[:, None].astype(float)) @ weights.T
    y = linear(pack(codes, layout), scales, x, group=group)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_scale_for_all(layout):
    packed, x = pack(trits(7, 70), layout), int8s(3, 70)
    tensor = linear(packed, np.full((1, 1), 0.5, np.float32), x)
    np.testing.assert_array_equal(tensor, matmul_tokens(packed, x) * np.float32(0.5))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("group", [1, 30, 64])
def test_groups_in_plain_python_agree(layout, group):
    rows, cols = 11, 70
    packed, x = pack(trits(rows, cols), layout), int8s(2, cols)
    rng = np.random.default_rng(0)
    step, scales = rng.random(2, np.float32), rng.random((rows, -(-cols // group)), np.float32)
    y = [np.empty((2, rows), np.float32) for _ in range(2)]
    plain = importlib.import_module(f"pythran_kernels.{layout}_groups")
    plain.matmul(packed.data.reshape(-1), x, step, scales, y[0], group, 1)
    compiled = kernels.load(f"{layout}_groups")
    compiled.matmul(packed.data.reshape(-1), x, step, scales, y[1], group, 2)
    np.testing.assert_allclose(*y, rtol=1e-5, atol=1e-5 * np.abs(y[0]).max())


def test_activations_round_half_to_even():
    q, step = quantize_activations(np.array([[127, 0.5, 1.5, 2.5, -0.5, -1.5, -127]]))
    np.testing.assert_array_equal(q, [[127, 0, 2, 2, 0, -2, -127]])
    np.testing.assert_array_equal(step, np.float32([1]))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (5, 65), (3, 1000)])
def test_activations_are_rounded_like_bitnet(kind, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(kind)
    q, step = quantize_activations(np.asfortranarray(x))
    x = x.astype(np.float32)
    peak = np.maximum(np.abs(x).max(axis=1, keepdims=True), np.float32(1e-5))
    np.testing.assert_array_equal(q, np.rint(x * (np.float32(127) / peak)))
    np.testing.assert_array_equal(step, peak[:, 0] / np.float32(127))
    assert q.dtype == np.int8
    assert np.abs(q.astype(int)).max() <= 127


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-45, 1e-30, 3.4e38, -3.4e38])
def test_extreme_activations(value):
    x = np.zeros((2, 70), np.float32)
    x[1] = value
    q, step = quantize_activations(x)
    assert (q[0] == 0).all()
    assert (q[1] == (127 * np.sign(value) if abs(value) > 1 else 0)).all()
    assert np.isfinite(step).all()
    assert (step > 0).all()


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("where", [(0, 0), (2, 63), (1, 64)])
def test_activations_must_be_finite(bad, where):
    x = np.ones((3, 65))
    x[where] = bad
    with pytest.raises(WorkbenchError, match="x holds NaN or infinity; activations must be finite"):
        quantize_activations(x)


def test_activations_in_plain_python_agree():
    x = np.random.default_rng(0).standard_normal((3, 70), dtype=np.float32)
    results = []
    for module in (
        importlib.import_module("pythran_kernels.activations"),
        kernels.load("activations"),
    ):
        q, step, total = np.empty((3, 128), np.int8), np.empty(3, np.float32), np.empty(3, np.int32)
        assert module.quantize_tokens(x, q, step, total)
        np.testing.assert_array_equal(total, q.sum(axis=1))
        assert not q[:, 70:].any()
        y = np.empty((3, 2), np.float32)
        module.rescale(q.astype(np.int32), step, np.array([1, 2], np.float32), y)
        np.testing.assert_array_equal(y, q[:, :2] * step[:, None] * np.float32([1, 2]))
        results.append((q, step))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert module.quantize_tokens(np.full((1, 2), np.nan, np.float32), q, step, total) is False


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((2, 2), int), TypeError, "x is int64, but must be a float type"),
        (np.ones(2), WorkbenchError, r"x has shape \(2,\), but must have two axes"),
    ],
)
def test_refused_activations(x, error, message):
    with pytest.raises(error, match=message):
        quantize_activations(x)
