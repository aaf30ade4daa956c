"""Products by table lookup: exact on every shape, group, tier and extreme; damage is refused."""

import importlib

import numpy as np
import pytest

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.lookup import patterns
from workbench.lookup.product import WholeTables, arrange, disarrange
from workbench.lookup.tiers import NOWHERE, TIERS, Dictionary, TieredTables, build, nearest_stored

SHAPES = [(1, 1), (1, 7), (5, 1), (9, 16), (17, 31), (33, 64), (40, 577), (64, 400)]


def problem(rows, cols, tokens, seed=0, zeros=1 / 3):
    rng = np.random.default_rng([seed, rows, cols, tokens])
    half = (1 - zeros) / 2
    codes = rng.choice(np.array([-1, 0, 1], np.int8), (rows, cols), p=[half, zeros, half])
    x = rng.integers(-128, 128, (tokens, cols)).astype(np.int8)
    return codes, x, x.astype(int) @ codes.T.astype(int)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("tokens", [1, 2, 6, 33, 64])
@pytest.mark.parametrize("symmetry", [False, True], ids=["whole", "halved"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_whole_tables_are_exact(shape, symmetry, tokens, threads):
    codes, x, expected = problem(*shape, tokens)
    found = WholeTables.of(codes, 3, symmetry).matmul(x, threads)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("tokens", [1, 40])
@pytest.mark.parametrize("symmetry", [False, True], ids=["whole", "halved"])
@pytest.mark.parametrize("g", range(1, 11))
def test_whole_tables_of_every_group(g, symmetry, tokens):
    codes, x, expected = problem(7, 97, tokens)
    tables = WholeTables.of(codes, g, symmetry)
    np.testing.assert_array_equal(tables.matmul(x), expected)
    np.testing.assert_array_equal(disarrange(tables.index, codes.shape, g, symmetry), codes)


OPTIONS = [
    {},
    {"hot": 20, "warm": 60},
    {"hot": 0, "warm": 40, "radius": 1},
    {"hot": 20, "warm": 0, "radius": 2},
    {"hot": 0, "warm": 0},
    {"hot": 20, "warm": 60, "radius": 0},
    {"hot": 20, "warm": 600, "bases": "covering"},
    {"hot": 20, "warm": 60, "symmetry": False},
    {"hot": 20, "warm": 600, "symmetry": False, "bases": "covering"},
]
every_option = pytest.mark.parametrize("options", OPTIONS, ids=str)


@every_option
@pytest.mark.parametrize("g", [2, 3, 5, 8, 11, 16])
def test_tiers_are_exact(g, options):
    codes, x, expected = problem(40, 193, 3)
    tables = TieredTables.of(codes, g, **options)
    np.testing.assert_array_equal(tables.decode(), codes)
    for threads in (1, 2):
        np.testing.assert_array_equal(tables.matmul(x, threads), expected)
    assert sum(tables.hits().values()) == pytest.approx(1)


@every_option
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_tiers_of_every_shape(shape, options):
    codes, x, expected = problem(*shape, 2)
    tables = TieredTables.of(codes, 4, **options)
    np.testing.assert_array_equal(tables.matmul(x), expected)


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("sign", [-1, 0, 1])
@pytest.mark.parametrize("make", [
    lambda codes: WholeTables.of(codes, 10),
    lambda codes: WholeTables.of(codes, 5, True),
    lambda codes: TieredTables.of(codes, 16),
    lambda codes: TieredTables.of(codes, 16, hot=0, warm=0),
], ids=["whole", "halved", "stored", "computed"])  # fmt: skip
def test_extremes(make, sign, value):
    codes = np.full((3, 4096), sign, np.int8)
    x = np.full((8, 4096), value, np.int8)
    expected = np.full((8, 3), 4096 * value * sign)
    np.testing.assert_array_equal(make(codes).matmul(x), expected)


def test_changes_of_two_hundred_and_fifty_six_do_not_overflow():
    base = np.ones((9, 16), np.int8)
    codes = np.vstack([base, base[0] * np.where(np.arange(16) < 3, -1, 1)]).astype(np.int8)
    tables = TieredTables.of(codes, 16, hot=2, warm=0)
    assert tables.dictionary.sizes == (1, 0, 1, 0)
    x = np.full((1, 16), -128, np.int8)
    np.testing.assert_array_equal(tables.matmul(x)[0], x[0].astype(int) @ codes.T)


def test_tiers_fill_in_the_order_of_frequency():
    codes, _, _ = problem(300, 160, 1, zeros=0.6)
    numbers = np.abs(patterns.numbers(patterns.group(codes, 8)[0]))
    dictionary, index = build(numbers, 8, hot=200, warm=400)
    assert dictionary.sizes[:2] == (100, 200)
    found, times = np.unique(numbers, return_counts=True)
    often = dict(zip(found.tolist(), times.tolist(), strict=True))
    counts = [often[number] for number in dictionary.stored.tolist()]
    assert counts == sorted(counts, reverse=True)
    rest = dictionary.numbers()[300:]
    assert max(often[number] for number in rest.tolist()) <= counts[-1]
    assert len(np.unique(dictionary.numbers())) == dictionary.entries == len(found)
    np.testing.assert_array_equal(dictionary.numbers()[index >> 1], numbers)


@pytest.mark.parametrize("radius", [0, 1, 2, 3])
def test_tier_3_holds_what_is_near_and_nothing_else(radius):
    codes, _, _ = problem(200, 160, 1)
    numbers = np.abs(patterns.numbers(patterns.group(codes, 16)[0]))
    dictionary, _ = build(numbers, 16, hot=40, warm=160, radius=radius)
    stored = patterns.trits(dictionary.stored, 16)
    stored = np.concatenate([stored, -stored])
    near = dictionary.numbers()[len(dictionary.stored) :]
    distance = [
        (stored != pattern).sum(axis=1).min() for pattern in patterns.trits(near, 16)
    ]  # by brute force
    split = len(dictionary.bases)
    assert all(found <= radius for found in distance[:split])
    assert all(found > radius for found in distance[split:])
    assert radius > 0 or split == 0


@pytest.mark.parametrize("symmetry", [False, True])
def test_nearest_is_nearest(symmetry):
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 3**12 // 2, 300).astype(np.int32)
    stored = rng.integers(0, 3**12 // 2, 70).astype(np.int32)
    index, distance = nearest_stored(numbers, stored, 12, symmetry)
    have, want = patterns.trits(stored, 12), patterns.trits(numbers, 12)
    apart = np.stack([(want[:, None] != sign * have).sum(axis=2) for sign in (1, -1)], axis=2)
    if not symmetry:
        apart = apart[:, :, :1]
    np.testing.assert_array_equal(distance, apart.min(axis=(1, 2)))
    chosen = apart.reshape(len(numbers), -1)[np.arange(len(numbers)), index]
    np.testing.assert_array_equal(chosen, distance)
    assert (nearest_stored(numbers, stored[:0], 12)[1] == NOWHERE).all()


def test_covering_bases_leave_nothing_to_compute():
    codes, _, _ = problem(400, 320, 1)
    frequent = TieredTables.of(codes, 16, hot=0, warm=40_000).hits()
    covered = TieredTables.of(codes, 16, hot=0, warm=40_000, bases="covering").hits()
    assert covered["computed"] == 0
    assert tuple(frequent) == tuple(covered) == TIERS


@pytest.mark.parametrize("kernel", ["lut_vector", "lut_vector_halved", "lut_tokens", "lut_tiers"])
def test_plain_python_agrees_with_the_compiled_kernel(kernel, monkeypatch):
    tokens = 1 if kernel == "lut_vector" else 3
    codes, x, expected = problem(5, 40, tokens)
    if kernel == "lut_tiers":
        tables = TieredTables.of(codes, 4, hot=6, warm=6, radius=1)
    else:
        tables = WholeTables.of(codes, 2, kernel == "lut_vector_halved")
    plain = importlib.import_module(f"pythran_kernels.{kernel}")
    monkeypatch.setattr(kernels, "load", lambda asked: plain)
    np.testing.assert_array_equal(tables.matmul(x, 2), expected)


def test_transposed_and_strided_input():
    codes, x, expected = problem(21, 34, 3)
    strided = np.zeros((3, 68), np.int8)
    strided[:, ::2] = x
    for tables in (WholeTables.of(codes.T.copy().T, 5), TieredTables.of(codes.T.copy().T, 5)):
        np.testing.assert_array_equal(tables.matmul(strided[:, ::2]), expected)


def test_refusals():
    codes, x, _ = problem(4, 8, 1)
    bad = codes.copy()
    bad[2, 5] = 2
    with pytest.raises(WorkbenchError, match="codes hold 2 at row 2, column 5"):
        WholeTables.of(bad, 3)
    with pytest.raises(TypeError, match="codes are float64"):
        TieredTables.of(codes.astype(float), 3)
    with pytest.raises(WorkbenchError, match=r"g=11 .* takes 354,294 bytes, but at most 118,098"):
        WholeTables.of(codes, 11)
    with pytest.raises(WorkbenchError, match="g=17 is not allowed: it is a whole number from 2"):
        TieredTables.of(codes, 17)
    with pytest.raises(WorkbenchError, match="radius=4 is not allowed"):
        TieredTables.of(codes, 3, radius=4)
    with pytest.raises(WorkbenchError, match="bases='odd' is not allowed"):
        TieredTables.of(codes, 3, bases="odd")
    with pytest.raises(WorkbenchError, match="but at most 67,108,864 are filled"):
        TieredTables.of(codes, 3, warm=1 << 27)
    tables = WholeTables.of(codes, 3)
    with pytest.raises(WorkbenchError, match=r"x has shape \(1, 7\)"):
        tables.matmul(x[:, 1:])
    with pytest.raises(TypeError, match="x is int16"):
        tables.matmul(x.astype(np.int16))
    with pytest.raises(WorkbenchError, match="threads=0"):
        tables.matmul(x, 0)


def test_damaged_indices_and_dictionaries_are_refused_before_a_kernel_reads_them():
    codes, x, _ = problem(4, 8, 1)
    tables = WholeTables.of(codes, 3)
    tables.index[5] = 27
    with pytest.raises(WorkbenchError, match="index 5 of 12 is 27, but must be below 27"):
        tables.matmul(x)
    tiered = TieredTables.of(codes, 3)
    tiered.index[1] = 99
    with pytest.raises(WorkbenchError, match="index 1 of 12 is 99"):
        tiered.matmul(x)
    empty = np.zeros(0, np.int32)
    none = np.zeros((0, 3), np.uint8)
    with pytest.raises(WorkbenchError, match="pattern 1 of array 'stored' is 14"):
        Dictionary(3, True, np.array([1, 14], np.int32), 0, empty, none, empty)
    with pytest.raises(WorkbenchError, match="index 0 of 1 is 2, but must be below 2"):
        Dictionary(3, True, np.array([1], np.int32), 0, np.array([2], np.int32), none, empty)


def test_padding_is_counted():
    groups, padding = patterns.group(np.ones((2, 7), np.int8), 5)
    assert groups.shape == (2, 2, 5)
    assert padding == 3
    assert arrange(groups, False).size == 4
