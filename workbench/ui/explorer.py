"""One technique on one matrix: move a control, see what becomes of the weights."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import final

import ipywidgets
import numpy as np
import traitlets

from workbench.measure.compare import subject_of
from workbench.measure.error import snr_db
from workbench.measure.report import Report, Subject
from workbench.techniques.base import Technique
from workbench.ui import figures, tables
from workbench.ui.controls import ModelPicker, TechniquePicker, TensorPicker
from workbench.ui.live import live, redraw
from workbench.ui.panel import Panel
from workbench.ui.progress import Job, Problem, shows_problems

DEBOUNCE_S = 0.15
FIRST_WAIT_S = 120.0
PENDING = "..."  # is being measured; the table keeps its shape meanwhile
COLUMNS = {"what": "", "rel_mse": "relative MSE", "snr": "SNR, dB", "gain": "gain, dB"}
NULL_NAMES = {
    "shuffled": "same technique, weights shuffled",
    "gaussian": "same technique, Gaussian weights",
    "laplace": "same technique, Laplace weights",
}


@final
class Explorer(Panel):
    """Pick model, matrix, technique and parameters; figures and numbers follow.

    Parameters
    ----------
    technique : str or Technique
        Where to start.
    model : str or mapping
        Name or path of a model, or a mapping of names to tensors.
    tensor : str, optional
        Name of the matrix to start with; the first one otherwise.
    choices : ids, optional
        Which techniques can be chosen; all where left out.

    Attributes
    ----------
    technique : Technique
        Settable.
    tensor : str
        Settable.
    report : Report or None
        Of the last finished measurement; None until there is one.
    running : bool

    Examples
    --------
    >>> explorer = Explorer("planar-ternary", tensor="blk.0.attn_k.weight")
    >>> explorer.wait()
    >>> explorer.report.technique
    'planar-ternary'
    """

    technique = traitlets.Instance(Technique)
    tensor = traitlets.Unicode()
    report = traitlets.Instance(Report, allow_none=True)
    running = traitlets.Bool(False)

    def __init__(
        self,
        technique: str | Technique = "planar-ternary",
        model: str | Mapping = "smollm2-slice",
        tensor: str | None = None,
        choices: Sequence[str] | None = None,
    ):
        self.models = ModelPicker(model)
        self.tensors = TensorPicker(self.models.weights, [tensor] if tensor else [])
        self.techniques = TechniquePicker(technique, choices)
        self.job = Job()
        self.problem = Problem()
        self.numbers = tables.Numbers()
        self._subject: tuple[object, str, Subject] | None = None

        blank = np.zeros((2, 2), np.float32)
        self.histogram = live(figures.weight_histogram(blank, blank))
        self.maps = live(figures.weight_maps(blank, blank))

        controls = ipywidgets.VBox([self.models, self.tensors, self.techniques])
        controls.add_class("wb-controls")
        results = ipywidgets.VBox([self.job, self.problem, self.numbers, self.histogram, self.maps])
        results.add_class("wb-results")
        columns = ipywidgets.Box([controls, results])
        columns.add_class("wb-columns")
        super().__init__(
            [columns],
            technique=self.techniques.technique,
            tensor=self.tensors.tensors[0],
        )

        traitlets.link((self, "technique"), (self.techniques, "technique"))
        traitlets.dlink((self.job, "running"), (self, "running"))
        self.models.observe(self._follow_model, "weights")
        self.tensors.observe(self._follow_tensors, "tensors")
        self.observe(self._follow_tensor, "tensor")
        self.observe(lambda _: self._measure(), ["technique", "tensor"])
        self._measure(delay=0)
        with suppress(TimeoutError):  # most matrices take a second; then the cell is complete
            self.wait(FIRST_WAIT_S)

    def wait(self, timeout: float = 60.0) -> None:
        """Return when figures and numbers show what the controls say.

        Raises
        ------
        TimeoutError
            They do not after `timeout` seconds.
        """
        self.job.wait(timeout)

    @shows_problems
    def _follow_model(self, change):
        self.tensors.weights = change.new
        self._measure()

    def _follow_tensors(self, change):
        self.tensor = change.new[0]

    @traitlets.validate("tensor")
    def _known_tensor(self, proposal):
        self.tensors.check(proposal.value)
        return proposal.value

    def _follow_tensor(self, change):
        self.tensors.tensors = (change.new,)

    def _measure(self, delay: float = DEBOUNCE_S) -> None:
        weights, tensor, technique = self.models.weights, self.tensor, self.technique
        self.job.start(lambda run: self._work(run, weights, tensor, technique), delay=delay)

    def _work(self, run, weights, tensor, technique) -> None:
        run.progress(0, 4, f"reading {tensor}")
        subject = self._subject_of(weights, tensor)
        run.progress(1, 4, f"encoding {tensor} with {technique.id}")
        decoded = technique.encode(subject.weights).decode()
        run.check()
        self._draw(subject.weights, decoded)
        run.progress(2, 4, "measuring size and error")
        quick = subject.report(technique, nulls=False, plain=False, timing=False)
        run.check()
        self._write(quick)
        run.progress(3, 4, "measuring plain rounding and weights without structure")
        report = subject.report(technique)
        run.check()
        self._write(report)
        self.report = report

    def _subject_of(self, weights, tensor) -> Subject:
        """The matrix and its nulls, kept while only the technique changes."""
        if self._subject is None or self._subject[0] is not weights or self._subject[1] != tensor:
            self._subject = (weights, tensor, subject_of(weights, tensor))
        return self._subject[2]

    def _draw(self, before, after) -> None:
        redraw(self.histogram, figures.weight_histogram(before, after))
        redraw(self.maps, figures.weight_maps(before, after))

    def _write(self, report: Report) -> None:
        self.numbers.show(tables.tiles(_tiles(report)), _errors(report))


def _tiles(report: Report):
    yield f"{report.bits_per_weight:.3f}", "bits a weight", "bits_per_weight"
    yield f"{report.nbytes:,}", "bytes in the file", "nbytes"
    yield f"{report.entropy_bits:.3f}", "bits of entropy a code", "entropy_bits"
    yield tables.number(report.cosine, 4), "cosine", "cosine"
    yield tables.number(report.max_error), "largest error", "max_error"
    if report.output_rel_mse is not None:
        value = tables.number(report.output_rel_mse)
        yield value, "relative output error, real activations", "output_rel_mse"
    seconds = PENDING if report.matmul_s is None else tables.seconds(report.matmul_s)
    yield seconds, "a product with one token", "matmul_s"


def _errors(report: Report) -> str:
    """This technique between plain rounding at its size and itself without structure to use."""
    rows = [_row("this technique, these weights", report.rel_mse, "")]
    held = {"plain rounding, same number of bytes": report.plain_rel_mse}
    held |= {text: (report.nulls or {}).get(name) for name, text in NULL_NAMES.items()}
    for what, error in held.items():
        if error is None:
            rows.append(dict.fromkeys(COLUMNS, PENDING) | {"what": what})
        else:
            rows.append(_row(what, error, _gain(report.snr_db, snr_db(error))))
    caption = "Error of the weights. Gain: how much better this technique does on these weights."
    return tables.table(COLUMNS, rows, caption, own=[0])


def _row(what: str, error: float, gain: str) -> dict[str, str]:
    return {
        "what": what,
        "rel_mse": tables.number(error),
        "snr": tables.decibels(snr_db(error)),
        "gain": gain,
    }


def _gain(own: float, other: float) -> str:
    """A difference of decibels; two lossless results differ by nothing."""
    return "0.0" if own == other else f"{own - other:+.1f}".replace("inf", "∞")
