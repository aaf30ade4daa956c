"""One product by table lookup, step by step: fill a table, look up, put the sign right, add."""

import html
from dataclasses import dataclass
from typing import final

import ipywidgets
import numpy as np
import traitlets
from jaxtyping import Int8

from workbench.errors import WorkbenchError
from workbench.lookup import patterns
from workbench.ui.controls import STYLE

LARGEST_G = 3  # 14 entries; a table of 41 no longer reads at a glance
INTERVAL_MS = 900


@dataclass(frozen=True)
class Step:
    """What a product has reached.

    Attributes
    ----------
    group : int
        Of columns.
    row : int or None
        Whose pattern is looked up; None while the table is filled.
    table : tuple of (int or None)
        Entries of the group's table by canonical number; None where not filled yet.
    entry : int or None
        That is written or read.
    sums : tuple of int
        Of all rows so far.
    text : str
        What happens, in a sentence.
    """

    group: int
    row: int | None
    table: tuple
    entry: int | None
    sums: tuple[int, ...]
    text: str


def steps(codes: Int8[np.ndarray, "rows cols"], x: Int8[np.ndarray, " cols"], g: int) -> list[Step]:
    """Every step of the product of `codes` with x, by tables halved by symmetry.

    A table is filled along the ternary Gray order: each entry is the one before, or its negative,
    with one activation more or less.
    """
    groups, _ = patterns.group(codes, g)
    if len(x) != codes.shape[1]:
        raise WorkbenchError(f"x has {len(x)} activations, but must have {codes.shape[1]}")
    inputs = np.pad(x.astype(int), (0, groups.shape[1] * g - len(x))).reshape(-1, g)
    walk = list(zip(*patterns.gray_walk(g), strict=True))
    numbers = patterns.numbers(groups)
    sums = [0] * len(codes)
    found = []
    for place, values in enumerate(inputs):
        table: list[int | None] = [0] + [None] * (patterns.canonical_count(g) - 1)
        said = ", ".join(f"{value}" for value in values)
        text = f"Group {place + 1}: its activations are {said}. The table's first entry is 0."
        found.append(Step(place, None, tuple(table), 0, tuple(sums), text))
        total = 0
        for change, number in walk:
            trit, sign = int(change) % g, 1 if change < g else -1
            before, total = total, total + sign * int(values[trit])
            canonical = abs(int(number))
            table[canonical] = total if number > 0 else -total
            text = (
                f"One addition: {before} {'+' if sign > 0 else '-'} {_number(values[trit])} = "
                f"{total}, the sum of {_pattern(int(number), g)}."
            )
            if number < 0:
                text += f" Its negative {_pattern(canonical, g)} is the one that is kept."
            found.append(Step(place, None, tuple(table), canonical, tuple(sums), text))
        for row, number in enumerate(numbers[:, place]):
            canonical, negative = abs(int(number)), number < 0
            value = -table[canonical] if negative else table[canonical]
            sums[row] += value
            text = (
                f"Row {row + 1} has {_pattern(int(number), g)}: entry {canonical}"
                + (", sign turned" if negative else "")
                + f". One lookup adds {value}; its sum is now {sums[row]}."
            )
            found.append(Step(place, row, tuple(table), canonical, tuple(sums), text))
    return found


@final
class LookupSteps(ipywidgets.VBox):
    """A small product to be played, stopped and stepped through.

    Parameters
    ----------
    codes : int8 array (rows, cols)
        The first few rows and columns of a matrix.
    x : int8 array (cols,)
    g : int
        1 to 3.

    Attributes
    ----------
    place : int
        The step that is shown; settable.
    steps : list of Step
    """

    place = traitlets.Int(0)

    def __init__(self, codes: np.ndarray, x: np.ndarray, g: int = 2):
        self.picture = ipywidgets.HTML()
        self.picture.add_class("wb-numbers")
        self.play = ipywidgets.Play(min=0, max=1, interval=INTERVAL_MS, show_repeat=False)
        self.slider = ipywidgets.IntSlider(
            min=0,
            max=1,
            description="step",
            readout=False,
            style=STYLE,
            layout={"width": "auto", "flex": "1"},
        )
        line = ipywidgets.HBox([self.play, self.slider])
        super().__init__([line, self.picture])
        ipywidgets.jslink((self.play, "value"), (self.slider, "value"))
        traitlets.link((self, "place"), (self.slider, "value"))
        self.observe(lambda _: self._show(), "place")
        self.show(codes, x, g)

    def show(self, codes: np.ndarray, x: np.ndarray, g: int) -> None:
        """Begin anew with another product."""
        if not 1 <= g <= LARGEST_G:
            raise WorkbenchError(f"g={g} is not allowed here: it is from 1 to {LARGEST_G}")
        self.codes, self.x, self.g = patterns.checked_trits(codes), np.asarray(x, np.int8), g
        self.steps = steps(self.codes, self.x, g)
        last = len(self.steps) - 1
        self.place = 0
        self.play.value = 0
        self.play.max = self.slider.max = last
        self._show()

    def _show(self) -> None:
        step = self.steps[min(self.place, len(self.steps) - 1)]
        self.picture.value = picture(self.codes, self.x, self.g, step, self.place, len(self.steps))


def picture(
    codes: np.ndarray, x: np.ndarray, g: int, step: Step, place: int = 0, count: int = 1
) -> str:
    """A step as HTML: what it says, activations and rows of trits, the table."""
    here = range(step.group * g, step.group * g + g)
    head = "".join(_cell(f"{v}", "wb-on" if c in here else "") for c, v in enumerate(x.tolist()))
    rows = [f'<tr><th scope="row">activations</th>{head}<td></td></tr>']
    for r, trits in enumerate(codes.tolist()):
        active = step.row == r
        cells = "".join(
            _cell("-0+"[v + 1], f"wb-trit{v + 1}" + (" wb-on" if active and c in here else ""))
            for c, v in enumerate(trits)
        )
        total = _cell(f"{step.sums[r]}", "wb-sum wb-on" if active else "wb-sum")
        rows.append(f'<tr><th scope="row">row {r + 1}</th>{cells}{total}</tr>')
    table = _table(step, g)
    said = f"<b>Step {place + 1} of {count}.</b> {html.escape(step.text)}"
    return (
        f'<p class="wb-said" aria-live="polite">{said}</p><div class="wb-steps">'
        f"<table>{''.join(rows)}</table>{table}</div>"
    )


def _table(step: Step, g: int) -> str:
    cells = ""
    for number, value in enumerate(step.table):
        mark = " wb-on" if number == step.entry else ""
        shown = "&nbsp;" if value is None else f"{value}"
        cells += (
            f'<div class="wb-entry{mark}"><small>{number}</small>'
            f"<code>{_pattern(number, g)}</code><b>{shown}</b></div>"
        )
    return f'<div class="wb-entries">{cells}</div>'


def _cell(text: str, mark: str) -> str:
    return f'<td class="{mark}">{text}</td>'


def _pattern(number: int, g: int) -> str:
    return "".join("-0+"[trit + 1] for trit in patterns.trits(np.array(number), g))


def _number(value: int) -> str:
    return f"{value}" if value >= 0 else f"({value})"


def corner(
    codes: np.ndarray, rows: int = 4, groups: int = 2, g: int = 2
) -> tuple[Int8[np.ndarray, "rows cols"], Int8[np.ndarray, " cols"]]:
    """The first rows and groups of a matrix, and some activations to multiply it with."""
    cols = min(groups * g, codes.shape[1])
    x = np.random.default_rng(0).integers(-60, 61, cols).astype(np.int8)
    return np.ascontiguousarray(codes[:rows, :cols]), x
