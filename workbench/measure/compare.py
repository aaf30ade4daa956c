"""Techniques times tensors: one report each."""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase

import numpy as np

from workbench.errors import WorkbenchError
from workbench.measure.report import Report, Subject
from workbench.models import Weights, activations
from workbench.techniques.base import Technique, technique, techniques


def compare(
    weights: Mapping,
    tensors: str | Iterable[str] = "*",
    techniques: str | Technique | Iterable[str | Technique] = "*",
    *,
    nulls: bool = True,
    plain: bool = True,
    timing: bool = True,
    threads: int = 1,
    rng: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
    found: Callable[[Report], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> list[Report]:
    """Measure every chosen technique on every chosen matrix.

    Parameters
    ----------
    weights : mapping of names to tensors
        What `open_model` returns, or a dict of float arrays. Only matrices (two axes) are measured.
    tensors : str or several
        Names, or patterns such as ``"blk.14.*"``.
    techniques : str, Technique or several
        Ids or patterns such as ``"q?_*"``, which stand for techniques with default parameters, or
        techniques with the parameters of your choice.
    nulls, plain, timing, threads
        As in `measure`. Real activations are used where they were recorded.
    rng : int
        Seed of the nulls; every tensor has nulls of its own.
    progress : callable (done, total, what), optional
        Called before each report, and once at the end with done == total.
    found : callable (report), optional
        Called with each report as soon as it is made.
    cancel : callable () -> bool, optional
        Asked before each report; when true, the reports made so far are returned.

    Raises
    ------
    WorkbenchError
        Nothing is chosen, or a pattern fits nothing; says what there is.
    """
    names = matching_tensors(weights, tensors)
    recipes = matching_techniques(techniques)
    total = len(names) * len(recipes)
    reports: list[Report] = []
    for seed, name in enumerate(names):
        subject = None
        for recipe in recipes:
            if cancel is not None and cancel():
                return reports
            if progress is not None:
                progress(len(reports), total, f"{recipe.id} on {name}")
            if subject is None:  # read no tensor that is cancelled before its first report
                subject = subject_of(weights, name, np.random.default_rng([rng, seed]))
            reports.append(
                subject.report(recipe, nulls=nulls, plain=plain, timing=timing, threads=threads)
            )
            if found is not None:
                found(reports[-1])
    if progress is not None:
        progress(total, total, "")
    return reports


def pareto(reports: Iterable[Report]) -> list[Report]:
    """The reports that no other beats in bits a weight and in error both, by rising bits."""
    front: list[Report] = []
    for report in sorted(reports, key=lambda report: (report.bits_per_weight, report.rel_mse)):
        if not front or report.rel_mse < front[-1].rel_mse:
            front.append(report)
    return front


def matching_tensors(weights: Mapping, tensors: str | Iterable[str]) -> list[str]:
    """Names of the matrices that fit the patterns, in the order of `weights`."""
    matrices = [name for name, tensor in weights.items() if len(tensor.shape) == 2]
    patterns = [tensors] if isinstance(tensors, str) else list(tensors)
    if not patterns:
        raise WorkbenchError("tensors is empty; name at least one, or '*' for all")
    chosen = set()
    for pattern in patterns:
        fitting = {name for name in matrices if name == pattern or fnmatchcase(name, pattern)}
        if not fitting:
            raise WorkbenchError(
                f"no matrix is called {pattern!r}; there are {_some(matrices) or 'none'}"
            )
        chosen |= fitting
    return [name for name in matrices if name in chosen]


def matching_techniques(
    chosen: str | Technique | Iterable[str | Technique],
) -> list[Technique]:
    """Techniques for ids, patterns and techniques, each once."""
    known = list(techniques())
    items = [chosen] if isinstance(chosen, str | Technique) else list(chosen)
    if not items:
        raise WorkbenchError("techniques is empty; name at least one, or '*' for all")
    recipes: list[Technique] = []
    for item in items:
        if isinstance(item, Technique):
            recipes.append(item)
            continue
        fitting = [name for name in known if fnmatchcase(name, item)]
        if not fitting:
            raise WorkbenchError(f"no technique is called {item!r}; there are {', '.join(known)}")
        recipes += [technique(name) for name in fitting]
    return list(dict.fromkeys(recipes))


def subject_of(weights: Mapping, name: str, rng: np.random.Generator | int = 0) -> Subject:
    """The matrix `name`, with its recorded activations where there are any."""
    tensor = weights[name]
    matrix = tensor.read() if hasattr(tensor, "read") else tensor
    x = activations(weights, name) if isinstance(weights, Weights) else None
    return Subject(matrix, x, name=name, source=getattr(tensor, "quant", ""), rng=rng)


def _some(names, most=12):
    """The first names, and how many more there are."""
    listed = ", ".join(names[:most])
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed
