"""What the lesson about claims is told with: a verdict's numbers, its nulls, and their figures."""

from collections.abc import Iterable

import plotly.graph_objects as go
from IPython.display import HTML

from workbench.claims import WORDS, Null, Verdict, counts
from workbench.claims.report import SEEDS, short
from workbench.errors import WorkbenchError
from workbench.ui.lesson import table
from workbench.ui.theme import BLUE, GREY, MAGENTA, OCHRE, PALETTE, TEAL, current_theme, template

COLOURS = dict(zip(WORDS, (TEAL, MAGENTA, OCHRE, BLUE, GREY), strict=True))
RELATIONS = {"=": "", "<=": "at most ", ">=": "at least "}
HELD = {True: "yes", False: "no", None: ""}
BINS = 60


def claim_table(verdict: Verdict, only: str = "") -> HTML:
    """Every number of a verdict beside what was said about it; those that fail are set off.

    Parameters
    ----------
    verdict : Verdict
    only : str
        Leave out the numbers whose label does not contain this.
    """
    parts = [part for part in verdict.parts if only in part.label]
    rows = [
        {
            "number": part.label,
            "claimed": ""
            if part.claimed is None
            else f"{RELATIONS[part.relation]}{short(part.claimed)} {part.unit}",
            "measured": f"{short(part.measured)} {part.unit}",
            "holds": HELD[part.holds],
        }
        for part in parts
    ]
    failed = [index for index, part in enumerate(parts) if part.holds is False]
    return table(rows, failed, f"“{verdict.statement}”: {verdict.verdict}")


def null_table(verdict: Verdict) -> HTML:
    """The nulls that have a sample: the measured number beside the middle nine tenths of each."""
    rows = [
        {
            "null": null.name,
            "of": null.of,
            "measured": short(verdict.number[null.of]),
            "5% of the null below": short(null.numbers["5%"]),
            "5% above": short(null.numbers["95%"]),
        }
        for null in _sampled(verdict)
    ]
    return table(rows, caption=f"“{verdict.statement}”")


def null_figure(verdict: Verdict) -> go.Figure:
    """Distributions of the nulls of one measured number, and that number as a line.

    Raises
    ------
    WorkbenchError
        The verdict has no null with a sample.
    """
    nulls = _sampled(verdict)
    nulls = [null for null in nulls if null.of == nulls[0].of]
    of, measured = nulls[0].of, verdict.number[nulls[0].of]
    values = [*(value for null in nulls for value in null.sample), measured]
    low, high = min(values), max(values)
    step = (high - low or abs(high) or 1.0) / BINS
    figure = go.Figure()
    for null, colour in zip(nulls, PALETTE, strict=False):
        bins = {"start": low, "end": high + step, "size": step}
        figure.add_histogram(x=null.sample, xbins=bins, name=null.name, marker_color=colour)
    figure.add_vline(measured, line={"width": 3, "color": MAGENTA})
    figure.add_annotation(
        x=measured, y=1.0, yref="paper", yanchor="bottom", showarrow=False, text=short(measured)
    )
    figure.update_xaxes(title=of)
    figure.update_yaxes(title="repetitions of the null")
    title = f"{verdict.id}: measured, and where there is nothing to find"
    return _laid_out(figure, title, barmode="overlay", showlegend=True)


def counts_figure(verdicts: Iterable[Verdict]) -> go.Figure:
    """How many claims of each document have each verdict, as stacked bars."""
    found = counts(verdicts)
    names = [f"{seed:03d} {SEEDS[seed]}" for seed in found]
    figure = go.Figure()
    for word in WORDS:
        number = [found[seed][word] for seed in found]
        figure.add_bar(
            y=names,
            x=number,
            orientation="h",
            name=word,
            marker_color=COLOURS[word],
            text=[n or "" for n in number],
            textposition="inside",
            textangle=0,
            insidetextfont={"color": "#ffffff"},
        )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title="claims")
    return _laid_out(
        figure, "Claims by document and verdict", barmode="stack", legend_traceorder="normal"
    )


def _sampled(verdict: Verdict) -> list[Null]:
    nulls = [null for null in verdict.null if len(null.sample) > 1 and null.of in verdict.number]
    if not nulls:
        raise WorkbenchError(f"the verdict on {verdict.id} has no null with a sample")
    return nulls


def _laid_out(figure: go.Figure, title: str, **layout) -> go.Figure:
    return figure.update_layout(
        title=title, height=360, template=template(current_theme()), **layout
    )
