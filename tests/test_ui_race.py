"""The race panel without a browser, on a problem small enough to race in a moment."""

import pytest

from workbench.measure.race import CEILING, NUMPY, READING
from workbench.ui.race_panel import RacePanel

ONLY = f"planar,base3,{CEILING},{READING}"
BOUNDS = {CEILING, READING}


@pytest.fixture
def panel():
    return RacePanel(rows=32, cols=64, only=ONLY, seconds=0.1)


def test_nothing_runs_before_it_is_asked_for(panel):
    assert panel.results == ()
    assert not panel.running
    assert len(panel.chart.data[0].x or ()) == 0
    assert len(panel.roof.data) == 0


def test_the_button_races_and_shows(panel):
    panel.button.click()
    panel.wait(60)
    assert panel.job.problem.message == ""
    assert panel.job.outcome == "done"
    kernels = {row["kernel"] for row in panel.results}
    assert {"planar", "base3", NUMPY, *BOUNDS} <= kernels
    assert all((row["rows"], row["cols"]) == (32, 64) for row in panel.results)
    assert set(panel.chart.data[0].y) == kernels - BOUNDS
    assert "32 × 64" in panel.chart.layout.title.text
    assert kernels - BOUNDS <= {trace.name for trace in panel.roof.data}
    for row in panel.results:
        assert f'<th scope="row">{row["kernel"]}</th>' in panel.table.value
    assert panel.results[0]["machine"].split("(")[0] in panel.table.value


def test_traits_and_controls_follow_each_other(panel):
    panel.rows, panel.tokens = 48, 3
    boxes = {w.description: w for field in fields(panel) for w in field.children[:1]}
    assert (boxes["rows"].value, boxes["tokens"].value) == (48, 3)
    boxes["columns"].value = 96
    assert panel.cols == 96
    panel.run()
    panel.wait(60)
    problem = panel.results[0]
    assert (problem["rows"], problem["cols"], problem["tokens"]) == (48, 96, 3)


def fields(panel):
    columns = panel.children[1]
    return columns.children[0].children[0].children


def test_a_second_race_replaces_the_first(panel):
    panel.run()
    panel.wait(60)
    panel.cols = 128
    panel.run()
    panel.wait(60)
    assert "32 × 128" in panel.chart.layout.title.text


def test_what_cannot_be_raced_is_explained(panel):
    panel.only.value = "nope"
    panel.run()
    panel.wait(60)
    assert "'nope' matches no kernel" in panel.job.problem.message
    assert panel.results == ()


def test_cancel_leaves_the_last_race(panel):
    panel.run()
    panel.wait(60)
    before = panel.results
    panel.seconds.value = 20.0
    panel.run()
    panel.cancel()
    panel.wait(60)
    assert panel.job.outcome == "cancelled"
    assert panel.results == before
