"""Figures of lookup tables: sizes as claimed and as needed, classes, tiers, times, layers."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from workbench.lookup import patterns
from workbench.lookup.literal import Stage
from workbench.lookup.tiers import TIERS
from workbench.ui.tables import number
from workbench.ui.theme import (
    BLUE,
    GREY,
    ORANGE,
    PALETTE,
    SIGNED,
    TEAL,
    VIOLET,
    Theme,
    finish,
)

SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "star")
UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB"), (1, "B"))
LEGEND_ABOVE = {"y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"}
TIER_COLOURS = dict(zip(TIERS, (TEAL, BLUE, VIOLET, ORANGE), strict=True))


def size(nbytes: float) -> str:
    """Bytes with a unit that suits them.

    Examples
    --------
    >>> size(1.4e12), size(16_896)
    ('1.40 TB', '16.9 KB')
    """
    factor, unit = next((found for found in UNITS if nbytes >= found[0]), UNITS[-1])
    return f"{nbytes:.0f} B" if unit == "B" else f"{number(nbytes / factor)} {unit}"


def waterfall(
    stages: Sequence[Stage],
    title: str = "From 1.4 TB to what is needed",
    theme: Theme | None = None,
) -> go.Figure:
    """Every stage of the proposed table three times: claimed, by its own formula, really needed."""
    figure = go.Figure()
    parts = (
        ("as claimed", "claimed", GREY),
        ("by its own formula", "formula", BLUE),
        ("really needed", "needed", ORANGE),
    )
    for name, key, colour in parts:
        values = [getattr(stage, key) for stage in stages]
        figure.add_bar(
            x=[stage.name for stage in stages],
            y=values,
            name=name,
            marker={"color": colour},
            customdata=[(size(v), stage.why) for v, stage in zip(values, stages, strict=True)],
            hovertemplate="%{x}, " + name + ": %{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        )
    _bytes_axis(figure, 1e3, 1e13)
    figure.update_xaxes(tickangle=-30)
    return finish(figure, title, 420, theme).update_layout(barmode="group", legend=LEGEND_ABOVE)


def classes(
    shares: Mapping[str, Float[np.ndarray, " classes"]],
    g: int,
    title: str = "",
    theme: Theme | None = None,
) -> go.Figure:
    """The canonical patterns of g trits as columns, the most frequent first, and their shares.

    Parameters
    ----------
    shares : mapping of name to float array ((3^g + 1) / 2,)
        By canonical number; the first one sets the order.
    g : int
        Small: there are (3^g + 1) / 2 columns.
    """
    first = next(iter(shares.values()))
    order = np.argsort(-first, kind="stable")
    trits = patterns.trits(order, g)
    names = ["".join("-0+"[trit + 1] for trit in pattern) for pattern in trits]
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.62, 0.38], vertical_spacing=0.04
    )
    for index, (name, values) in enumerate(shares.items()):
        figure.add_scatter(
            x=list(range(len(order))),
            y=(100 * values[order]).tolist(),
            mode="lines+markers",
            name=name,
            line={"color": PALETTE[index], "shape": "hvh", "width": 1.5},
            marker={"size": 6, "symbol": SYMBOLS[index % len(SYMBOLS)]},
            text=names,
            hovertemplate="%{text} or its negative: %{y:.3g} %<extra>" + name + "</extra>",
            row=1,
            col=1,
        )
    figure.add_heatmap(
        z=trits.T.tolist(),
        x=list(range(len(order))),
        colorscale=[list(stop) for stop in SIGNED],
        zmin=-2,  # half of the scale: its ends are pale
        zmax=2,
        showscale=False,
        xgap=1,
        ygap=1,
        hovertemplate="class %{x}, trit %{y}: %{z}<extra></extra>",
        row=2,
        col=1,
    )
    figure.update_yaxes(title="share of groups, %", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(
        title="trits",
        autorange="reversed",
        showticklabels=False,
        ticks="",
        showgrid=False,
        row=2,
        col=1,
    )
    figure.update_xaxes(
        title="one column a pattern and its negative", showticklabels=False, ticks="", row=2, col=1
    )
    title = title or f"The {len(order)} classes of {g} trits"
    return finish(figure, title, 380, theme).update_layout(legend=LEGEND_ABOVE)


def tiers(
    rows: Mapping[str, Mapping[str, float]],
    title: str = "Which tier answers a lookup",
    theme: Theme | None = None,
) -> go.Figure:
    """Shares of lookups that each tier answers, a bar for each matrix.

    Parameters
    ----------
    rows : mapping of name to a mapping of tier to share
    """
    figure = go.Figure()
    for tier in TIERS:
        shares = [100 * shares[tier] for shares in rows.values()]
        figure.add_bar(
            y=list(rows),
            x=shares,
            orientation="h",
            name=tier,
            marker={"color": TIER_COLOURS[tier]},
            text=[f"{share:.0f} %" if share >= 8 else "" for share in shares],
            textposition="inside",
            insidetextanchor="middle",
            textfont={"color": "#ffffff"},
            hovertemplate="%{y}, " + tier + ": %{x:.3g} %<extra></extra>",
        )
    figure.update_xaxes(title="share of lookups, %", range=[0, 100])
    figure.update_yaxes(autorange="reversed", ticklabelstandoff=6)
    finish(figure, title, 150 + 46 * max(len(rows), 2), theme)
    return figure.update_layout(
        barmode="stack", legend={**LEGEND_ABOVE, "traceorder": "normal"}, margin_t=84
    )


def clock(
    rows: Sequence[Mapping],
    title: str = "The cost model against the clock",
    theme: Theme | None = None,
) -> go.Figure:
    """Measured times as bars, and beside them what the model and the document expect.

    Parameters
    ----------
    rows : rows of `workbench.measure.lookup_race.bench_lookups`
    """
    rows = sorted(rows, key=lambda row: -row["median_s"])
    figure = go.Figure()
    figure.add_bar(
        y=[row["kernel"] for row in rows],
        x=[1e6 * row["median_s"] for row in rows],
        orientation="h",
        name="measured",
        marker={"color": [BLUE if row["g"] else GREY for row in rows]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [1e6 * (row["max_s"] - row["median_s"]) for row in rows],
            "arrayminus": [1e6 * (row["median_s"] - row["min_s"]) for row in rows],
            "thickness": 1,
        },
        customdata=[row["gops"] for row in rows],
        hovertemplate="%{y}: %{x:.4g} µs, %{customdata:.3g} Gop/s<extra></extra>",
    )
    foreseen = [row for row in rows if row["predicted_s"] is not None]
    figure.add_scatter(
        y=[row["kernel"] for row in foreseen],
        x=[1e6 * row["predicted_s"] for row in foreseen],
        mode="markers",
        name="predicted",
        marker={"color": ORANGE, "symbol": "diamond", "size": 10},
        hovertemplate="%{y}, predicted: %{x:.4g} µs<extra></extra>",
    )
    if rows:
        figure.add_vline(x=1e6 * rows[0]["document_s"], line={"color": VIOLET, "dash": "dash"})
        figure.add_annotation(
            x=float(np.log10(1e6 * rows[0]["document_s"])),
            y=1,
            yref="paper",
            yanchor="bottom",
            text="by the document's formula",
            showarrow=False,
        )
    figure.update_xaxes(title="microseconds a product, fewer is better", type="log", dtick=1)
    if not rows:
        figure.update_xaxes(range=[0, 4])
    figure.update_yaxes(ticklabelstandoff=6)
    finish(figure, title, 170 + 26 * max(len(rows), 3), theme)
    return figure.update_layout(showlegend=True, margin_t=84)


def tier_cycles(
    measured: Mapping[str, float],
    document: Sequence[float],
    title: str = "What a lookup costs, by tier",
    theme: Theme | None = None,
) -> go.Figure:
    """Cycles of a lookup that each tier answers: as the document has them, and measured.

    Parameters
    ----------
    measured : mapping of tier to cycles; empty before a measurement
    document : four numbers of cycles
    """
    figure = go.Figure()
    figure.add_bar(
        x=list(TIERS), y=list(document), name="as the document has it", marker_color=GREY
    )
    known = [tier for tier in TIERS if tier in measured]
    figure.add_bar(
        x=known,
        y=[measured[tier] for tier in known],
        name="measured here",
        marker_color=[TIER_COLOURS[tier] for tier in known],
    )
    figure.update_traces(
        texttemplate="%{y:.3g}",
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{x}: %{y:.3g} cycles<extra></extra>",
    )
    figure.update_yaxes(title="cycles a lookup", type="log", dtick=1)
    figure.update_xaxes(title="tier that answers")
    return finish(figure, title, 340, theme).update_layout(
        barmode="group", legend=LEGEND_ABOVE, showlegend=True
    )


def growth(
    rows: Iterable[Mapping],
    title: str = "A dictionary shared by layers",
    theme: Theme | None = None,
) -> go.Figure:
    """Bits a weight with one dictionary for all layers: as layers are added, and by g.

    Parameters
    ----------
    rows : rows of `workbench.lookup.layers.growth`
    """
    rows = list(rows)
    figure = make_subplots(
        rows=1,
        cols=2,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=("as layers are added", "all of them, by g"),
    )
    chosen = sorted({row["g"] for row in rows})
    for index, g in enumerate(_few(chosen)):
        own = [row for row in rows if row["g"] == g]
        figure.add_scatter(
            x=[row["layers"] for row in own],
            y=[_bits(row, "together_bytes") for row in own],
            mode="lines+markers",
            name=f"g = {g}",
            line={"color": PALETTE[index % (len(PALETTE) - 1)], "width": 2},
            marker={"symbol": SYMBOLS[index % len(SYMBOLS)], "size": 7},
            hovertemplate=f"g = {g}, " + "%{x} layers: %{y:.4g} bits<extra></extra>",
            row=1,
            col=1,
        )
    last = max((row["layers"] for row in rows), default=0)
    final = [row for row in rows if row["layers"] == last]
    lines = (
        ("one dictionary", "together_bytes", TEAL, "solid"),
        ("a dictionary a layer", "alone_bytes", ORANGE, "dot"),
        ("2 bits", "two_bit_bytes", GREY, "dash"),
        ("base 3", "base3_bytes", GREY, "solid"),
        ("entropy of the trits", "entropy_bytes", VIOLET, "dash"),
    )
    for name, key, colour, dash in lines:
        figure.add_scatter(
            x=[row["g"] for row in final],
            y=[_bits(row, key) for row in final],
            mode="lines",
            name=name,
            line={"color": colour, "width": 2, "dash": dash},
            hovertemplate=name + ", g = %{x}: %{y:.4g} bits<extra></extra>",
            row=1,
            col=2,
        )
    figure.update_xaxes(title="layers", row=1, col=1)
    figure.update_xaxes(title="trits of a pattern, g", row=1, col=2)
    figure.update_yaxes(title="bits a weight", row=1, col=1)
    if not rows:
        figure.add_scatter(x=[], y=[], showlegend=False, row=1, col=1)  # else no axes are drawn
        figure.update_xaxes(range=[1, 32], row=1, col=1)
        figure.update_xaxes(range=[2, 16], row=1, col=2)
        figure.update_yaxes(range=[1, 4])
    return finish(figure, title, 440, theme).update_layout(margin_t=84)


def worth(
    rows: Sequence[Mapping],
    title: str = "Bytes against time, all of them exact",
    theme: Theme | None = None,
) -> go.Figure:
    """Bits a weight against time, a point a kernel; below and to the left is better.

    Parameters
    ----------
    rows : rows of `workbench.measure.lookup_race.bench_lookups`
    """
    figure = go.Figure()
    kinds = (
        ("packed, no tables", "other", GREY, "square", "center"),
        ("tables of every pattern", "whole", BLUE, "circle", "left"),
        ("the same, halved by symmetry", "halved", TEAL, "diamond", "right"),
        ("dictionary in tiers", "tiers", ORANGE, "triangle-up", "center"),
    )
    for name, kind, colour, symbol, side in kinds:
        own = sorted((row for row in rows if row["kind"] == kind), key=lambda r: r["median_s"])
        bits = [8 * row["nbytes"] / (row["rows"] * row["cols"]) for row in own]
        same = [sum(abs(b - o) < 0.05 for o in bits[:n]) for n, b in enumerate(bits)]
        figure.add_scatter(
            x=bits,
            y=[1e6 * row["median_s"] for row in own],
            mode="markers+text",
            text=[f"g={row['g']}" if row["g"] else row["kernel"] for row in own],
            textposition=[f"{('bottom', 'top', 'middle')[count % 3]} {side}" for count in same],
            name=name,
            marker={"color": colour, "symbol": symbol, "size": 11},
            customdata=[row["kernel"] for row in own],
            hovertemplate="%{customdata}: %{x:.3g} bits a weight, %{y:.4g} µs<extra></extra>",
        )
    figure.update_xaxes(title="bits a weight")
    times = [row["median_s"] for row in rows] or [1.0]
    if max(times) > 10 * min(times):
        figure.update_yaxes(title="microseconds a product", type="log", dtick=1)
    else:  # within a decade a logarithmic axis has no readable marks
        figure.update_yaxes(title="microseconds a product", rangemode="tozero")
    if not rows:
        figure.update_xaxes(range=[1, 5])
        figure.update_yaxes(range=[0, 100])
    return finish(figure, title, 420, theme).update_layout(showlegend=True)


def _few(chosen: Sequence[int]) -> list[int]:
    """At most five of these, the first and the last among them."""
    if len(chosen) <= 5:
        return list(chosen)
    return [chosen[round(place)] for place in np.linspace(0, len(chosen) - 1, 5)]


def _bits(row: Mapping, key: str) -> float:
    return 8 * row[key] / row["weights"]


def _bytes_axis(figure: go.Figure, low: float, high: float) -> None:
    marks = [10.0**power for power in range(round(np.log10(low)), round(np.log10(high)) + 1)]
    shown = [mark for mark in marks if round(np.log10(mark)) % 3 == 0]
    figure.update_yaxes(
        title="bytes",
        type="log",
        range=[float(np.log10(low)), float(np.log10(high))],
        tickvals=shown,
        ticktext=[f"1 {size(mark).split()[1]}" for mark in shown],
    )
