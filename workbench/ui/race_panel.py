"""The race of ternary products: choose a problem, run it here, see what limits each kernel."""

import html
from collections.abc import Sequence
from typing import final

import ipywidgets
import traitlets

from workbench.kernels import cores
from workbench.measure.race import CEILING, OURS, READING, bench_matmul, roofline
from workbench.ui import figures, tables
from workbench.ui.controls import FULL, STYLE, field, help_line
from workbench.ui.live import live, redraw
from workbench.ui.panel import Panel
from workbench.ui.progress import Job

LARGEST = 65_536
SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0)


@final
class RacePanel(Panel):
    """Pick a shape, a number of threads and of tokens, press Race.

    Parameters
    ----------
    rows, cols, tokens, threads : int
        Where the controls start.
    only : str
        Patterns of kernel names, separated by commas.
    seconds : float
        How long all kernels together are timed.

    Attributes
    ----------
    rows, cols, tokens, threads : int
        Settable.
    results : tuple of dict
        The rows of `workbench.measure.race.bench_matmul`, of the last race; empty before it.
    running : bool

    Examples
    --------
    >>> panel = RacePanel(rows=64, cols=64, only="planar", seconds=0.2)
    >>> panel.run()
    >>> panel.wait()
    >>> [row["kernel"] for row in panel.results if row["ratio_to"] != row["kernel"]][0]
    'planar'
    """

    rows = traitlets.Int()
    cols = traitlets.Int()
    tokens = traitlets.Int()
    threads = traitlets.Int()
    results = traitlets.Tuple()
    running = traitlets.Bool(False)

    def __init__(
        self,
        rows: int = 2048,
        cols: int = 2048,
        tokens: int = 1,
        threads: int = 1,
        only: str = "*",
        seconds: float = 5.0,
    ):
        inputs = {
            "rows": _count("rows", rows, "Outputs of the product."),
            "cols": _count("columns", cols, "Inputs, and weights a row."),
            "tokens": _count("tokens", tokens, "Columns of activations multiplied at once."),
            "threads": _count("threads", threads, "Threads of each kernel.", cores()),
            "seconds": _choice(
                "seconds", seconds, SECONDS, "Of all kernels together; longer races spread less."
            ),
        }
        self.seconds = inputs["seconds"].children[0]
        self.only = ipywidgets.Text(
            only, description="kernels", continuous_update=False, style=STYLE, layout=FULL
        )
        kernels = ipywidgets.VBox(
            [self.only, help_line("Names or patterns, separated by commas; peers always run.")]
        )
        kernels.add_class("wb-field")
        self.button = ipywidgets.Button(
            description="Race", button_style="primary", icon="play", layout={"width": "auto"}
        )
        self.job = Job()
        self.chart = live(figures.race_bars([]))
        self.roof = live(figures.roofline([], {}, {}))
        self.table = tables.Numbers()
        fields = ipywidgets.VBox([*inputs.values(), kernels])
        fields.add_class("wb-fields")
        controls = ipywidgets.VBox([fields, self.button])
        controls.add_class("wb-controls")
        results = ipywidgets.VBox([self.job, self.chart])
        results.add_class("wb-results")
        columns = ipywidgets.Box([controls, results])
        columns.add_class("wb-columns")
        super().__init__(
            [columns, self.table, self.roof],
            rows=rows,
            cols=cols,
            tokens=tokens,
            threads=threads,
        )
        for name in ("rows", "cols", "tokens", "threads"):
            traitlets.link((self, name), (inputs[name].children[0], "value"))
        traitlets.dlink((self.job, "running"), (self, "running"))
        traitlets.dlink((self.job, "running"), (self.button, "disabled"))
        self.button.on_click(lambda _: self.run())

    def run(self) -> None:
        """Start the race."""
        shape, counts = (self.rows, self.cols), ([self.threads], [self.tokens])
        only, seconds = self.only.value.strip() or "*", self.seconds.value

        def work(run):
            rows = bench_matmul([shape], *counts, only=only, seconds=seconds, progress=run.progress)
            self._show(rows)
            run.progress(100, 100, "measuring what this machine can do at most")
            self._show_roof(rows)

        self.job.start(work, "packing the weights in every way")

    def wait(self, timeout: float = 300.0) -> None:
        """Return when the race has ended; TimeoutError if it has not."""
        self.job.wait(timeout)

    def cancel(self) -> None:
        """Stop at the next sample; the last race stays on the page."""
        self.job.cancel()

    def _show(self, rows: Sequence[dict]) -> None:
        self.results = tuple(rows)
        problem = rows[0]
        title = (
            f"{problem['rows']} × {problem['cols']}, tokens: {problem['tokens']}, "
            f"threads: {problem['threads']}"
        )
        chart = figures.race_bars(rows, own=OURS, ceiling=(CEILING, READING), title=title)
        redraw(self.chart, chart)
        self.table.show(race_table(rows))

    def _show_roof(self, rows: Sequence[dict]) -> None:
        redraw(self.roof, figures.roofline(**roofline(rows)))


def race_table(rows: Sequence[dict]) -> str:
    """The rows of a race as an HTML table, fastest first, with the machine they hold for."""
    rows = sorted(rows, key=lambda row: row["median_s"])
    peer = rows[0]["ratio_to"]
    columns = {
        "kernel": "kernel",
        "median": "median",
        "spread": "fastest to slowest",
        "gops": "Gop/s",
        "ratio": f"over {peer}",
        "between": "from, to",
        "nbytes": "bytes of weights",
    }
    body = [
        {
            "kernel": row["kernel"],
            "median": tables.seconds(row["median_s"]),
            "spread": f"{tables.seconds(row['min_s'])} to {tables.seconds(row['max_s'])}",
            "gops": tables.number(row["gops"], 4),
            "ratio": tables.number(row["ratio"]),
            "between": f"{tables.number(row['ratio_min'])}, {tables.number(row['ratio_max'])}",
            "nbytes": f"{row['nbytes']:,}" if row["nbytes"] else "-",
        }
        for row in rows
    ]
    own = [index for index, row in enumerate(rows) if row["kernel"] in OURS]
    machine = html.escape(f"On this machine: {rows[0]['machine']}")
    return tables.table(columns, body, own=own) + f'<p class="wb-help">{machine}</p>'


def _count(name: str, value: int, text: str, most: int = LARGEST) -> ipywidgets.VBox:
    box = ipywidgets.BoundedIntText(
        value=value,
        min=1,
        max=max(most, value),
        description=name,
        style=STYLE,
        layout=FULL,
        continuous_update=False,
    )
    return field(box, text)


def _choice(name: str, value, options, text: str) -> ipywidgets.VBox:
    slider = ipywidgets.SelectionSlider(
        options=sorted({*options, value}),
        value=value,
        description=name,
        style=STYLE,
        layout=FULL,
        continuous_update=False,
    )
    return field(slider, text)
