"""What every verb prints: a table for people, or one JSON list of flat rows for programs."""

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON list of flat rows and nothing else.")
]

SECONDS = "_s"  # the unit at the end of a key
RATE = "_per_s"
PROSE = {"allowed", "description", "mend", "parameters", "path", "source", "value"}  # may wrap
READABLE = 20  # characters, below which prose is not wrapped
WIDEST = 100_000


def show(rows: Sequence[Mapping], as_json: bool, hide: Iterable[str] = (), note: str = "") -> None:
    """Print rows on standard output.

    Parameters
    ----------
    rows : sequence of mappings
        Key: value; all with the same keys. Values are numbers, strings, booleans, None, or the
        parameters of a technique, which become one string.
    as_json : bool
    hide : names
        Keys that the table leaves out; JSON always has all.
    note : str
        A line below the table.
    """
    if as_json:
        text = json.dumps([_plain(row) for row in rows], indent=1, allow_nan=False)
    else:
        hidden = set(hide)
        keys = [key for key in rows[0] if key not in hidden] if rows else []
        text = _table(keys, rows) + note
    with quiet_pipe():
        print(text.rstrip("\n"), flush=True)


@contextmanager
def quiet_pipe():
    """Let a reader such as `head` stop early; nor shall Python complain when it flushes."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def read_back(parameters: Mapping) -> str:
    """Parameters as ``--technique NAME:...`` takes them."""
    return ",".join(f"{key}={word(value)}" for key, value in parameters.items())


def word(value) -> str:
    """A parameter's value as ``--technique NAME:KEY=...`` takes it."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _plain(row: Mapping) -> dict:
    """The row with JSON's own types: NumPy's numbers unpacked, NaN and infinity as null."""
    plain = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            value = read_back(value)
        elif hasattr(value, "item"):
            value = value.item()
        if isinstance(value, float) and not math.isfinite(value):
            value = None
        plain[key] = value
    return plain


def _table(keys: Sequence[str], rows: Sequence[Mapping]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for key in keys:
        numeric = all(_is_number(row[key]) for row in rows)
        table.add_column(
            _title(key).replace("_", "\n" if numeric else " "),
            justify="right" if numeric else "left",
            vertical="bottom",
            no_wrap=key not in PROSE,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(_cell(key, row[key]) for key in keys))
    console = Console(highlight=False, markup=False, emoji=False)
    shown, console.width = console.width, WIDEST
    natural = console.measure(table).maximum
    if console.is_terminal and natural > shown:  # a file or a pipe is as wide as the table
        _narrow(table, console, natural - shown)
    console.width = console.measure(table).maximum
    with console.capture() as printed:  # rich would end the process where a reader stops early
        console.print(table)
    return printed.get()


def _narrow(table, console, excess: int) -> None:
    """Wrap the columns of prose, as far as they stay readable; no column loses a character."""
    prose = [column for column in table.columns if not column.no_wrap]
    widths = [max(console.measure(cell).maximum for cell in column.cells) for column in prose]
    left = max(sum(widths) - excess, 0)
    for column, width in zip(prose, widths, strict=True):
        column.max_width = max(left * width // max(sum(widths), 1), min(width, READABLE))


def _title(key: str) -> str:
    """The key of a column; durations have their unit in every cell."""
    return key if key.endswith(RATE) else key.removesuffix(SECONDS)


def _is_number(value) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(key: str, value) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return read_back(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not _is_number(value):
        return str(value)
    if key.endswith(SECONDS) and not key.endswith(RATE):
        return _duration(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}"


def _duration(seconds: float) -> str:
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.4g} {unit}"
    return f"{seconds * 1e9:.4g} ns"


@contextmanager
def byte_progress():
    """A callback (done, total, what) that draws a bar of bytes on standard error."""
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

    with _bar(
        BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    ) as report:
        yield report


@contextmanager
def step_progress():
    """A callback (done, total, what) that draws a bar of steps on standard error."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn

    with _bar(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as report:
        yield report


@contextmanager
def _bar(*columns):
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    console = Console(file=sys.stderr)
    text = TextColumn("{task.description}")
    # gone when done, and nothing at all where standard error is a file
    with Progress(
        text, *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("")

        def report(done: int, total: int, what: str) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield report
