"""Loading: every step has its row, mapped pages are shared, and what cannot be measured says so."""

import json
import sys

import numpy as np
import pytest

from workbench import kernels
from workbench.cli import main
from workbench.errors import WorkbenchError
from workbench.lm import load_memory, load_profile, make_random_model
from workbench.measure import mapping
from workbench.measure.asking import Asked
from workbench.measure.decoding import DECODED, bench_decoding
from workbench.measure.mapping import bench_reading, cached_share, drop_cache, reading_memory
from workbench.measure.pools import WAYS, bench_pools, pooled, spawned

MIB = 1 << 20
SIZE = 12 * MIB
compiled = pytest.mark.skipif(
    not kernels.status("planar").compiled, reason="races need compiled kernels"
)
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts shared pages")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "bytes"
    path.write_bytes(np.random.default_rng(0).bytes(SIZE))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_random_model(
        tmp_path_factory.mktemp("model") / "random.gguf",
        layers=1, width=256, ff=256, heads=4, vocab=300, context=32, embedding="Q8_0",
    )  # fmt: skip


@pytest.fixture
def cold(file):
    """Skips where a file cannot be dropped from memory, and says why."""
    note = drop_cache(file)
    if note:
        pytest.skip(note)


# --- reading and mapping ---


@linux
def test_dropping_a_file_empties_its_pages(file, cold):
    assert cached_share(file) < 0.01
    file.read_bytes()
    assert cached_share(file) > 0.99


@linux
def test_a_file_in_use_is_not_dropped(file):
    mapped = np.memmap(file, np.uint8, "r")
    mapped[:: mapping.mmap.PAGESIZE].sum()
    assert "of bytes stays in memory" in drop_cache(file)
    rows = bench_reading(file, states=["cold"], repeats=1)
    assert {row["median_s"] for row in rows} == {None}
    assert all(row["note"].startswith("not measured: ") for row in rows)


def test_reading_has_a_row_for_each_way_and_state(file, cold):
    told = []
    rows = bench_reading(file, seconds=0.1, repeats=1, progress=lambda *step: told.append(step))
    assert [(row["way"], row["state"]) for row in rows] == [
        (way, state) for state in mapping.STATES for way in mapping.WAYS
    ]
    assert all(row["min_s"] <= row["median_s"] <= row["max_s"] for row in rows)
    assert [row["ratio"] for row in rows if row["way"] == "read"] == [1.0, 1.0]
    assert {row["file_bytes"] for row in rows} == {SIZE}
    assert told[-1][0] == told[-1][1]


def test_mapping_reads_nothing(file):
    rows = {row["way"]: row for row in bench_reading(file, states=["warm"], seconds=0.1)}
    assert rows["map"]["gb_per_s"] is None
    assert rows["map"]["ratio"] > 10 * rows["map and sum"]["ratio"]


@linux
@pytest.mark.parametrize("processes", [1, 2])
def test_processes_that_map_share_the_pages(file, processes):
    rows = reading_memory(file, processes)
    of = {
        way: {key: sum(row[f"{key}_bytes"] for row in rows if row["way"] == way) for key in KEYS}
        for way in mapping.HOLDING
    }
    near = 2 * MIB * processes
    assert of["read"]["pss"] == pytest.approx(SIZE * processes, abs=near)
    assert of["read and copy"]["rss"] == pytest.approx(2 * SIZE * processes, abs=near)
    assert of["map"]["rss"] < near
    assert of["map and touch pages"]["rss"] == pytest.approx(SIZE * processes, abs=near)
    assert of["map and touch pages"]["pss"] == pytest.approx(SIZE, abs=near)
    assert len(rows) == processes * len(mapping.HOLDING)


KEYS = ("rss", "pss", "uss")


# --- a model ---


@linux
def test_a_load_profile_has_every_step(model, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    told = []
    rows = load_profile(model, repeats=1, progress=lambda *step: told.append(step))
    found = {(row["route"], row["state"]): [] for row in rows}
    for row in rows:
        found[row["route"], row["state"]].append(row["phase"])
    assert found["pack", "as it is"][-1] == "pack the weights and save them"
    for state in ("warm", "cold"):
        if found["engine", state] == [""]:  # on a file system in memory
            continue
        assert found["engine", state][4:] == [
            *("open the packed weights", "make the tokenizer", "make a cache"),
            *("first token", "second token"),
        ]
        kinds = [r["type"] for r in rows if r["route"] == "reference" and r["state"] == state]
        assert [kind for kind in kinds if kind] == ["Q8_0", "F32", "TQ2_0"]
        of = [row for row in rows if (row["route"], row["state"]) == ("reference", state)]
        assert sum(row["share"] for row in of) == pytest.approx(1)
        assert of[-1]["rss_bytes"] > of[-1]["pss_bytes"] > of[-1]["uss_bytes"] > MIB
    assert told[0] == (0, 5, "pack, as it is")
    assert list((tmp_path / "cache").iterdir()) == [], "nothing stays"


@linux
def test_processes_share_a_models_weights(model, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    rows = load_memory(model, 2, routes=["engine"])
    assert [row["process"] for row in rows] == [1, 2]
    assert all(row["uss_bytes"] < row["pss_bytes"] < row["rss_bytes"] for row in rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"routes": ["other"]}, "route 'other' is not allowed: pack or engine or reference"),
        ({"states": ["hot"]}, "state 'hot' is not allowed: warm or cold"),
        ({"weights": "int3"}, "weights 'int3' is not allowed: file or planar"),
        ({"repeats": 0}, "repeats=0 is not allowed"),
        ({"threads": 0}, "threads=0 is not allowed"),
    ],
    ids=["route", "state", "weights", "repeats", "threads"],
)
def test_a_profile_refuses(model, options, message):
    with pytest.raises(WorkbenchError, match=message):
        load_profile(model, **options)


def test_a_model_that_is_none_is_refused_before_a_process_starts(file):
    with pytest.raises(WorkbenchError, match="bytes"):
        load_profile(file)


def test_a_process_that_fails_says_why():
    with (
        Asked(["-c", "raise SystemExit('out of luck')"]) as process,
        pytest.raises(WorkbenchError, match="ended with 1: out of luck"),
    ):
        process.line()


# --- decoding and threads ---


def test_decoding_by_type_and_threads():
    rows = bench_decoding(["Q8_0", "TQ2_0"], [1, 2], weights=4097, seconds=0.01)
    assert [(row["type"], row["threads"], row["weights"]) for row in rows] == [
        ("Q8_0", 1, 8192), ("Q8_0", 2, 8192), ("TQ2_0", 1, 8192), ("TQ2_0", 2, 8192),
    ]  # fmt: skip
    assert rows[0]["nbytes"] == 8192 // 32 * 34
    assert rows[0]["ratio_one"] == 1
    assert rows[0]["gb_per_s"] == pytest.approx(4e-9 * rows[0]["weights_per_s"])


@pytest.mark.parametrize("name", DECODED)
def test_every_type_with_a_kernel_can_be_measured(name):
    (row,) = bench_decoding([name], weights=4096, seconds=1e-4)
    assert row["weights_per_s"] > 0


@compiled
@pytest.mark.parametrize(("size", "threads"), [(4, 2), (7, 3), (130, 1), (130, 2)])
def test_all_ways_to_use_threads_multiply_alike(size, threads):
    rows = bench_pools([size], threads, cols=100, seconds=0.01)  # compares the products itself
    assert [row["way"] for row in rows] == list(WAYS)
    assert [row["threads"] for row in rows] == [1, threads, threads, threads]
    assert rows[-1]["ratio_spawned"] == 1
    assert rows[-1]["empty_s"] > 0


def test_every_part_runs_once():
    from concurrent.futures import ThreadPoolExecutor

    for count in (1, 2, 5):
        done = []
        parts = [lambda part=part, done=done: done.append(part) for part in range(count)]
        with ThreadPoolExecutor(2) as pool:
            pooled(pool, parts)
        spawned(parts)
        assert sorted(done) == sorted([*range(count), *range(count)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda file: bench_reading(file, states=["hot"]), "state 'hot' is not allowed"),
        (lambda file: bench_reading(file.parent / "no"), "there is no such file"),
        (lambda file: reading_memory(file, 0), "processes=0 is not allowed"),
        (lambda file: reading_memory(file, ways=["guess"]), "way 'guess' is not allowed"),
        (lambda file: reading_memory(file, 10**9), "would hold up to"),
        (lambda file: bench_decoding(["Q9"]), "type 'Q9' is not allowed"),
        (lambda file: bench_decoding(["Q8_0"], [0]), "threads=0 is not allowed"),
        (lambda file: bench_decoding(["Q8_0"], weights=0), "weights=0 is not allowed"),
        (lambda file: bench_pools([0]), "size 0 is not allowed"),
        (lambda file: load_memory(file, 0), "processes=0 is not allowed"),
        (lambda file: load_memory(file, routes=["pack"]), "route 'pack' is not allowed"),
    ],
)
def test_refusals(file, call, message):
    with pytest.raises(WorkbenchError, match=message):
        call(file)


# --- the command line ---


@pytest.mark.parametrize(
    ("words", "count", "keys"),
    [
        ("reading smollm2-slice --seconds 0.05 --repeats 1", 10, "way state file_bytes median_s"),
        ("reading smollm2-slice --processes 1", 4, "way process file_bytes rss_bytes"),
        ("decoding --types Q8_0,F16 --weights 9 --seconds 0.01", 2, "type threads weights nbytes"),
        pytest.param(
            "pools --sizes 8 --seconds 0.01", 4, "rows cols way threads nbytes", marks=compiled
        ),
    ],
)
def test_rows_of_the_command_line(monkeypatch, capsys, words, count, keys):
    monkeypatch.setattr(sys, "argv", ["workbench", "bench", *words.split(), "--json"])
    with pytest.raises(SystemExit) as end:
        main()
    rows = json.loads(capsys.readouterr().out)
    assert (end.value.code, len(rows)) == (0, count)
    assert list(rows[0])[: len(keys.split())] == keys.split()


@linux
@pytest.mark.parametrize("processes", [0, 1])
def test_load_on_the_command_line(model, tmp_path, monkeypatch, capsys, processes):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    words = ["bench", "load", str(model), "--weights", "reference", "--repeats", "1"]
    words += ["--processes", str(processes), "--json"]
    monkeypatch.setattr(sys, "argv", ["workbench", *words])
    with pytest.raises(SystemExit):
        main()
    rows = json.loads(capsys.readouterr().out)
    assert {row["route"] for row in rows} == {"reference"}
    assert ("process" in rows[0]) == bool(processes)
