"""How a notebook hands numbers out: ``wb.record(name, value)``.

In a job of a sweep, the environment variable WORKBENCH_RECORD names the file that takes them. In
JupyterLab, in a dashboard and under nbval there is none, and the numbers stay in memory.
"""

import json
import os
import re

from workbench.errors import WorkbenchError

VARIABLE = "WORKBENCH_RECORD"
NAME = re.compile(r"[^\s\x00-\x1f]([^\x00-\x1f]{0,98}[^\s\x00-\x1f])?")
_recorded: dict = {}


def record(name: str, value: bool | int | float | str | None) -> None:
    """Hand a result out of a notebook; in a sweep it becomes a column of the table.

    Parameters
    ----------
    name : str
        At most 100 characters in one line. A name recorded again replaces its value.
    value : bool, int, float, str or None
        NumPy's scalars too. None says that it was not measured here.

    Raises
    ------
    WorkbenchError
        A name or a value of another kind, such as an array.

    Examples
    --------
    >>> record("rel_mse", 0.25)
    >>> recorded()["rel_mse"]
    0.25
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise WorkbenchError(
            f"name={name!r} is not allowed: a recorded number needs a name of 1 to 100 characters "
            "in one line"
        )
    value = _plain(name, value)
    _recorded[name] = value
    path = os.environ.get(VARIABLE)
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps([name, value]) + "\n")


def recorded() -> dict:
    """What was recorded in this process, by name."""
    return dict(_recorded)


def read_recorded(text: str) -> dict:
    """What a job's file says; a last line that a killed kernel left unfinished is not counted."""
    found = {}
    for line in text.splitlines():
        try:
            name, value = json.loads(line)
        except ValueError:
            break
        found[name] = value
    return found


def _plain(name: str, value):
    if getattr(value, "ndim", None) == 0:  # NumPy's scalars and arrays without axes
        value = value.item()
    if value is not None and not isinstance(value, bool | int | float | str):
        raise WorkbenchError(
            f"{name}: a value of type {type(value).__name__} cannot be recorded; allowed are "
            "numbers, true or false, strings and None"
        )
    if isinstance(value, int) and abs(value) >= 1 << 63:  # no column of the table holds it exactly
        return float(value)
    return value
