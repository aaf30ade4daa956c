"""GGUF in: a strict reader that maps the file and believes no number in it unchecked.

>>> from workbench.formats import open_gguf
>>> file = open_gguf("model.gguf")  # doctest: +SKIP
>>> file["blk.0.attn_q.weight"].read()  # doctest: +SKIP
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.formats.blocks import BLOCKS
from workbench.formats.gguf_metadata import MOST_ENTRIES, SMALLEST_ENTRY, Metadata, read_metadata
from workbench.formats.mapped import Cursor, map_file
from workbench.formats.tensor import Tensor

MOST_TENSORS = 65_536  # real files have under three thousand
SMALLEST_TENSOR_INFO = 8 + 1 + 4 + 8 + 4 + 8  # a one-byte name with its length, one dimension
LONGEST_NAME = 63  # llama.cpp keeps names in 64 bytes
MOST_DIMENSIONS = 4
ALIGNMENTS = [1 << power for power in range(3, 21)]


class GGUFFile(Mapping):
    """Tensors by name, in file order, read lazily from a mapped file.

    Attributes
    ----------
    path : Path
    version : int
        2 or 3.
    alignment : int
        Tensor data begins at multiples of this many bytes.
    metadata : Mapping
        Values by key; arrays are decoded when they are asked for.
    """

    def __init__(self, path, version, alignment, metadata, tensors):
        self.path: Path = path
        self.version: int = version
        self.alignment: int = alignment
        self.metadata: Metadata = metadata
        self._tensors: dict[str, Tensor] = tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"GGUFFile({str(self.path)!r}, {len(self)} tensors)"


@dataclass(frozen=True)
class TensorInfo:
    """What the header says of a tensor, and where it says it."""

    name: str
    shape: tuple[int, ...]
    type_id: int
    offset: int
    position: int
    end: int


def open_gguf(path: str | os.PathLike) -> GGUFFile:
    """Map a GGUF file (version 2 or 3, little-endian) and check its whole header.

    Raises
    ------
    FormatError
        The file is not what it claims to be; says at which byte.
    WorkbenchError
        There is no such file, or it cannot be read.
    """
    path = Path(path)
    data = map_file(path)
    cursor = Cursor(path, data)
    version = _read_version(cursor)
    n_tensors = _read_count(cursor, "tensors", MOST_TENSORS, SMALLEST_TENSOR_INFO)
    n_entries = _read_count(cursor, "metadata entries", MOST_ENTRIES, SMALLEST_ENTRY)
    metadata = read_metadata(cursor, n_entries)
    alignment = _read_alignment(cursor, metadata)
    infos = _read_infos(cursor, n_tensors)
    tensors = _place(cursor, data, infos, alignment)
    return GGUFFile(path, version, alignment, metadata, tensors)


def _read_version(cursor: Cursor) -> int:
    magic = bytes(cursor.bytes[:4])
    if magic != b"GGUF":
        raise cursor.fail(f"not a GGUF file: it begins with {magic!r}, not with b'GGUF'")
    cursor.skip(4, "the magic")
    version = cursor.number("<I", "the version")
    if version in (2, 3):
        return version
    if version == 1:
        problem = "GGUF version 1 is obsolete; convert the model again"
    elif version and version % 65536 == 0:
        problem = "the file is big-endian; only little-endian files are read"
    else:
        problem = f"GGUF version {version} is unknown; versions 2 and 3 are read"
    raise cursor.fail(problem, 4)


def _read_count(cursor: Cursor, what: str, most: int, smallest: int) -> int:
    begin = cursor.position
    count = cursor.number("<q", f"the number of {what}")
    allowed = min(most, cursor.left // smallest)
    if not 0 <= count <= allowed:
        raise cursor.fail(
            f"the file claims {count} {what}; 0 to {allowed} are possible in its size and read",
            begin,
        )
    return count


def _read_alignment(cursor: Cursor, metadata: Metadata) -> int:
    entry = metadata.entries.get("general.alignment")
    if entry is None:
        return 32
    if entry.is_array or entry.kind != 4:
        raise cursor.fail("general.alignment must be a uint32", entry.position)
    alignment = metadata["general.alignment"]
    if alignment not in ALIGNMENTS:
        raise cursor.fail(
            f"general.alignment is {alignment}; it must be a power of two from {ALIGNMENTS[0]} to "
            f"{ALIGNMENTS[-1]}",
            entry.position,
        )
    return alignment


def _read_infos(cursor: Cursor, count: int) -> list[TensorInfo]:
    infos, names = [], set()
    for index in range(count):
        position = cursor.position
        name = cursor.string(f"the name of tensor {index + 1} of {count}", LONGEST_NAME)
        if name in names:
            raise cursor.fail(f"tensor name {name!r} occurs twice", position)
        names.add(name)
        at = cursor.position
        n_dims = cursor.number("<I", f"the number of dimensions of {name!r}")
        if not 1 <= n_dims <= MOST_DIMENSIONS:
            raise cursor.fail(
                f"tensor {name!r} has {n_dims} dimensions; 1 to {MOST_DIMENSIONS} are allowed", at
            )
        dimensions = []
        for axis in range(n_dims):
            at = cursor.position
            size = cursor.number("<q", f"dimension {axis} of {name!r}")
            if size < 1:
                raise cursor.fail(
                    f"dimension {axis} of tensor {name!r} is {size}; it must be positive", at
                )
            dimensions.append(size)
        type_id = cursor.number("<i", f"the type of {name!r}")
        offset = cursor.number("<Q", f"the offset of {name!r}")
        infos.append(
            TensorInfo(name, tuple(dimensions[::-1]), type_id, offset, position, cursor.position)
        )
    return infos


def _place(cursor, data, infos, alignment) -> dict[str, Tensor]:
    """Tensors at the bytes they occupy, which must follow each other without gap or overlap."""
    start = _padded(cursor.position, alignment)
    by_id = {block.id: name for name, block in BLOCKS.items()}
    tensors, expected = {}, 0
    for info in infos:
        quant = by_id[info.type_id]
        nbytes = BLOCKS[quant].row_bytes(info.shape[-1])
        for size in info.shape[:-1]:
            nbytes *= size
        begin = start + info.offset
        tensors[info.name] = Tensor(
            info.name, info.shape, quant, nbytes, data[begin : begin + nbytes]
        )
        expected += _padded(nbytes, alignment)
    return tensors


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
