"""GGUF in: a strict reader that maps the file and believes no number in it unchecked.

>>> from workbench.formats import open_gguf
>>> file = open_gguf("model.gguf")  # doctest: +SKIP
>>> file["blk.0.attn_q.weight"].read()  # doctest: +SKIP
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from workbench.errors import FormatError, WorkbenchError
from workbench.formats.gguf_layouts import layouts
from workbench.formats.gguf_metadata import MOST_ENTRIES, SMALLEST_ENTRY, Metadata, read_metadata
from workbench.formats.gguf_tensors import MOST_TENSORS, SMALLEST_INFO, place, read_infos
from workbench.formats.mapped import Cursor, map_file
from workbench.formats.tensor import Tensor

UINT32 = 4
ALIGNMENTS = [1 << power for power in range(3, 21)]  # the specification: multiples of 8
MOST_PARTS = 10_000


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
        Values by key; strings and arrays are decoded when they are asked for.
    """

    def __init__(
        self,
        path: Path,
        version: int,
        alignment: int,
        metadata: Metadata,
        tensors: dict[str, Tensor],
    ):
        self.path = path
        self.version = version
        self.alignment = alignment
        self.metadata = metadata
        self._tensors = tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"GGUFFile({str(self.path)!r}, {len(self)} tensors)"


def open_gguf(path: str | os.PathLike, *, i2_s: str = "x86") -> GGUFFile:
    """Map a GGUF file (version 2 or 3, little-endian) and check its whole header.

    Of a model split into parts, any part opens all; they must lie beside each other.

    Parameters
    ----------
    path : path
    i2_s : "x86" or "arm"
        Which build of bitnet.cpp packed the tensors of type I2_S; no file says so.

    Raises
    ------
    FormatError
        The file is not what it claims to be; says at which byte.
    WorkbenchError
        There is no such file, or it cannot be read.
    """
    if i2_s not in ("x86", "arm"):
        raise WorkbenchError(f"i2_s is {i2_s!r}, but must be 'x86' or 'arm'")
    file = _open_one(Path(path), i2_s)
    parts = _part_paths(file)
    if len(parts) == 1:
        return file
    files = [file if part == file.path else _open_one(part, i2_s) for part in parts]
    return _joined(files)


def _open_one(path: Path, i2_s: str) -> GGUFFile:
    data = map_file(path)
    cursor = Cursor(path, data)
    version = _read_version(cursor)
    n_tensors = cursor.number("<q", "the number of tensors")
    n_entries = cursor.number("<q", "the number of metadata entries")
    _check_count(cursor, 8, n_tensors, "tensors", MOST_TENSORS, SMALLEST_INFO)
    _check_count(cursor, 16, n_entries, "metadata entries", MOST_ENTRIES, SMALLEST_ENTRY)
    metadata = read_metadata(cursor, n_entries)
    alignment = _read_alignment(cursor, metadata)
    infos = read_infos(cursor, n_tensors)
    tensors = place(cursor, data, infos, alignment, layouts(metadata, i2_s))
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


def _check_count(cursor: Cursor, at: int, count: int, what: str, most: int, smallest: int) -> None:
    allowed = min(most, cursor.left // smallest)
    if not 0 <= count <= allowed:
        raise cursor.fail(
            f"the file claims {count} {what}, but at most {allowed} fit in it and are read", at
        )


def _read_alignment(cursor: Cursor, metadata: Metadata) -> int:
    entry = metadata.entries.get("general.alignment")
    if entry is None:
        return 32
    if entry.is_array or entry.kind != UINT32:
        raise cursor.fail("general.alignment must be a uint32", entry.position)
    alignment = metadata["general.alignment"]
    if alignment not in ALIGNMENTS:
        raise cursor.fail(
            f"general.alignment is {alignment}; it must be a power of two from {ALIGNMENTS[0]} to "
            f"{ALIGNMENTS[-1]}",
            entry.position,
        )
    return alignment


def _part_paths(file: GGUFFile) -> list[Path]:
    """The files of a split model, in order; only this one where it is not split."""
    count = _split_number(file, "split.count", 1)
    if count <= 1:
        return [file.path]
    at = file.metadata.entries["split.count"].position
    if count > MOST_PARTS:
        raise FormatError(file.path, at, f"split.count is {count}; at most {MOST_PARTS} are read")
    number = _split_number(file, "split.no", 0)
    match = re.fullmatch(r"(.*)-(\d{5})-of-(\d{5})\.gguf", file.path.name)
    if match is None or int(match[2]) != number + 1 or int(match[3]) != count:
        raise FormatError(
            file.path,
            at,
            f"it is part {number + 1} of {count} of a split model, so its name must end in "
            f"-{number + 1:05d}-of-{count:05d}.gguf",
        )
    parts = [
        file.path.with_name(f"{match[1]}-{part + 1:05d}-of-{count:05d}.gguf")
        for part in range(count)
    ]
    missing = next((part for part in parts if not part.is_file()), None)
    if missing is not None:
        raise FormatError(
            file.path, at, f"the model is split into {count} files, but {missing.name} is missing"
        )
    return parts


def _split_number(file: GGUFFile, key: str, default: int) -> int:
    value = file.metadata.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        entry = file.metadata.entries[key]
        raise FormatError(file.path, entry.position, f"{key} must be a number, 0 or more")
    return value


def _joined(files: list[GGUFFile]) -> GGUFFile:
    first = files[0]
    tensors: dict[str, Tensor] = {}
    for number, file in enumerate(files):
        said = [_split_number(file, key, -1) for key in ("split.no", "split.count")]
        if said != [number, len(files)]:
            raise FormatError(
                file.path, 0, f"its split.no and split.count are {said}, not {[number, len(files)]}"
            )
        twice = next((name for name in file if name in tensors), None)
        if twice is not None:
            raise FormatError(file.path, 0, f"tensor {twice!r} is in an earlier part as well")
        tensors.update(file)
    total = _split_number(first, "split.tensors.count", len(tensors))
    if total != len(tensors):
        raise FormatError(
            first.path,
            first.metadata.entries["split.tensors.count"].position,
            f"split.tensors.count is {total}, but the parts hold {len(tensors)} tensors",
        )
    return GGUFFile(first.path, first.version, first.alignment, first.metadata, tensors)
