"""Packed weights on disk: written once, then mapped, so that all processes share one copy."""

import hashlib
import json
from pathlib import Path

import numpy as np

from workbench.errors import WorkbenchError
from workbench.formats import open_safetensors
from workbench.formats.safetensors_files import write_safetensors
from workbench.lm.model import Model
from workbench.lm.packing import ALIGNMENT, Form, PackedModel, pack_model
from workbench.paths import cache_dir

VERSION = 3  # of the layout; another one is another file
FOLDER = "packed"


def packed_model(model: Model, form: Form, save: bool = True) -> PackedModel:
    """The packed weights of a model: mapped from the cache folder, or made and put there.

    A file that is damaged, or was made from another state of the model's file, is made anew. What
    cannot be written (no space, no permission) stays in this process's memory.

    Parameters
    ----------
    model : Model
        One with replaced tensors is never saved.
    form : {"file", "planar", "base3", "int8", "int4"}
    save : bool
        Without, nothing is read from the cache folder or written there.
    """
    if not save or any(model.tensors.stored(name) is None for name in model.tensors):
        return pack_model(model, form)
    path = packed_path(model, form)
    packed = _read(path)
    if packed is not None:
        return packed
    packed = pack_model(model, form)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, packed)
    except (OSError, WorkbenchError):
        return packed
    return _read(path) or packed


def packed_path(model: Model, form: Form) -> Path:
    """Where the packed weights of this state of the model's file are, or will be."""
    source = Path(model.weights.path)
    state = [(part.name, part.stat().st_size, part.stat().st_mtime_ns) for part in _parts(source)]
    identity = json.dumps([VERSION, str(source.resolve()), state, form])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return cache_dir() / FOLDER / f"{source.stem}-{form}-{digest}.safetensors"


def _parts(source: Path) -> list[Path]:
    """The file itself, with its siblings where it is split."""
    stem, found, _ = source.name.rpartition("-of-")
    if not found or source.suffix != ".gguf":
        return [source]
    return sorted(source.parent.glob(f"{stem.rpartition('-')[0]}-*-of-*.gguf"))


def _write(path: Path, packed: PackedModel) -> None:
    arrays = {"arena": packed.arena, "matrices": packed.matrices}
    metadata = {"sha256": _digest(packed), "pad": ""}
    write_safetensors(path, arrays, metadata)
    # the mapped arena shall begin on a cache line: make the header as much longer
    start = _arena_start(path)
    if start % ALIGNMENT:
        metadata["pad"] = " " * (-start % ALIGNMENT)
        write_safetensors(path, arrays, metadata)


def _arena_start(path: Path) -> int:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return 8 + length + header["arena"]["data_offsets"][0]


def _read(path: Path) -> PackedModel | None:
    """What is in the file, or None where it is missing or is not what was written."""
    if not path.exists():
        return None
    try:
        file = open_safetensors(path)
        matrices = np.ascontiguousarray(file["matrices"].raw()).view(np.int64)
        packed = PackedModel(file["arena"].payload, matrices)
        good = file.metadata["sha256"] == _digest(packed)
    except (WorkbenchError, KeyError):
        return None
    return packed if good else None


def _digest(packed: PackedModel) -> str:
    digest = hashlib.sha256(packed.matrices.tobytes())
    digest.update(packed.arena)
    return digest.hexdigest()
