"""Texts to score models on."""

import os
from collections.abc import Sequence
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.paths import data_dir


def read_text(path_or_name: str | os.PathLike) -> str:
    """A plain text file (UTF-8), by its path or by its name in the workbench's `data_dir`.

    Raises
    ------
    WorkbenchError
        No such file, or not UTF-8.
    """
    path = Path(path_or_name).expanduser()
    shipped = data_dir() / path.name
    if not path.exists() and path.name == os.fspath(path_or_name) and shipped.is_file():
        path = shipped
    if not path.is_file():
        names = ", ".join(sorted(found.name for found in data_dir().glob("*.txt"))) or "none"
        raise WorkbenchError(
            f"{os.fspath(path_or_name)!r} is neither a text file nor one of the workbench's "
            f"({names})"
        )
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise WorkbenchError(f"{path}: byte {error.start} is not UTF-8 text") from None


def spread(tokens: Sequence[int], windows: int, length: int = 512) -> list[int]:
    """Pieces from all over a text: `windows` runs of `length` tokens, evenly far apart.

    Scored in windows of that length, each piece is scored on its own. A text that has no more
    tokens than that comes back whole.

    >>> spread(range(100), windows=2, length=3)
    [0, 1, 2, 97, 98, 99]
    """
    if windows < 1 or length < 2:
        raise WorkbenchError(
            f"windows is {windows} and length {length}, but must be at least 1 and 2"
        )
    room = len(tokens) - length
    if windows * length >= len(tokens):
        return list(tokens)
    starts = [round(room * index / max(windows - 1, 1)) for index in range(windows)]
    return [token for start in starts for token in tokens[start : start + length]]
