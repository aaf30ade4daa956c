"""The sweep panel, driven as a person would, without a browser."""

import pandas as pd
import pytest
from sweep_clusters import running_cluster, write_sweep_notebook

from workbench.ui.sweep_panel import SweepPanel, scatter


@pytest.fixture
def notebook(tmp_path):
    return write_sweep_notebook(tmp_path / "trivial.ipynb")


def test_the_form_follows_the_notebook(notebook):
    panel = SweepPanel("compare")
    assert "technique" in panel.fields
    panel.notebook.value = str(notebook)
    assert list(panel.fields) == ["x", "text", "seconds", "fail"]
    panel.fields["x"].value = "1..4"
    panel.fields["fail"].value = "true,false"
    assert len(panel.jobs()) == 8
    panel.tell_count()
    assert ">8<" in panel.said.value


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("x", "1000", "x=1000 is not allowed: it must be at least 0 and at most 100"),
        ("x", "many", "x='many' is not allowed: it must be int"),
        ("seconds", "5..1", "seconds=5..1 is not a range"),
    ],
)
def test_what_is_not_allowed_is_told_and_nothing_starts(notebook, field, text, said, tmp_path):
    panel = SweepPanel(str(notebook), {field: text}, folder=tmp_path / "out")
    panel.run()
    assert panel.problem.message.startswith(said)
    assert not panel.running
    panel.notebook.value = "nosuch"
    assert "there is no notebook 'nosuch'" in panel.problem.message


@pytest.mark.slow
def test_launch_watch_cancel_and_go_on(notebook, tmp_path):
    with running_cluster(tmp_path, workers=1) as (address, _):
        values = {"x": "1..4", "seconds": "0.2"}
        panel = SweepPanel(str(notebook), values, folder=tmp_path / "out")
        panel.scheduler.value = address
        panel.observe(lambda change: change.new and panel.cancel(), "rows")
        panel.run()
        panel.wait(60)
        assert panel.job.outcome == "cancelled", panel.job.problem.value
        assert 1 <= len(panel.rows) < 4
        panel.unobserve_all("rows")
        panel.run()
        panel.wait(60)
    assert panel.job.outcome == "done", panel.job.problem.message
    assert sorted(row["recorded"]["square"] for row in panel.rows) == [1, 4, 9, 16]
    assert (panel.x.value, panel.y.value, panel.colour.value) == ("x", "square", "x")
    points = sorted((x, y) for t in panel.chart.data for x, y in zip(t.x, t.y, strict=True))
    assert points == [(1, 1), (2, 4), (3, 9), (4, 16)]
    panel.y.value = "job.seconds"
    assert panel.chart.layout.yaxis.title.text == "job.seconds"


def test_the_front_joins_what_no_other_beats():
    frame = pd.DataFrame(
        {
            "technique": ["a", "b", "c", "d"],
            "bits": [1.0, 2.0, 2.0, 3.0],
            "error": [0.4, 0.2, 0.3, float("inf")],
            "job.status": "ok",
        }
    )
    frame.attrs["parameters"] = ["technique"]
    line, *dots = scatter(frame, "bits", "error", "technique").data
    assert (list(line.x), list(line.y)) == ([1.0, 2.0], [0.4, 0.2])
    assert [trace.name for trace in dots] == ["a", "b", "c"]
