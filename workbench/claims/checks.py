"""How a check is written, registered and judged.

A check is a generator that yields what it found:

>>> from workbench.claims.checks import says
>>> says("3^16 patterns", 43046721, 3**16).holds
True
>>> says("table of 11,019,960,576 int32", "44", 44.08, unit="GB").holds  # printed with two digits
True
"""

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from workbench.claims.models import Null, Part, Value, Word


@dataclass(frozen=True)
class Needs:
    """Yielded by a check that cannot decide: what would settle the claim."""

    what: str


@dataclass(frozen=True)
class Check:
    """A registered check.

    Attributes
    ----------
    id : str
        The claim.
    function : generator function
    quick : bool
        Runs in the test suite.
    alone : bool
        Measures time or memory, so nothing may run beside it.
    parameters : frozenset of str
        Of `rng` and `weights`, those that the function takes.
    """

    id: str
    function: Callable[..., Iterable[Part | Null | Needs]]
    quick: bool
    alone: bool
    parameters: frozenset[str]


_registry: dict[str, Check] = {}


def check(id: str, *, quick: bool = True, alone: bool = False):
    """Register the decorated generator as the check of the claim `id`."""

    def register(function):
        if id in _registry and _registry[id].function.__qualname__ != function.__qualname__:
            raise TypeError(f"claim {id!r} has two checks")
        parameters = frozenset(inspect.signature(function).parameters)
        _registry[id] = Check(id, function, quick, alone, parameters)
        return function

    return register


@cache
def checks() -> dict[str, Check]:
    """All checks by claim id; imports the modules `seed000_…`, `seed001_…` once."""
    package = importlib.import_module("workbench.claims")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("seed"):
            importlib.import_module(f"workbench.claims.{module.name}")
    return dict(sorted(_registry.items()))


def says(
    what: str,
    claimed: Value,
    measured,
    *,
    unit: str = "",
    relation: str = "=",
    tolerance: float | None = None,
    under: str = "",
) -> Part:
    """A part that the statement makes a claim about.

    Parameters
    ----------
    claimed : number, bool, text or list
        A number given as text ("5.6") is a printed one: it stands for anything that rounds or
        truncates to it, so its tolerance is one unit of its last digit (that unit excluded).
    measured : same
        NumPy scalars are taken as Python numbers.
    relation : "=", "<=" or ">="
    tolerance : float
        Absolute; overrides that of a printed number.
    """
    if isinstance(claimed, str) and (unit_in_last_place := _last_place(claimed)) is not None:
        tolerance = 0.999 * unit_in_last_place if tolerance is None else tolerance
        claimed = float(claimed)
    return Part(
        what=what,
        claimed=claimed,
        measured=_plain(measured),
        unit=unit,
        relation=relation,
        tolerance=tolerance or 0.0,
        under=under,
    )


def shows(what: str, measured, *, unit: str = "", under: str = "") -> Part:
    """A part that is evidence: nothing was claimed about this number."""
    return Part(what=what, measured=_plain(measured), unit=unit, under=under)


def null(name: str, numbers: dict | None = None, *, of: str = "", sample=()) -> Null:
    """A control; the sample's mean and 5% and 95% points join its numbers."""
    sample = np.asarray(sample, dtype=float)
    numbers = {key: float(value) for key, value in (numbers or {}).items()}
    if sample.size:
        low, high = np.quantile(sample, [0.05, 0.95])
        numbers |= {"mean": sample.mean(), "5%": low, "95%": high}
    kept = sample[np.linspace(0, sample.size - 1, min(sample.size, 200)).astype(int)]
    rounded = [float(f"{value:.5g}") for value in kept]
    return Null(name=name, numbers=numbers, of=of, sample=rounded)


def judge(parts: list[Part], needs: str = "", reason: str = "") -> tuple[Word, str]:
    """The verdict that the parts lead to, and its condition where it depends.

    In this order: a claim with a reason is not testable; one part that fails outside any condition
    makes it wrong; parts under conditions make it wrong where all fail and dependent where some do;
    what still needs something is open; otherwise it is confirmed.
    """
    if reason:
        return "not testable", ""
    judged = [part for part in parts if part.claimed is not None]
    if any(not part.holds for part in judged if not part.under):
        return "wrong", ""
    under: dict[str, bool] = {}
    for part in judged:
        if part.under:
            under[part.under] = under.get(part.under, True) and part.holds
    if under and not any(under.values()):
        return "wrong", ""
    if under and not all(under.values()):
        holds = "; ".join(name for name, good in under.items() if good)
        fails = "; ".join(name for name, good in under.items() if not good)
        return "depends", f"holds under: {holds}; fails under: {fails}"
    if needs:
        return "open", ""
    if not judged:
        raise ValueError("a check that judges nothing must say what it needs")
    return "confirmed", ""


def _last_place(text: str) -> float | None:
    """The unit of the last printed digit of a number, None where `text` is no number."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    mantissa, _, exponent = text.lower().partition("e")
    digits = len(mantissa.partition(".")[2])
    return 10.0 ** (int(exponent or 0) - digits)


def _plain(value):
    """NumPy scalars and arrays as Python values."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
