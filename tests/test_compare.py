"""Techniques times tensors: what is chosen, in which order, and what is refused."""

import numpy as np
import pytest

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.measure.report import Report

QUICK = {"nulls": False, "plain": False, "timing": False}


@pytest.fixture
def weights():
    rng = np.random.default_rng(0)
    return {
        "blk.0.up": rng.standard_normal((6, 70)),
        "blk.0.norm": rng.standard_normal(70),
        "blk.0.down": rng.standard_normal((70, 6)),
        "blk.1.up": rng.standard_normal((6, 70)),
        "odd[1]": rng.standard_normal((3, 5)),
    }


def pairs(reports):
    return [(report.tensor, report.technique) for report in reports]


def test_all_of_everything_is_every_matrix_with_every_technique(weights):
    reports = wb.compare(weights, **QUICK)
    matrices = ["blk.0.up", "blk.0.down", "blk.1.up", "odd[1]"]
    assert pairs(reports) == [(name, known) for name in matrices for known in wb.techniques()]


@pytest.mark.parametrize(
    ("tensors", "chosen"),
    [
        ("blk.0.up", ["blk.0.up"]),
        ("blk.*.up", ["blk.0.up", "blk.1.up"]),
        (["*.down", "blk.1.*"], ["blk.0.down", "blk.1.up"]),
        (["blk.1.up", "blk.0.up", "blk.*.up"], ["blk.0.up", "blk.1.up"]),
        ("odd[1]", ["odd[1]"]),
    ],
    ids=str,
)
def test_tensors_by_pattern_in_the_order_of_the_file(weights, tensors, chosen):
    reports = wb.compare(weights, tensors, "q8_0", **QUICK)
    assert [report.tensor for report in reports] == chosen


def test_techniques_by_pattern_or_as_they_are(weights):
    mine = wb.technique("uniform", bits=3)
    chosen = ["q?_*", mine, "uniform", "q8_0", mine]
    reports = wb.compare(weights, "blk.0.up", chosen, **QUICK)
    assert [report.technique for report in reports] == [
        *("q2_0", "q4_0", "q4_1", "q8_0"),
        *("uniform", "uniform"),
    ]
    assert [report.parameters["bits"] for report in reports[4:]] == [3, 4]
    assert pairs(wb.compare(weights, "blk.0.up", mine, **QUICK)) == [("blk.0.up", "uniform")]


@pytest.mark.parametrize(
    ("tensors", "techniques", "message"),
    [
        ("blk.7.*", "*", r"no matrix is called 'blk.7.\*'; there are blk.0.up, blk.0.down"),
        ("blk.0.norm", "*", "no matrix is called 'blk.0.norm'"),
        (["blk.0.up", ""], "*", "no matrix is called ''"),
        ("*", "q9*", r"no technique is called 'q9\*'; there are base3-ternary"),
        ([], "*", "tensors is empty"),
        ("*", [], "techniques is empty"),
    ],
    ids=str,
)
def test_what_fits_nothing_is_refused(weights, tensors, techniques, message):
    with pytest.raises(WorkbenchError, match=message):
        wb.compare(weights, tensors, techniques, **QUICK)


def test_long_lists_of_tensors_are_cut():
    many = {f"w{number}": np.ones((2, 2)) for number in range(40)}
    with pytest.raises(WorkbenchError, match=r"there are w0, .*, w11 and 28 more$"):
        wb.compare(many, "x", **QUICK)


def test_progress_and_found_tell_of_each_report(weights):
    told, found = [], []
    reports = wb.compare(
        weights,
        "blk.*.up",
        ["q8_0", "q4_0"],
        progress=lambda done, total, what: told.append((done, total, what)),
        found=found.append,
        **QUICK,
    )
    assert [(done, total) for done, total, _ in told] == [(n, 4) for n in range(5)]
    assert told[0][2] == "q8_0 on blk.0.up"
    assert found == reports


def test_cancel_keeps_what_was_made(weights):
    made = []
    reports = wb.compare(
        weights, "*", "q*", found=made.append, cancel=lambda: len(made) == 3, **QUICK
    )
    assert pairs(reports) == [("blk.0.up", name) for name in ("q2_0", "q4_0", "q4_1")]


def test_each_tensor_has_nulls_of_its_own_that_follow_the_seed(weights):
    weights["blk.1.up"] = weights["blk.0.up"]
    options = {"plain": False, "timing": False}
    first, second = wb.compare(weights, "blk.*.up", "q4_0", **options)
    assert first.nulls != second.nulls
    assert [first, second] == wb.compare(weights, "blk.*.up", "q4_0", **options)
    assert first.nulls != wb.compare(weights, "blk.*.up", "q4_0", rng=1, **options)[0].nulls


def test_real_tensors_come_with_real_activations():
    model = wb.open_model("smollm2-slice")
    (report,) = wb.compare(model, "blk.14.attn_q.weight", "q8_0", nulls=False, timing=False)
    matrix = model["blk.14.attn_q.weight"].read()
    assert report.nbytes == wb.technique("q8_0").encode(matrix).nbytes
    assert 0 < report.output_rel_mse < 1e-3
    assert report.source == "Q4_1"


def report(bits, error):
    return Report(
        tensor="w",
        source="",
        technique="q8_0",
        parameters={},
        nbytes=1,
        bits_per_weight=bits,
        rel_mse=error,
        snr_db=0,
        cosine=0,
        matmul_s=None,
        max_error=0,
        output_rel_mse=None,
        entropy_bits=0,
        plain_rel_mse=None,
        nulls=None,
    )


def test_pareto_keeps_what_nothing_beats_in_both():
    points = [(4, 0.1), (2, 0.5), (3, 0.6), (4, 0.2), (8, 0.1), (6, 0.05), (2, 0.7)]
    front = wb.pareto([report(*point) for point in points])
    assert [(kept.bits_per_weight, kept.rel_mse) for kept in front] == [
        *((2, 0.5), (4, 0.1), (6, 0.05)),
    ]
    assert wb.pareto([]) == []
