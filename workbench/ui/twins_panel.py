"""A model trained ternary beside its float twin, and beside the twin rounded after training."""

import html
from collections.abc import Mapping
from typing import final

import ipywidgets
import traitlets
from threadpoolctl import threadpool_limits

from workbench.errors import WorkbenchError
from workbench.lm import Sampler, generate, open_language_model, perplexity
from workbench.lm.evaluation import apply_policy
from workbench.lm.model import Model
from workbench.lm.parts import part_of, stored_bytes
from workbench.lm.texts import spread
from workbench.techniques.base import Technique
from workbench.ui import lm_figures, tables
from workbench.ui.controls import FULL, STYLE, TechniquePicker, field
from workbench.ui.labels import label_of
from workbench.ui.language_models import writing
from workbench.ui.live import live, redraw
from workbench.ui.panel import Panel
from workbench.ui.progress import Job, Problem, shows_problems

DEBOUNCE_S = 0.3
MATRICES = "blk.*"  # of the layers: what training made ternary
TRAINED, TWIN = "trained ternary", "float twin"
LENGTH = 512
COLUMNS = {
    "name": "the layers' matrices",
    "bits_per_weight": "bits/weight",
    "perplexity": "perplexity",
    "change": "over the twin",
}


@final
class TwinsPanel(Panel):
    """Choose how the twin is rounded; perplexities and texts of all three follow.

    Parameters
    ----------
    ternary, twin : str
        Names or paths of the two models, of one vocabulary.
    text : str
        To be scored.
    prompt : str
        To be continued.
    technique : str or Technique
        What rounds the twin's layers at the start.
    windows : int
        Pieces of the text that are scored, 512 tokens each.
    tokens : int
        Length of the texts.

    Attributes
    ----------
    prompt : str
        Settable.
    technique : Technique
        Settable.
    rows : tuple of dict
        The trained one, the twin, and every rounding that was asked for: `name`,
        `bits_per_weight`, `perplexity`.
    texts : dict of name to str
        What the trained one, the twin and the rounded twin wrote last.
    running : bool
    """

    prompt = traitlets.Unicode()
    technique = traitlets.Instance(Technique)
    rows = traitlets.Tuple()
    texts = traitlets.Dict()
    running = traitlets.Bool(False)

    def __init__(
        self,
        ternary: str = "english-ternary",
        twin: str = "english-float",
        text: str = "",
        prompt: str = "And it came to pass",
        technique: str | Technique = "planar-ternary",
        windows: int = 5,
        tokens: int = 60,
    ):
        self._names = (ternary, twin)
        self._text = text
        self._windows = windows
        self._models: dict[str, Model] = {}
        self._scored: list[int] = []
        self._measured: dict[str, dict] = {}
        self.techniques = TechniquePicker(technique)
        self.input = ipywidgets.Text(
            prompt, description="prompt", continuous_update=False, style=STYLE, layout=FULL
        )
        self.tokens = ipywidgets.IntSlider(
            min=1, max=max(200, tokens), value=tokens, description="tokens",
            continuous_update=False, style=STYLE, layout=FULL,
        )  # fmt: skip
        self.temperature = ipywidgets.FloatSlider(
            min=0, max=2, step=0.05, value=0.0, description="temperature",
            continuous_update=False, style=STYLE, layout=FULL,
        )  # fmt: skip
        self.seed = ipywidgets.BoundedIntText(
            0, min=0, max=2**31 - 1, description="seed", style=STYLE, layout=FULL
        )
        self.job = Job()
        self.problem = Problem()
        self.chart = live(lm_figures.costs([], x="bits a weight"))
        self.numbers = tables.Numbers()
        self.writings = ipywidgets.HTML()
        super().__init__(
            [self._arranged()],
            prompt=prompt,
            technique=self.techniques.technique,
        )

        traitlets.link((self, "prompt"), (self.input, "value"))
        traitlets.link((self, "technique"), (self.techniques, "technique"))
        traitlets.dlink((self.job, "running"), (self, "running"))
        self.observe(lambda _: self.run(), ["prompt", "technique"])
        for control in (self.tokens, self.temperature, self.seed):
            control.observe(lambda _: self.run(), "value")
        self.run()

    @shows_problems
    def run(self) -> None:
        """Measure and write what the controls say."""
        if not self.prompt:
            raise WorkbenchError("the prompt is empty; type what the models shall go on from")
        technique, prompt, tokens = self.technique, self.prompt, self.tokens.value
        sampler = Sampler(self.temperature.value, seed=self.seed.value)
        self.job.start(
            lambda run: self._work(run, technique, prompt, tokens, sampler),
            "opening the models",
            DEBOUNCE_S,
        )

    def wait(self, timeout: float = 300.0) -> None:
        """Return when figures and texts show what the controls say; TimeoutError if not."""
        self.job.wait(timeout)

    def _arranged(self) -> ipywidgets.Widget:
        controls = ipywidgets.VBox(
            [
                self.techniques,
                field(self.input, "What all three go on from."),
                field(self.tokens, "How many each writes."),
                field(self.temperature, "0: always the likeliest token. Higher: more daring."),
                field(self.seed, "The same seed gives the same texts."),
            ]
        )
        controls.add_class("wb-controls")
        results = ipywidgets.VBox([self.job, self.problem, self.chart, self.numbers, self.writings])
        results.add_class("wb-results")
        columns = ipywidgets.Box([controls, results])
        columns.add_class("wb-columns")
        return columns

    def _work(self, run, technique, prompt, tokens, sampler) -> None:
        label = label_of(technique)
        with threadpool_limits(1):  # NumPy's own threads wait by spinning
            for name, path in zip((TRAINED, TWIN), self._names, strict=True):
                if name not in self._models:
                    self._models[name] = open_language_model(path)
                self._measure(run, name, self._models[name])
            twin = self._models[TWIN]
            rounded, replaced = apply_policy(twin, {MATRICES: technique}, progress=run.progress)
            self._measure(run, label, rounded, replaced)
            models = {**self._models, f"twin, {label}": rounded}
            texts = {}
            for done, (name, model) in enumerate(models.items()):
                run.progress(done, len(models), f"writing: {name}")
                texts[name] = generate(model, prompt, tokens, sampler).text
        self.texts = texts
        parts = (
            f"<div><h4>{html.escape(name)}</h4>{writing(prompt, text)}</div>"
            for name, text in texts.items()
        )
        self.writings.value = f'<div class="wb-writings" aria-live="polite">{"".join(parts)}</div>'

    def _measure(self, run, name: str, model: Model, replaced=()) -> None:
        if name not in self._measured:
            run.progress(0, 1, f"perplexity: {name}")
            if model.tokenizer is None:
                raise WorkbenchError(f"{name} has no vocabulary, so it cannot read a text")
            length = min(LENGTH, model.config.context)
            tokens = spread(model.tokenizer.encode(self._text), self._windows, length)
            score = perplexity(model, tokens, window=length, progress=run.progress)
            self._measured[name] = {
                "name": name,
                "bits_per_weight": layer_bits(model, replaced),
                "perplexity": score.perplexity,
            }
            self._show()

    def _show(self) -> None:
        self.rows = tuple(self._measured.values())
        measured = self._measured
        points = [
            {
                "name": row["name"],
                "kind": row["name"] if row["name"] in (TRAINED, TWIN) else "twin, rounded",
                "x": row["bits_per_weight"],
                "perplexity": row["perplexity"],
            }
            for row in self.rows
        ]
        levels = {
            name: measured[name]["perplexity"] for name in (TRAINED, TWIN) if name in measured
        }
        redraw(
            self.chart,
            lm_figures.costs(points, levels, "What rounding costs", "bits a weight of the layers"),
        )
        base = measured[TWIN]["perplexity"] if TWIN in measured else None
        cells = [_cells(number, row, base) for number, row in enumerate(self.rows, start=1)]
        self.numbers.show(tables.table(COLUMNS, cells, own=[0, 1]))


def _cells(number: int, row: Mapping, base: float | None) -> dict[str, str]:
    change = "-" if base is None else f"{100 * (row['perplexity'] / base - 1):+.1f} %"
    return {
        "name": f"{number}. {row['name']}",
        "bits_per_weight": tables.number(row["bits_per_weight"]),
        "perplexity": tables.number(row["perplexity"], 4),
        "change": change,
    }


def layer_bits(model: Model, replaced=()) -> float:
    """Bits a weight of the layers' matrices, as their techniques or the file store them."""
    sizes = stored_bytes(model, replaced)
    matrices = [name for name in sizes if part_of(name).endswith("matrices")]
    weights = sum(model.tensors.in_file(name).size for name in matrices)
    return 8 * sum(sizes[name] for name in matrices) / weights
