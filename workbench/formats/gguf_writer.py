"""GGUF out, by gguf-py's writer: new files, and copies with some tensors replaced."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from struct import pack

import gguf
import numpy as np
from gguf import GGUFValueType
from jaxtyping import Float32, UInt8

from workbench.errors import WorkbenchError
from workbench.formats.blocks import BLOCKS, encode_blocks, row_bytes
from workbench.formats.gguf_file import ALIGNMENTS, GGUFFile, open_gguf
from workbench.formats.gguf_layouts import Q2_0_KEY
from workbench.formats.gguf_metadata import ARRAY, LONGEST_KEY, NUMBERS, STRING, Metadata
from workbench.formats.gguf_tensors import LONGEST_NAME, MOST_DIMENSIONS
from workbench.formats.tensor import Tensor
from workbench.formats.writing import replacing

PLAIN = {"f2": "F16", "f4": "F32", "f8": "F64", "i1": "I8", "i2": "I16", "i4": "I32", "i8": "I64"}
KINDS = {np.dtype("?" if name == "bool" else code): kind for kind, (name, code) in NUMBERS.items()}
INTEGERS = [np.dtype(code) for code in ("<u4", "<i4", "<i8", "<u8")]
SPLIT_KEYS = ("split.no", "split.count", "split.tensors.count")


@dataclass(frozen=True)
class Deferred:
    """A tensor for `write_gguf` that is made when its turn comes, and not kept.

    Attributes
    ----------
    quant : str
        One of `workbench.formats.ENCODABLE`.
    shape : tuple of int
    make : callable
        The weights, float32 in `shape`.
    """

    quant: str
    shape: tuple[int, ...]
    make: Callable[[], Float32[np.ndarray, "..."]]

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return prod(self.shape[:-1]) * row_bytes(self.quant, self.shape[-1])

    def stored(self) -> UInt8[np.ndarray, " bytes"]:
        """The bytes, made anew."""
        weights = self.make().reshape(-1, self.shape[-1])
        return encode_blocks(self.quant, weights).reshape(-1)


def write_gguf(
    path: str | os.PathLike,
    tensors: Mapping[str, np.ndarray | Tensor | Deferred],
    metadata: Mapping,
) -> None:
    """Write a GGUF file (version 3), through a temporary sibling.

    A file with Q2_0 tensors gets the entry "workbench.q2_0.block_size", because the sizes of small
    tensors do not tell the two layouts of that name apart.

    Parameters
    ----------
    path : path
    tensors : mapping
        Arrays of floats or signed integers, stored as they are (F16, F32, F64, I8 to I64), tensors
        that are encoded already (`Tensor.of`, or tensors of an open file), and `Deferred` ones.
    metadata : mapping
        That of an open GGUF file keeps its types. Of others NumPy numbers and arrays keep theirs;
        an int becomes the first that holds it of uint32, int32, int64 and uint64 (in lists int32
        comes first), a float float32, or float64 beyond it. "general.alignment" is obeyed.

    Raises
    ------
    TypeError
        A value or an array of a type that GGUF lacks.
    WorkbenchError
        A name, a shape or a value that the format or llama.cpp does not allow, or a file that
        cannot be written.
    """
    _write(path, tensors, _entries(metadata))


def export_gguf(
    source: str | os.PathLike | GGUFFile,
    path: str | os.PathLike,
    replacements: Mapping[str, str | np.ndarray | Tensor],
    metadata: Mapping | None = None,
) -> None:
    """Copy a GGUF file with some tensors replaced; every other tensor stays byte for byte.

    Parameters
    ----------
    source : path or GGUFFile
        Of a split model any part; the copy is one file.
    path : path
        May be the source's.
    replacements : mapping
        By tensor name: the name of a block format to encode the tensor in, an array of floats
        (stored as it is), or an encoded `Tensor`. The shape must stay.
    metadata : mapping, optional
        Entries to add or to change, typed as in `write_gguf`.

    Raises
    ------
    WorkbenchError
        An unknown tensor, another shape, or a type that llama.cpp could not load there: rows that
        do not divide into blocks, or a vector in blocks.
    """
    file = source if isinstance(source, GGUFFile) else open_gguf(source)
    unknown = next((name for name in replacements if name not in file), None)
    if unknown is not None:
        raise WorkbenchError(f"replacements names {unknown!r}, which {file.path} does not hold")
    tensors = {
        name: _replaced(tensor, replacements[name]) if name in replacements else tensor
        for name, tensor in file.items()
    }
    _write(path, tensors, _entries(file.metadata) | _entries(metadata or {}))


def _replaced(old: Tensor, new: str | np.ndarray | Tensor) -> Tensor:
    if isinstance(new, str):
        cols = old.shape[-1]
        new = Tensor.of(old.name, new, encode_blocks(new, old.read().reshape(-1, cols)), old.shape)
    elif not isinstance(new, Tensor):
        new = _plain(old.name, new)
    if new.shape != old.shape:
        raise WorkbenchError(
            f"tensor {old.name!r} has shape {old.shape}, so it cannot be replaced by {new.shape}"
        )
    if len(new.shape) == 1 and BLOCKS[new.quant].elements > 1:
        raise WorkbenchError(
            f"tensor {old.name!r} is a vector, which llama.cpp does not load as {new.quant}; F32 "
            "is what it loads"
        )
    return new


def _plain(name: str, array: np.ndarray) -> Tensor:
    array = np.asarray(array)
    if array.dtype.str[1:] not in PLAIN:
        raise TypeError(f"tensor {name!r} is {array.dtype}; GGUF holds {', '.join(PLAIN.values())}")
    if array.ndim == 0:
        raise WorkbenchError(f"tensor {name!r} has no axis, but must have 1 to {MOST_DIMENSIONS}")
    array = np.ascontiguousarray(array, dtype="<" + array.dtype.str[1:])
    raw = array.reshape(-1).view(np.uint8)
    return Tensor(name, array.shape, PLAIN[array.dtype.str[1:]], raw.size, raw)


def _write(path, tensors, entries: dict) -> None:
    tensors = {
        name: tensor if isinstance(tensor, Tensor | Deferred) else _plain(name, tensor)
        for name, tensor in tensors.items()
    }
    if any(tensor.quant == "Q2_0" for tensor in tensors.values()):
        entries = entries | {Q2_0_KEY: (BLOCKS["Q2_0"].elements, GGUFValueType.UINT32, None)}
    writer = _Writer(None, arch="")
    writer.kv_data = [{}]  # it has put the architecture there already
    writer.data_alignment = _alignment(entries)
    for key, (value, kind, element) in entries.items():
        writer.add_key_value(key, value, kind, element)
    for name, tensor in tensors.items():
        _check(name, tensor)
        # as int8: of uint8 arrays gguf-py takes the shape to be in bytes
        number = BLOCKS[tensor.quant].id
        writer.add_tensor_info(name, tensor.shape, np.dtype(np.int8), tensor.nbytes, number)
    with replacing(path) as temporary:
        try:
            writer.write_header_to_file(temporary)
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            (file,) = writer.fout
            writer.write_padding(file, file.tell())
            for tensor in tensors.values():
                writer.write_tensor_data(tensor.stored())
        finally:
            writer.close()


class _Writer(gguf.GGUFWriter):
    """gguf-py's writer, which refuses empty arrays though the format has them."""

    def _pack_val(self, val, vtype, add_vtype, sub_type=None):
        if vtype == GGUFValueType.ARRAY and len(val) == 0:
            return pack("<IIQ", vtype, sub_type, 0)
        return super()._pack_val(val, vtype, add_vtype, sub_type)


def _check(name: str, tensor: Tensor) -> None:
    if tensor.quant not in BLOCKS or BLOCKS[tensor.quant].id is None:
        raise WorkbenchError(f"tensor {name!r} is {tensor.quant}, a type that GGUF lacks")
    if not _fits(name, LONGEST_NAME):
        raise WorkbenchError(
            f"tensor name {name!r} must be text of 1 to {LONGEST_NAME} bytes, all printable"
        )
    if not 1 <= len(tensor.shape) <= MOST_DIMENSIONS or 0 in tensor.shape:
        raise WorkbenchError(
            f"tensor {name!r} has shape {tensor.shape}, but must have 1 to {MOST_DIMENSIONS} axes, "
            "none empty"
        )


def _fits(text: str, most: int) -> bool:
    """Whether it is text that can be printed, of 1 to `most` bytes."""
    return isinstance(text, str) and text.isprintable() and 1 <= len(text.encode()) <= most


def _alignment(entries: dict) -> int:
    value, kind, _ = entries.get("general.alignment", (32, GGUFValueType.UINT32, None))
    if kind != GGUFValueType.UINT32 or value not in ALIGNMENTS:
        raise WorkbenchError(
            f"metadata 'general.alignment' is {value!r}, but must be a uint32, a power of two from "
            f"{ALIGNMENTS[0]} to {ALIGNMENTS[-1]}"
        )
    return value


def _entries(metadata: Mapping) -> dict[str, tuple]:
    """(value, type, type of elements or None) by key, as gguf-py's writer takes them."""
    if isinstance(metadata, Metadata):
        return {key: _as_in_file(metadata, key) for key in metadata if key not in SPLIT_KEYS}
    for key in metadata:
        if not _fits(key, LONGEST_KEY):
            raise WorkbenchError(
                f"metadata key {key!r} must be text of 1 to {LONGEST_KEY} bytes, all printable"
            )
    return {key: _typed(key, value) for key, value in metadata.items()}


def _as_in_file(metadata: Metadata, key: str) -> tuple:
    entry = metadata.entries[key]
    kind = GGUFValueType(entry.kind)
    value = metadata.encoded(key) if entry.kind == STRING else metadata[key]
    if not entry.is_array:
        return value, kind, None
    return value if entry.kind == STRING else value.tolist(), GGUFValueType(ARRAY), kind


def _typed(key: str, value) -> tuple:
    """`value` with the type that GGUF files use for it, as `write_gguf` says."""
    try:
        if isinstance(value, str):
            value.encode()
            return value, GGUFValueType.STRING, None
        if isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
            "".join(value).encode()
            return list(value), GGUFValueType.ARRAY, GGUFValueType.STRING
    except UnicodeEncodeError:
        raise WorkbenchError(f"metadata {key!r} is {value!r}, which is not valid Unicode") from None
    typed = isinstance(value, np.ndarray | np.generic)
    array = np.asarray(value) if typed else _narrowed(value)
    if array is None or array.dtype.newbyteorder("<") not in KINDS or array.ndim > 1:
        raise TypeError(
            f"metadata {key!r} is {value!r}, but must be a number, a bool, a str or a list of one "
            "kind of them"
        )
    kind = GGUFValueType(KINDS[array.dtype.newbyteorder("<")])
    if array.ndim == 0:
        return array.item(), kind, None
    return array.tolist(), GGUFValueType.ARRAY, kind


def _narrowed(value) -> np.ndarray | None:
    """Python numbers as an array of the first type that holds them; None where there is none."""
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    kinds = {type(number) for number in numbers}
    if kinds == {bool}:
        return np.asarray(value)
    if kinds <= {int, float} and float in kinds:
        largest = max((abs(number) for number in numbers if np.isfinite(number)), default=0)
        narrow = largest <= float(np.finfo(np.float32).max)
        return np.asarray(value, np.float32 if narrow else np.float64)
    if kinds != {int}:
        return None
    choices = INTEGERS if value is numbers[0] else [INTEGERS[1], *INTEGERS]
    for dtype in choices:
        limits = np.iinfo(dtype)
        if limits.min <= min(numbers) and max(numbers) <= limits.max:
            return np.asarray(value, dtype)
    return None
