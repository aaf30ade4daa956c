"""Many techniques on many matrices: one table, one chart, and files to take away."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import final

import ipywidgets
import pandas as pd
import traitlets
from itables.widget import ITable

from workbench.errors import WorkbenchError
from workbench.measure.compare import compare, matching_techniques, matching_tensors
from workbench.measure.report import Report
from workbench.models import Weights
from workbench.techniques.base import Technique, from_config
from workbench.techniques.policy import export_model
from workbench.ui import figures, tables
from workbench.ui.controls import FULL, STYLE, ModelPicker, TensorPicker, help_line
from workbench.ui.labels import label_of, technique_label
from workbench.ui.live import live, redraw
from workbench.ui.panel import Panel
from workbench.ui.progress import Job, Problem, shows_problems

REDRAW_S = 0.5  # the chart grows while results come, but drawing must not slow the measurement
# key of a report's row: heading, how its numbers are written
COLUMNS = {
    "tensor": ("tensor", ""),
    "label": ("technique", ""),
    "bits_per_weight": ("bits/weight", ".3f"),
    "nbytes": ("bytes", "d"),
    "rel_mse": ("relative MSE", ".4g"),
    "snr_db": ("SNR, dB", ".1f"),
    "gain_db": ("gain, dB", ".1f"),
    "output_rel_mse": ("output error", ".4g"),
    "entropy_bits": ("entropy, bits", ".3f"),
    "cosine": ("cosine", ".4f"),
    "matmul_us": ("product, µs", ".1f"),
}


class TechniqueChecklist(ipywidgets.VBox):
    """A box to tick for every technique.

    Attributes
    ----------
    chosen : tuple of Technique
        Settable.
    """

    chosen = traitlets.Tuple()

    def __init__(self, start: Iterable[Technique]):
        start = tuple(start)
        offered = dict.fromkeys([*matching_techniques("*"), *start])
        self.boxes = {
            technique: ipywidgets.Checkbox(
                value=technique in start, description=label_of(technique), indent=False, layout=FULL
            )
            for technique in offered
        }
        grid = ipywidgets.Box(list(self.boxes.values()))
        grid.add_class("wb-checks")
        everything = ipywidgets.Button(description="all")
        everything.on_click(lambda _: self._tick(True))
        nothing = ipywidgets.Button(description="none")
        nothing.on_click(lambda _: self._tick(False))
        title = ipywidgets.HTML("techniques")
        title.add_class("wb-label")
        super().__init__(
            [
                title,
                grid,
                ipywidgets.HBox([everything, nothing]),
                help_line("What to store the matrices with; each with its default parameters."),
            ],
            chosen=start,
        )
        self.add_class("wb-field")
        for box in self.boxes.values():
            box.observe(self._collect, "value")

    def _tick(self, value: bool) -> None:
        for box in self.boxes.values():
            box.value = value

    def _collect(self, _change) -> None:
        self.chosen = tuple(technique for technique, box in self.boxes.items() if box.value)

    @traitlets.observe("chosen")
    def _follow_chosen(self, change):
        for technique in change.new:
            if technique not in self.boxes:
                raise WorkbenchError(f"{label_of(technique)} is not offered here")
        for technique, box in self.boxes.items():
            box.value = technique in change.new


@final
class ComparePanel(Panel):
    """Pick model, matrices and techniques, press Compare; the chart grows as results come.

    Parameters
    ----------
    model : str or mapping
        Name or path of a model, or a mapping of names to tensors.
    tensors : str or several
        Names or patterns of the matrices to start with.
    techniques : str, Technique or several
        Ids, patterns or techniques to start with.
    folder : path
        Where exported files go; made when it is first needed.

    Attributes
    ----------
    reports : tuple of Report
        Of the last comparison, as far as it has come.
    running : bool

    Examples
    --------
    >>> panel = ComparePanel(tensors="blk.0.attn_k.weight", techniques=["q4_0", "planar-ternary"])
    >>> panel.run()
    >>> panel.wait()
    >>> [report.technique for report in panel.reports]
    ['q4_0', 'planar-ternary']
    """

    reports = traitlets.Tuple()
    running = traitlets.Bool(False)

    def __init__(
        self,
        model: str | Mapping = "smollm2-slice",
        tensors: str | Sequence[str] = "*",
        techniques: str | Technique | Sequence[str | Technique] = "*",
        folder: str | Path = "workbench-exports",
    ):
        self.models = ModelPicker(model)
        names = matching_tensors(self.models.weights, tensors)
        self.tensors = TensorPicker(self.models.weights, names, several=True)
        self.techniques = TechniqueChecklist(matching_techniques(techniques))
        self.button = ipywidgets.Button(
            description="Compare", button_style="primary", icon="play", layout={"width": "auto"}
        )
        self.job = Job()
        self.problem = Problem()
        self.chart = live(figures.pareto([]))
        self.table = ITable(_frame([]), **_table_options())
        self.exports = _Exports(folder)

        controls = ipywidgets.VBox([self.models, self.tensors, self.techniques, self.button])
        controls.add_class("wb-controls")
        results = ipywidgets.VBox([self.job, self.problem, self.chart])
        results.add_class("wb-results")
        columns = ipywidgets.Box([controls, results])
        columns.add_class("wb-columns")
        super().__init__([columns, self.table, self.exports])

        traitlets.dlink((self.job, "running"), (self, "running"))
        traitlets.dlink((self.job, "running"), (self.button, "disabled"))
        self.models.observe(self._follow_model, "weights")
        self.button.on_click(lambda _: self.run())

    @shows_problems
    def run(self) -> None:
        """Start measuring what is chosen."""
        weights, names = self.models.weights, self.tensors.tensors
        chosen = self.techniques.chosen
        if not chosen:
            raise WorkbenchError("no technique is ticked; tick at least one")
        self.job.start(lambda run: self._work(run, weights, names, chosen), "starting")

    def wait(self, timeout: float = 600.0) -> None:
        """Return when the comparison has ended; TimeoutError if it has not."""
        self.job.wait(timeout)

    def cancel(self) -> None:
        """Stop after the report that is being made; those made so far stay."""
        self.job.cancel()

    @shows_problems
    def _follow_model(self, change):
        self.tensors.weights = change.new

    def _work(self, run, weights, names, chosen) -> None:
        found: list[Report] = []
        drawn = time.monotonic()

        def take(report):
            nonlocal drawn
            found.append(report)
            if time.monotonic() - drawn > REDRAW_S:
                self._show(weights, chosen, found)
                drawn = time.monotonic()

        self._show(weights, chosen, [])
        try:
            compare(weights, names, chosen, progress=run.progress, found=take)
        finally:  # what was measured before an error or Cancel is not lost
            self._show(weights, chosen, found)

    def _show(self, weights, chosen, found: Sequence[Report]) -> None:
        self.reports = tuple(found)
        labels = [label_of(technique) for technique in chosen]
        redraw(self.chart, figures.pareto(found, labels=labels))
        self.table.update(_frame(found))
        self.exports.offer(weights, found)


class _Exports(ipywidgets.VBox):
    """Writes what one technique made of the compared matrices into a folder."""

    def __init__(self, folder):
        self._weights: Mapping = {}
        self._reports: dict[str, list[Report]] = {}
        self.choice = ipywidgets.Dropdown(description="technique", style=STYLE, layout=FULL)
        self.folder = ipywidgets.Text(
            str(folder), description="folder", continuous_update=False, style=STYLE, layout=FULL
        )
        self.encoded = ipywidgets.Button(description="Save encoded files", icon="download")
        self.gguf = ipywidgets.Button(description="Save as GGUF", icon="download")
        self.job = Job()
        self.problem = Problem()
        self.said = tables.Numbers()
        title = ipywidgets.HTML("Take the files away")
        title.add_class("wb-section")
        fields = ipywidgets.Box([self.choice, self.folder])
        fields.add_class("wb-fields")
        fields.add_class("wb-field")
        super().__init__(
            [
                title,
                fields,
                help_line(
                    "Encoded files hold one matrix each, for workbench.load_encoded. The GGUF file "
                    "is a copy of the model with the compared matrices replaced: in the "
                    "technique's own blocks where GGUF has them, as plain floats where not. "
                    "Files that are there already are kept."
                ),
                ipywidgets.HBox([self.encoded, self.gguf]),
                self.job,
                self.problem,
                self.said,
            ]
        )
        self.layout.display = "none"
        self.encoded.on_click(lambda _: self.save_encoded())
        self.gguf.on_click(lambda _: self.save_gguf())

    def offer(self, weights: Mapping, reports: Sequence[Report]) -> None:
        """These reports are there to be exported."""
        self._weights = weights
        self._reports = {}
        for report in reports:
            label = technique_label(report.technique, report.parameters)
            self._reports.setdefault(label, []).append(report)
        kept = self.choice.value
        self.choice.options = labels = list(self._reports)
        if labels:
            self.choice.value = kept if kept in labels else labels[0]
        self.layout.display = "" if reports else "none"
        is_gguf = isinstance(weights, Weights) and "general.architecture" in weights.metadata
        self.gguf.layout.display = "" if is_gguf else "none"

    @shows_problems
    def save_encoded(self) -> None:
        """Write an encoded file for each compared matrix."""
        folder, weights, reports = self._target()
        paths = {r.tensor: folder / f"{r.tensor}.{r.technique}.safetensors" for r in reports}
        _refuse_to_replace(paths.values())

        def work(run):
            for done, report in enumerate(reports):
                run.progress(done, len(reports), report.tensor)
                paths[report.tensor].parent.mkdir(parents=True, exist_ok=True)
                matrix = weights[report.tensor]
                matrix = matrix.read() if hasattr(matrix, "read") else matrix
                _recipe(report).encode(matrix).save(paths[report.tensor])
            self._tell(paths.values())

        self.job.start(work, "encoding")

    @shows_problems
    def save_gguf(self) -> None:
        """Write a copy of the model with the compared matrices replaced."""
        folder, weights, reports = self._target()
        path = folder / f"{weights.path.stem}.{reports[0].technique}.gguf"
        _refuse_to_replace([path])

        def work(run):
            folder.mkdir(parents=True, exist_ok=True)
            policy = {report.tensor: _recipe(report) for report in reports}
            export_model(weights, policy, path, progress=run.progress)
            self._tell([path])

        self.job.start(work, "encoding")

    def _target(self):
        if self.choice.value is None:
            raise WorkbenchError("nothing was compared yet, so there is nothing to save")
        if not self.folder.value.strip():
            raise WorkbenchError("folder is empty; give the folder to write into")
        folder = Path(self.folder.value.strip()).expanduser().absolute()
        return folder, self._weights, self._reports[self.choice.value]

    def _tell(self, paths: Iterable[Path]) -> None:
        rows = [{"file": str(path), "bytes": f"{path.stat().st_size:,}"} for path in paths]
        self.said.show(tables.table({"file": "written", "bytes": "bytes"}, rows))


def _recipe(report: Report) -> Technique:
    return from_config({"id": report.technique, **report.parameters})


def _refuse_to_replace(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.exists():
            raise WorkbenchError(f"{path} is there already; choose another folder")


def _frame(reports: Sequence[Report]) -> pd.DataFrame:
    """One row a report; numbers rounded as they are to be read, and still numbers, to be sorted."""
    rows = []
    for report in reports:
        row = report.row()
        row["label"] = technique_label(report.technique, report.parameters)
        row["matmul_us"] = None if report.matmul_s is None else 1e6 * report.matmul_s
        rows.append({heading: _cell(row[key], form) for key, (heading, form) in COLUMNS.items()})
    return pd.DataFrame(rows, columns=[heading for heading, _ in COLUMNS.values()], dtype=object)


def _cell(value, form: str):
    if value is None:  # not measured, or infinite: the ratio to no error at all
        return ""
    if form.endswith(("f", "g")):
        return float(f"{value:{form}}") + 0.0  # never -0.0
    return value


def _table_options() -> dict:
    return {
        "classes": "compact nowrap",
        "style": "width:100%;max-width:100%",
        "caption": "gain: over plain rounding at the same number of bytes; output error: relative, "
        "on recorded activations",
        "scrollX": True,
        "lengthMenu": [10, 25, 100],
        "maxBytes": "10MB",
        "maxColumns": len(COLUMNS),
        "allow_html": False,
        "showIndex": False,
    }
