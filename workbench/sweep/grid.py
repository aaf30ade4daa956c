"""Which jobs a sweep has: every combination of the values of its parameters."""

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from workbench.errors import WorkbenchError
from workbench.measure.compare import matching_techniques, matching_tensors
from workbench.models import open_model
from workbench.sweep.parameters import UNKNOWN, Notebook, Parameter

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"({NUMBER})\.\.({NUMBER})(?:\.\.({NUMBER}))?")
MOST = 1_000_000  # jobs; more is a mistake in the grid


@final
@dataclass(frozen=True)
class Tensors:
    """In a grid: every matrix of the job's model whose name fits.

    Parameters
    ----------
    pattern : str
        Names or patterns such as ``"blk.*.attn_q.weight"``, separated by commas.
    """

    pattern: str


def expand(notebook: Notebook, grid: Mapping | Iterable[Mapping]) -> list[dict]:
    """Every combination of values, checked.

    Parameters
    ----------
    notebook : Notebook
    grid : mapping of parameter to values, or several mappings
        A list, range or tuple of values, one value, or `Tensors`, which stands for the matrices of
        the model that the parameter `model` of the same combination names. The combinations of
        several mappings follow one another.

    Returns
    -------
    list of dict
        All parameters of the notebook that have a value, its own defaults included; each
        combination once.

    Raises
    ------
    WorkbenchError
        A name that the notebook does not have, a value that it does not allow, an empty list.
    """
    grids = [grid] if isinstance(grid, Mapping) else list(grid)
    defaults = {p.name: p.default for p in notebook.parameters.values() if p.default is not UNKNOWN}
    found: dict[str, dict] = {}
    for one in grids:
        for values in _product(notebook, one):
            whole = defaults | values
            found[json.dumps(whole, sort_keys=True)] = whole
            if len(found) > MOST:
                raise WorkbenchError(f"the grid has more than {MOST:,} jobs; make it smaller")
    return list(found.values())


def read_values(text: str, parameter: Parameter) -> list | Tensors:
    """What a person writes for a parameter: ``2,3,4``, ``2..8``, ``0..1..0.25``, or a JSON list.

    A range includes both ends. In a list, ``none`` is None and ``true`` and ``false`` are what they
    say, where the parameter may be that. A string that has commas of its own needs a JSON list, as
    ``["a,b", "c"]``. For the parameters `tensor` and `technique`, names may be patterns, such as
    ``blk.*.attn_q.weight``.

    >>> from workbench.sweep.parameters import Parameter
    >>> read_values("2..8..2", Parameter("bits", "int", 3, ""))
    [2, 4, 6, 8]
    """
    if text.lstrip().startswith("["):
        try:
            values = json.loads(text)
        except ValueError as error:
            raise WorkbenchError(f"{parameter.name}={text} is not a JSON list ({error})") from None
        return values
    if parameter.name == "tensor" and "str" in parameter.kinds:
        return Tensors(text)
    if parameter.name == "technique" and "str" in parameter.kinds:
        return [technique.id for technique in matching_techniques(_parts(text))]
    numeric = not parameter.kinds or {"int", "float"} & set(parameter.kinds)
    if numeric and (found := RANGE.fullmatch(text.strip())):
        return _range(parameter.name, text, *found.groups())
    return [_read(part, parameter) for part in _parts(text)]


def _product(notebook: Notebook, grid: Mapping) -> Iterable[dict]:
    lists = {}
    for name, values in grid.items():
        parameter = notebook.parameter(name)
        if isinstance(values, Tensors):
            if "model" not in notebook.parameters or "str" not in (parameter.kinds or ("str",)):
                raise WorkbenchError(
                    f"{name} cannot be filled with matrices: {notebook.name} needs a parameter "
                    f"'model', and {name} must be a str"
                )
            lists[name] = [values]
            continue
        if "list" in {kind.partition("[")[0] for kind in parameter.kinds}:
            several = isinstance(values, list) and any(isinstance(item, list) for item in values)
        else:
            several = isinstance(values, Sequence) and not isinstance(values, str | bytes)
        several = several or hasattr(values, "__array__")
        lists[name] = [parameter.check(item) for item in (values if several else [values])]
        if not lists[name]:
            raise WorkbenchError(f"{name} has no values; give at least one")
    for values in itertools.product(*lists.values()):
        yield from _with_tensors(notebook, dict(zip(lists, values, strict=True)))


def _with_tensors(notebook: Notebook, values: dict) -> Iterable[dict]:
    """The combination once for each matrix, where one of its values is `Tensors`."""
    name = next((name for name, value in values.items() if isinstance(value, Tensors)), None)
    if name is None:
        yield values
        return
    model = values.get("model", notebook.parameters["model"].default)
    for tensor in _matching(model, values[name].pattern):
        yield from _with_tensors(notebook, values | {name: tensor})


def _matching(model: str, pattern: str) -> list[str]:
    return matching_tensors(open_model(model), _parts(pattern))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _range(name: str, text: str, first: str, last: str, step: str | None) -> list[int | float]:
    whole = all(re.fullmatch(r"[-+]?\d+", part) for part in (first, last, step or "1"))
    convert = int if whole else float
    start, end, stride = convert(first), convert(last), convert(step or "1")
    if stride <= 0 or end < start:
        raise WorkbenchError(
            f"{name}={text} is not a range; it is first..last or first..last..step, upwards"
        )
    count = int((end - start) / stride + 1e-9) + 1
    if count > MOST:
        raise WorkbenchError(f"{name}={text} has {count:,} values; at most {MOST:,} are allowed")
    return [start + index * stride for index in range(count)]


def _read(text: str, parameter: Parameter):
    kinds = set(parameter.kinds)
    if kinds & {"None", "NoneType"} and text.lower() == "none":
        return None
    if kinds <= {"str", "None", "NoneType"} and kinds:
        return text
    if text.lower() in ("true", "false") and (not kinds or "bool" in kinds):
        return text.lower() == "true"
    for kind in (int, float):
        if not kinds or {"int", "float"} & kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    return text
