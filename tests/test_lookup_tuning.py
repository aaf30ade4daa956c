"""The cost model: its formula, its choices, and products against the clock."""

import dataclasses
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from workbench import kernels
from workbench.cli.app import app
from workbench.errors import WorkbenchError
from workbench.lookup import independent, tuning
from workbench.lookup.tiers import TIERS, TieredTables
from workbench.measure import lookup_race, lookups

COSTS = tuning.Costs(
    group=30.0, fill=0.04, near_lookup=0.4, far_lookup=0.5, index=0.07,
    vector_group=4.0, vector_fill=1.4, vector_near_lookup=0.5, vector_far_lookup=0.6,
    vector_index=0.1,
    tier_group=0.0, entry=0.6, hot=0.8, warm=2.7, near=2.2, computed=1.6, miss=6.4, repeat=13.0,
    l1_bytes=48 << 10, l2_bytes=2 << 20,
)  # fmt: skip
compiled = pytest.mark.skipif(
    not all(kernels.status(name).compiled for name in lookups.KERNELS),
    reason="the kernels are not compiled",
)


@pytest.fixture(scope="module")
def codes():
    return independent.draw((300, 640), np.random.default_rng(0))


def test_expected_costs_of_the_document():
    assert tuning.expected(tuning.DOCUMENT_SHARES, tuning.DOCUMENT_CYCLES) == pytest.approx(39.8)
    assert tuning.expected(tuning.SPARSE_SHARES, tuning.SPARSE_CYCLES) == pytest.approx(2.57)


def test_prediction_of_whole_tables():
    rows, cols = 1000, 500
    expected = 100 * (30 + 243 * 0.04 + 1000 * 0.4) / 1e9
    assert tuning.predict_whole(5, (rows, cols), 1, COSTS) == pytest.approx(expected)
    vectors = tuning.predict_whole(3, (rows, cols), 33, COSTS)
    assert vectors == pytest.approx(2 * 167 * (4 + 27 * 1.4 + 1000 * 0.5) / 1e9)
    assert 0.4 < 0.5 - (0.5 - 0.4) * (48 / 102.5) < 0.5  # beyond L1 a lookup is in between
    far = tuning.predict_whole(8, (10**6, 8), 1, COSTS)  # 2 MB of indices
    assert 0.4e-3 < far < 0.5e-3


@pytest.mark.parametrize(
    ("g", "tokens", "nbytes", "extra"),
    [
        pytest.param(5, 1, 10**5, 0.07, id="bytes"),
        pytest.param(6, 1, 2 * 84 * 1000, 0.07, id="two bytes an index"),
        pytest.param(5, 2, 10**5, 2 * 0.07, id="read again by each token"),
        pytest.param(5, 33, 10**5, 2 * 0.1, id="read again by each 32 tokens"),
    ],
)
def test_indices_beyond_the_second_cache_cost_by_the_byte(g, tokens, nbytes, extra):
    small = dataclasses.replace(COSTS, l2_bytes=40_000)
    more, less = (tuning.predict_whole(g, (1000, 500), tokens, costs) for costs in (small, COSTS))
    assert more - less == pytest.approx((nbytes - 40_000) * extra / 1e9)


def test_patterns_met_before_are_far_in_a_long_list(codes):
    tables = TieredTables.of(np.vstack([codes, codes[:30]]), 16, hot=0, warm=0)
    computed = tables.dictionary.sizes[3]
    again = len(tables.index) - computed
    assert again >= 30 * 40
    small = dataclasses.replace(COSTS, l2_bytes=2 * computed)  # a quarter of the list
    for tokens in (1, 3):
        more, less = (tuning.predict_tiers(tables, tokens, c) for c in (small, COSTS))
        assert more - less == pytest.approx(tokens * 0.75 * again * 13 / 1e9)


def test_prediction_of_tiers(codes):
    tables = TieredTables.of(codes, 16, hot=200, warm=400)
    hits = tables.hits()
    look = sum(hits[tier] * getattr(COSTS, tier) for tier in TIERS)
    look += tuning.missed(hits) * COSTS.miss
    expected = 40 * (2 * 6561 * 0.04 + 300 * 0.6 + 300 * look) / 1e9
    assert tuning.predict_tiers(tables, 1, COSTS) == pytest.approx(expected)
    assert tuning.missed({"near": 0.3, "computed": 0.1}) == pytest.approx(0.4 + 0.1)
    assert tuning.missed({"near": 0, "computed": 1}) == 0


def test_tuner_ranks_what_can_be_built(codes):
    rows = tuning.tune(codes, COSTS, groups=range(2, 12), tiered=(4, 16))
    times = [row["predicted_s"] for row in rows]
    assert times == sorted(times)
    assert {row["g"] for row in rows if row["kind"] == "whole"} == set(range(2, 11))
    x = np.random.default_rng(1).integers(-128, 128, (1, 640)).astype(np.int8)
    for row in rows:
        tables = tuning.build_tables(codes, row)
        np.testing.assert_array_equal(tables.matmul(x), x.astype(int) @ codes.T)
        assert row["index_bytes"] == tables.nbytes
        assert row["why"]


def test_tuner_leaves_out_what_exceeds_the_second_cache(codes):
    small = dataclasses.replace(COSTS, l2_bytes=8 * 3**6 * 2)
    rows = tuning.tune(codes, small, tiered=())
    assert max(row["g"] for row in rows) == 6
    assert tuning.tune(codes, COSTS, tokens=32, tiered=())[-1]["table_bytes"] <= COSTS.l2_bytes


def test_a_dictionary_entry_must_be_met_often_enough(codes):
    assert tuning.worthwhile(codes, 16, COSTS) == 0
    same = np.tile(codes[:1], (300, 1))
    assert tuning.worthwhile(same, 16, COSTS) > 0
    assert tuning.worthwhile(same, 16, dataclasses.replace(COSTS, computed=0.1)) == 0


@compiled
def test_costs_are_measured():
    costs = lookups.measured_costs(0.2)
    assert all(value >= 0 for value in dataclasses.asdict(costs).values())
    assert 0 < costs.hot < 100
    assert costs.near_lookup < 5  # less than one: else the loop is not what it should be


@compiled
def test_latency_grows_beyond_the_first_cache():
    assert lookups.load_latency_ns(1 << 14, 0.01) < lookups.load_latency_ns(1 << 26, 0.05)
    assert 0.2 < lookups.clock_ghz(0.01) < 20


@compiled
@pytest.mark.parametrize(("tokens", "threads", "copies"), [(1, 1, 1), (33, 2, 1), (1, 1, 3)])
def test_race_rows(codes, tokens, threads, copies):
    rows = lookup_race.bench_lookups(
        codes,
        tokens=tokens,
        threads=threads,
        groups=(3, 5),
        copies=copies,
        costs=COSTS,
        seconds=0.1,
    )
    assert rows[0]["kernel"] == rows[0]["ratio_to"] == "planar"
    kinds = [row["kind"] for row in rows]
    assert kinds.count("whole") == 2
    assert kinds.count("halved") == (2 if tokens == 1 else 0)
    assert kinds.count("tiers") == 4
    for row in rows:
        assert row["gops"] > 0
        assert row["bytes_moved"] >= row["nbytes"]
        assert row["document_s"] == pytest.approx(300 * 40 * tokens * 39.8 / 4e9)
        assert (row["predicted_s"] is None) == (row["kind"] in ("other", "halved"))
        assert (row["lookups"] == 0) == (row["kind"] == "other")
        assert sum(row["hits"].values()) == pytest.approx(int(row["kind"] == "tiers"))


@compiled
def test_predictions_meet_the_clock(codes):
    rows = tuning.tune(codes, COSTS, groups=(3, 5), tiered=(16,))
    checked = lookups.check_predictions(codes, rows, seconds=0.1)
    assert len(checked) == len(rows)
    assert all(row["measured_s"] > 0 for row in checked)


def test_refusals(codes):
    with pytest.raises(WorkbenchError, match="tokens=0"):
        tuning.tune(codes, COSTS, tokens=0)
    with pytest.raises(WorkbenchError, match="codes hold 2 at row 0, column 1"):
        tuning.tune(np.array([[0, 2]]), COSTS)


@compiled
def test_race_refusals(codes):
    with pytest.raises(WorkbenchError, match="copies=0"):
        lookup_race.bench_lookups(codes, copies=0)


@compiled
def test_the_command_line_prints_the_race(monkeypatch):
    monkeypatch.setattr(lookup_race, "measured_costs", lambda: COSTS)
    verb = ["bench", "lookups", "--shape", "24x40,16x32", "--groups", "2,5", "--no-tiers"]
    ran = CliRunner().invoke(app, [*verb, "--tokens", "1,2", "--seconds", "0.05", "--json"])
    rows = json.loads(ran.stdout)
    assert {(row["rows"], row["tokens"]) for row in rows} == {(24, 1), (24, 2), (16, 1), (16, 2)}
    assert {"planar", "base3", "tables, g=2", "halved tables, g=5", "RSR"} <= {
        row["kernel"] for row in rows
    }
    assert not any(row["kind"] == "tiers" for row in rows)
    for row in rows:
        assert (row["cycles_a_lookup"] is None) == (row["kind"] == "other")
        assert (row["predicted_s"] is not None) == (row["kind"] == "whole")


def test_document_s_is_the_documents_sum():
    assert lookup_race.document_s((1, 4096)) == pytest.approx(256 * 39.8 / 4e9)
