"""What a technique is: typed, bounded parameters and a way to store a weight matrix.

A technique is one module with one class. Its fields are its parameters; validation, widgets,
command-line options, saved metadata and the table of techniques all come from them. The class
says which arrays it makes (`layout`) and gives two methods about them (`compress`, `restore`), a
third where it has integer codes (`codes`) and a fourth where it has a kernel of its own
(`multiply`); everything else is here.
"""

import json
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import entry_points
from typing import ClassVar

import numpy as np
import safetensors.numpy
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open

from workbench.errors import FormatError, UnknownTechniqueError, WorkbenchError
from workbench.formats.mapped import prefetch
from workbench.formats.safetensors_files import open_safetensors
from workbench.formats.writing import replacing
from workbench.validation import checked_weights

METADATA_KEY = "workbench"

_registry: dict[str, type["Technique"]] = {}


class Technique(BaseModel, ABC):
    """A way to store a weight matrix. Subclass with an id: ``class Mine(Technique, id="mine")``.

    Subclasses declare their parameters as pydantic fields with bounds and a description, and
    implement `layout`, `compress` and `restore`. Registration is automatic and refuses a taken id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: ClassVar[str]
    rounds_activations: ClassVar[bool] = False
    """Does `matmul` round float activations to int8 (absmax per token, as BitNet b1.58 does)?

    A product then differs from ``decode() @ x`` by at most sum|w| * max|x| / 254 a row and token.
    """

    def __init_subclass__(cls, id: str | None = None, **kwargs):
        super().__init_subclass__(**kwargs)  # the id is registered below, once the fields exist

    @classmethod
    def __pydantic_init_subclass__(cls, id: str | None = None, **kwargs):
        super().__pydantic_init_subclass__(**kwargs)
        if id is None:  # an abstract class between a technique and this one
            return
        taken = _registry.get(id)
        # the same name in the same module is a notebook cell that was run again
        if taken and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(
                f"technique id {id!r} is taken by {taken.__module__}.{taken.__qualname__}"
            )
        cls.id = id
        _registry[id] = cls

    @property
    def exact_on_ternary(self) -> bool:
        """Does a matrix of {-1, 0, +1} times one scale a row come back exactly (float32)?"""
        return False

    @abstractmethod
    def layout(self, shape: tuple[int, int]) -> dict[str, tuple[str, tuple[int | None, ...]]]:
        """Name, dtype and shape of every array that `compress` makes for a matrix of `shape`.

        None stands for a length that depends on the weights. Files are held against this when
        they are loaded, so `restore` may rely on it.
        """

    @abstractmethod
    def compress(self, weights: Float32[np.ndarray, "rows cols"]) -> dict[str, np.ndarray]:
        """The arrays that stand for `weights`, exactly as they are to be saved.

        `weights` has been checked: C-contiguous float32, finite, no empty axis.
        """

    @abstractmethod
    def restore(
        self, arrays: Mapping[str, np.ndarray], shape: tuple[int, int]
    ) -> Float32[np.ndarray, "rows cols"]:
        """The matrix that `arrays` stand for.

        `arrays` follow `layout` and their floats are finite; what else cannot be must raise
        WorkbenchError.
        """

    def codes(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, int]) -> np.ndarray:
        """An integer (rows, cols) a weight, before scales, whose entropy bounds a lossless coder.

        Here, for techniques that have no such thing: the number of each distinct decoded value.
        """
        _, index = np.unique(self.restore(arrays, shape), return_inverse=True)
        return index.reshape(shape)

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
        return dense_product(x, self.restore(arrays, shape))

    def damage(self, arrays: Mapping[str, np.ndarray]) -> tuple[str, int] | None:
        """Array and byte within it where a checksum fails; None where none does.

        Here, for techniques that store no checksums: None. Files are asked when they are loaded.
        """
        return None

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
    _import_all()
    return dict(sorted(_registry.items()))


@cache
def _import_all() -> None:
    """Import every module that registers techniques; a broken plug-in is a warning, not an end."""
    import workbench.techniques  # noqa: F401  (its modules register themselves)

    for entry in entry_points(group="workbench.techniques"):
        try:
            entry.load()
        except Exception as error:
            warnings.warn(
                f"technique plug-in {entry.name!r} ({entry.value}) is left out: {error}",
                stacklevel=3,
            )


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


def read_technique(text: str) -> Technique:
    """The technique that ``name`` or ``name:key=value,key=value`` stands for.

    A value is a number, true, false or none; anything else is a word.

    Raises
    ------
    WorkbenchError
        Unknown name or parameter, or a value that is not allowed.

    Examples
    --------
    >>> read_technique("uniform:bits=3,scale=tensor").bits
    3
    """
    name, _, rest = text.partition(":")
    return technique(name, **read_options(rest, f"technique {text!r}"))


def read_options(text: str, what: str) -> dict[str, int | float | bool | str | None]:
    """``key=value,key=value`` as a dict; a value is read as in `read_technique`.

    Raises
    ------
    WorkbenchError
        Not of that form, or a key twice; begins with `what`.
    """
    options = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key.isidentifier():
            raise WorkbenchError(f"{what}: {part!r} is not of the form key=value")
        if key in options:
            raise WorkbenchError(f"{what}: {key!r} is given twice")
        options[key] = _read_value(value)
    return options


def _read_value(text: str) -> int | float | bool | str | None:
    """A number, true, false, none, or else the text itself."""
    if text.lower() in ("none", "null"):
        return None
    try:
        value = json.loads(text.lower())
    except ValueError:
        return text
    return value if isinstance(value, int | float) else text


def from_config(config: Mapping) -> Technique:
    """The technique that `Technique.config` described."""
    if not isinstance(config, Mapping) or not isinstance(config.get("id"), str):
        raise WorkbenchError(f"a technique's configuration names its 'id', but this is {config!r}")
    parameters = dict(config)
    return technique(parameters.pop("id"), **parameters)


def _sentence(error: ValidationError, cls: type[Technique]) -> str:
    """A pydantic report as one sentence that names argument, value and what is allowed."""
    parts = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        said = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            allowed = ", ".join(cls.model_fields) or "none"
            parts.append(f"it has no parameter {where!r} (it has: {allowed})")
        elif not where:  # parameters that do not go together; the sentence names them
            parts.append(said)
        else:
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

    def _file(self) -> bytes:
        # one key: safetensors writes several in an order that changes from run to run
        header = {"technique": self.technique.config(), "shape": self.shape}
        metadata = {METADATA_KEY: json.dumps(header, sort_keys=True)}
        # contiguous: safetensors 0.8 scrambles strided arrays (its issue 825)
        arrays = {name: np.ascontiguousarray(a) for name, a in sorted(self.arrays.items())}
        return safetensors.numpy.save(arrays, metadata=metadata)

    @cached_property
    def nbytes(self) -> int:
        """Bytes of the file that `save` writes, header and side information included."""
        return len(self._file())

    @property
    def bits_per_weight(self) -> float:
        """8 * nbytes / (rows * cols)."""
        return 8 * self.nbytes / (self.shape[0] * self.shape[1])

    def codes(self) -> np.ndarray:
        """The integer (rows, cols) that each weight became, before scales."""
        return self.technique.codes(self.arrays, self.shape)

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
        y = y.astype(np.float32, copy=False)
        return y[0] if x.ndim == 1 else np.ascontiguousarray(y.T)

    def save(self, path: str | os.PathLike) -> int:
        """Write a safetensors file, through a temporary sibling; returns its size in bytes."""
        data = self._file()
        with replacing(path) as temporary:
            temporary.write_bytes(data)
        return len(data)


def dense_product(
    x: np.ndarray, weights: Float32[np.ndarray, "rows cols"]
) -> Float32[np.ndarray, "tokens rows"]:
    """``x @ weights.T`` of finite numbers by BLAS; what overflows is infinite, without a warning.

    BLAS kernels also compute with what lies beside small matrices, and drop it; numpy would warn
    of that every now and then (OpenBLAS issue 1924, numpy issues 13173 and 24067).
    """
    with np.errstate(all="ignore"):
        return x.astype(np.float32, copy=False) @ weights.T


def load_encoded(path: str | os.PathLike, *, mapped: bool = False) -> Encoded:
    """Read what `Encoded.save` wrote.

    Parameters
    ----------
    path : path
    mapped : bool
        Leave the arrays in the file: read-only views of it, which the system is asked to read
        ahead, the short ones (tables, dictionaries) before the long ones, and checksums are not
        looked at.

    Raises
    ------
    FormatError
        Not a safetensors file, not one of ours, or arrays that its technique would not have made.
    OSError
        The file cannot be opened.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})[METADATA_KEY])
            names = [] if mapped else file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
    except KeyError:
        raise FormatError(
            path, 8, f"its metadata lacks {METADATA_KEY!r}, so the workbench did not write it"
        ) from None
    except (SafetensorError, ValueError, TypeError) as error:
        raise FormatError(path, 0, f"not a readable safetensors file ({error})") from None
    try:
        if mapped:
            arrays = {name: _view(tensor) for name, tensor in open_safetensors(path).items()}
        if not isinstance(header, dict) or set(header) != {"technique", "shape"}:
            raise WorkbenchError("its metadata is not a technique and a shape")
        shape = header["shape"]
        lengths = shape if isinstance(shape, list) else []
        if len(lengths) != 2 or not all(type(n) is int and n > 0 for n in lengths):
            raise WorkbenchError(f"its metadata 'shape' is {shape}, not two positive integers")
        shape = tuple(shape)
        recipe = from_config(header["technique"])
        _check_layout(recipe.layout(shape), arrays)
    except WorkbenchError as error:
        raise FormatError(path, 8, str(error)) from None
    if mapped:
        prefetch(sorted(arrays.values(), key=lambda array: array.nbytes))
    elif found := recipe.damage(arrays):
        name, offset = found
        raise FormatError(
            path, _position(path, name) + offset, f"array {name!r} is damaged: its checksum fails"
        )
    return Encoded(recipe, shape, arrays)


def _view(tensor) -> np.ndarray:
    """A tensor of a safetensors file as the array that it was saved from."""
    kinds = {"F": "f", "I": "i", "U": "u"}
    kind, bits = tensor.quant[0], tensor.quant[1:]
    if kind not in kinds or bits not in ("8", "16", "32", "64"):
        raise WorkbenchError(f"array {tensor.name!r} is {tensor.quant}, which no technique makes")
    dtype = np.dtype(f"<{kinds[kind]}{int(bits) // 8}")
    return tensor.payload.view(dtype).reshape(tensor.shape)


def _position(path, name) -> int:
    """Byte of the file at which an array begins."""
    header = np.fromfile(path, "<u8", 1)
    with open(path, "rb") as file:
        file.seek(8)
        entries = json.loads(file.read(int(header[0])))
    return 8 + int(header[0]) + entries[name]["data_offsets"][0]


def _check_layout(layout: Mapping, arrays: Mapping[str, np.ndarray]) -> None:
    if set(layout) != set(arrays):
        raise WorkbenchError(
            f"it holds the arrays {', '.join(sorted(arrays)) or 'none'}, but its technique makes "
            f"{', '.join(sorted(layout))}"
        )
    for name, (dtype, lengths) in layout.items():
        array = arrays[name]
        same = len(lengths) == array.ndim and all(
            want in (None, have) for want, have in zip(lengths, array.shape, strict=True)
        )
        if array.dtype != np.dtype(dtype) or not same:
            expected = ", ".join("any" if n is None else str(n) for n in lengths)
            raise WorkbenchError(
                f"array {name!r} is {array.dtype} {array.shape}, but must be {dtype} ({expected})"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise WorkbenchError(f"array {name!r} holds NaN or infinity; it must be finite")
