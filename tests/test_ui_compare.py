"""The compare panel without a browser: what it measures, shows, exports and refuses."""

import threading

import numpy as np
import pytest

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.formats import open_gguf
from workbench.ui.compare_panel import ComparePanel

TENSORS = ["blk.0.attn_k.weight", "blk.0.attn_v.weight"]
TECHNIQUES = ["q4_0", "tq2_0", wb.technique("uniform", bits=3)]


@pytest.fixture
def panel(tmp_path):
    return ComparePanel(tensors=TENSORS, techniques=TECHNIQUES, folder=tmp_path / "out")


@pytest.fixture
def finished(panel):
    panel.run()
    panel.wait(120)
    assert panel.job.outcome == "done"
    return panel


def test_it_starts_with_what_it_was_given(panel):
    assert panel.tensors.tensors == tuple(TENSORS)
    assert {t.id for t in panel.techniques.chosen} == {"q4_0", "tq2_0", "uniform"}
    assert panel.reports == ()


def test_the_button_measures_everything_that_is_chosen(panel):
    panel.button.click()
    panel.wait(120)
    pairs = {(report.tensor, report.technique) for report in panel.reports}
    assert pairs == {(tensor, id) for tensor in TENSORS for id in ("q4_0", "tq2_0", "uniform")}


def test_table_and_chart_hold_the_reports(finished):
    frame = finished.table.df
    assert list(frame["bytes"]) == [report.nbytes for report in finished.reports]
    assert list(frame["tensor"]) == [report.tensor for report in finished.reports]
    assert set(frame["technique"]) == {"q4_0", "tq2_0", "uniform bits=3"}
    drawn = {trace.name: len(trace.x) for trace in finished.chart.data[1:]}
    assert drawn == {"q4_0": 2, "tq2_0": 2, "uniform bits=3": 2}


def test_results_come_one_by_one_and_cancel_keeps_them(panel, monkeypatch):
    monkeypatch.setattr("workbench.ui.compare_panel.REDRAW_S", 0)
    first, go_on = threading.Event(), threading.Event()

    def look(change):
        if len(change.new) == 1:
            first.set()
            go_on.wait(30)

    panel.observe(look, "reports")
    panel.run()
    assert first.wait(60)
    panel.cancel()
    go_on.set()
    panel.wait(60)
    assert panel.job.outcome == "cancelled"
    assert len(panel.reports) == 1
    assert len(panel.table.df) == 1


def test_ticking_boxes_chooses_techniques(panel):
    panel.techniques.chosen = ()
    assert not any(box.value for box in panel.techniques.boxes.values())
    panel.run()
    assert "tick at least one" in panel.problem.message
    box = panel.techniques.boxes[wb.technique("nf4")]
    box.value = True
    assert panel.techniques.chosen == (wb.technique("nf4"),)
    with pytest.raises(WorkbenchError, match="bits=7"):
        panel.techniques.chosen = (wb.technique("uniform", bits=7),)


def test_an_error_keeps_what_was_measured(panel):
    good = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
    bad = np.full((8, 64), np.nan, np.float32)
    panel.models.weights = {"good": good, "bad": bad}
    panel.tensors.tensors = ("good", "bad")
    panel.run()
    panel.wait(60)
    assert panel.job.outcome == "failed"
    assert "nan" in panel.job.problem.message
    assert {report.tensor for report in panel.reports} == {"good"}


def test_exports_are_hidden_until_there_is_something(panel):
    assert panel.exports.layout.display == "none"
    panel.exports.save_encoded()
    assert "nothing was compared yet" in panel.exports.problem.message


def test_encoded_files_are_what_was_measured(finished, tmp_path):
    finished.exports.choice.value = "uniform bits=3"
    finished.exports.encoded.click()
    finished.exports.job.wait(60)
    assert str(tmp_path / "out") in finished.exports.said.value
    for report in finished.reports:
        if report.technique == "uniform":
            path = tmp_path / "out" / f"{report.tensor}.uniform.safetensors"
            assert path.stat().st_size == report.nbytes
            assert wb.load_encoded(path).technique == wb.technique("uniform", bits=3)


def test_gguf_is_the_model_with_these_matrices_replaced(finished, tmp_path):
    finished.exports.choice.value = "tq2_0"
    finished.exports.gguf.click()
    finished.exports.job.wait(60)
    source = wb.open_model("smollm2-slice")
    copy = open_gguf(tmp_path / "out" / "smollm2-135m-slice.tq2_0.gguf")
    assert list(copy) == list(source)
    for name in source:
        if name not in TENSORS:
            assert np.array_equal(copy[name].stored(), source[name].stored())
    for name in TENSORS:  # 576 columns are no whole number of TQ2_0's blocks of 256
        decoded = wb.technique("tq2_0").encode(source[name].read()).decode()
        np.testing.assert_array_equal(copy[name].read(), decoded)


def test_gguf_keeps_blocks_that_it_has(finished, tmp_path):
    finished.exports.choice.value = "q4_0"
    finished.exports.save_gguf()
    finished.exports.job.wait(60)
    copy = open_gguf(tmp_path / "out" / "smollm2-135m-slice.q4_0.gguf")
    assert {copy[name].quant for name in TENSORS} == {"Q4_0"}


def test_files_that_are_there_are_kept(finished, tmp_path):
    finished.exports.save_encoded()
    finished.exports.job.wait(60)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    finished.exports.save_encoded()
    assert "is there already" in finished.exports.problem.message
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()} == before


def test_a_folder_is_needed(finished):
    finished.exports.folder.value = " "
    finished.exports.save_gguf()
    assert "folder is empty" in finished.exports.problem.message


def test_plain_arrays_have_no_gguf_button():
    weights = {"w": np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)}
    panel = ComparePanel(weights, techniques="q4_0")
    panel.run()
    panel.wait(60)
    assert panel.exports.gguf.layout.display == "none"


def test_unknown_names_are_refused():
    with pytest.raises(WorkbenchError, match="'nope'"):
        ComparePanel(tensors="nope")
    with pytest.raises(WorkbenchError, match="'nope'"):
        ComparePanel(techniques="nope")
