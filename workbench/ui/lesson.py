"""What the notebooks' lessons are told with: tables, curves, and errors that must happen.

>>> with expect_error():
...     import workbench as wb
...     wb.technique("uniform", bits=1)
refused: technique 'uniform': bits=1 is not allowed: input should be greater than or equal to 2
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral

import numpy as np
import plotly.graph_objects as go
from IPython.display import HTML

from workbench.errors import WorkbenchError
from workbench.measure.report import Report
from workbench.ui import tables
from workbench.ui.labels import technique_label
from workbench.ui.theme import PALETTE, finish, log_axis

HEADINGS = {
    "nbytes": "bytes",
    "bits_per_weight": "bits a weight",
    "entropy_bits": "entropy, bits a weight",
    "rel_mse": "error",
    "output_rel_mse": "output error",
    "plain_rel_mse": "plain, same bytes",
    "gain_db": "gain over plain, dB",
    "shuffled_rel_mse": "on shuffled weights",
    "gaussian_rel_mse": "on Gaussian weights",
    "laplace_rel_mse": "on Laplace weights",
}
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "star")


def table(
    rows: Iterable[Mapping], own: Sequence[int] = (), caption: str = "", digits: int = 3
) -> HTML:
    """Rows of values as a table; the first column names the rows.

    Parameters
    ----------
    rows : iterable of mappings
        All with the keys of the first, which become the headings. Text stays, whole numbers get
        commas, other numbers `digits` significant digits (so that the last bits of another
        processor's arithmetic do not show), None a dash.
    own : indices of rows to set off from the others
    caption : str
    digits : int
    """
    rows = list(rows)
    columns = {key: key for key in rows[0]}
    texts = [{key: _text(row[key], digits) for key in columns} for row in rows]
    return HTML(tables.table(columns, texts, caption, own))


def report_table(
    reports: Mapping[str, Report] | Iterable[Report],
    *fields: str,
    own: Sequence[int] = (),
    caption: str = "",
) -> HTML:
    """Reports as a table, a row each.

    Parameters
    ----------
    reports : mapping of name to Report, or several reports
        Without names a row carries the technique and those parameters that are not its defaults.
    *fields : keys of HEADINGS
        The columns, in this order.
    own, caption
        As in `table`.
    """
    if not isinstance(reports, Mapping):
        reports = {technique_label(r.technique, r.parameters): r for r in reports}
    rows = []
    for name, report in reports.items():
        values = report.row()
        row = {"": name} | {HEADINGS[field]: values[field] for field in fields}
        if report.gain_db is not None and "gain_db" in fields:  # a row has no place for infinity
            row[HEADINGS["gain_db"]] = f"{report.gain_db:+.1f}".replace("inf", "∞")
        rows.append(row)
    return table(rows, own, caption)


def summary(reports: Iterable[Report], front: Iterable[Report] = ()) -> HTML:
    """Reports on several matrices as a table, a row a technique, by rising bits.

    Bits a weight are those of all matrices together, errors are means over the matrices, and the
    gain is that of the matrix where it is least.

    Parameters
    ----------
    reports : several reports
        Of each technique as many, on the same matrices.
    front : those reports that are not beaten on their matrix
    """
    of: dict[str, list[Report]] = {}
    for report in reports:
        of.setdefault(technique_label(report.technique, report.parameters), []).append(report)
    front = list(front)
    rows = []
    for name, own in sorted(of.items(), key=lambda item: _bits(item[1])):
        values = [report.row() for report in own]
        row = {"": name, HEADINGS["bits_per_weight"]: _bits(own)}
        for field in ("rel_mse", "output_rel_mse", "plain_rel_mse", "shuffled_rel_mse"):
            row[HEADINGS[field]] = _mean(value[field] for value in values)
        gain = min(report.gain_db for report in own)
        row["least gain over plain, dB"] = f"{gain:+.1f}".replace("inf", "∞")
        row["not beaten on"] = f"{sum(report in front for report in own)} of {len(own)}"
        rows.append(row)
    matrices = len({report.tensor for own in of.values() for report in own})
    return table(rows, caption=f"means over {matrices} matrices")


def _bits(reports: Sequence[Report]) -> float:
    weights = sum(8 * report.nbytes / report.bits_per_weight for report in reports)
    return 8 * sum(report.nbytes for report in reports) / weights


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _text(value, digits: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{value:,}"
    return tables.number(value, digits)


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    marks: Mapping[str, tuple[float, float]] | None = None,
    *,
    title: str,
    x: str,
    y: str,
    log: Sequence[str] = (),
) -> go.Figure:
    """One quantity as a function of another, with some places marked by name.

    Parameters
    ----------
    lines : mapping of name to (x values, y values)
    marks : mapping of name to (x, y), optional
    title, x, y : str
        What is shown, and what the axes are.
    log : any of "x", "y"
        Axes with a logarithmic scale.
    """
    figure = go.Figure()
    for index, (name, (xs, ys)) in enumerate(lines.items()):
        style = {"color": PALETTE[index], "width": 2}
        figure.add_scatter(x=list(xs), y=list(ys), mode="lines", line=style, name=name)
    for index, (name, (at, height)) in enumerate((marks or {}).items()):
        colour = PALETTE[(len(lines) + index) % (len(PALETTE) - 1)]
        figure.add_scatter(
            x=[at],
            y=[height],
            mode="markers",
            marker={"color": colour, "size": 11, "symbol": SYMBOLS[index % len(SYMBOLS)]},
            name=name,
        )
    for index, (axis, label) in enumerate((("x", x), ("y", y))):
        shown = [value for trace in figure.data for value in trace[axis]]
        form = log_axis(shown) if axis in log else {"type": "linear"}
        (figure.update_xaxes, figure.update_yaxes)[index](title=label, **form)
    return finish(figure, title, 380)


@contextmanager
def expect_error(*kinds: type[Exception]) -> Iterator[None]:
    """Require that the block is refused, and print the sentence that says why.

    Parameters
    ----------
    *kinds : exceptions to expect
        WorkbenchError where left out.

    Raises
    ------
    AssertionError
        The block was not refused.
    """
    kinds = kinds or (WorkbenchError,)
    try:
        yield
    except kinds as error:
        print(f"refused: {error}")
    else:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise AssertionError(f"this should have raised {expected}, and did not")
