"""A notebook's own parameters: names, types, allowed values; nothing else may be set.

The cell tagged `parameters` is read, never run. papermill's own reader is not used: it overlooks
``out: str | None = None``, and every line with a second equals sign.
"""

import ast
import io
import json
import math
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from workbench import paths
from workbench.errors import WorkbenchError

KINDS = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}
NUMBER = r"([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
LIMITS = {  # what the help may say of a number: (pattern, whether the value is allowed)
    "least": re.compile(rf"\bat least {NUMBER}"),
    "most": re.compile(rf"\bat most {NUMBER}"),
    "above": re.compile(rf"\babove {NUMBER}"),
    "below": re.compile(rf"\bbelow {NUMBER}"),
}
RANGE = re.compile(rf"{NUMBER} to {NUMBER}\b")
CHOICES = re.compile(r"\bone of ([^;.]+)")
UNKNOWN = object()  # a default that is no literal
BUILT_IN = {name: Path(__file__).parent / f"{name}.ipynb" for name in ("compare", "sensitivity")}


@final
@dataclass(frozen=True)
class Parameter:
    """One line ``name: type = literal  # help`` of a parameters cell.

    Attributes
    ----------
    name, type, help : str
        `type` is empty where the line states none; then the default's own type counts.
    default : a literal, or UNKNOWN
    """

    name: str
    type: str
    default: Any
    help: str

    def check(self, value):
        """The value as the notebook may have it; its default it may have always.

        Raises
        ------
        WorkbenchError
            It is of another type, or outside the range that annotation or help state.
        """
        if getattr(value, "ndim", None) == 0:  # NumPy's scalars
            value = value.item()
        if isinstance(value, float) and not math.isfinite(value):
            raise self._refuse(value, "a finite number")
        kinds = self.kinds
        if isinstance(value, int) and not isinstance(value, bool) and "int" not in kinds:
            value = float(value) if "float" in kinds else value
        if kinds and not any(_is(value, kind) for kind in kinds):
            raise self._refuse(value, " or ".join(kinds))
        if value == self.default and type(value) is type(self.default):
            return value
        allowed = self.choices
        if allowed and value is not None and value not in allowed:
            raise self._refuse(value, "one of " + ", ".join(map(str, allowed)))
        if isinstance(value, int | float) and not isinstance(value, bool):
            low, high, above, below = self.limits
            if not (low <= value <= high and above < value < below):
                raise self._refuse(value, self._said())
        return value

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the types that are allowed; empty: anything."""
        if self.type:
            if self.type.startswith("Literal["):
                return tuple(dict.fromkeys(type(value).__name__ for value in self.choices))
            return tuple(part.strip() for part in self.type.split("|"))
        if self.default is UNKNOWN or self.default is None:
            return ()
        return (type(self.default).__name__,)

    @property
    def choices(self) -> tuple:
        """The values that are allowed, where they are listed."""
        if self.type.startswith("Literal["):
            return _literals(self.type)
        found = CHOICES.search(self.help)
        if not found or "str" not in self.kinds:
            return ()
        return tuple(part.strip(" '\"`") for part in re.split(r",| or ", found[1]) if part.strip())

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """Least, most, and the open bounds below and above, as the help states them."""
        low, high = -math.inf, math.inf
        if found := RANGE.search(self.help):
            low, high = float(found[1]), float(found[2])
        said = {key: pattern.search(self.help) for key, pattern in LIMITS.items()}
        numbers = {key: float(found[1]) for key, found in said.items() if found}
        return (
            max(low, numbers.get("least", low)),
            min(high, numbers.get("most", high)),
            numbers.get("above", -math.inf),
            numbers.get("below", math.inf),
        )

    def _said(self) -> str:
        low, high, above, below = self.limits
        words = [
            f"at least {low:g}" * math.isfinite(low),
            f"at most {high:g}" * math.isfinite(high),
            f"above {above:g}" * math.isfinite(above),
            f"below {below:g}" * math.isfinite(below),
        ]
        return " and ".join(filter(None, words))

    def _refuse(self, value, allowed: str) -> WorkbenchError:
        return WorkbenchError(f"{self.name}={value!r} is not allowed: it must be {allowed}")


@final
@dataclass(frozen=True)
class Notebook:
    """A notebook that can be swept.

    Attributes
    ----------
    name : str
        Its file's name without suffix.
    text : str
        The file.
    parameters : dict of name to Parameter
    """

    name: str
    text: str
    parameters: dict[str, Parameter]

    def check(self, values: dict) -> dict:
        """The values, each as its parameter may have it; WorkbenchError where one may not."""
        for name in values:
            self.parameter(name)
        return {name: self.parameters[name].check(value) for name, value in values.items()}

    def parameter(self, name: str) -> Parameter:
        """The parameter of this name; WorkbenchError if there is none."""
        if name not in self.parameters:
            raise WorkbenchError(
                f"{self.name} has no parameter {name!r}; there are {', '.join(self.parameters)}"
            )
        return self.parameters[name]


def notebook_names() -> list[str]:
    """What `open_notebook` knows by name: the built-in jobs and the workbench's notebooks."""
    return [*BUILT_IN, *sorted(path.stem for path in paths.notebooks_dir().glob("*.ipynb"))]


def open_notebook(name: str | Path) -> Notebook:
    """Read a notebook and its parameters; nothing of it is run.

    Parameters
    ----------
    name : str or path
        The path of an ``.ipynb`` file, the name of one of the workbench's notebooks such as
        ``"01-ternary-weights"``, ``"compare"`` (one technique on one matrix) or
        ``"sensitivity"`` (one technique on one layer of a language model).

    Raises
    ------
    WorkbenchError
        No such notebook, not a Python notebook, or one without a parameters cell.
    """
    path = _find(name)
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        cells = content["cells"]
        sources = [(_tags(cell), "".join(cell["source"])) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkbenchError(f"{path} is not a notebook of format 4 ({error})") from None
    except OSError as error:
        raise WorkbenchError(f"{path} cannot be read: {error.strerror}") from None
    kernel = content.get("metadata", {}).get("kernelspec", {})
    if kernel.get("language", "python").lower() != "python":
        raise WorkbenchError(f"{path} is written in {kernel['language']}; a sweep runs Python")
    cell = next((source for tags, source in sources if "parameters" in tags), None)
    if cell is None:
        raise WorkbenchError(
            f"{path} has no cell tagged 'parameters'; tag the cell of lines such as "
            "`bits: int = 3  # levels are 2^bits` (in JupyterLab: Property Inspector, Cell Tags)"
        )
    return Notebook(path.stem, text, read_parameters(cell, path))


def read_parameters(source: str, where: str | Path = "the parameters cell") -> dict[str, Parameter]:
    """The parameters that a cell assigns, by name, in its order."""
    try:
        tree = ast.parse(source)
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, tokenize.TokenError) as error:
        raise WorkbenchError(f"{where}: the parameters cell is not Python ({error})") from None
    comments = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
    found = {}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            target, kind = node.target, ast.unparse(node.annotation)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, kind = node.targets[0], ""
        else:
            continue
        if isinstance(target, ast.Name):
            help_text = comments.get(node.end_lineno, "")
            found[target.id] = Parameter(target.id, kind, _literal(node.value), help_text)
    return found


def _find(name: str | Path) -> Path:
    if str(name) in BUILT_IN:
        return BUILT_IN[str(name)]
    for path in (Path(name).expanduser(), paths.notebooks_dir() / f"{name}.ipynb"):
        if path.is_file():
            return path
    raise WorkbenchError(
        f"there is no notebook {str(name)!r}; give the path of an .ipynb file, or one of "
        f"{', '.join(notebook_names())}"
    )


def _tags(cell: dict) -> list[str]:
    return cell.get("metadata", {}).get("tags", [])


def _literal(node: ast.expr):
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return UNKNOWN


def _literals(kind: str) -> tuple:
    """The values of ``Literal[...]``."""
    inside = ast.parse(kind, mode="eval").body.slice
    values = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    return tuple(map(_literal, values))


def _is(value, kind: str) -> bool:
    """Is the value of the type of this name?"""
    if kind in ("None", "NoneType"):
        return value is None
    outer, _, inner = kind.removesuffix("]").partition("[")
    if outer not in KINDS:
        raise WorkbenchError(
            f"a parameter of type {kind} cannot be set by a sweep; it can set {', '.join(KINDS)}"
        )
    if isinstance(value, bool) and outer != "bool":
        return False
    if not isinstance(value, KINDS[outer]):
        return False
    return outer != "list" or not inner or all(_is(item, inner) for item in value)
