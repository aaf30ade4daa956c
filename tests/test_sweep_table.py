"""The table of a sweep and the page made from it."""

import re
import time

import numpy as np
import pandas as pd
import pytest

from workbench import WorkbenchError, sweep
from workbench.sweep.folder import Folder
from workbench.sweep.report import columns_of, to_html, unbeaten
from workbench.sweep.table import newest, tidy, to_frame, to_parquet

ROWS = 100_000


def row(index=0, parameters=None, recorded=None, **others):
    base = {
        "id": f"{index:016x}",
        "notebook": "some",
        "source": "1",
        "parameters": {"x": index} if parameters is None else parameters,
        "status": "ok",
        "error": "",
        "recorded": {"y": 0.5} if recorded is None else recorded,
        "seconds": 1.0,
        "started": "2030-01-01T00:00:00+00:00",
        "attempts": 1,
        "machine": {"cpu": "one"},
        "versions": {"numpy": "2"},
    }
    return base | others


def frame(*rows):
    return to_frame(tidy(rows))


def test_a_row_a_job():
    table = frame(
        row(1, {"x": 1, "name": "a", "seed": None}, {"y": 1, "only here": 2.5}),
        row(2, {"x": 2, "name": "b", "seed": 3}, {"y": 2.5}, status="failed", error="why"),
    )
    assert columns_of(table) == (["x", "name", "seed"], ["y", "only here"])
    assert list(table["y"]) == [1.0, 2.5]
    assert table["only here"].isna().tolist() == [False, True]
    assert list(table["job.status"]) == ["ok", "failed"]
    assert list(table["machine.cpu"]) == ["one", "one"]
    assert table["job.file"][0] == "notebooks/some-0000000000000001.ipynb"


def test_names_never_collide():
    table = frame(row(1, {"x": 1}, {"x": 2, "job.id": 3, "recorded.x": 4, "a.b": 5}))
    assert table["x"][0] == 1
    assert table["recorded.x"][0] == 2
    assert table["recorded.job.id"][0] == 3
    assert table["recorded.recorded.x"][0] == 4
    assert columns_of(table)[1][-1] == "a.b"


def test_columns_have_one_type():
    values = [[1, 2], [1, 2.5], [True, False], [1, "a"], [True, 2], [None, None], [[1], {"a": 1}]]
    kinds = ["int64", "float64", "bool", "category", "category", "object", "category"]
    for pair, kind in zip(values, kinds, strict=True):
        table = frame(*(row(i, {"v": value}) for i, value in enumerate(pair)))
        assert str(table["v"].dtype) == kind, pair


def test_of_several_versions_the_newest_counts():
    old = row(1, {"x": 1}, started="2030-01-01T00:00:00+00:00", source="old")
    new = row(2, {"x": 1}, started="2030-01-02T00:00:00+00:00", source="new")
    assert newest([new, old]) == newest([old, new]) == [new]


def test_half_a_result_is_none(tmp_path):
    folder = Folder(tmp_path)
    folder.prepare()
    folder.put(row(1), "{}")
    folder.put(row(2), None)
    result = tmp_path / "results" / f"{2:016x}.json"
    result.write_text(result.read_text()[:50])
    assert [r["id"] for r in folder.rows()] == [f"{1:016x}"]
    assert folder.row(f"{2:016x}") is None


def test_a_folder_without_a_table(tmp_path):
    with pytest.raises(WorkbenchError, match=r"has no table\.parquet"):
        sweep.read_table(tmp_path)


def test_the_report_escapes_and_is_self_contained():
    evil = "<script>alert(1)</script>"
    table = frame(
        row(1, {"x": 1, "name": evil}, {evil: 1.0}),
        row(2, {"x": 2, "name": "b"}, {evil: 2.0}),
        row(3, {"x": 3, "name": "b"}, {}, status="failed", error=evil),
    )
    page = to_html(table, evil)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4
    assert not re.search(r"(src|href)=\"(http|//)", page)
    assert page.count("<figure>") == 2  # one number against two parameters


@pytest.mark.parametrize("count", [0, 1])
def test_a_report_of_little(count):
    page = to_html(frame(*(row(i) for i in range(count))), "few")
    assert f"{count} jobs, {count} ok" in page


def test_the_front_of_a_comparison():
    x, y = np.array([3.0, 1, 2, 2, 4]), np.array([1.0, 3, 3, 2, 1])
    assert unbeaten(x, y).tolist() == [1, 3, 0]
    rows = [
        row(i, {"technique": f"t{i}"}, {"bits_per_weight": a, "rel_mse": b})
        for i, (a, b) in enumerate(zip(x.tolist(), y.tolist(), strict=True))
    ]
    assert "rel_mse against bits_per_weight" in to_html(frame(*rows), "front")


def test_values_that_no_axis_has_are_left_out():
    rows = [row(i, {"x": i}, {"y": v}) for i, v in enumerate([1.0, float("inf"), None, 2.0])]
    assert "2 jobs" in to_html(frame(*rows), "odd")


def test_a_hundred_thousand_rows_open_and_report_in_seconds(tmp_path):
    rng = np.random.default_rng(0)
    bits = rng.integers(2, 9, ROWS).tolist()
    rows = [
        row(
            index,
            {"bits": bits[index], "tensor": f"blk.{index % 210}", "technique": f"t{index % 13}"},
            {"bits_per_weight": bits[index] + 0.1, "rel_mse": 4.0 ** -bits[index]},
        )
        for index in range(ROWS)
    ]
    folder = Folder(tmp_path)
    begin = time.perf_counter()
    folder.write("table.parquet", to_parquet(tidy(rows)))
    made = time.perf_counter()
    table = sweep.read_table(tmp_path)
    opened = time.perf_counter()
    page = to_html(table, "many")
    reported = time.perf_counter()
    print(f"made {made - begin:.2f} s, opened {opened - made:.2f} s, {reported - opened:.2f} s")
    assert len(table) == ROWS
    assert isinstance(table, pd.DataFrame)
    assert opened - made < 5
    assert reported - opened < 10
    assert len(page) < 5_000_000
