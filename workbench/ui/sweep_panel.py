"""A sweep by buttons: choose a notebook and values, launch, watch the chart grow, cancel."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import final

import ipywidgets
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import traitlets
from itables.widget import ITable

from workbench import sweep
from workbench.errors import WorkbenchError
from workbench.sweep.report import columns_of, unbeaten
from workbench.sweep.table import tidy, to_frame
from workbench.ui import figures, tables, theme
from workbench.ui.controls import FULL, STYLE, help_line
from workbench.ui.live import live, redraw
from workbench.ui.panel import Panel
from workbench.ui.progress import Job, Problem, shows_problems

REDRAW_S = 0.5
AXES = ("bits_per_weight", "rel_mse")  # to start with, where they were recorded
MOST_COLOURS = 12
FACTS = ("job.status", "job.error", "job.seconds")


@final
class SweepPanel(Panel):
    """Pick a notebook, write values for its parameters, press Launch; jobs show as they end.

    Parameters
    ----------
    notebook : str
        A name or path, as `workbench.sweep.open_notebook` takes it.
    values : mapping of parameter to text, optional
        What to start with, as `workbench.sweep.read_values` reads it.
    folder : path
        Where results go. What ended there shows at once, and is not run again.
    workers : int
        Processes of this machine that run jobs.

    Attributes
    ----------
    rows : tuple of dict
        What the jobs left, as far as the sweep has come.
    running : bool

    Examples
    --------
    >>> panel = SweepPanel("compare", {"technique": "q4_0,nf4", "tensor": "blk.0.attn_k.weight"})
    >>> [job.parameters["technique"] for job in panel.jobs()]
    ['q4_0', 'nf4']
    """

    rows = traitlets.Tuple()
    running = traitlets.Bool(False)

    def __init__(
        self,
        notebook: str = "compare",
        values: Mapping[str, str] | None = None,
        folder: str | Path = "runs/panel",
        workers: int = 2,
    ):
        self.notebook = ipywidgets.Combobox(
            value=str(notebook),
            options=sweep.notebook_names(),
            description="notebook",
            continuous_update=False,
            style=STYLE,
            layout=FULL,
        )
        self.fields: dict[str, ipywidgets.Text] = {}
        self._form = ipywidgets.VBox()
        self.folder = _text("folder", str(folder))
        self.scheduler = _text("scheduler", "", "tcp://HOST:PORT")
        self.workers = ipywidgets.BoundedIntText(
            workers, min=1, max=1024, description="processes", style=STYLE, layout=FULL
        )
        self.limit = ipywidgets.BoundedFloatText(
            600, min=1, max=1e7, description="seconds a job", style=STYLE, layout=FULL
        )
        self.count = ipywidgets.Button(description="Count jobs", icon="list", layout=FULL)
        self.button = ipywidgets.Button(
            description="Launch", button_style="primary", icon="play", layout=FULL
        )
        self.job = Job()
        self.problem = Problem()
        self.said = tables.Numbers()
        self.x = ipywidgets.Dropdown(description="across", style=STYLE, layout=FULL)
        self.y = ipywidgets.Dropdown(description="up", style=STYLE, layout=FULL)
        self.colour = ipywidgets.Dropdown(description="colours", style=STYLE, layout=FULL)
        self.chart = live(scatter(pd.DataFrame(), "", "", ""))
        self.table = ITable(pd.DataFrame(), **_table_options())
        super().__init__(self._arranged())

        traitlets.dlink((self.job, "running"), (self, "running"))
        traitlets.dlink((self.job, "running"), (self.button, "disabled"))
        self._fill()
        for name, text in (values or {}).items():
            if name not in self.fields:
                raise WorkbenchError(f"{notebook} has no parameter {name!r}")
            self.fields[name].value = text
        self.notebook.observe(self._follow_notebook, "value")
        for axis in (self.x, self.y, self.colour):
            axis.observe(self._follow_axes, "value")
        self.count.on_click(lambda _: self.tell_count())
        self.button.on_click(lambda _: self.run())

    def jobs(self) -> list[sweep.Job]:
        """The jobs that the form describes; WorkbenchError where a value is not allowed."""
        book = sweep.open_notebook(self.notebook.value)
        grid = {
            name: sweep.read_values(field.value, book.parameter(name))
            for name, field in self.fields.items()
            if field.value.strip()
        }
        return sweep.plan(book, grid)

    @shows_problems
    def tell_count(self) -> None:
        """Check the form and say how many jobs it makes."""
        self.said.show(tables.tiles([(f"{len(self.jobs()):,}", "jobs", "jobs")]))

    @shows_problems
    def run(self) -> None:
        """Start what is missing in the folder."""
        jobs = self.jobs()
        folder = self.folder.value.strip()
        if not folder:
            raise WorkbenchError("folder is empty; give the folder for the results")
        options = {
            "scheduler": self.scheduler.value.strip() or None,
            "workers": self.workers.value,
            "limit_s": self.limit.value,
        }
        self.job.start(lambda run: self._work(run, jobs, folder, options), "starting")

    def wait(self, timeout: float = 600.0) -> None:
        """Return when the sweep has ended; TimeoutError if it has not."""
        self.job.wait(timeout)

    def cancel(self) -> None:
        """Stop; what ended stays, and Launch goes on from there."""
        self.job.cancel()

    def _arranged(self) -> list[ipywidgets.Widget]:
        controls = ipywidgets.VBox(
            [
                self.notebook,
                help_line("One of the list, or the path of any notebook with a parameters cell."),
                self._form,
                self.folder,
                help_line("What ended there before is not run again."),
                self.workers,
                self.limit,
                self.scheduler,
                help_line("A Dask scheduler that runs already, in place of processes here."),
                self.count,
                self.button,
            ]
        )
        controls.add_class("wb-controls")
        axes = ipywidgets.Box([self.x, self.y, self.colour])
        axes.add_class("wb-fields")
        results = ipywidgets.VBox([self.job, self.problem, self.said, axes, self.chart])
        results.add_class("wb-results")
        columns = ipywidgets.Box([controls, results])
        columns.add_class("wb-columns")
        return [columns, self.table]

    @shows_problems
    def _follow_notebook(self, _change):
        self._fill()

    def _fill(self) -> None:
        """A field for each parameter of the notebook."""
        parameters = sweep.open_notebook(self.notebook.value).parameters.values()
        self.fields = {p.name: _text(p.name, "", _default(p)) for p in parameters}
        children = []
        for parameter in parameters:
            kinds = " or ".join(parameter.kinds) or "any"
            children += [self.fields[parameter.name], help_line(f"{kinds}: {parameter.help}")]
        self._form.children = [
            help_line("Values as 2,3,4 or 2..8; tensor and technique take patterns. Empty: as is."),
            *children,
        ]

    def _work(self, run, jobs, folder, options) -> None:
        found: dict[str, dict] = {}
        drawn = 0.0

        def take(row):
            nonlocal drawn
            found[row["id"]] = row
            if time.monotonic() - drawn > REDRAW_S:
                self._show(found, len(jobs), folder)
                drawn = time.monotonic()

        self._show(found, len(jobs), folder)
        try:
            sweep.run(jobs, folder, progress=run.progress, found=take, **options)
        finally:  # what ended before an error or Cancel is not lost
            self._show(found, len(jobs), folder)

    def _show(self, found: Mapping[str, dict], total: int, folder: str) -> None:
        self.rows = tuple(found.values())
        failed = sum(row["status"] != "ok" for row in self.rows)
        said = [(f"{len(found):,} of {total:,}", "jobs ended", "ended")]
        said.append((f"{failed:,}", "failed", "failed"))
        where = {"file": f"{folder}/report.html"}
        self.said.show(
            tables.tiles(said), tables.table({"file": "the page of all results"}, [where])
        )
        frame = to_frame(tidy(self.rows))
        self._offer(frame)
        self._draw(frame)
        parameters, numbers = columns_of(frame)
        shown = frame[[*_varied(frame, parameters), *numbers, *FACTS]] if len(frame) else frame
        self.table.update(_readable(shown).rename(columns=lambda name: name.removeprefix("job.")))

    def _offer(self, frame: pd.DataFrame) -> None:
        """What can be drawn, keeping what is chosen."""
        parameters, numbers = columns_of(frame)
        numeric = [n for n in numbers if pd.api.types.is_numeric_dtype(frame[n])]
        varied = _varied(frame, parameters)
        defaults = (
            AXES[0] if AXES[0] in numeric else next(iter([*varied, *numeric]), None),
            AXES[1] if AXES[1] in numeric else next(iter(numeric), None),
            next((n for n in ("label", "technique", *varied) if n in frame), None),
        )
        choices = ([*numeric, *varied], [*numeric, "job.seconds"], [*varied, "label"])
        for axis, options, default in zip(
            (self.x, self.y, self.colour), choices, defaults, strict=True
        ):
            options = [name for name in dict.fromkeys(options) if name in frame]
            if list(axis.options) != options:
                kept = axis.value
                axis.options = options
                axis.value = kept if kept in options else default

    @shows_problems
    def _follow_axes(self, _change):
        if self.rows:
            self._draw(to_frame(tidy(self.rows)))

    def _draw(self, frame: pd.DataFrame) -> None:
        redraw(self.chart, scatter(frame, self.x.value, self.y.value, self.colour.value))


def scatter(
    frame: pd.DataFrame, x: str | None, y: str | None, colour: str | None, title: str = ""
) -> go.Figure:
    """Jobs that ended well, one number against another or against a parameter.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `workbench.sweep.run` returns it.
    x, y, colour : str
        Columns. Where `x` and `y` are numbers that were recorded, a dashed line joins the jobs
        that no other is below in both.
    title : str
    """
    figure = go.Figure()
    if len(frame) and x and y:
        frame = frame[(frame["job.status"] == "ok") & _drawable(frame[x]) & _drawable(frame[y])]
        numbers = columns_of(frame)[1]
        if x in numbers and y in numbers and len(frame):
            best = frame.iloc[unbeaten(frame[x].to_numpy(float), frame[y].to_numpy(float))]
            figure.add_scatter(
                x=list(best[x]),
                y=list(best[y]),
                mode="lines",
                line={"color": theme.GREY, "dash": "dash", "width": 1.5},
                name="not beaten by any other",
                hoverinfo="skip",
            )
        kinds = frame[colour].astype(str) if colour else pd.Series("", index=frame.index)
        common = list(kinds.value_counts().index[:MOST_COLOURS])
        for index, kind in enumerate(sorted(common)):
            own = frame[kinds == kind]
            figure.add_scatter(
                x=[str(v) if isinstance(v, bool | str) else v for v in own[x]],
                y=list(own[y]),
                mode="markers",
                name=kind,
                marker={
                    "color": theme.PALETTE[index % (len(theme.PALETTE) - 1)],
                    "symbol": figures.SYMBOLS[index % len(figures.SYMBOLS)],
                    "size": 10,
                },
                text=_hover(own),
                hovertemplate="%{text}<br>" + f"{x} %{{x}}<br>{y} %{{y:.4g}}<extra></extra>",
            )
        decades = len(frame) and frame[y].min() > 0 and frame[y].max() > 30 * frame[y].min()
        figure.update_yaxes(type="log" if decades else "linear", exponentformat="power")
    figure.update_xaxes(title=x or "")
    figure.update_yaxes(title=y or "")
    title = title or (f"{y} against {x}" if x and y else "Jobs, as they end")
    return theme.finish(figure, title, 460).update_layout(showlegend=True)


def _drawable(column: pd.Series) -> pd.Series:
    """Which values an axis has a place for."""
    return np.isfinite(column) if pd.api.types.is_numeric_dtype(column) else column.notna()


def _hover(frame: pd.DataFrame) -> list[str]:
    varied = _varied(frame, columns_of(frame)[0]) or ["job.id"]
    rows = frame[varied].astype(str).to_dict("records")
    return ["<br>".join(f"{key} {value}" for key, value in row.items()) for row in rows]


def _varied(frame: pd.DataFrame, parameters: list[str]) -> list[str]:
    """Parameters that differ between jobs; all of them, where there is but one job."""
    return [name for name in parameters if frame[name].nunique(dropna=False) != 1] or parameters


def _text(description: str, value: str, placeholder: str = "") -> ipywidgets.Text:
    return ipywidgets.Text(
        value,
        description=description,
        placeholder=placeholder,
        continuous_update=False,
        style=STYLE,
        layout=FULL,
    )


def _default(parameter: sweep.Parameter) -> str:
    return str(parameter.default) if isinstance(parameter.default, str | int | float) else ""


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Four digits, and no column in which nothing was measured."""
    frame = frame.dropna(axis="columns", how="all")
    floats = frame.select_dtypes("float")
    return frame.assign(**{name: floats[name].map("{:.4g}".format).map(float) for name in floats})


def _table_options() -> dict:
    return {
        "classes": "compact nowrap",
        "style": "width:100%;max-width:100%",
        "scrollX": True,
        "lengthMenu": [10, 25, 100],
        "maxBytes": "10MB",
        "allow_html": False,
        "showIndex": False,
    }
