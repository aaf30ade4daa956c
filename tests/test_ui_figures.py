"""Figures hold what they were given, in finite numbers, in colours that everyone can tell apart."""

import math

import numpy as np
import plotly.graph_objects as go
import pytest

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.ui import figures, lm_figures, theme
from workbench.ui.live import LiveFigure, live, redraw

KEYS = ("kernel", "median_s", "min_s", "max_s", "gops", "ratio_to", "ratio")
RACE = (
    ("ours", 2e-3, 1e-3, 4e-3, 30.0, "peer", 3.0),
    ("peer", 6e-3, 5e-3, 12e-3, 10.0, "peer", 1.0),
    ("ceiling", 1e-3, 1e-3, 1e-3, 60.0, "peer", 6.0),
)
COSTS = [
    {"name": "a", "kind": "ternary", "x": 1.0, "perplexity": 400.0},
    {"name": "b", "kind": "ternary", "x": 1.001, "perplexity": 401.0},
    {"name": "c", "kind": "plain", "x": 2.0, "perplexity": 30.0},
    {"name": "broken", "kind": "plain", "x": 2.0, "perplexity": math.inf},
]
ROWS = [dict(zip(KEYS, row, strict=True)) for row in RACE]


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(0).standard_normal((200, 300)).astype(np.float32)


@pytest.fixture(scope="module")
def reports(weights):
    ternary = np.sign(weights)
    names = ["uniform", "planar-ternary", "q4_0"]
    return [
        wb.measure(wb.technique(name), w, tensor=tensor, nulls=False, plain=False, timing=False)
        for tensor, w in (("gauss", weights), ("ternary", ternary))
        for name in names
    ]


def all_numbers(figure):
    """Every number of every trace."""
    for trace in figure.data:
        for key in ("x", "y", "z"):
            values = getattr(trace, key, None)
            if values is not None:
                yield from np.asarray(values).ravel()


def make_all(weights, reports):
    return {
        "histogram": figures.weight_histogram(weights, np.sign(weights)),
        "maps": figures.weight_maps(weights, np.sign(weights)),
        "pareto": figures.pareto(reports),
        "no pareto": figures.pareto([]),
        "race": figures.race_bars(ROWS, own=["ours"]),
        "no race": figures.race_bars([]),
        "no roofline": figures.roofline([], {}, {}),
        "roofline": figures.roofline([("ours", 4.0, 50.0)], {"int8": 100.0}, {"memory": 10.0}),
        "steps": lm_figures.step_times([4, 5, 6], [1e-3, 2e-3, 9e-3], (1e-3, 1e-6)),
        "no steps": lm_figures.step_times([], [], (1e-3, 1e-6)),
        "costs": lm_figures.costs(COSTS, {"float": 30.0, "trained": 31.0}),
        "no costs": lm_figures.costs([]),
        "trits": lm_figures.trit_shares({"a": (0.3, 0.4, 0.3), "b": (0.5, 0.25, 0.25)}),
    }


@pytest.mark.parametrize("name", ["light", "dark"])
def test_every_figure_is_titled_themed_and_finite(weights, reports, monkeypatch, name):
    monkeypatch.setenv("WORKBENCH_THEME", name)
    for figure in make_all(weights, reports).values():
        assert figure.layout.title.text
        assert (
            figure.layout.paper_bgcolor is None
        )  # from the template, so that a page can change it
        assert figure.layout.template.layout.paper_bgcolor == theme.BACKGROUND[name]
        for value in all_numbers(figure):
            assert isinstance(value, str) or math.isfinite(value)


def test_axes_name_what_they_show(weights, reports):
    for name, figure in make_all(weights, reports).items():
        if name != "maps":  # rows and columns
            assert figure.layout.xaxis.title.text
        if name not in ("maps", "race", "no race"):
            assert figure.layout.yaxis.title.text


def test_histogram_shares_are_those_of_the_weights():
    figure = figures.weight_histogram(np.array([-1.0, 0, 0, 1]), np.array([0.0, 0, 0, 9]))
    before, after = (np.array(trace.customdata) for trace in figure.data)
    assert before.sum() == pytest.approx(100)
    assert before[len(before) // 2] == pytest.approx(50)
    assert after[-1] == pytest.approx(25), "what lies beyond the range belongs to the last bin"


def test_maps_show_the_first_weights_one_by_one(weights):
    figure = figures.weight_maps(weights, np.sign(weights), window=5)
    np.testing.assert_array_equal(figure.data[0].z, weights[:5, :5])
    np.testing.assert_array_equal(figure.data[1].z, np.sign(weights)[:5, :5])
    assert figure.layout.yaxis.range == (4.5, -0.5)  # the first row on top
    assert np.asarray(figure.data[2].z).shape == (figures.MAP_SIDE, figures.MAP_SIDE)


def block_lengths(middles, length):
    ends = [0.0]
    for middle in middles:
        ends.append(2 * (middle + 0.5) - ends[-1])
    assert ends[-1] == length
    return np.diff(ends)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (97, 193)], ids=str)
def test_block_rms_loses_no_energy(shape):
    matrix = np.random.default_rng(1).standard_normal(shape)
    z, rows, cols = figures.block_rms(matrix, 96)
    assert z.shape == (len(rows), len(cols)) == (min(96, shape[0]), min(96, shape[1]))
    # a middle lies half a block behind the end of the block before it
    heights, widths = block_lengths(rows, shape[0]), block_lengths(cols, shape[1])
    assert (z**2 * np.outer(heights, widths)).sum() == pytest.approx((matrix**2).sum())


def test_pareto_draws_every_report_and_joins_the_unbeaten(reports):
    figure = figures.pareto(reports)
    front, *points = figure.data
    assert sum(len(trace.x) for trace in points) == len(reports)
    unbeaten = wb.pareto(reports)
    assert list(front.x) == [report.bits_per_weight for report in unbeaten]


def test_a_lossless_report_sits_below_all_others(reports):
    lossless = [r for r in reports if r.rel_mse == 0]
    assert lossless, "planar-ternary of a ternary matrix"
    figure = figures.pareto(reports)
    lowest = min(min(trace.y) for trace in figure.data[1:])
    assert 0 < lowest < min(r.rel_mse for r in reports if r.rel_mse)


def test_labels_keep_their_traces_before_there_are_reports(reports):
    labels = ["uniform", "planar-ternary", "q4_0"]
    empty = figures.pareto([], labels=labels)
    full = figures.pareto(reports, labels=labels)
    assert [trace.name for trace in empty.data] == [trace.name for trace in full.data]


def test_race_bars_have_the_spread_as_whiskers():
    figure = figures.race_bars(ROWS, own=["ours"], ceiling="ceiling")
    [bar] = figure.data
    assert list(bar.y) == ["peer", "ours"]  # the fastest on top
    assert list(bar.x) == [10, 30]
    np.testing.assert_allclose(bar.error_x.array, [2, 30])
    np.testing.assert_allclose(bar.error_x.arrayminus, [5, 15])
    assert bar.marker.color[0] != bar.marker.color[1]
    assert [note.text for note in figure.layout.annotations] == ["1 ×", "3 ×", "ceiling"]
    assert figure.layout.shapes[0].x0 == 60
    assert figure.layout.xaxis.range[1] > 60


def test_roofline_ceilings_meet():
    figure = figures.roofline([("ours", 4.0, 35.0)], {"int8": 100.0}, {"memory": 10.0})
    slope, roof, point = figure.data
    assert slope.y[-1] == roof.y[0] == 100
    assert slope.x[-1] == roof.x[0] == 10
    assert slope.y[0] / slope.x[0] == pytest.approx(10)
    assert (point.x[0], point.y[0]) == (4, 35)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.weight_histogram(np.array([np.nan])), "before holds NaN"),
        (lambda: figures.weight_histogram(np.empty(0)), "before is empty"),
        (lambda: figures.weight_maps(np.ones((2, 2)), np.ones((2, 3))), "after has shape"),
        (lambda: figures.weight_maps(np.ones((2, 2)), np.full((2, 2), np.inf)), "after holds"),
        (lambda: figures.roofline([("a", 1, 1)], {}, {"memory": 1.0}), "at least one peak"),
    ],
    ids=["nan", "empty", "shape", "infinite", "no peak"],
)
def test_refusals(call, message):
    with pytest.raises(WorkbenchError, match=message):
        call()


def test_redraw_changes_a_live_figure_in_place(weights):
    widget = live(figures.weight_histogram(weights, weights))
    uids = [trace.uid for trace in widget.data]
    newer = figures.weight_histogram(2 * weights, np.sign(weights), title="newer")
    redraw(widget, newer)
    assert [trace.uid for trace in widget.data] == uids
    np.testing.assert_array_equal(widget.data[1].y, newer.data[1].y)
    assert widget.layout.title.text == "newer"


def test_redraw_reaches_pages_that_open_later(weights, reports):
    widget = live(figures.pareto([]))
    redraw(widget, figures.pareto(reports))
    assert len(widget._widget_data) == len(widget.data) == 4
    histogram = live(figures.weight_histogram(weights))
    redraw(histogram, figures.weight_histogram(weights, title="newer"))
    assert histogram._widget_layout["title"]["text"] == "newer"


def test_a_figure_with_other_traces_replaces_them(weights):
    widget = live(figures.weight_histogram(weights))
    redraw(widget, figures.weight_histogram(weights, weights))
    assert [trace.name for trace in widget.data] == ["before", "after"]
    assert isinstance(widget, LiveFigure)


def luminance(colour):
    """Relative luminance of WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("colour", theme.PALETTE)
def test_every_colour_stands_out_on_both_backgrounds(colour, name):
    pair = sorted([luminance(colour), luminance(theme.BACKGROUND[name])])
    assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 3


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "light"),
        ({"QUERY_STRING": "theme=dark"}, "dark"),
        ({"QUERY_STRING": "theme=pink&x=1"}, "light"),
        ({"QUERY_STRING": "theme=dark", "WORKBENCH_THEME": "light"}, "light"),
    ],
    ids=str,
)
def test_the_theme_is_the_one_asked_for(monkeypatch, environment, expected):
    monkeypatch.delenv("QUERY_STRING", raising=False)
    monkeypatch.delenv("WORKBENCH_THEME", raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert theme.current_theme() == expected


def test_all_live_figures_share_plotlys_library():
    # five megabytes a figure, and two seconds until anywidget gives up on a module
    one, other = live(go.Figure()).get_state(), live(go.Figure()).get_state()
    assert one["_library"] == other["_library"]
    assert sum(len(str(value)) for value in one.values()) < 20_000


def test_points_that_lie_together_share_a_label():
    ternary, plain = lm_figures.costs(COSTS).data
    assert ternary.text == ("1, 2", "")
    assert plain.text == ("3",)
    assert list(plain.y) == [30.0], "what is infinite has no place"
