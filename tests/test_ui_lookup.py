"""The panel of lookup tables without a browser: what it counts, plays, measures and refuses."""

import numpy as np
import pytest

import workbench as wb
from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.lookup import independent, layers, literal, patterns
from workbench.lookup.tiers import TIERS, TieredTables
from workbench.measure import lookups
from workbench.ui import lookup_figures
from workbench.ui.lookup_panel import ITSELF, LookupPanel
from workbench.ui.lookup_steps import LookupSteps, corner, picture, steps
from workbench.ui.lookup_verdict import verdict

TENSOR = "blk.0.attn_k.weight"
compiled = pytest.mark.skipif(
    not all(kernels.status(name).compiled for name in lookups.KERNELS),
    reason="the kernels are not compiled",
)


@pytest.fixture(scope="module")
def codes():
    return independent.draw((40, 96), np.random.default_rng(0))


@pytest.fixture
def panel():
    made = LookupPanel(tensor=TENSOR, seconds=0.2)
    made.wait(60)
    return made


# --- figures ---


def test_the_waterfall_ends_where_the_table_of_sums_does():
    figure = lookup_figures.waterfall(literal.waterfall())
    assert [trace.name for trace in figure.data] == [
        "as claimed", "by its own formula", "really needed",
    ]  # fmt: skip
    assert figure.data[2].y[-1] == 33 * 256 * 2
    assert figure.data[0].y[0] == 1.4e12


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 B"), (999, "999 B"), (16_896, "16.9 KB"), (223e6, "223 MB"), (1.4e12, "1.40 TB")],
)
def test_sizes_read_well(nbytes, text):
    assert lookup_figures.size(nbytes) == text


def test_classes_are_drawn_once_each_by_frequency():
    share = np.arange(14) / 91
    figure = lookup_figures.classes({"rising": share}, 3)
    assert list(figure.data[0].y) == sorted(100 * share, reverse=True)
    drawn = np.array(figure.data[1].z).T
    np.testing.assert_array_equal(patterns.numbers(drawn.astype(np.int8)), np.arange(13, -1, -1))


def test_growth_shows_few_lines_and_every_g():
    rows = list(layers.growth(layers.random_layers([(32, 48)], 3), range(2, 10)))
    figure = lookup_figures.growth(rows)
    assert [t.name for t in figure.data[:5]] == ["g = 2", "g = 4", "g = 6", "g = 7", "g = 9"]
    assert list(figure.data[5].x) == list(range(2, 10))
    assert all(len(trace.x) == 0 for trace in lookup_figures.growth([]).data)


# --- a product, step by step ---


@pytest.mark.parametrize("cols", [5, 6])
@pytest.mark.parametrize("g", [1, 2, 3])
def test_the_steps_end_with_the_product(codes, g, cols):
    part = codes[:4, :cols]
    x = np.array([-128, 127, 3, 0, -7, 50], np.int8)[:cols]
    played = steps(part, x, g)
    assert played[-1].sums == tuple((part.astype(int) @ x).tolist())
    groups = -(-cols // g)
    assert len(played) == groups * (patterns.canonical_count(g) + 4)
    for step in played:
        values = np.pad(x.astype(int), (0, groups * g - cols)).reshape(-1, g)[step.group]
        for number, entry in enumerate(step.table):
            if entry is not None:
                assert entry == patterns.trits(np.array(number), g).astype(int) @ values


def test_the_player_follows_and_can_be_set(codes):
    player = LookupSteps(*corner(codes, g=2), 2)
    assert f"Step 1 of {len(player.steps)}" in player.picture.value
    player.place = 5
    assert player.slider.value == 5
    assert player.steps[5].text in player.picture.value
    player.slider.value = len(player.steps) - 1
    assert player.place == player.slider.max == player.play.max
    player.show(*corner(codes, g=1), 1)
    assert player.place == 0
    with pytest.raises(WorkbenchError, match="g=4 is not allowed here"):
        player.show(*corner(codes, g=4), 4)


def test_a_picture_marks_row_and_entry(codes):
    part, x = corner(codes, g=2)
    step = next(step for step in steps(part, x, 2) if step.row == 2)
    shown = picture(part, x, 2, step)
    assert shown.count("wb-entry wb-on") == 1
    assert shown.count("wb-sum wb-on") == 1
    assert shown.count('<th scope="row">row') == 4


# --- the panel ---


def test_it_counts_the_tiers_of_matrix_and_nulls(panel):
    assert panel.job.problem.message == ""
    names = [row["of"] for row in panel.rows]
    assert names == [ITSELF, "shuffled rows", "independent 28/44/28"]
    weights = wb.open_model("smollm2-slice")[TENSOR].read()
    trits = wb.ternary.quantize(weights, "absmean", scale="tensor").codes
    made = TieredTables.of(trits, 16, hot=4 << 10, warm=16 << 10)
    assert panel.rows[0]["hits"] == made.hits()
    assert panel.rows[0]["bits"] == 8 * made.nbytes / trits.size
    drawn = {trace.name: trace.x[0] / 100 for trace in panel.tier_figure.data}
    assert drawn == pytest.approx(made.hits())
    assert panel.tier_figure.data[0].y[-1] == "as the document has it"


def test_controls_lead_to_other_counts(panel):
    before = panel.rows
    panel.g = 5
    panel.wait(60)
    assert panel.length.value == panel.rows[0]["g"] == 5
    panel.hot.value, panel.radius.value, panel.bases.value = 0, 1, "covering"
    panel.weights.value = "shuffled rows"
    panel.wait(60)
    assert panel.rows[0]["hits"]["hot"] == 0
    assert panel.rows != before
    marked = panel.tier_table.value.split('class="wb-own"')[1]
    assert marked.startswith('><th scope="row">shuffled rows')
    panel.tensors.tensors = ("blk.0.attn_q.weight",)
    panel.wait(60)
    assert panel.rows[0]["shape"] == (576, 576)


def test_large_matrices_are_looked_at_in_part(panel):
    panel.tensors.tensors = ("blk.14.ffn_up.weight",)
    panel.wait(60)
    rows, cols = panel.rows[0]["shape"]
    assert cols == 576
    assert rows == (1 << 19) // 576


@compiled
def test_nothing_is_timed_before_it_is_asked_for(panel):
    assert (panel.clock, panel.grown) == ((), ())
    assert "Press Measure" in panel.verdict.value
    panel.measure.click()
    panel.wait(60)
    assert panel.clock_job.problem.message == ""
    assert {"planar", "base3", "tables, g=5", "tiers, g=16, as set"} <= {
        row["kernel"] for row in panel.clock
    }
    assert set(panel.clock_figure.data[0].y) == {row["kernel"] for row in panel.clock}
    assert "192 × 576" in panel.clock_figure.layout.title.text
    assert "The fastest lookup" in panel.verdict.value
    assert set(panel.cycle_figure.data[1].x) == set(TIERS)
    assert sum(len(trace.x) for trace in panel.worth_figure.data) == len(panel.clock)


def test_layers_are_added_up_on_demand():
    shapes = {f"blk.{layer}.attn_q.weight": (16, 32) for layer in range(2)}
    rng = np.random.default_rng(0)
    made = {name: _Tensor(rng.standard_normal(shape)) for name, shape in shapes.items()}
    panel = LookupPanel(made)
    panel.add_up.click()
    panel.wait(60)
    assert panel.layer_job.problem.message == ""
    assert {row["layers"] for row in panel.grown} == {1, 2}
    assert list(panel.growth_figure.data[0].x) == [1, 2]


def test_a_model_without_layers_is_explained():
    panel = LookupPanel({"one": _Tensor(np.random.default_rng(0).standard_normal((16, 32)))})
    panel.run_layers()
    panel.wait(60)
    assert "no matrix of this model is in a numbered layer" in panel.layer_job.problem.message
    assert panel.grown == ()


class _Tensor:
    """A matrix with what panels ask of a tensor."""

    quant = "F32"

    def __init__(self, values):
        self._values = values.astype(np.float32)
        self.shape = values.shape

    def read(self):
        return self._values


# --- the verdict ---


def row(kernel, kind, nbytes, seconds):
    facts = {"rows": 10, "cols": 100, "tokens": 1, "threads": 1}
    return facts | {"kernel": kernel, "kind": kind, "nbytes": nbytes, "median_s": seconds}


PACKED = [row("planar", "other", 250, 1e-6), row("base3", "other", 200, 2e-6)]


@pytest.mark.parametrize(
    ("nbytes", "seconds", "says"),
    [
        (200, 9e-6, "No table is worth it here"),
        (199, 9e-6, "No table is worth it here"),
        (150, 9e-6, "Smaller or faster than each packing: table."),
        (400, 5e-7, "Smaller or faster than each packing: table."),
        (220, 1.5e-6, "Smaller or faster than each packing: table."),
    ],
    ids=["slower", "hardly smaller", "smaller", "faster", "between"],
)
def test_a_table_is_worth_it_where_no_packing_beats_it(nbytes, seconds, says):
    said = verdict([*PACKED, row("table", "whole", nbytes, seconds)])
    assert says in said
    assert "10 × 100 weights, 1 token, 1 thread" in said
    assert "Two bits a weight (planar) takes 1 µs and 2.00 bits a weight." in said
