"""The tensors of a model: which there must be, decoded to float32 when they are first used."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import final

import numpy as np
from jaxtyping import Float32

from workbench.errors import WorkbenchError
from workbench.formats import Tensor
from workbench.lm.config import Config
from workbench.lm.memory import check_memory
from workbench.models import Weights

PROJECTIONS = (
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_output",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
)
"""The seven matrices of a layer: ``blk.{layer}.{projection}.weight``."""


def required_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Shape by name of every tensor that a model must have; matrices are (outputs, inputs)."""
    width, ff = config.width, config.ff
    heads, kv_heads = config.heads * config.head_dim, config.kv_heads * config.head_dim
    layer = {
        "attn_norm.weight": (width,),
        "attn_q.weight": (heads, width),
        "attn_k.weight": (kv_heads, width),
        "attn_v.weight": (kv_heads, width),
        "attn_output.weight": (width, heads),
        "ffn_norm.weight": (width,),
        "ffn_gate.weight": (ff, width),
        "ffn_up.weight": (ff, width),
        "ffn_down.weight": (width, ff),
    }
    if config.sub_norms:
        layer |= {"attn_sub_norm.weight": (heads,), "ffn_sub_norm.weight": (ff,)}
    shapes = {"token_embd.weight": (config.vocab, width)}
    for index in range(config.layers):
        shapes |= {f"blk.{index}.{name}": shape for name, shape in layer.items()}
    shapes["output_norm.weight"] = (width,)
    if not config.tied:
        shapes["output.weight"] = (config.vocab, width)
    return shapes


def optional_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Shape by name of what a model may have besides: a scale for a matrix's results."""
    return {
        f"blk.{index}.{name}.scale": (1,) for index in range(config.layers) for name in PROJECTIONS
    }


@final
class Tensors(Mapping[str, Float32[np.ndarray, "..."]]):
    """float32 arrays by name, each decoded when it is first asked for, and then kept.

    The arrays are shared with every `replaced` copy: do not write into them.

    Parameters
    ----------
    weights : Weights
    config : Config
        What the tensors are held against.

    Raises
    ------
    WorkbenchError
        A tensor is missing, has another shape, or does not belong to the architecture. On access:
        NaN or infinity, a type that has no decoder, or too little memory.
    """

    def __init__(self, weights: Weights, config: Config):
        self._name = weights.name
        self._sources = _sources(weights, config)
        self._arrays: dict[str, np.ndarray] = {}
        self._replacements: dict[str, np.ndarray] = {}

    def replaced(self, replacements: Mapping[str, np.ndarray]) -> "Tensors":
        """A copy in which some matrices are others of the same shape; all else is shared.

        Raises
        ------
        TypeError
            Something that is not an array of floats.
        WorkbenchError
            An unknown name, another shape, NaN or infinity.
        """
        copy = Tensors.__new__(Tensors)
        copy.__dict__ |= self.__dict__
        copy._replacements = self._replacements | {
            name: self._checked(name, array) for name, array in replacements.items()
        }
        return copy

    def __getitem__(self, name: str) -> Float32[np.ndarray, "..."]:
        return self._replacements[name] if name in self._replacements else self.in_file(name)

    def in_file(self, name: str) -> Float32[np.ndarray, "..."]:
        """The file's own array, whatever replaces it."""
        if name not in self._arrays:
            self._arrays[name] = self._sources[name].read(self._name)
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def __contains__(self, name: object) -> bool:
        return name in self._sources  # the inherited one would decode the tensor

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without decoding it."""
        return self._sources[name].shape

    def stored(self, name: str) -> tuple[Tensor, slice | None] | None:
        """The file's tensor and the rows of it that `name` is; None where it is replaced."""
        if name in self._replacements:
            return None
        return self._sources[name].tensor, self._sources[name].rows

    @property
    def nbytes(self) -> int:
        """Bytes of the float32 arrays that are in memory now, for this copy and what it shares."""
        arrays = [*self._arrays.values(), *self._replacements.values()]
        return sum(array.nbytes for array in arrays)

    def _checked(self, name: str, array: np.ndarray) -> np.ndarray:
        if name not in self._sources:
            raise WorkbenchError(f"{self._name}: there is no tensor {name!r} to replace")
        array = np.asarray(array)
        if array.dtype.kind != "f":
            raise TypeError(f"the new {name!r} is {array.dtype}, but must be a float type")
        if array.shape != self.shape(name):
            raise WorkbenchError(
                f"the new {name!r} has shape {array.shape}, but must have {self.shape(name)}"
            )
        return finite(np.ascontiguousarray(array, np.float32), f"the new {name!r}")


def finite(array: np.ndarray, what: str) -> np.ndarray:
    """`array`, or a refusal that says where it is not finite."""
    good = np.isfinite(array)
    if not good.all():
        where = tuple(int(index) for index in np.argwhere(~good)[0])
        raise WorkbenchError(f"{what} holds {array[where]} at {where}; weights must be finite")
    return array


@dataclass(frozen=True)
class _Source:
    """Rows of a tensor in the file: all, or one part of a matrix that is stored fused.

    Attributes
    ----------
    tensor : Tensor
    rows : slice or None
    """

    tensor: Tensor
    rows: slice | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        if self.rows is None:
            return self.tensor.shape
        return (self.rows.stop - self.rows.start, *self.tensor.shape[1:])

    def read(self, model: str) -> Float32[np.ndarray, "..."]:
        what = f"{model}: tensor {self.tensor.name!r}"
        check_memory(4 * prod(self.shape), f"{what} as float32")
        array = finite(self.tensor.read(self.rows), what)
        array.flags.writeable = False
        return array


def _sources(weights: Weights, config: Config) -> dict[str, _Source]:
    """Where every tensor of the model lies in the file, once all of them are as they must be."""
    fail = partial(_fail, weights.name)
    if config.layers > len(weights):  # listing what they need could take all memory
        raise WorkbenchError(
            f"{weights.name}: its metadata speaks of {config.layers} layers, but it has only "
            f"{len(weights)} tensors"
        )
    required, optional = required_shapes(config), optional_shapes(config)
    sources = _fused(weights, config)
    known = {*required, *optional, "rope_freqs.weight"}
    known |= {source.tensor.name for source in sources.values()}
    for name in weights:
        if name not in known or name in sources:
            raise fail(name, f"does not belong to the architecture {config.architecture!r}")
    for name, shape in (required | optional).items():
        if name not in sources and name in weights:
            sources[name] = _Source(weights[name])
        if name in sources and sources[name].shape != shape:
            raise fail(name, f"has shape {sources[name].shape}, but must have {shape}")
        if name in required and name not in sources:
            raise fail(name, "is missing")
    return {name: sources[name] for name in (*required, *optional) if name in sources}


def _fused(weights: Weights, config: Config) -> dict[str, _Source]:
    """Query, key and value matrices of the layers that store all three as one."""
    sources = {}
    rows = [config.heads, config.kv_heads, config.kv_heads]
    ends = [int(end) * config.head_dim for end in np.cumsum(rows)]
    for index in range(config.layers):
        tensor = weights.get(f"blk.{index}.attn_qkv.weight")
        if tensor is None:
            continue
        if tensor.shape != (ends[-1], config.width):
            raise _fail(
                weights.name,
                tensor.name,
                f"has shape {tensor.shape}, but must have {(ends[-1], config.width)}",
            )
        for name, begin, end in zip(PROJECTIONS[:3], [0, *ends], ends, strict=False):
            sources[f"blk.{index}.{name}.weight"] = _Source(tensor, slice(begin, end))
    return sources


def _fail(model: str, tensor: str, problem: str) -> WorkbenchError:
    return WorkbenchError(f"{model}: tensor {tensor!r} {problem}")
