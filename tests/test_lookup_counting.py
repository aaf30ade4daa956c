"""Patterns, the table as proposed, and counts: against enumeration and brute force."""

from itertools import product
from math import comb

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.lookup import codes, counting, independent, literal, patterns
from workbench.lookup.tiers import TIERS


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize("g", [1, 2, 4, 8])
def test_numbers_are_balanced_and_come_back(g):
    every = patterns.every(g)
    assert set(map(tuple, every.tolist())) == set(product((-1, 0, 1), repeat=g))
    numbers = patterns.numbers(every)
    np.testing.assert_array_equal(numbers, np.arange(3**g) - 3**g // 2)
    np.testing.assert_array_equal(patterns.numbers(-every), -numbers)
    np.testing.assert_array_equal(patterns.trits(numbers, g), every)
    canonical, negative = patterns.canonical(numbers)
    assert len(np.unique(canonical)) == patterns.canonical_count(g)
    first = every[np.arange(len(every)), (every != 0).argmax(axis=1)]
    np.testing.assert_array_equal(negative, first < 0)


@pytest.mark.parametrize("g", [1, 3, 6, 9])
def test_the_documents_form_leaves_ties(g):
    every = patterns.every(g)
    assert patterns.ties(g) == (every.sum(axis=1) == 0).sum()
    kept = np.unique(patterns.numbers(patterns.positive_biased(every)))
    assert len(kept) == patterns.positive_biased_count(g)
    assert patterns.ties(16) == 5_196_627
    assert patterns.positive_biased_count(16) == 24_121_674
    assert patterns.canonical_count(16) == 21_523_361


def test_strata_and_balls():
    assert sum(patterns.stratum(16, k) for k in range(17)) == 3**16
    assert patterns.ball(16, 3) == 4993
    every = patterns.every(6)
    assert patterns.ball(6, 2) == ((every != every[100]).sum(axis=1) <= 2).sum()


@pytest.mark.parametrize("g", range(1, 8))
def test_gray_walk_meets_every_pattern_or_its_negative_once_by_single_steps(g):
    steps, numbers = patterns.gray_walk(g)
    assert len(steps) == len(numbers) == (3**g - 1) // 2
    assert sorted(np.abs(numbers)) == list(range(1, (3**g - 1) // 2 + 1))
    trits = np.zeros(g, int)
    for step, number in zip(steps, numbers, strict=True):
        trits[step % g] += 1 if step < g else -1
        assert np.abs(trits).max() <= 1
        assert patterns.numbers(trits) == number


@pytest.mark.parametrize("g", [2, 4, 7, 10, 11, 12])
@pytest.mark.parametrize("radius", range(4))
def test_covering_codes_cover(g, radius):
    code = codes.covering_code(g, radius)
    every = patterns.every(g)
    near = code.nearest(every)
    assert (near != every).sum(axis=1).max() <= radius
    assert len(np.unique(patterns.numbers(near))) == code.size
    np.testing.assert_array_equal(code.nearest(-every), -near)
    np.testing.assert_array_equal(code.nearest(near), near)


def test_perfect_codes_are_perfect():
    golay = codes.BLOCKS[4]
    assert patterns.ball(11, 2) == 3 ** len(golay.parity)
    weights = (golay.leaders() != 0).sum(axis=1)
    assert np.bincount(weights).tolist() == [1, 22, 220]
    assert codes.covering_code(16, 3).size == 3**9


@pytest.mark.parametrize("g", [1, 2, 7, 10])
def test_the_table_as_proposed_collapses(g):
    found = literal.prove_collapse(g)
    assert found == literal.Collapse(256 * 3**g, 0, -128 * g, 128 * g)


def test_a_wrong_sum_is_found(monkeypatch):
    table = literal.sum_table(4)
    table[4 + 3, 128 + 5] += 1
    monkeypatch.setattr(literal, "sum_table", lambda g: table)
    assert literal.prove_collapse(4).differing == 4  # three +1 and a 0


def test_waterfall_starts_and_ends_as_printed():
    stages = literal.waterfall()
    assert [stages[0].claimed, stages[-2].claimed] == [1.4e12, 2.14e9]
    assert stages[-1].needed == 2 * 33 * 256
    assert all(stage.why and stage.needed > 0 for stage in stages)
    assert stages[0].formula == 32 * 44_079_842_304


@pytest.mark.parametrize("zeros", [0.2, 0.44, 0.8])
def test_strata_hold_every_pattern(zeros):
    rows = independent.strata(16, zeros)
    assert sum(count for _, count, _ in rows) == patterns.canonical_count(16)
    assert sum(p * count for p, count, _ in rows) == pytest.approx(1)
    assert independent.coverage(patterns.canonical_count(16), 16, zeros) == pytest.approx(1)
    half = independent.needed(0.5, 16, zeros)
    assert independent.coverage(half, 16, zeros) >= 0.5
    assert independent.coverage(half - 1, 16, zeros) < 0.5


@pytest.mark.parametrize("k", [0, 1, 2, 9])
def test_patterns_by_their_nonzeros(k):
    found = independent.with_nonzeros(9, k)
    assert len(np.unique(found)) == len(found) == max(1, comb(9, k) * 2 ** (k - 1))
    assert (found >= 0).all()
    assert ((patterns.trits(found, 9) != 0).sum(axis=1) == k).all()


def test_most_probable_are_the_fullest_strata(rng):
    chosen = independent.most_probable(500, rng, 8)
    assert len(np.unique(chosen)) == 500
    chance = {k: p for p, _, k in independent.strata(8)}
    other = np.setdiff1d(np.arange(patterns.canonical_count(8)), chosen)
    worst = min(chance[k] for k in (patterns.trits(chosen, 8) != 0).sum(axis=1))
    assert all(chance[k] <= worst for k in (patterns.trits(other, 8) != 0).sum(axis=1))


def test_ranking_and_hits(rng):
    numbers = np.array([3, 3, 3, 1, 1, 7, 2], np.int32)
    found, times = counting.ranked(numbers)
    assert found.tolist() == [3, 1, 2, 7]
    assert times.tolist() == [3, 2, 1, 1]
    assert counting.coverage(numbers).tolist() == pytest.approx([3 / 7, 5 / 7, 6 / 7, 1])
    assert counting.hit_rate(numbers, np.array([3, 1, 9, 9]), 2, rng) == 0.5


def test_tiers_of_independent_trits_are_as_computed(rng):
    numbers = counting.canonical_numbers(independent.draw((2000, 1600), rng), 4)
    shares = counting.tier_shares(numbers, rng, g=4, hot=5, warm=12, radius=1)
    assert tuple(shares) == TIERS
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["hot"] == pytest.approx(independent.coverage(5, 4), abs=0.01)
    both = shares["hot"] + shares["warm"]
    assert both == pytest.approx(independent.coverage(12, 4), abs=0.01)


def test_neighbours_runs_and_bits():
    codes = np.array([[1, 0, 0, -1, 0, 0, 0, 1], [1, 0, 0, -1, 0, 1, 0, 1]], np.int8)
    found = counting.neighbour_distances(codes, 4)
    assert found["below"].tolist() == [0.5, 0.5, 0, 0, 0]
    assert found["beside"].tolist() == [0, 0, 0.5, 0.5, 0]
    assert counting.zero_runs(codes).tolist() == [0, 2, 2, 1]
    assert counting.run_length_bits(codes, 4) == 6 * (3 + 2 + 3 + 4) / 4


def test_partial_sums_against_numpy(rng):
    codes = independent.draw((5, 35), rng)
    x = rng.integers(-128, 128, (3, 35)).astype(np.int8)
    counts = counting.partial_sums(codes, x, 16)
    split = [slice(0, 16), slice(16, 32)]
    sums = [np.abs(x[:, part].astype(int) @ codes[:, part].T) for part in split]
    np.testing.assert_array_equal(counts, np.bincount(np.ravel(sums), minlength=2049))
    shares = counting.magnitudes(x)
    assert shares[-1] == 1
    assert shares[20] == pytest.approx((np.abs(x.astype(int)) <= 20).mean())


def test_distances(rng):
    numbers = counting.canonical_numbers(independent.draw((100, 320), rng))
    pairs = counting.pair_distances(numbers, rng, pairs=20_000)
    assert pairs.sum() == pytest.approx(1)
    assert pairs @ np.arange(17) == pytest.approx(16 * (1 - 0.28**2 * 2 - 0.44**2), rel=0.1)
    near = counting.distances_to(numbers, numbers, rng)
    assert near[0] == 1


def test_summary_holds_a_matrix_against_its_nulls(rng):
    repeated = np.tile(independent.draw((1, 320), rng), (200, 1))
    rows = counting.summary(repeated, rng, 8)
    assert [row["of"] for row in rows] == ["matrix", "shuffled rows", "independent 28/44/28"]
    assert rows[0]["repeats"] == 1 > rows[1]["repeats"]
    assert rows[0]["entropy_bits"] < rows[1]["entropy_bits"]
    assert all(row["groups"] == 8000 for row in rows)


def test_summary_of_several_matrices_counts_them_all(rng):
    parts = [independent.draw((100, 320), rng), independent.draw((50, 64), rng)]
    rows = counting.summary(parts, rng, 8)
    assert {row["groups"] for row in rows} == {100 * 40 + 50 * 8}
    zeros = sum((part == 0).sum() for part in parts) / (32_000 + 3200)
    assert rows[0]["zeros"] == rows[1]["zeros"] == pytest.approx(zeros)
    both = counting.canonical_numbers(parts, 8)
    assert rows[0]["distinct"] == len(np.unique(both))


def test_refusals(rng):
    with pytest.raises(WorkbenchError, match="g=20 is not allowed"):
        patterns.numbers(np.zeros((2, 20), np.int8))
    with pytest.raises(WorkbenchError, match="a matrix of 8 columns has no group of 16"):
        counting.canonical_numbers(np.zeros((4, 8), np.int8))
    with pytest.raises(WorkbenchError, match="codes hold 3 at row 1, column 2"):
        counting.canonical_numbers(np.array([[0, 1, 0], [0, 1, 3]]), 3)
    with pytest.raises(WorkbenchError, match="x is int64"):
        counting.partial_sums(np.zeros((4, 16), np.int8), np.zeros((1, 16), int))
    with pytest.raises(WorkbenchError, match="no code of length 17"):
        codes.covering_code(17, 3)
