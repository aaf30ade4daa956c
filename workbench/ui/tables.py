"""Numbers as HTML: the tiles and tables that stand beside the figures."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence

import ipywidgets


class Numbers(ipywidgets.HTML):
    """A place for tiles and tables; screen readers are told when they change."""

    def __init__(self):
        super().__init__()
        self.add_class("wb-numbers")

    def show(self, *parts: str) -> None:
        """Put these pieces of HTML in place of what was there."""
        self.value = f'<div aria-live="polite">{"".join(parts)}</div>'


def tiles(items: Iterable[tuple[str, str, str]]) -> str:
    """Large numbers with their meaning below: (value, meaning, key)."""
    cells = "".join(
        f'<div class="wb-tile" data-key="{html.escape(key)}"><b>{html.escape(value)}</b>'
        f"<span>{html.escape(meaning)}</span></div>"
        for value, meaning, key in items
    )
    return f'<div class="wb-tiles">{cells}</div>'


def table(
    columns: Mapping[str, str],
    rows: Iterable[Mapping[str, str]],
    caption: str = "",
    own: Sequence[int] = (),
) -> str:
    """An HTML table whose first column names the rows.

    Parameters
    ----------
    columns : mapping of key to heading
    rows : iterable of mappings of key to text
    caption : str
    own : indices of rows to set off from the others
    """
    first, *others = columns
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in columns.values())
    body = ""
    for index, row in enumerate(rows):
        cells = "".join(f"<td>{html.escape(row[key])}</td>" for key in others)
        mark = ' class="wb-own"' if index in own else ""
        body += f'<tr{mark}><th scope="row">{html.escape(row[first])}</th>{cells}</tr>'
    said = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="wb-scroll"><table class="wb-table">{said}'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def number(value: float | None, digits: int = 3) -> str:
    """A measured number for a person: `digits` significant ones, a dash where there is none."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return "∞" if value > 0 else "-"
    text = f"{value:#.{digits}g}"  # with its zeros: 0.400 says more than 0.4
    return text.removesuffix(".")


def rate(value: float | None) -> str:
    """So many a second: whole numbers from a hundred on, three digits below."""
    return f"{value:,.0f}" if value is not None and value >= 100 else number(value)


def decibels(value: float | None) -> str:
    """Decibels with one decimal; a lossless result is infinite."""
    if value is None:
        return "-"
    return f"{value:.1f}" if math.isfinite(value) else "∞"


def seconds(value: float | None) -> str:
    """A time with a unit that suits it."""
    if value is None:
        return "-"
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"
