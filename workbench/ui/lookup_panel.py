"""Lookup tables of one matrix: its patterns, tiers, a lookup in steps, the clock, the layers."""

import html
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import final, get_args

import ipywidgets
import numpy as np
import traitlets
from jaxtyping import Int8

from workbench import ternary
from workbench.kernels import cores
from workbench.lookup import counting, independent, layers, literal, patterns
from workbench.lookup.product import LARGEST_WHOLE
from workbench.lookup.tiers import CHANGES, LARGEST_TIERED, TIERS, Bases, TieredTables
from workbench.lookup.tuning import DOCUMENT_CYCLES, DOCUMENT_SHARES
from workbench.measure.lookup_race import bench_lookups, tier_cycles
from workbench.measure.lookups import measured_costs
from workbench.ui import lookup_figures, tables
from workbench.ui.controls import FULL, STYLE, ModelPicker, TensorPicker, dropdown, field, slider
from workbench.ui.live import live, redraw
from workbench.ui.lookup_steps import LARGEST_G, LookupSteps, corner
from workbench.ui.lookup_verdict import problem_of, verdict
from workbench.ui.panel import Panel
from workbench.ui.progress import Job, Problem, shows_problems

DEBOUNCE_S = 0.2
MOST = 1 << 19  # weights of a matrix that are looked at; the first rows of larger ones
CLASSES_G = 4  # 41 columns are the most that fit beside the controls
KILOBYTES = (0, 1, 2, 4, 8, 16, 24, 32, 64, 128, 256, 512, 1024, 2048)
BESIDE = {"width": "auto", "align_self": "flex-start"}
ITSELF = "the matrix itself"
ROUNDINGS = ("absmean", "optimal")
RACED = {True: (3, 4, 5, 7, 8), False: (2, 3, 4, 5)}  # one token, several
TIER_COLUMNS = {
    "of": "lookups of",
    "zeros": "zeros",
    "distinct": "distinct",
    "stored": "in tables",
    "each": "lookups an entry",
    "bits": "bits a weight",
}


@dataclass(frozen=True, eq=False)
class Looked:
    """Trits of a matrix and of its nulls, by name; which of them the panel looks at."""

    matrices: Mapping[str, Int8[np.ndarray, "rows cols"]]
    chosen: str

    @property
    def codes(self) -> Int8[np.ndarray, "rows cols"]:
        return self.matrices[self.chosen]


@final
class LookupPanel(Panel):
    """Pick a matrix, trits of a pattern and tiers; figures follow. Times are taken on demand.

    Parameters
    ----------
    model : str or mapping
        Name or path of a model, or a mapping of names to tensors.
    tensor : str, optional
        The first one where left out.
    g : int
        Trits of a pattern, 2 to 16.
    hot, warm : int
        Kilobytes of table for the two tiers in the caches.

    Attributes
    ----------
    g : int
        Settable.
    rows : tuple of dict
        What the tiers answer, for the matrix and its nulls.
    clock : tuple of dict
        Rows of `workbench.measure.lookup_race.bench_lookups`; empty before they are asked for.
    grown : tuple of dict
        Rows of `workbench.lookup.layers.growth`; empty before they are asked for.
    running : bool
    """

    g = traitlets.Int(16)
    rows = traitlets.Tuple()
    clock = traitlets.Tuple()
    grown = traitlets.Tuple()
    running = traitlets.Bool(False)

    def __init__(
        self,
        model: str | Mapping = "smollm2-slice",
        tensor: str | None = None,
        g: int = 16,
        hot: int = 4,
        warm: int = 16,
        seconds: float = 3.0,
    ):
        self.models = ModelPicker(model)
        self.tensors = TensorPicker(self.models.weights, [tensor] if tensor else [])
        self.rounding = dropdown("rounding", ROUNDINGS)
        self.weights = dropdown("weights", (ITSELF, *counting.nulls(_blank(), _rng())))
        self.length = slider("g", 2, LARGEST_TIERED, g)
        self.hot, self.warm = (_kilobytes(n, v) for n, v in (("hot", hot), ("warm", warm)))
        self.radius = slider("radius", 0, CHANGES, CHANGES)
        self.bases = dropdown("bases", get_args(Bases))
        self.tokens = dropdown("tokens", (1, 32, 128))
        self.threads = slider("threads", 1, cores(), 1)
        self.seconds = seconds
        self.measure, self.add_up = (
            ipywidgets.Button(description=text, button_style="primary", icon="play", layout=BESIDE)
            for text in ("Measure", "Add up the layers")
        )
        self.job, self.clock_job, self.layer_job = Job(), Job(), Job()
        self.problem = Problem()
        self.numbers, self.tier_table, self.verdict = (tables.Numbers() for _ in range(3))
        self.tier_figure = live(lookup_figures.tiers({"document": dict.fromkeys(TIERS, 0.0)}))
        self.class_figure = live(lookup_figures.classes({"": np.ones(2)}, 1))
        self.fall = live(lookup_figures.waterfall(literal.waterfall()))
        self.clock_figure = live(lookup_figures.clock([]))
        self.cycle_figure = live(lookup_figures.tier_cycles({}, DOCUMENT_CYCLES))
        self.worth_figure = live(lookup_figures.worth([]))
        self.growth_figure = live(lookup_figures.growth([]))
        self.steps = LookupSteps(*corner(_blank()))
        self._looked: tuple | None = None
        super().__init__(self._arranged(), g=g)

        traitlets.link((self, "g"), (self.length, "value"))
        for job in (self.job, self.clock_job, self.layer_job):
            job.observe(self._follow_jobs, "running")
        self.models.observe(self._follow_model, "weights")
        self.tensors.observe(lambda _: self._count(), "tensors")
        counted = (self.rounding, self.weights, self.length, self.hot, self.warm, self.radius)
        for control in (*counted, self.bases):
            control.observe(lambda _: self._count(), "value")
        self.measure.on_click(lambda _: self.run_clock())
        self.add_up.on_click(lambda _: self.run_layers())
        self.verdict.show(_note("Press Measure: times are taken on this machine."))
        self._count(0)
        with suppress(TimeoutError):  # most matrices take a second or two
            self.job.wait(60)

    def wait(self, timeout: float = 300.0) -> None:
        """Return when nothing runs any more; TimeoutError if something still does."""
        for job in (self.job, self.clock_job, self.layer_job):
            job.wait(timeout)

    @shows_problems
    def run_clock(self) -> None:
        """Time tables, tiers and packed trits on the chosen matrix."""
        self.clock_job.start(self._time, "making the tables")

    @shows_problems
    def run_layers(self) -> None:
        """Count a dictionary shared by the layers of the model."""
        weights, rounding = self.models.weights, self.rounding.value
        self.layer_job.start(lambda run: self._grow(run, weights, rounding), "reading layer 0")

    def _arranged(self) -> list[ipywidgets.Widget]:
        controls = _box(
            "wb-controls",
            self.models,
            self.tensors,
            field(self.rounding, "How weights become trits, one scale a matrix."),
            field(self.weights, "Its trits, or the same shape without any order."),
            field(self.length, "Trits of a pattern: columns that share a table."),
            field(self.hot, "KB of table for the most frequent patterns."),
            field(self.warm, "KB of table for those that follow."),
            field(self.radius, "Trits that a pattern of tier 3 may differ from one in a table."),
            field(self.bases, "What the warm tier holds."),
        )
        results = _box(
            "wb-results",
            *(self.job, self.problem, self.numbers),
            *(self.tier_figure, self.tier_table, self.class_figure),
        )
        columns = ipywidgets.Box([controls, results])
        columns.add_class("wb-columns")
        asked = _box(
            "wb-fields",
            field(self.tokens, "Multiplied at once."),
            field(self.threads, "Of every kernel."),
        )
        timed = ipywidgets.Box(
            [
                _box("wb-controls", asked, self.measure, self.clock_job, self.verdict),
                _box("wb-results", self.clock_figure),
            ]
        )
        timed.add_class("wb-columns")
        return [
            columns,
            *(_section("A lookup, step by step"), self.steps),
            *(_section("The table as it was proposed"), self.fall),
            *(_section("Is it worth it here?"), timed, self.worth_figure, self.cycle_figure),
            *(_section("Across layers"), self.add_up, self.layer_job, self.growth_figure),
        ]

    def _follow_jobs(self, _change) -> None:
        self.running = any(j.running for j in (self.job, self.clock_job, self.layer_job))
        self.measure.disabled = self.add_up.disabled = self.running  # each would disturb the clock

    @shows_problems
    def _follow_model(self, change):
        self.tensors.weights = change.new
        self._count()

    def _count(self, delay: float = DEBOUNCE_S) -> None:
        self.job.start(self._work, "reading the matrix", delay)

    def _look(self) -> Looked:
        """The matrix and its nulls, kept while only other controls change."""
        name, rounding = self.tensors.tensors[0], self.rounding.value
        key = (self.models.weights, name, rounding)
        if self._looked is None or self._looked[0] != key:
            matrix = self.models.weights[name].read()
            codes = ternary.quantize(matrix, rounding, scale="tensor").codes
            codes = codes[: max(MOST // codes.shape[1], 1)]
            self._looked = key, {ITSELF: codes, **counting.nulls(codes, _rng())}
        return Looked(self._looked[1], self.weights.value)

    def _options(self) -> dict:
        options = {"hot": self.hot.value << 10, "warm": self.warm.value << 10}
        return options | {"radius": self.radius.value, "bases": self.bases.value}

    def _work(self, run) -> None:
        looked, g, options = self._look(), self.g, self._options()
        run.check()
        small = min(g, CLASSES_G)
        shares = {name: _shares(matrix, small) for name, matrix in looked.matrices.items()}
        redraw(self.class_figure, lookup_figures.classes(shares, small))
        self.steps.show(*corner(looked.codes, g=min(g, LARGEST_G)), min(g, LARGEST_G))
        rows = []
        for place, (name, matrix) in enumerate(looked.matrices.items()):
            run.progress(place, len(looked.matrices), f"patterns of {name}")
            rows.append(_tier_row(name, matrix, g, options))
        run.check()
        self.rows = tuple(rows)
        own = next(row for row in rows if row["of"] == looked.chosen)
        self.numbers.show(tables.tiles(_tiles(own)))
        hits = {row["of"]: row["hits"] for row in rows}
        hits["as the document has it"] = dict(zip(TIERS, DOCUMENT_SHARES, strict=True))
        redraw(self.tier_figure, lookup_figures.tiers(hits))
        cells = [{key: _cell(key, row[key]) for key in TIER_COLUMNS} for row in rows]
        caption = (
            "Distinct patterns, those in tables, lookups of each of these for a token. Each "
            "dictionary knows its matrix beforehand."
        )
        place = [row["of"] for row in rows].index(looked.chosen)
        self.tier_table.show(tables.table(TIER_COLUMNS, cells, caption, own=[place]))

    def _time(self, run) -> None:
        looked, g, tokens, threads = self._look(), self.g, self.tokens.value, self.threads.value
        run.progress(0, 100, "measuring the constants of the cost model, some seconds")
        costs, cycles = measured_costs(), tier_cycles()
        redraw(self.cycle_figure, lookup_figures.tier_cycles(cycles, DOCUMENT_CYCLES))
        run.progress(10, 100, "making the tables")
        wanted = {*RACED[tokens == 1], *([g] if g <= LARGEST_WHOLE else [])}
        rows = bench_lookups(
            looked.codes,
            tokens=tokens,
            threads=threads,
            groups=sorted(wanted),
            tiers={
                f"tiers, g={g}, as set": {"g": g, **self._options()},
                "tiers, g=16, computed": {"g": LARGEST_TIERED, "hot": 0, "warm": 0},
            },
            textbook=False,
            costs=costs,
            seconds=self.seconds,
            progress=lambda done, total, name: run.progress(10 + 90 * done // total, 100, name),
        )
        self.clock = tuple(rows)
        title = f"The cost model against the clock<br><sup>{problem_of(rows[0])}</sup>"
        redraw(self.clock_figure, lookup_figures.clock(rows, title))
        redraw(self.worth_figure, lookup_figures.worth(rows))
        self.verdict.show(_note(verdict(rows)))

    def _grow(self, run, weights, rounding) -> None:
        total = len({found[1] for found in map(layers.LAYER.search, weights) if found})
        groups, found = range(2, LARGEST_TIERED + 1), []
        for row in layers.growth(layers.model_layers(weights, rounding=rounding), groups):
            run.progress(row["layers"], total, f"{row['layer']}, patterns of {row['g']} trits")
            found.append(row)
            if row["g"] == groups[-1]:
                redraw(self.growth_figure, lookup_figures.growth(found))
        self.grown = tuple(found)


def _shares(matrix, g) -> np.ndarray:
    found = counting.canonical_numbers(matrix, g)
    return np.bincount(found, minlength=patterns.canonical_count(g)) / len(found)


def _tier_row(name, matrix, g, options) -> dict:
    """What a dictionary for this matrix looks like."""
    made = TieredTables.of(matrix, g, **options)
    hits, stored = made.hits(), len(made.dictionary.stored)
    inside = hits["hot"] + hits["warm"]
    return {
        "of": name,
        "shape": matrix.shape,
        "g": g,
        "zeros": float((matrix == 0).mean()),
        "groups": made.index.size,
        "distinct": len(np.unique(counting.canonical_numbers(matrix, g))),
        "stored": stored,
        "each": inside * matrix.shape[0] / stored if stored else None,
        "bits": 8 * made.nbytes / matrix.size,
        "hits": hits,
    }


def _tiles(row):
    yield f"{row['shape'][0]} × {row['shape'][1]}", "trits looked at", "shape"
    yield f"{row['groups']:,}", f"lookups of {row['g']} trits, a token", "groups"
    possible = patterns.canonical_count(row["g"])
    yield f"{row['distinct']:,}", f"distinct patterns, of {possible:,} possible", "distinct"
    yield f"{row['bits']:.2f}", "bits a weight, dictionary included (packed: 2.00, 1.60)", "bits"


def _cell(key, value) -> str:
    if key == "of":
        return value
    if key == "zeros":
        return f"{100 * value:.1f} %"
    return f"{value:,}" if isinstance(value, int) else tables.number(value)


def _blank() -> np.ndarray:
    return independent.draw((4, 16), _rng())


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _note(text: str) -> str:
    return f'<div class="wb-note">{html.escape(text)}</div>'


def _section(text: str) -> ipywidgets.HTML:
    line = ipywidgets.HTML(html.escape(text))
    line.add_class("wb-section")
    return line


def _box(name: str, *children) -> ipywidgets.VBox:
    box = ipywidgets.VBox(list(children))
    box.add_class(name)
    return box


def _kilobytes(name: str, value: int) -> ipywidgets.SelectionSlider:
    return ipywidgets.SelectionSlider(
        options=sorted({*KILOBYTES, value}), value=value, description=name, style=STYLE,
        continuous_update=False, layout=FULL,
    )  # fmt: skip
