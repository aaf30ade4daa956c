"""The table of a sweep as one self-contained HTML page: figures, failed jobs, rows, machines."""

import html
import math
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd

from workbench.sweep.folder import TABLE
from workbench.sweep.table import OURS

TEMPLATE = Path(__file__).parent / "report.html.jinja"
WIDTH, HEIGHT = 420, 240  # of a figure, without its labels
MOST_FIGURES = 36
MOST_POINTS = 1500  # in a figure; of more, a sample and the quartiles of all
MOST_LABELS = 24  # on an axis of names
MOST_ROWS = 200  # of the table on the page
MOST_SERIES = 8
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#8c564b",
    "#7f7f7f",
)
# pairs of numbers of which less is better in both: size against error
FRONTS = (("bits_per_weight", "rel_mse"), ("bits_per_weight", "output_rel_mse"))


def to_html(table: pd.DataFrame, title: str) -> str:
    """The page.

    Parameters
    ----------
    table : pandas.DataFrame
        As `read_table` returns it.
    title : str
        What it is a report of: the folder.
    """
    ok = table[table["job.status"] == "ok"] if len(table) else table
    parameters, numbers = columns_of(table)
    varied = [name for name in parameters if table[name].nunique(dropna=False) > 1]
    fixed = {n: table[n].iloc[0] for n in parameters if n not in varied} if len(table) else {}
    changing = [n for n in numbers if pd.api.types.is_numeric_dtype(ok[n]) and ok[n].nunique() > 1]
    pairs = [(n, p) for p in varied for n in changing]
    figures = [front(ok, x, y) for x, y in FRONTS if {x, y} <= set(changing)]
    figures += [figure(ok, p, n) for n, p in pairs[: MOST_FIGURES - len(figures)]]
    failed = table[table["job.status"] == "failed"] if len(table) else table
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["short"] = short
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        table_file=TABLE,
        jobs=len(table),
        ok=len(ok),
        notebooks=sorted(set(table["job.notebook"])) if len(table) else [],
        seconds=float(table["job.seconds"].sum()) if len(table) else 0.0,
        fixed=fixed,
        varied={name: _values(table[name]) for name in varied},
        figures=[figure for figure in figures if figure],
        left_out=max(0, len(pairs) - MOST_FIGURES),
        failed=failed.head(MOST_ROWS).to_dict("records"),
        failures=len(failed),
        shown=[*varied, *numbers, "job.seconds", "job.file"],
        rows=ok.head(MOST_ROWS).to_dict("records"),
        machines=_facts(table),
    )


def columns_of(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Names of the columns that are parameters, and of those that were recorded."""
    parameters = table.attrs["parameters"]
    others = {*parameters, *(n for n in table if n.startswith(OURS[:3]))}
    return parameters, [name for name in table if name not in others]


def figure(table: pd.DataFrame, x: str, y: str) -> str:
    """An SVG of a recorded number against a parameter; empty where nothing can be drawn."""
    known = table[[x, y]].dropna(subset=[y])
    known = known[np.isfinite(known[y].astype(float))]
    if known.empty:
        return ""
    heights = known[y].to_numpy(float)
    if pd.api.types.is_numeric_dtype(known[x]) and not pd.api.types.is_bool_dtype(known[x]):
        known = known.dropna(subset=[x])
        at, ticks = known[x].to_numpy(float), None
        heights = known[y].to_numpy(float)
        if not len(at):
            return ""
    else:
        names = known[x].astype(str).fillna("none")
        codes, labels = pd.factorize(names, sort=True)
        at, ticks = codes.astype(float), list(labels)
    plot = _Plot(x, y, at, heights, ticks)
    groups = pd.Series(heights).groupby(at)
    middle = groups.median()
    if len(at) > MOST_POINTS:
        low, high = groups.quantile(0.25), groups.quantile(0.75)
        plot.bars(low.index.to_numpy(), low.to_numpy(), high.to_numpy())
        chosen = np.linspace(0, len(at) - 1, MOST_POINTS).astype(int)
        plot.dots(at[chosen], heights[chosen], COLOURS[0], 0.25)
        said = f"{len(at):,} jobs, of which {MOST_POINTS:,} are drawn; bars: quartiles of all"
    else:
        plot.dots(at, heights, COLOURS[0], 0.6)
        said = f"{len(at):,} jobs"
    if len(middle) < len(at) or ticks is None:
        plot.line(middle.index.to_numpy(), middle.to_numpy(), joined=ticks is None)
        said += "; orange: median"
    return plot.svg(f"{y} by {x}", said)


def front(table: pd.DataFrame, x: str, y: str) -> str:
    """An SVG of two numbers of which less is better in both, and what no other job beats."""
    known = table[np.isfinite(table[x].astype(float)) & np.isfinite(table[y].astype(float))]
    if known.empty:
        return ""
    at, heights = known[x].to_numpy(float), known[y].to_numpy(float)
    plot = _Plot(x, y, at, heights)
    kinds = known["technique"].astype(str) if "technique" in known else pd.Series([""] * len(known))
    common = list(kinds.value_counts().index[: MOST_SERIES - 1])
    chosen = np.zeros(len(at), bool)
    chosen[np.linspace(0, len(at) - 1, min(len(at), MOST_POINTS)).astype(int)] = True
    series = []
    for index, kind in enumerate([*common, "others"]):
        own = ~kinds.isin(common) if kind == "others" and kind not in common else kinds == kind
        own = own.to_numpy() & chosen
        if own.any():
            plot.dots(at[own], heights[own], COLOURS[index], 0.7)
            series.append((kind, COLOURS[index]))
    best = unbeaten(at, heights)
    plot.line(at[best], heights[best], colour="currentColor")
    said = f"{len(at):,} jobs; line: beaten by no other in both"
    return plot.svg(f"{y} against {x}", said, [s for s in series if s[0]])


def unbeaten(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Indices of the points that no other is below in both, by rising x."""
    order = np.lexsort((y, x))
    lowest = np.minimum.accumulate(y[order])
    first = np.r_[True, lowest[1:] < lowest[:-1]]
    return order[first]


def short(value) -> str:
    """A value as people read it."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        if math.isinf(value):
            return "∞" if value > 0 else "-∞"
        return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:.4g}"
    return str(value)


class _Plot:
    """Axes, and what is drawn between them; logarithmic where positive values span decades."""

    def __init__(self, x, y, at, heights, ticks=None):
        self.names = x, y
        self.ticks = ticks
        self._x = _Axis(at, WIDTH, log=ticks is None and _decades(at), names=ticks)
        self._y = _Axis(heights, HEIGHT, log=_decades(heights))
        self._drawn: list[str] = []

    def dots(self, at, heights, colour, opacity):
        for x, y in zip(self._x(at), HEIGHT - self._y(heights), strict=True):
            self._drawn.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}" opacity="{opacity}"/>'
            )

    def bars(self, at, low, high):
        for x, a, b in zip(self._x(at), HEIGHT - self._y(low), HEIGHT - self._y(high), strict=True):
            self._drawn.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{a:.1f}" y2="{b:.1f}" '
                f'stroke="{COLOURS[1]}" stroke-width="6" opacity="0.4"/>'
            )

    def line(self, at, heights, colour=COLOURS[1], joined=True):
        points = list(zip(self._x(at), HEIGHT - self._y(heights), strict=True))
        if joined:
            text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            self._drawn.append(
                f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            )
            return
        for x, y in points:
            self._drawn.append(
                f'<line x1="{x - 6:.1f}" x2="{x + 6:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
                f'stroke="{colour}" stroke-width="2.5"/>'
            )

    def svg(self, title: str, said: str, series=()) -> str:
        longest = max((len(text) for _, text in self._x.marks()), default=0)
        slanted = self.ticks is not None and longest * len(self._x.marks()) > 60
        below = 28 + (5 * min(longest, 30) if slanted else 8)
        parts = []
        for at, text in self._y.marks():
            y = HEIGHT - at
            parts.append(f'<line class="grid" x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        for at, text in self._x.marks():
            whole, text = (
                html.escape(text),
                html.escape(text if len(text) < 31 else f"…{text[-29:]}"),
            )
            turn = f'transform="rotate(-40 {at:.1f} {HEIGHT + 14})"' if slanted else ""
            anchor = "end" if slanted else "middle"
            parts.append(
                f'<text x="{at:.1f}" y="{HEIGHT + 16}" text-anchor="{anchor}" {turn}>'
                f"{html.escape(text)}<title>{html.escape(whole)}</title></text>"
            )
        hidden = self.ticks and len(self.ticks) > MOST_LABELS
        name = html.escape(self.names[0]) + (f" ({len(self.ticks)} names)" if hidden else "")
        parts.append(
            f'<text class="name" x="{WIDTH / 2}" y="{HEIGHT + below + 6}" '
            f'text-anchor="middle">{name}</text>'
        )
        legend = "".join(
            f'<span><i style="background:{colour}"></i>{html.escape(kind)}</span>'
            for kind, colour in series
        )
        left = 150 if slanted else 62
        return (
            f"<figure><figcaption><b>{html.escape(title)}</b><br>{said}</figcaption>"
            f'<svg viewBox="-{left} -10 {WIDTH + left + 14} {HEIGHT + below + 22}" role="img" '
            f'aria-label="{html.escape(title)}: {said}">'
            f"{''.join(parts)}{''.join(self._drawn)}</svg>"
            f'<div class="legend">{legend}</div></figure>'
        )


class _Axis:
    """From values to places on a line of `length`."""

    def __init__(self, values, length, log=False, names=None):
        self._length, self._log, self._names = length, log, names
        values = np.log10(values) if log else values
        low, high = float(values.min()), float(values.max())
        pad = 0.5 if names is not None else 0.05 * (high - low) or 0.5 * abs(low) or 0.5
        self._low, self._high = low - pad, high + pad

    def __call__(self, values):
        values = np.log10(values) if self._log else np.asarray(values, float)
        return self._length * (values - self._low) / (self._high - self._low)

    def marks(self) -> list[tuple[float, str]]:
        """Places and texts of the ticks."""
        if self._names is not None:
            if len(self._names) > MOST_LABELS:
                return []
            return [(float(self(i)), name) for i, name in enumerate(self._names)]
        if self._log:
            low, high = math.ceil(self._low), math.floor(self._high)
            decades = range(low, high + 1, max(1, (high - low) // 6))
            values = [10.0**power for power in decades]
            if len(values) < 3:
                values = [d * 10.0**p for p in range(low - 1, high + 1) for d in (1, 2, 5)]
                values = [v for v in values if self._low <= math.log10(v) <= self._high]
        else:
            rough = (self._high - self._low) / 5
            power = 10.0 ** math.floor(math.log10(rough))
            step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
            first, last = math.ceil(self._low / step), math.floor(self._high / step)
            values = [step * index for index in range(first, last + 1)]
        return [(float(self(value)), f"{value:.4g}") for value in values]


def _decades(values) -> bool:
    return bool(values.min() > 0 and values.max() / values.min() > 30)


def _values(column: pd.Series) -> str:
    """The different values of a parameter, or the first and how many there are."""
    values = list(dict.fromkeys(map(short, column.sort_values(kind="stable"))))
    return ", ".join(values[:8]) + (f", … ({len(values)} values)" if len(values) > 8 else "")


def _facts(table: pd.DataFrame) -> list[dict]:
    """Machines and versions that the jobs ran with, each with how many jobs."""
    names = [name for name in table.columns if name.startswith(("machine.", "version."))]
    if not names or table.empty:
        return []
    counted = table.groupby(names, dropna=False, observed=True).size().reset_index(name="jobs")
    return counted.sort_values("jobs", ascending=False).head(20).to_dict("records")
