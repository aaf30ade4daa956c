"""Figures: plain functions from arrays and rows of numbers to plotly figures.

Every function returns a `plotly.graph_objects.Figure` that holds finite numbers only (NaN or
infinity would leave a live figure empty in the browser). `workbench.ui.live` makes widgets of them.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.measure.compare import pareto as undominated
from workbench.measure.report import Report
from workbench.ui.labels import technique_label
from workbench.ui.theme import (
    BLUE,
    GREY,
    MAGNITUDE,
    ORANGE,
    PALETTE,
    SIGNED,
    Theme,
    finish,
)

SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "star", "hexagon", "x")
DASHES = ("solid", "dash", "dot", "dashdot")
# a long legend below would run into the title of the axis where the page is narrow
BESIDE = {"orientation": "v", "x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top"}
BINS = 121  # odd, so that zero has a bin of its own
LEAST_SHARE = 1e-4  # per cent; an empty bin has no place on a log axis
MAP_SIDE = 96  # most blocks a side of a heat map


def weight_histogram(
    before: Float[np.ndarray, "..."],
    after: Float[np.ndarray, "..."] | None = None,
    title: str = "Where the weights lie",
    theme: Theme | None = None,
) -> go.Figure:
    """How many weights have which value, before and after; a log axis, since zero is often huge.

    Parameters
    ----------
    before, after : float arrays of any shape
        `after` may be left out.
    """
    _finite("before", before)
    arrays = [("before", before, BLUE)]
    if after is not None:
        _finite("after", after)
        arrays.append(("after", after, ORANGE))
    largest = float(np.abs(before).max()) or 1.0
    edges = np.linspace(-largest, largest, BINS + 1)
    centres = (edges[1:] + edges[:-1]) / 2

    figure = go.Figure()
    for name, values, colour in arrays:
        inside = np.clip(values, -largest, largest)  # a decoder may overshoot the range a little
        share = 100 * np.histogram(inside, edges)[0] / values.size
        figure.add_scatter(
            x=centres,
            y=np.maximum(share, LEAST_SHARE),
            name=name,
            mode="lines",
            line={"color": colour, "shape": "hvh", "width": 1.5},
            fill="tozeroy" if name == "before" else None,
            customdata=share,
            hovertemplate="%{x:.4g}: %{customdata:.3g} % of the weights<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="value of a weight")
    figure.update_yaxes(
        title="share of the weights, %",
        type="log",
        range=[math.log10(LEAST_SHARE * 5), 2],
        tickvals=[0.001, 0.01, 0.1, 1, 10, 100],
        ticktext=["0.001", "0.01", "0.1", "1", "10", "100"],
    )
    return finish(figure, title, 330, theme)


def weight_maps(
    before: Float[np.ndarray, "rows cols"],
    after: Float[np.ndarray, "rows cols"],
    window: int = 48,
    title: str = "The weights themselves",
    theme: Theme | None = None,
) -> go.Figure:
    """Three pictures of a matrix: its first weights before, the same after, and where it is wrong.

    Parameters
    ----------
    before, after : float arrays (rows, cols) of one shape
    window : int
        The first two show this many rows and columns from the top left, one cell a weight. The
        third shows the whole matrix in at most 96 x 96 blocks, as the root mean square of the
        error in each.
    """
    _finite("before", before)
    _finite("after", after)
    if before.ndim != 2 or before.shape != after.shape:
        raise WorkbenchError(
            f"after has shape {after.shape}, but must have the two axes of before, {before.shape}"
        )
    rows, cols = before.shape
    corner = np.s_[:window, :window]
    error = after.astype(np.float64) - before
    limit = float(np.percentile(np.abs(before[corner]), 99.5)) or 1.0  # a few outliers saturate
    part = f"first {min(window, rows)} × {min(window, cols)} weights"
    figure = make_subplots(
        cols=3,
        subplot_titles=[f"before<br>{part}", f"after<br>{part}", f"error<br>all {rows} × {cols}"],
        horizontal_spacing=0.06,
    )
    for column, matrix in enumerate((before[corner], after[corner]), start=1):
        figure.add_heatmap(
            z=matrix,
            zmin=-limit,
            zmax=limit,
            colorscale=SIGNED,
            showscale=False,
            hovertemplate="row %{y}, column %{x}: %{z:.4g}<extra></extra>",
            col=column,
            row=1,
        )
    z, y, x = block_rms(error, MAP_SIDE)
    figure.add_heatmap(
        z=z,
        x=x,
        y=y,
        zmin=0,
        zmax=float(z.max()) or 1.0,
        colorscale=MAGNITUDE,
        showscale=False,
        hovertemplate="around row %{y:.0f}, column %{x:.0f}: RMS %{z:.3g}<extra></extra>",
        col=3,
        row=1,
    )
    figure.update_xaxes(showgrid=False, zeroline=False, nticks=5)
    figure.update_yaxes(showgrid=False, zeroline=False, nticks=5)
    shown = [before[corner].shape, before[corner].shape, before.shape]
    for column, (down, across) in enumerate(shown, start=1):  # the first row on top
        figure.update_xaxes(range=[-0.5, across - 0.5], col=column)
        figure.update_yaxes(range=[down - 0.5, -0.5], col=column)
    figure.update_annotations(font_size=12)
    finish(figure, title, 340, theme)
    return figure.update_layout(margin_t=90)


def block_rms(
    matrix: Float[np.ndarray, "rows cols"], side: int
) -> tuple[Float[np.ndarray, "down across"], np.ndarray, np.ndarray]:
    """Root mean square in at most `side` x `side` blocks; also their middle rows and columns."""
    squares = np.square(matrix, dtype=np.float64)
    middles = []
    for axis in (0, 1):
        length = matrix.shape[axis]
        starts = np.unique(np.linspace(0, length, min(side, length) + 1).astype(int)[:-1])
        lengths = np.diff(np.append(starts, length))
        shape = [1, 1]
        shape[axis] = -1
        squares = np.add.reduceat(squares, starts, axis=axis) / lengths.reshape(shape)
        middles.append(starts + (lengths - 1) / 2)
    return np.sqrt(squares), *middles


def pareto(
    reports: Iterable[Report],
    title: str = "What each bit buys",
    labels: Sequence[str] = (),
    highlight: str | None = None,
    theme: Theme | None = None,
) -> go.Figure:
    """Bits a weight against relative error; the dashed line joins what nothing else beats.

    Parameters
    ----------
    reports : iterable of Report
        Reports without finite numbers are left out; a lossless one sits at the lower edge.
    labels : technique labels, optional
        To have in the legend in this order, whether there are reports of them yet or not.
    highlight : str, optional
        The label of a technique to draw larger.
    """
    known = [r for r in reports if math.isfinite(r.bits_per_weight) and math.isfinite(r.rel_mse)]
    errors = [report.rel_mse for report in known if report.rel_mse > 0]
    least = min(errors, default=1.0) / 10  # where a lossless point is drawn on the log axis
    figure = go.Figure()
    front = undominated(known)
    figure.add_scatter(
        x=[report.bits_per_weight for report in front],
        y=[max(report.rel_mse, least) for report in front],
        mode="lines",
        line={"color": GREY, "dash": "dash", "width": 1.5},
        name="not beaten by any other",
        hoverinfo="skip",
    )
    by_label: dict[str, list[Report]] = {label: [] for label in labels}
    for report in known:
        by_label.setdefault(technique_label(report.technique, report.parameters), []).append(report)
    for index, (name, own) in enumerate(by_label.items()):
        figure.add_scatter(
            x=[r.bits_per_weight for r in own],
            y=[max(r.rel_mse, least) for r in own],
            name=name,
            mode="markers",
            marker={
                "color": PALETTE[index % (len(PALETTE) - 1)],
                "symbol": SYMBOLS[index % len(SYMBOLS)],
                "size": 16 if name == highlight else 10,
                "line": {"width": 1, "color": "rgba(128,128,128,0.6)"},
            },
            customdata=[
                [r.tensor, f"{r.rel_mse:.3g}" if r.rel_mse else "0 (lossless)", f"{r.nbytes:,}"]
                for r in own
            ],
            hovertemplate=(
                f"<b>{name}</b><br>%{{customdata[0]}}<br>%{{x:.3f}} bits a weight, "
                "%{customdata[2]} bytes<br>relative MSE %{customdata[1]}<extra></extra>"
            ),
        )
    figure.update_xaxes(title="bits a weight, all side information included", rangemode="tozero")
    figure.update_yaxes(title="relative mean squared error", type="log", exponentformat="power")
    if not known:
        figure.update_xaxes(range=[0, 9])
        figure.update_yaxes(range=[-4, 0])
    return finish(figure, title, 430, theme).update_layout(legend=BESIDE)


def race_bars(
    rows: Iterable[Mapping],
    own: Sequence[str] = (),
    ceiling: str | Collection[str] = (),
    title: str = "Speed of one product",
    theme: Theme | None = None,
) -> go.Figure:
    """Speed of each kernel at its median time, with a whisker from its slowest to its fastest.

    Parameters
    ----------
    rows : iterable of mappings
        As `workbench.measure.race.bench_matmul` returns them for one problem.
    own : names of the kernels to set off from the others.
    ceiling : name or names of rows to draw as lines, since they are bounds and no contenders.
    """
    rows = sorted(rows, key=lambda row: row["gops"])
    ceilings = {ceiling} if isinstance(ceiling, str) else set(ceiling)
    bars = [row for row in rows if row["kernel"] not in ceilings]
    lines = [row for row in rows if row["kernel"] in ceilings]
    figure = go.Figure(
        go.Bar(
            y=[row["kernel"] for row in bars],
            x=[row["gops"] for row in bars],
            orientation="h",
            marker={"color": [BLUE if row["kernel"] in own else GREY for row in bars]},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [row["gops"] * (row["median_s"] / row["min_s"] - 1) for row in bars],
                "arrayminus": [row["gops"] * (1 - row["median_s"] / row["max_s"]) for row in bars],
                "color": ORANGE,
                "thickness": 1.5,
            },
            customdata=[[row["median_s"] * 1e6, row["ratio"], row["ratio_to"]] for row in bars],
            hovertemplate=(
                "<b>%{y}</b><br>%{x:.4g} Gop/s, %{customdata[0]:.4g} µs<br>"
                "%{customdata[1]:.3g} × the speed of %{customdata[2]}<extra></extra>"
            ),
        )
    )
    fastest = max((row["gops"] * row["median_s"] / row["min_s"] for row in bars), default=1.0)
    for row in bars:  # beyond the whisker, which text at the bar's end would cover
        figure.add_annotation(
            y=row["kernel"],
            x=row["gops"] * row["median_s"] / row["min_s"],
            text=f"{row['ratio']:.3g} ×",
            showarrow=False,
            xanchor="left",
            xshift=6,
        )
    for index, row in enumerate(lines):
        figure.add_vline(x=row["gops"], line={"color": ORANGE, "dash": DASHES[1 + index % 3]})
        figure.add_annotation(
            x=row["gops"],
            y=1,
            yref="paper",
            yanchor="bottom",
            yshift=14 * index,  # beside each other they might overlap
            text=row["kernel"],
            showarrow=False,
        )
        fastest = max(fastest, row["gops"])
    figure.update_xaxes(
        title="10⁹ operations a second (longer is better)", range=[0, fastest * 1.2]
    )
    figure.update_yaxes(ticklabelstandoff=6)
    if bars:
        peer = bars[0]["ratio_to"]
        title += f"<br><sup>× : speed over that of {peer}, in the same run</sup>"
    finish(figure, title, 160 + 30 * max(len(bars), 2), theme)
    return figure.update_layout(showlegend=False, margin_t=70 + 14 * len(lines))


def roofline(
    points: Iterable[tuple[str, float, float]],
    peaks: Mapping[str, float],
    bandwidths: Mapping[str, float],
    title: str = "Roofline: what limits each kernel",
    theme: Theme | None = None,
) -> go.Figure:
    """Work per second against work per byte, under the ceilings that this machine showed.

    Parameters
    ----------
    points : iterable of (name, operations a byte, 10^9 operations a second)
    peaks : mapping of name to 10^9 operations a second
        Drawn flat.
    bandwidths : mapping of name to 10^9 bytes a second
        Drawn as slopes that end at the highest peak.
    """
    points = [p for p in points if all(math.isfinite(v) and v > 0 for v in p[1:])]
    peaks = {name: peak for name, peak in peaks.items() if peak > 0}
    if points and not (peaks and bandwidths):
        raise WorkbenchError("a roofline needs at least one peak and one bandwidth")
    top = max(peaks.values(), default=1.0)
    knees = [top / bandwidth for bandwidth in bandwidths.values()]
    lowest = min([p[1] for p in points] + [knee / 10 for knee in knees], default=1) / 2
    highest = max([p[1] for p in points] + knees, default=1) * 4

    figure = go.Figure()
    for index, (name, bandwidth) in enumerate(bandwidths.items()):
        figure.add_scatter(
            x=[lowest, top / bandwidth],
            y=[lowest * bandwidth, top],
            mode="lines",
            line={"color": ORANGE, "width": 2, "dash": DASHES[index % len(DASHES)]},
            name=f"{name}: {bandwidth:.3g} GB/s",
            hovertemplate=f"{name}: {bandwidth:.3g} GB/s<extra></extra>",
        )
    for index, (name, peak) in enumerate(peaks.items()):
        figure.add_scatter(
            x=[peak / max(bandwidths.values()), highest],
            y=[peak, peak],
            mode="lines",
            line={
                "color": GREY,
                "width": 2,
                "dash": ("solid", "dash", "dot", "dashdot")[index % 4],
            },
            name=f"{name}: {peak:.3g} Gop/s",
            hovertemplate=f"{name}: {peak:.3g} Gop/s<extra></extra>",
        )
    for index, (name, intensity, speed) in enumerate(points):
        figure.add_scatter(
            x=[intensity],
            y=[speed],
            mode="markers",
            marker={
                "color": PALETTE[index % (len(PALETTE) - 1)],
                "symbol": SYMBOLS[index % len(SYMBOLS)],
                "size": 11,
            },
            name=name,
            hovertemplate=(
                f"<b>{name}</b><br>%{{x:.3g}} operations a byte<br>%{{y:.4g}} Gop/s<extra></extra>"
            ),
        )
    figure.update_xaxes(title="operations for each byte read or written", type="log", dtick=1)
    figure.update_yaxes(title="10⁹ operations a second", type="log", dtick=1)
    return finish(figure, title, 560, theme).update_layout(legend=BESIDE)


def _finite(name: str, values: np.ndarray) -> None:
    if values.size == 0:
        raise WorkbenchError(f"{name} is empty; a figure needs at least one weight")
    if not np.isfinite(values).all():
        raise WorkbenchError(f"{name} holds NaN or infinity; a figure needs finite weights")
