"""safetensors in and out; the library checks, the file is mapped, tensors are read lazily."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from workbench.errors import FormatError, WorkbenchError
from workbench.formats.bitnet import BitNetTensor, packed_bitnet
from workbench.formats.mapped import Cursor, map_file, shown
from workbench.formats.tensor import Tensor
from workbench.formats.writing import replacing

LARGEST_HEADER = 4 << 20  # bytes; some forty thousand tensors, read within a second
LARGEST_INDEX = 16 << 20
WRITABLE = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"]


class SafetensorsFile(Mapping):
    """Tensors by name, read lazily from a mapped file or from the shards of an index.

    Attributes
    ----------
    path : Path
    metadata : dict of str
        The header's; of an index, its own.
    """

    def __init__(self, path: Path, metadata: dict, tensors: dict[str, Tensor | BitNetTensor]):
        self.path = path
        self.metadata = metadata
        self._tensors = tensors

    def __getitem__(self, name: str) -> Tensor | BitNetTensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"SafetensorsFile({str(self.path)!r}, {len(self)} tensors)"


def open_safetensors(path: str | os.PathLike, *, weight_scale: str | None = None):
    """Map a safetensors file, or all shards that a ``*.safetensors.index.json`` names.

    Parameters
    ----------
    path : path
    weight_scale : "divide" or "multiply", optional
        What to do with the scale of packed BitNet weights: the layer class BitLinear divides by
        it, AutoBitLinear multiplies (``quantization_config`` in config.json names the class).
        Without an answer such tensors can be listed but not read.

    Returns
    -------
    SafetensorsFile

    Raises
    ------
    FormatError
        The file is not what it claims to be.
    WorkbenchError
        There is no such file, or it cannot be read.
    """
    if weight_scale not in (None, "divide", "multiply"):
        raise WorkbenchError(
            f"weight_scale is {weight_scale!r}, but must be 'divide' (BitLinear) or 'multiply' "
            "(AutoBitLinear)"
        )
    path = Path(path)
    opened = _open_index(path) if path.suffix == ".json" else _open_one(path)
    return SafetensorsFile(path, opened.metadata, packed_bitnet(opened, weight_scale))


def write_safetensors(
    path: str | os.PathLike,
    arrays: Mapping[str, np.ndarray],
    metadata: dict[str, str] | None = None,
) -> None:
    """Write arrays, whatever their strides and byte order, through a temporary sibling.

    Raises
    ------
    TypeError
        An array is of a type the format lacks; metadata is not of strings.
    WorkbenchError
        The file cannot be written.
    """
    contiguous = {}
    for name, array in arrays.items():
        array = np.asarray(array)
        if array.dtype.str[1:] not in WRITABLE:
            raise TypeError(f"tensor {name!r} is {array.dtype}; safetensors holds {WRITABLE}")
        # the library scrambles strided arrays (its issue 825)
        contiguous[name] = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(
            array.shape
        )
    metadata = dict(metadata or {})
    if not all(isinstance(text, str) for pair in metadata.items() for text in pair):
        raise TypeError("metadata must map strings to strings")
    with replacing(path) as temporary:
        safetensors.numpy.save_file(contiguous, temporary, metadata or None)


def _open_one(path: Path) -> SafetensorsFile:
    data = map_file(path)
    cursor = Cursor(path, data)
    length = cursor.number("<Q", "the length of the header")
    if length > min(cursor.left, LARGEST_HEADER):
        raise cursor.fail(
            f"the header claims {length} bytes, but at most {min(cursor.left, LARGEST_HEADER)} "
            "are left and read",
            0,
        )
    try:
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        said = " ".join(str(error).removeprefix("Error while deserializing header: ").split())
        raise FormatError(path, 8, f"not a valid safetensors header: {said[:300]}") from None
    # the library has checked types, sizes and offsets; a name that occurs twice it lets pass
    header = _parse_json(path, bytes(cursor.bytes[8 : 8 + length]), 8)
    metadata = header.pop("__metadata__", {})
    start = 8 + length
    tensors = {}
    for name, entry in header.items():
        if not name.isprintable() or not name:
            raise FormatError(path, 8, f"tensor name {shown(name)} is empty or cannot be printed")
        begin, end = (start + offset for offset in entry["data_offsets"])
        shape = tuple(entry["shape"])
        tensors[name] = Tensor(name, shape, entry["dtype"], end - begin, data[begin:end])
    return SafetensorsFile(path, metadata, tensors)


def _open_index(path: Path) -> SafetensorsFile:
    data = map_file(path)
    if len(data) > LARGEST_INDEX:
        raise FormatError(path, 0, f"an index of more than {LARGEST_INDEX} bytes is not read")
    index = _parse_json(path, data.tobytes(), 0)
    names = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(names, dict) or not all(isinstance(shard, str) for shard in names.values()):
        raise FormatError(path, 0, "the index has no 'weight_map' of tensor names to file names")
    shards = {}
    for shard in dict.fromkeys(names.values()):
        if Path(shard).name != shard or shard in ("", ".", ".."):
            raise FormatError(
                path, 0, f"shard {shown(shard)} is not a file name in the index's folder"
            )
        file = path.with_name(shard)
        if not file.is_file():
            raise FormatError(path, 0, f"the index names {shown(shard)}, which is missing")
        shards[shard] = _open_one(file)
    missing = next((name for name, shard in names.items() if name not in shards[shard]), None)
    if missing is not None:
        raise FormatError(
            path,
            0,
            f"the index puts tensor {shown(missing)} in {shown(names[missing])}, which lacks it",
        )
    metadata = index.get("metadata")
    tensors = {name: shards[shard][name] for name, shard in names.items()}
    return SafetensorsFile(path, metadata if isinstance(metadata, dict) else {}, tensors)


def _parse_json(path: Path, text: bytes, start: int):
    def unique(pairs):
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise FormatError(path, start, f"{shown(twice)} occurs twice")
        return found

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except FormatError:
        raise
    except json.JSONDecodeError as error:
        raise FormatError(path, start + error.pos, f"not JSON: {error.msg}") from None
    except (ValueError, RecursionError):  # not UTF-8, a number of 5000 digits, nesting
        raise FormatError(path, start, "not JSON that can be read") from None
