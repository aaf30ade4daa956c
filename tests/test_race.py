"""The race: rows that scripts rely on, ratios of the same run, wrong kernels refused."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from workbench.cli.app import app
from workbench.errors import WorkbenchError
from workbench.measure import peers
from workbench.measure import race as racing

KEYS = [
    *("kernel", "rows", "cols", "tokens", "threads", "median_s", "min_s", "max_s", "gops"),
    *("ratio_to", "ratio"),
]
MORE_KEYS = ["ratio_min", "ratio_max", "ratio_numpy", "nbytes", "machine"]


@pytest.fixture(scope="module")
def rows():
    return racing.bench_matmul([(64, 80)], tokens=[1, 3], seconds=0.2)


def test_keys_are_those_that_scripts_rely_on(rows):
    assert all(list(row) == KEYS + MORE_KEYS for row in rows)


def test_every_kernel_races_on_every_problem(rows):
    names = {row["kernel"] for row in rows}
    assert {"planar", "base3", "numpy float32", "Four Russians", "RSR"} <= names
    assert {racing.CEILING, racing.READING} <= names
    assert len(rows) == 2 * len(names)
    assert {row["tokens"] for row in rows} == {1, 3}


def test_times_and_ratios_fit_together(rows):
    for row in rows:
        assert 0 < row["min_s"] <= row["median_s"] <= row["max_s"]
        assert row["ratio_min"] <= row["ratio"] <= row["ratio_max"]
        operations = 2 * 64 * 80 * row["tokens"]
        assert row["gops"] == pytest.approx(operations / row["median_s"] / 1e9)
        if row["kernel"] == row["ratio_to"]:
            assert row["ratio"] == 1


def test_columns_that_llama_cpp_cannot_store_fall_back_to_numpy(rows):
    assert {row["ratio_to"] for row in rows} == {"numpy float32"}
    assert not any("TQ2_0" in row["kernel"] for row in rows)


@pytest.mark.peers
@pytest.mark.skipif(not peers.available(), reason="llama-cpp-python is not installed")
def test_llama_cpp_is_the_peer_where_it_can_be():
    rows = racing.bench_matmul([(16, 256)], only="planar", seconds=0.1)
    assert {row["ratio_to"] for row in rows} == {racing.LLAMA}
    assert [row["kernel"] for row in rows] == ["planar", "numpy float32", racing.LLAMA]


@pytest.mark.peers
@pytest.mark.skipif(not peers.available(), reason="llama-cpp-python is not installed")
def test_llama_cpp_races_on_the_same_integers():
    """Its ternary types take weights and activations of a race as they are."""
    codes = racing.ternary.quantize(np.random.default_rng(0).standard_normal((32, 768))).codes
    x = racing._activations(3, 768)
    exact = x.astype(int) @ codes.T.astype(int)
    for name, matrix in racing._store(codes, "llama.cpp TQ*").items():
        np.testing.assert_array_equal(matrix.bind(x, 1)(), exact, err_msg=name)


def test_a_wrong_kernel_is_not_raced(monkeypatch):
    right = racing.ternary.matmul_tokens
    monkeypatch.setattr(racing.ternary, "matmul_tokens", lambda *given: right(*given) + 1)
    with pytest.raises(WorkbenchError, match="kernel 'planar' gives a wrong product"):
        racing.bench_matmul([(8, 8)], only="planar", seconds=0.05)


def test_plain_python_is_not_raced(monkeypatch):
    monkeypatch.setenv("WORKBENCH_KERNELS", "python")
    with pytest.raises(WorkbenchError, match="compiled kernels, but planar, base3, peak are not"):
        racing.bench_matmul([(8, 8)])


def test_the_ceiling_counts_the_operations_that_it_makes():
    """The peak of a race is that of the machine, at a work that is no multiple of its tile."""
    [ceiling] = racing.bench_matmul([(512, 1000)], only="ceiling*", seconds=0.3)[-1:]
    best = 2 * 512 * 1000 / ceiling["min_s"] / 1e9
    peak = racing.machine.peak_gops(1)
    assert 0.3 * peak < best < 1.5 * peak


def test_progress_ends_at_the_end():
    told = []
    racing.bench_matmul(
        [(8, 8), (8, 16)], only="planar", seconds=0.02, progress=lambda *given: told.append(given)
    )
    assert told[-1][:2] == (200, 200)
    assert np.all(np.diff([done for done, _, _ in told]) >= 0)
    assert "8x16, threads 1, tokens 1" in told[-1][2]


def test_roofline_places_every_kernel(rows, monkeypatch):
    monkeypatch.setattr(racing.machine, "memory_buffer_bytes", lambda: 1 << 24)
    figure = racing.roofline([row for row in rows if row["tokens"] == 1])
    points = {name: (intensity, gops) for name, intensity, gops in figure["points"]}
    assert not {racing.CEILING, racing.READING} & set(points)
    # one token: 2 operations a weight; a quarter byte a weight in planar, four in float32
    assert points["planar"][0] == pytest.approx(2 * 64 * 80 / (64 * 80 / 4 + 80 + 4 * 64))
    assert points["numpy float32"][0] == pytest.approx(2 * 64 * 80 / (4 * 64 * 80 + 80 + 4 * 64))
    assert all(value > 0 for value in [*figure["peaks"].values(), *figure["bandwidths"].values()])


def test_refusals(rows):
    with pytest.raises(
        WorkbenchError, match="'nothing' matches no kernel; there are planar, base3"
    ):
        racing.bench_matmul([(8, 8)], only="nothing")
    with pytest.raises(WorkbenchError, match="threads=0 is not allowed"):
        racing.bench_matmul([(8, 8)], threads=[0])
    with pytest.raises(WorkbenchError, match="shape 0x8 with 1 tokens is not allowed"):
        racing.bench_matmul([(0, 8)])
    with pytest.raises(WorkbenchError, match="columns are at most 65536"):
        racing.bench_matmul([(8, 70_000)])
    with pytest.raises(WorkbenchError, match=r"shape 9000000x60000 .* GB of memory"):
        racing.bench_matmul([(9_000_000, 60_000)])
    with pytest.raises(WorkbenchError, match="of 0 thread counts, but must be of one"):
        racing.roofline([])


def test_command_line():
    result = CliRunner().invoke(
        app, ["bench", "matmul", "--shape", "16x20,8x8", "--only", "planar", "--json"]
    )
    rows = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [(row["kernel"], row["rows"], row["cols"]) for row in rows] == [
        ("planar", 16, 20),
        ("numpy float32", 16, 20),
        ("planar", 8, 8),
        ("numpy float32", 8, 8),
    ]
