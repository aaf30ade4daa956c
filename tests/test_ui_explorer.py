"""The explorer without a browser: set what a user would set, read what a user would read."""

import re

import numpy as np
import pytest

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.measure.compare import subject_of
from workbench.ui.explorer import Explorer

TENSOR = "blk.0.attn_k.weight"


@pytest.fixture
def explorer():
    return Explorer("uniform", tensor=TENSOR)


def shown(explorer, key):
    """The text of one tile."""
    return re.search(rf'data-key="{key}"><b>([^<]*)', explorer.numbers.value)[1]


def test_it_is_complete_when_it_is_made(explorer):
    weights = wb.open_model("smollm2-slice")
    expected = subject_of(weights, TENSOR).report(wb.technique("uniform"))
    timeless = {"matmul_s"}
    assert explorer.report.model_dump(exclude=timeless) == expected.model_dump(exclude=timeless)
    assert not explorer.running


def test_the_numbers_shown_are_those_of_the_report(explorer):
    report = explorer.report
    assert shown(explorer, "bits_per_weight") == f"{report.bits_per_weight:.3f}"
    assert shown(explorer, "nbytes") == f"{report.nbytes:,}"
    assert float(shown(explorer, "output_rel_mse")) == pytest.approx(
        report.output_rel_mse, rel=0.01
    )
    rows = re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', explorer.numbers.value)
    errors = [report.rel_mse, report.plain_rel_mse, *report.nulls.values()]
    assert [float(text) for _, text in rows] == pytest.approx(errors, rel=0.01)


def test_a_control_changes_report_numbers_and_figures(explorer):
    before = explorer.report
    drawn = np.array(explorer.histogram.data[1].y)
    explorer.techniques.controls["bits"].input.value = 2
    explorer.wait()
    assert explorer.technique == wb.technique("uniform", bits=2)
    assert explorer.report.technique == "uniform"
    assert explorer.report.bits_per_weight < before.bits_per_weight
    assert explorer.report.rel_mse > before.rel_mse
    assert shown(explorer, "bits_per_weight") == f"{explorer.report.bits_per_weight:.3f}"
    assert not np.array_equal(explorer.histogram.data[1].y, drawn)


def test_traits_drive_it_like_controls_do(explorer):
    explorer.technique = wb.technique("planar-ternary", rounding="optimal")
    explorer.tensor = "blk.0.attn_v.weight"
    explorer.wait()
    assert explorer.report.technique == "planar-ternary"
    assert explorer.report.tensor == "blk.0.attn_v.weight"
    assert explorer.techniques.name.value == "planar-ternary"
    assert explorer.techniques.controls["rounding"].input.value == "optimal"
    assert explorer.tensors.list.value == "blk.0.attn_v.weight"


def test_maps_show_the_weights_and_what_became_of_them(explorer):
    matrix = wb.open_model("smollm2-slice")[TENSOR].read()
    decoded = explorer.technique.encode(matrix).decode()
    np.testing.assert_array_equal(explorer.maps.data[0].z, matrix[:48, :48])
    np.testing.assert_array_equal(explorer.maps.data[1].z, decoded[:48, :48])


def test_many_changes_at_once_end_at_the_last(explorer):
    for bits in (2, 3, 5, 6, 7, 8):
        explorer.techniques.controls["bits"].input.value = bits
    explorer.wait()
    assert explorer.report.parameters["bits"] == 8


def test_another_model_keeps_the_tensor_where_it_has_it(explorer):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((8, 16)).astype(np.float32)
    explorer.models.weights = {"other": matrix, TENSOR: matrix}
    explorer.wait()
    assert (explorer.report.tensor, explorer.report.output_rel_mse) == (TENSOR, None)
    assert 'data-key="output_rel_mse"' not in explorer.numbers.value
    explorer.models.weights = {"only": matrix}
    explorer.wait()
    assert explorer.report.tensor == explorer.tensor == "only"


def test_plain_arrays_can_be_explored():
    weights = {"zeros": np.zeros((4, 32), np.float32)}
    explorer = Explorer("planar-ternary", weights)
    assert explorer.report.rel_mse == 0
    assert "∞" in explorer.numbers.value  # decibels of no error at all


def test_weights_that_cannot_be_measured_are_explained():
    explorer = Explorer("uniform", {"bad": np.array([[1.0, np.nan]], np.float32)})
    assert "nan at row 0, column 1" in explorer.job.problem.message
    assert explorer.report is None


def test_cancel_leaves_the_last_result(explorer):
    before = explorer.report
    explorer.techniques.controls["bits"].input.value = 2
    explorer.job.cancel()
    explorer.wait()
    assert explorer.job.outcome == "cancelled"
    assert explorer.report == before


def test_unknown_names_are_refused(explorer):
    with pytest.raises(WorkbenchError, match="'nope'"):
        Explorer("nope")
    with pytest.raises(WorkbenchError, match="'nope'"):
        Explorer("uniform", tensor="nope")
    with pytest.raises(WorkbenchError, match="'nope'"):
        Explorer("uniform", model="nope")
    with pytest.raises(WorkbenchError, match="'nope'"):
        explorer.tensor = "nope"
    assert explorer.tensor == TENSOR


def test_choices_limit_the_techniques():
    explorer = Explorer("uniform", tensor=TENSOR, choices=["uniform", "nf4"])
    assert explorer.techniques.name.options == ("nf4", "uniform")
