"""What a technique is: typed, bounded parameters and a way to store a weight matrix.

A technique is one module with one class. Its fields are its parameters; validation, widgets,
command-line options, saved metadata and the table of techniques all come from them. The class
gives three methods about plain arrays (`compress`, `restore` and, where it has a kernel of its own,
`multiply`); everything else is here.
"""

import json
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import ClassVar

import numpy as np
import safetensors.numpy
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open

from workbench.errors import FormatError, UnknownTechniqueError, WorkbenchError

_registry: dict[str, type["Technique"]] = {}


class Technique(BaseModel, ABC):
    """A way to store a weight matrix. Subclass with an id: ``class Mine(Technique, id="mine")``.

    Subclasses declare their parameters as pydantic fields with bounds and a description, and
    implement `compress` and `restore`. Registration is automatic and refuses a taken id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=False)

    id: ClassVar[str]
    lossless_on_ternary: ClassVar[bool] = False
    """Does a matrix of one scale times {-1, 0, +1} a row come back exactly (float32)?"""

    @classmethod
    def __pydantic_init_subclass__(cls, id: str | None = None, **kwargs):
        super().__pydantic_init_subclass__(**kwargs)
        if id is None:  # an abstract class between a technique and this one
            return
        if id in _registry and _registry[id].__qualname__ != cls.__qualname__:
            raise TypeError(f"technique id {id!r} is taken by {_registry[id].__qualname__}")
        cls.id = id
        _registry[id] = cls

    @abstractmethod
    def compress(self, weights: Float32[np.ndarray, "rows cols"]) -> dict[str, np.ndarray]:
        """The arrays that stand for `weights`, exactly as they are to be saved.

        `weights` has been checked: C-contiguous float32, finite, no empty axis.
        """

    @abstractmethod
    def restore(
        self, arrays: Mapping[str, np.ndarray], shape: tuple[int, int]
    ) -> Float32[np.ndarray, "rows cols"]:
        """The matrix that `arrays` stand for. Must raise WorkbenchError on arrays that cannot be."""

    def multiply(
        self,
        arrays: Mapping[str, np.ndarray],
        shape: tuple[int, int],
        x: np.ndarray,
        threads: int = 1,
    ) -> np.ndarray:
        """Product with `x` (tokens, cols), float32 or int8, as float32 (tokens, rows).

        Here: decode, then BLAS. A technique with a kernel of its own overrides it.
        """
        return x.astype(np.float32) @ self.restore(arrays, shape).T

    def encode(self, weights: np.ndarray) -> "Encoded":
        """Store a weight matrix.

        Parameters
        ----------
        weights : float array (rows, cols)
            rows: outputs, cols: inputs. Any float width, order or stride.

        Raises
        ------
        TypeError
            `weights` is not an array of floats.
        WorkbenchError
            It is not two-dimensional, is empty, or holds NaN or infinity (says where).
        """
        weights = checked_weights(weights)
        return Encoded(self, weights.shape, self.compress(weights))

    def config(self) -> dict:
        """Id and parameters as JSON values; `from_config` takes it back."""
        return {"id": self.id, **self.model_dump(mode="json")}

    def __repr__(self) -> str:
        """`wb.technique(...)`, which evaluates to an equal technique."""
        args = "".join(f", {name}={value!r}" for name, value in self.model_dump().items())
        return f"wb.technique({self.id!r}{args})"

    __str__ = __repr__


def techniques() -> dict[str, type[Technique]]:
    """All techniques by id, sorted; those of installed plug-ins (entry point group
    ``workbench.techniques``) included."""
    import workbench.techniques  # noqa: F401  (its modules register themselves)

    for entry in entry_points(group="workbench.techniques"):
        entry.load()
    return dict(sorted(_registry.items()))


def technique(name: str, /, **parameters) -> Technique:
    """The technique `name` with these parameters (the rest at their defaults).

    Raises
    ------
    UnknownTechniqueError
        No such technique; lists the known ones.
    WorkbenchError
        A parameter that it does not have, or a value out of bounds; lists what is allowed.
    """
    known = techniques()
    if name not in known:
        raise UnknownTechniqueError(
            f"no technique is called {name!r}; there are {', '.join(known)}"
        )
    try:
        return known[name](**parameters)
    except ValidationError as error:
        raise WorkbenchError(f"technique {name!r}: {_sentence(error, known[name])}") from None


def from_config(config: Mapping) -> Technique:
    """The technique that `Technique.config` described."""
    parameters = dict(config)
    return technique(parameters.pop("id"), **parameters)


def _sentence(error: ValidationError, cls: type[Technique]) -> str:
    """A pydantic report as one sentence that names argument, value and what is allowed."""
    parts = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "parameters"
        if item["type"] == "extra_forbidden":
            allowed = ", ".join(cls.model_fields) or "none"
            parts.append(f"it has no parameter {where!r} (it has: {allowed})")
        else:
            said = item["msg"].removeprefix("Value error, ")
            parts.append(f"{where}={item['input']!r} is not allowed: {said[0].lower()}{said[1:]}")
    return "; ".join(parts)


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a technique made of one matrix: arrays that are saved as they are.

    Attributes
    ----------
    technique : Technique
    shape : (rows, cols) of the matrix
    arrays : dict of arrays
    """

    technique: Technique
    shape: tuple[int, int]
    arrays: dict[str, np.ndarray]

    @cached_property
    def _file(self) -> bytes:
        header = {"technique": json.dumps(self.technique.config(), sort_keys=True)}
        header["shape"] = json.dumps(list(self.shape))
        # contiguous: safetensors 0.8 scrambles strided arrays (its issue 825)
        arrays = {name: np.ascontiguousarray(a) for name, a in sorted(self.arrays.items())}
        return safetensors.numpy.save(arrays, metadata=header)

    @property
    def nbytes(self) -> int:
        """Bytes of the file that `save` writes, header and side information included."""
        return len(self._file)

    @property
    def bits_per_weight(self) -> float:
        """8 * nbytes / (rows * cols)."""
        return 8 * self.nbytes / (self.shape[0] * self.shape[1])

    def decode(self) -> Float32[np.ndarray, "rows cols"]:
        """The matrix as the technique gives it back."""
        return self.technique.restore(self.arrays, self.shape)

    def matmul(self, x: np.ndarray, threads: int = 1) -> Float32[np.ndarray, "rows ..."]:
        """``decode() @ x``.

        Parameters
        ----------
        x : float or int8 array (cols,) or (cols, tokens)
            int8 values are taken as exact integers. Floats may be rounded to int8 per token by
            techniques whose kernels are integer; each says so.
        threads : int

        Returns
        -------
        float32 array (rows,) or (rows, tokens)
        """
        x = np.asarray(x)
        if x.ndim not in (1, 2) or x.shape[0] != self.shape[1]:
            raise WorkbenchError(
                f"x has shape {x.shape}, but this matrix takes ({self.shape[1]},) or "
                f"({self.shape[1]}, tokens)"
            )
        if x.dtype != np.int8 and x.dtype.kind != "f":
            raise TypeError(f"x is {x.dtype}, but must be int8 or a float type")
        if x.dtype.kind == "f":
            x = x.astype(np.float32, copy=False)
            if not np.isfinite(x).all():
                raise WorkbenchError("x holds NaN or infinity; activations must be finite")
        tokens = np.ascontiguousarray(x.reshape(self.shape[1], -1).T)
        y = self.technique.multiply(self.arrays, self.shape, tokens, threads)
        return y[0] if x.ndim == 1 else np.ascontiguousarray(y.T)

    def save(self, path: str | os.PathLike) -> int:
        """Write a safetensors file, through a temporary sibling; returns its size in bytes."""
        write_atomically(path, self._file)
        return len(self._file)


def load_encoded(path: str | os.PathLike) -> Encoded:
    """Read what `Encoded.save` wrote.

    Raises
    ------
    FormatError
        Not a safetensors file, or not one of ours.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, ValueError) as error:
        raise FormatError(path, 0, f"not a readable safetensors file ({error})") from None
    try:
        config = json.loads(header["technique"])
        rows, cols = json.loads(header["shape"])
    except (KeyError, ValueError, TypeError):
        raise FormatError(
            path, 8, "its metadata lacks 'technique' or 'shape', so the workbench did not write it"
        ) from None
    if not all(type(n) is int and n > 0 for n in (rows, cols)) or not isinstance(config, dict):
        raise FormatError(path, 8, "its metadata 'shape' is not two positive integers")
    encoded = Encoded(from_config(config), (rows, cols), arrays)
    return encoded


def checked_weights(weights: np.ndarray) -> Float32[np.ndarray, "rows cols"]:
    """C-contiguous float32 copy or view of a weight matrix; refuses what has no meaning as one."""
    weights = np.asarray(weights)
    if weights.dtype.kind != "f":
        raise TypeError(f"weights are {weights.dtype}, but must be a float type")
    if weights.ndim != 2:
        raise WorkbenchError(
            f"weights have shape {weights.shape}, but must have two axes (rows, cols)"
        )
    if 0 in weights.shape:
        raise WorkbenchError(f"weights have shape {weights.shape}, but no axis may be empty")
    weights = np.ascontiguousarray(weights, dtype=np.float32)
    finite = np.isfinite(weights)
    if not finite.all():
        row, col = np.argwhere(~finite)[0]
        raise WorkbenchError(
            f"weights hold {weights[row, col]} at row {row}, column {col} "
            f"({(~finite).sum()} such values); they must be finite"
        )
    return weights


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Write `data` to a temporary sibling, then rename: no reader ever sees half a file."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
