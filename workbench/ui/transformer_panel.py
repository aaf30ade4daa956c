"""The parts of a transformer, made ternary one by one: a row and a point for every combination."""

from collections.abc import Collection, Mapping, Sequence
from typing import final, get_args

import ipywidgets
import traitlets
from threadpoolctl import threadpool_limits

from workbench.errors import WorkbenchError
from workbench.lm import Engine, generate, open_language_model
from workbench.lm.parts import CACHE, PARTS, READING, Switched, switched
from workbench.lm.stores import Mode
from workbench.lm.texts import spread
from workbench.techniques.base import Technique
from workbench.ui import lm_figures, tables
from workbench.ui.controls import FULL, STYLE, TechniquePicker, field, help_line
from workbench.ui.labels import label_of
from workbench.ui.language_models import language_model_picker
from workbench.ui.live import live, redraw
from workbench.ui.panel import Panel
from workbench.ui.progress import Job, Problem, shows_problems

DEBOUNCE_S = 0.3  # several boxes are often ticked one after the other
STEPS = 33  # tokens written to find the speed; the first does not count
COLUMNS = {
    "what": "ternary",
    "perplexity": "perplexity",
    "change": "change",
    "megabytes": "MB",
    "speed": "tokens/s",
}
SHORT = {
    "attention matrices": "attention matrices",
    "feed-forward matrices": "feed-forward",
    "embedding": "embedding",
    "norms": "norms",
    CACHE: "cache",
    READING: "attention",
}


@final
class TransformerPanel(Panel):
    """Tick parts; each combination is measured once and stays in table and chart.

    Parameters
    ----------
    model : str or Weights
        Name or path of a model, or an open one.
    text : str
        To be scored.
    parts : names of `workbench.lm.parts.PARTS`
        What is ticked at the start.
    technique : str or Technique
        What matrices, embedding and norms are stored with.
    windows : int
        Pieces of the text that are scored, 512 tokens (or the model's context) each.

    Attributes
    ----------
    parts : tuple of str
        Settable.
    technique : Technique
        Settable.
    rows : tuple of dict
        What was measured for this model, oldest first: `parts`, `technique`, `perplexity`, `nbytes`
        (by part), `total_bytes`, `tokens_per_s`.
    running : bool
    """

    parts = traitlets.Tuple()
    technique = traitlets.Instance(Technique)
    rows = traitlets.Tuple()
    running = traitlets.Bool(False)

    def __init__(
        self,
        model: str | Mapping = "english-float",
        text: str = "",
        parts: Collection[str] = (),
        technique: str | Technique = "planar-ternary",
        windows: int = 3,
    ):
        self._text = text
        self._measured: dict = {}
        self._model: tuple | None = None
        self.models = language_model_picker(model)
        self.boxes = {
            part: ipywidgets.Checkbox(
                value=part in parts, description=part, indent=False, layout=FULL
            )
            for part in PARTS
        }
        self.techniques = TechniquePicker(technique)
        self.mode = ipywidgets.Dropdown(
            options=get_args(Mode), value="optimal", description="trits of the cache",
            style=STYLE, layout=FULL,
        )  # fmt: skip
        self.skip = ipywidgets.SelectionSlider(
            options=[("0", 0.0), ("10⁻⁶", 1e-6), ("10⁻⁴", 1e-4), ("10⁻³", 1e-3), ("10⁻²", 1e-2),
                     ("0.05", 0.05)],
            value=1e-3, description="weights left out below", continuous_update=False, style=STYLE,
            layout=FULL,
        )  # fmt: skip
        self.windows = ipywidgets.IntSlider(
            min=1, max=max(40, windows), value=windows, description="pieces of text",
            continuous_update=False, style=STYLE, layout=FULL,
        )  # fmt: skip
        self.job = Job()
        self.problem = Problem()
        self.chart = live(lm_figures.costs([]))
        self.numbers = tables.Numbers()
        super().__init__(
            self._arranged(),
            parts=tuple(part for part in PARTS if part in parts),
            technique=self.techniques.technique,
        )

        traitlets.link((self, "technique"), (self.techniques, "technique"))
        traitlets.dlink((self.job, "running"), (self, "running"))
        for box in self.boxes.values():
            box.observe(self._collect, "value")
        self.observe(self._follow_parts, "parts")
        self.observe(lambda _: self.run(), ["parts", "technique"])
        self.models.observe(lambda _: self.run(), "weights")
        for control in (self.mode, self.skip, self.windows):
            control.observe(lambda _: self.run(), "value")
        self._show()
        self.run()

    @shows_problems
    def run(self) -> None:
        """Measure what is ticked, unless it has been."""
        parts, technique, weights = self.parts, self.technique, self.models.weights
        if READING in parts and CACHE not in parts:
            raise WorkbenchError(
                "attention reads codes, which only a ternary cache has; tick the cache too"
            )
        options = {"cache": {"store": "ternary", "mode": self.mode.value}, "skip": self.skip.value}
        windows = self.windows.value
        self.job.start(
            lambda run: self._work(run, weights, parts, technique, options, windows),
            "opening the model",
            DEBOUNCE_S,
        )

    def wait(self, timeout: float = 300.0) -> None:
        """Return when everything that was asked for is measured; TimeoutError if it is not."""
        self.job.wait(timeout)

    def cancel(self) -> None:
        """Stop at the next step; what was measured stays."""
        self.job.cancel()

    def _arranged(self) -> list[ipywidgets.Widget]:
        grid = ipywidgets.VBox(list(self.boxes.values()))
        title = ipywidgets.HTML("ternary are")
        title.add_class("wb-label")
        ticks = ipywidgets.VBox(
            [title, grid, help_line("Attention from codes needs the ternary cache.")]
        )
        ticks.add_class("wb-field")
        controls = ipywidgets.VBox(
            [
                self.models,
                ticks,
                self.techniques,
                field(self.mode, "How a vector of the cache is rounded."),
                field(self.skip, "Of attention from codes: how little is not worth unpacking."),
                field(self.windows, "From all over the text, each scored on its own."),
            ]
        )
        controls.add_class("wb-controls")
        results = ipywidgets.VBox([self.job, self.problem, self.chart, self.numbers])
        results.add_class("wb-results")
        columns = ipywidgets.Box([controls, results])
        columns.add_class("wb-columns")
        return [columns]

    def _collect(self, _change) -> None:
        self.parts = tuple(part for part, box in self.boxes.items() if box.value)

    @traitlets.validate("parts")
    def _check_parts(self, proposal) -> tuple:
        for part in proposal.value:
            if part not in PARTS:
                raise WorkbenchError(f"no part is called {part!r}; there are {', '.join(PARTS)}")
        return tuple(part for part in PARTS if part in proposal.value)

    def _follow_parts(self, change) -> None:
        for part, box in self.boxes.items():
            box.value = part in change.new

    def _work(self, run, weights, parts, technique, options, windows) -> None:
        if self._model is None or self._model[0] is not weights:
            model = open_language_model(weights)
            if model.tokenizer is None:
                raise WorkbenchError("this model has no vocabulary, so it cannot read a text")
            tokens = model.tokenizer.encode(self._text)
            self._model, self._measured = (weights, model, tokens), {}
            self._show()
        _, model, tokens = self._model
        length = min(512, model.config.context)
        some = spread(tokens, windows, length)
        used = {
            "technique": technique if set(parts) - {CACHE, READING} else None,
            "mode": options["cache"]["mode"] if CACHE in parts else None,
            "skip": options["skip"] if READING in parts else None,
        }
        key = (parts, *used.values(), windows)
        base = ((), None, None, None, windows)
        for each in dict.fromkeys([base, key]):  # each change is one from the model as it is
            if each not in self._measured:
                with threadpool_limits(1):  # NumPy's own threads wait by spinning
                    found = switched(
                        model,
                        each[0],
                        some,
                        technique,
                        window=length,
                        progress=run.progress,
                        **options,
                    )
                    run.progress(0, 1, "measuring the speed of the compiled path")
                    self._measured[each] = _row(each, found)
                self._show()

    def _show(self) -> None:
        self.rows = tuple(self._measured.values())
        base = {row["windows"]: row for row in self.rows if not row["parts"]}
        points = [
            {
                "name": _named(row),
                "kind": row["technique"] or "matrices as they are",
                "x": row["total_bytes"] / 1e6,
                "perplexity": row["perplexity"],
            }
            for row in self.rows
        ]
        redraw(self.chart, lm_figures.costs(points, x="megabytes, weights and a full cache"))
        cells = [
            {
                "what": f"{number}. {_named(row)}",
                "perplexity": tables.number(row["perplexity"], 4),
                "change": _change(row, base[row["windows"]]),
                "megabytes": tables.number(row["total_bytes"] / 1e6, 4),
                "speed": tables.rate(row["tokens_per_s"]),
            }
            for number, row in enumerate(self.rows, start=1)
        ]
        caption = (
            "MB: weights and a full cache. Tokens a second: compiled, one thread, cache in float32."
        )
        self.numbers.show(tables.table(COLUMNS, cells, caption, own=[len(cells) - 1]))


def _row(key: Sequence, found: Switched) -> dict:
    parts, technique, mode, skip, windows = key
    return {
        "parts": parts,
        "technique": label_of(technique) if technique else "",
        "mode": mode,
        "skip": skip,
        "windows": windows,
        "perplexity": found.perplexity.perplexity,
        "nbytes": found.nbytes,
        "total_bytes": found.total_bytes,
        "tokens_per_s": decode_speed(found.model) if not set(parts) & {CACHE, READING} else None,
    }


def decode_speed(model) -> float | None:
    """Tokens a second that the compiled path writes with these weights, on one thread."""
    engine = Engine(model, threads=1, save=False)
    prompt = [0 if model.tokenizer.bos is None else model.tokenizer.bos]
    return generate(engine, prompt, STEPS).decode_tokens_per_s


def _named(row: Mapping) -> str:
    if not row["parts"]:
        return "nothing, as it is"
    extra = [row["mode"]] if row["mode"] not in (None, "optimal") else []
    extra += [f"below {row['skip']:g} left out"] if row["skip"] is not None else []
    extra = [row["technique"], *extra] if row["technique"] else extra
    said = ", ".join(SHORT[part] for part in row["parts"])
    return f"{said} ({', '.join(extra)})" if extra else said


def _change(row: Mapping, base: Mapping) -> str:
    return f"{100 * (row['perplexity'] / base['perplexity'] - 1):+.1f} %"
