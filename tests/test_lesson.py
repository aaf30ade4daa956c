"""What the notebooks' lessons are told with."""

import re

import numpy as np
import pytest

import workbench as wb
from workbench.errors import FormatError
from workbench.ui.lesson import curves, expect_error, report_table, summary, table
from workbench.ui.theme import log_axis


def cells(html):
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in html.data.split("<tr")[1:]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (1234567, "1,234,567"),
        (np.int64(1234), "1,234"),
        (True, "yes"),
        (np.False_, "no"),
        (0.123456, "0.123"),
        (np.float32(0.5), "0.500"),
        (1.23456e-5, "1.23e-05"),
        (float("inf"), "∞"),
        (None, "-"),
    ],
)
def test_values_are_written_for_people(value, text):
    assert cells(table([{"name": "row", "value": value}]))[1] == ["row", text]


def test_a_table_has_the_headings_of_its_first_row():
    assert cells(table({"a": "x", "b": i} for i in (1, 2)))[0] == ["a", "b"]


@pytest.fixture(scope="module")
def reports():
    rng = np.random.default_rng(0)
    matrices = {name: rng.standard_normal((16, rows)) for name, rows in (("a", 64), ("b", 192))}
    own = [wb.technique("q8_0"), wb.technique("uniform", bits=2)]
    return wb.compare(matrices, "*", own, timing=False)


def test_reports_are_named_by_technique_and_own_parameters(reports):
    shown = cells(report_table(reports[:2], "bits_per_weight", "gain_db"))
    assert [row[0] for row in shown] == ["", "q8_0", "uniform bits=2"]
    assert shown[0][1:] == ["bits a weight", "gain over plain, dB"]
    assert shown[1][2] == f"{reports[0].gain_db:+.1f}"


def test_reports_can_be_given_names(reports):
    shown = cells(report_table({"mine": reports[0]}, "nbytes"))
    assert shown[1] == ["mine", f"{reports[0].nbytes:,}"]


def test_a_lossless_report_has_an_infinite_gain():
    matrix = np.kron([[1.0, -1.0], [0.0, 1.0]], np.ones((8, 32)))
    report = wb.measure(wb.technique("planar-ternary", rounding="optimal"), matrix, timing=False)
    lossy = report.model_copy(update={"plain_rel_mse": 0.1})
    assert cells(report_table({"exact": lossy}, "gain_db"))[1] == ["exact", "+∞"]


def test_a_summary_has_a_row_a_technique_by_rising_bits(reports):
    shown = cells(summary(reports, front=reports[:1]))
    assert [row[0] for row in shown] == ["", "uniform bits=2", "q8_0"]
    row = dict(zip(shown[0], shown[2], strict=True))
    own = [report for report in reports if report.technique == "q8_0"]
    bits = 8 * sum(report.nbytes for report in own) / (16 * (64 + 192))
    assert row["bits a weight"] == f"{bits:#.3g}"
    assert row["error"] == f"{np.mean([report.rel_mse for report in own]):#.3g}"
    assert row["output error"] == "-"
    assert row["least gain over plain, dB"] == f"{min(report.gain_db for report in own):+.1f}"
    assert row["not beaten on"] == "1 of 2"


def test_curves_have_lines_and_marks():
    figure = curves(
        {"one": ([1, 2], [3, 4])}, {"here": (1, 3)}, title="t", x="across", y="up", log=["y"]
    )
    assert [trace.mode for trace in figure.data] == ["lines", "markers"]
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("linear", "log")
    assert figure.layout.xaxis.title.text == "across"


def test_expect_error_prints_the_sentence(capsys):
    with expect_error():
        wb.technique("nothing")
    assert capsys.readouterr().out.startswith("refused: no technique is called 'nothing'")


def test_expect_error_requires_the_error():
    with pytest.raises(AssertionError, match="should have raised WorkbenchError"), expect_error():
        pass


def test_expect_error_lets_other_errors_through():
    with pytest.raises(KeyError), expect_error(FormatError):
        raise KeyError("other")


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.04, 0.3], ["0.05", "0.1", "0.2"]),
        ([31.0, 45.0], ["40"]),
        ([20, 180], ["20", "50", "100"]),
    ],
)
def test_labels_of_a_logarithmic_axis_are_whole_numbers(values, labels):
    axis = log_axis(values)
    shown = zip(axis["tickvals"], axis["ticktext"], strict=True)
    assert [text for tick, text in shown if values[0] <= tick <= values[1]] == labels


def test_a_wide_logarithmic_axis_has_powers_of_ten():
    assert log_axis([1e-3, 1e4])["dtick"] == 1
    assert log_axis([0.0])["type"] == "log"
