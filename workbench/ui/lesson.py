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
from workbench.ui import tables
from workbench.ui.theme import PALETTE, current_theme, template

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
    figure.update_xaxes(title=x, type="log" if "x" in log else "linear")
    figure.update_yaxes(title=y, type="log" if "y" in log else "linear")
    return figure.update_layout(title=title, height=380, template=template(current_theme()))


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
