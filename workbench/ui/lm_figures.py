"""Figures of running models: time a token, what parts cost in perplexity, how trits are spread."""

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from workbench.ui.theme import BLUE, GREY, ORANGE, PALETTE, TEAL, Theme, finish, log_axis

MOST_OUTLYING = 4  # times the median; the axis need not reach a token during which the page drew


def step_times(
    positions: Sequence[int],
    seconds: Sequence[float],
    bound: tuple[float, float] | None = None,
    title: str = "Time of each token",
    theme: Theme | None = None,
) -> go.Figure:
    """How long each token took, by how many were seen before it.

    Parameters
    ----------
    positions : tokens in the cache before each
    seconds : as many
    bound : (seconds, seconds a token seen), optional
        What reading all the bytes would take, with none seen and for each more.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=list(positions),
        y=[1e3 * value for value in seconds],
        mode="lines",
        line={"color": BLUE, "width": 1.5},
        name="this run",
        hovertemplate="after %{x} tokens: %{y:.3g} ms<extra></extra>",
    )
    ends = [positions[0], positions[-1]] if bound and len(positions) else []
    figure.add_scatter(
        x=ends,
        y=[1e3 * (bound[0] + bound[1] * at) for at in ends],
        mode="lines",
        line={"color": ORANGE, "width": 2, "dash": "dash"},
        name="only reading the bytes",
        hovertemplate="reading alone: %{y:.3g} ms<extra></extra>",
    )
    figure.update_xaxes(title="tokens seen")
    figure.update_yaxes(title="milliseconds a token", rangemode="tozero")
    if len(seconds):
        median = sorted(seconds)[len(seconds) // 2]
        figure.update_yaxes(range=[0, 1e3 * min(1.1 * max(seconds), MOST_OUTLYING * median)])
    else:
        figure.update_xaxes(range=[0, 128])
        figure.update_yaxes(range=[0, 10])
    return finish(figure, title, 300, theme).update_layout(showlegend=True)


def costs(
    rows: Sequence[Mapping],
    levels: Mapping[str, float] | None = None,
    title: str = "What smaller costs",
    x: str = "megabytes",
    theme: Theme | None = None,
) -> go.Figure:
    """Size against perplexity, a numbered point a row.

    Parameters
    ----------
    rows : sequence of mappings
        With `name`, `kind` (rows of one kind have one colour), `x` and `perplexity`; their numbers
        count from 1.
    levels : mapping of name to perplexity, optional
        Drawn as horizontal lines.
    """
    figure = go.Figure()
    known = [
        (number, row)
        for number, row in enumerate(rows, start=1)
        if math.isfinite(row["perplexity"])
    ]
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    labels = _labels(known)
    for index, kind in enumerate(kinds):
        own = [(number, row) for number, row in known if row["kind"] == kind]
        figure.add_scatter(
            x=[row["x"] for _, row in own],
            y=[row["perplexity"] for _, row in own],
            mode="markers+text",
            text=[labels[number] for number, _ in own],
            textposition="top center",
            marker={
                "color": PALETTE[index % (len(PALETTE) - 1)],
                "symbol": ("circle", "square", "diamond", "cross")[index % 4],
                "size": 11,
            },
            name=kind,
            customdata=[row["name"] for _, row in own],
            hovertemplate="%{customdata}<br>%{x:.4g} " + x + ", perplexity %{y:.4g}<extra></extra>",
        )
    values = [row["perplexity"] for _, row in known] + list((levels or {}).values())
    for index, (name, value) in enumerate(sorted((levels or {}).items(), key=lambda i: i[1])):
        figure.add_hline(y=value, line={"color": GREY, "dash": ("dash", "dot")[index % 2]})
        figure.add_annotation(
            x=0.7,
            xref="paper",
            y=math.log10(value) if _wide(values) else value,
            yanchor="top" if index == 0 else "bottom",  # two may lie close together
            text=name,
            showarrow=False,
        )
    figure.update_xaxes(title=x, rangemode="tozero")
    figure.update_yaxes(
        title="perplexity", **(log_axis(values) if _wide(values) else {"type": "linear"})
    )
    if values:
        figure.update_yaxes(range=_room(values))
    else:
        figure.update_xaxes(range=[0, 1])
        figure.update_yaxes(range=[0, 100])
    return finish(figure, title, 400, theme).update_layout(showlegend=True)


def trit_shares(
    shares: Mapping[str, tuple[float, float, float]],
    title: str = "Where the trits lie",
    theme: Theme | None = None,
) -> go.Figure:
    """How many of a matrix's trits are -1, 0 and +1, a bar a matrix.

    Parameters
    ----------
    shares : mapping of name to three shares that add up to 1
    """
    figure = go.Figure()
    for index, (name, colour) in enumerate((("-1", BLUE), ("0", GREY), ("+1", ORANGE))):
        figure.add_bar(
            x=list(shares),
            y=[100 * share[index] for share in shares.values()],
            name=name,
            marker={"color": colour},
            hovertemplate="%{x}: %{y:.1f} % are " + name + "<extra></extra>",
        )
    figure.add_hline(y=100 / 3, line={"color": TEAL, "dash": "dot"})
    figure.add_hline(y=200 / 3, line={"color": TEAL, "dash": "dot"})
    figure.update_xaxes(title="matrix", tickangle=-45)
    figure.update_yaxes(title="share of the weights, %", range=[0, 100])
    return finish(figure, title, 420, theme).update_layout(
        barmode="stack",
        bargap=0.15,
        legend={"y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    )


def _labels(known: Sequence[tuple[int, Mapping]]) -> dict[int, str]:
    """A label for each point: its number; points that lie together have one label for all."""
    reach = {
        key: 0.012 * max((row[key] for _, row in known), default=0) for key in ("x", "perplexity")
    }
    together: list[list[tuple[int, Mapping]]] = []
    for number, row in known:
        for group in together:
            last = group[-1][1]
            if all(abs(row[key] - last[key]) < reach[key] for key in reach):
                group.append((number, row))
                break
        else:
            together.append([(number, row)])
    labels = {number: "" for number, _ in known}
    for group in together:
        labels[group[0][0]] = ", ".join(f"{number}" for number, _ in group)
    return labels


def _wide(values: Sequence[float]) -> bool:
    """Do they need a logarithmic axis?"""
    return bool(values) and max(values) > 5 * min(values)


def _room(values: Sequence[float]) -> list[float]:
    """Range of an axis on which labels above the highest point and below the lowest fit."""
    if _wide(values):
        values = [math.log10(value) for value in values]
    spread = max(values) - min(values) or 0.2 * max(values)
    return [min(values) - 0.15 * spread, max(values) + 0.15 * spread]
