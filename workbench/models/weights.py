"""Open a model: named, lazily read tensors and their metadata, whatever the file format."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import final

from workbench.errors import FormatError, WorkbenchError
from workbench.formats import Tensor, open_gguf, open_safetensors
from workbench.models.known import catalog

INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
SPLIT = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<parts>\d{5})\.gguf")


@final
class Weights(Mapping[str, Tensor]):
    """The tensors of a model by name. Nothing is read before a tensor's `read` or `raw`.

    Attributes
    ----------
    name : str
        The catalog's name, or the name of the file or folder.
    path : Path
    architecture : str
        Such as "llama", or "unknown".
    metadata : mapping
        GGUF's key-value pairs, or config.json and the metadata of safetensors.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        architecture: str,
        metadata: Mapping,
        tensors: Mapping[str, Tensor],
    ):
        self.name = name
        self.path = path
        self.architecture = architecture
        self.metadata = metadata
        self._tensors = tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"<Weights {self.name!r}: {self.architecture}, {len(self)} tensors>"


def open_model(path_or_name: str | os.PathLike) -> Weights:
    """Open a model of the catalog, or a file or folder of your own.

    Parameters
    ----------
    path_or_name : str or path
        A name from `catalog()`; a .gguf or .safetensors file (the first part, where a GGUF model
        is split); or a folder that holds one model.

    Raises
    ------
    WorkbenchError
        No such name or file, a model that was not fetched yet, or a folder without one clear model.
    FormatError
        The file is not what it claims to be.
    """
    known = catalog()
    if isinstance(path_or_name, str) and path_or_name in known:
        entry = known[path_or_name]
        if not entry.present:
            state = "is damaged" if entry.path.exists() else "is not on this machine yet"
            raise WorkbenchError(
                f"the model {entry.name!r} {state}: run `workbench models fetch {entry.name}`"
            )
        return _open_path(entry.path, entry.name)
    path = Path(path_or_name).expanduser()
    if not path.exists():
        raise WorkbenchError(
            f"{os.fspath(path_or_name)!r} is neither a file or folder nor a model of the catalog "
            f"({', '.join(known)})"
        )
    return _open_path(path, path.name)


def _open_path(path: Path, name: str) -> Weights:
    if path.is_dir():
        path = _model_in(path)
    if _is_gguf(path):
        metadata, tensors = _read_gguf(path)
        architecture = metadata.get("general.architecture")
    else:
        metadata, tensors = _read_safetensors(path)
        architecture = metadata.get("model_type")
    if not isinstance(architecture, str):
        architecture = "unknown"
    return Weights(name, path, architecture, metadata, tensors)


def _model_in(folder: Path) -> Path:
    """The one file of a folder to open: its index, its only safetensors, or its only GGUF."""
    if (folder / INDEX).is_file():
        return folder / INDEX
    for pattern in ("*.safetensors", "*.gguf"):
        found = sorted(folder.glob(pattern))
        splits = [SPLIT.fullmatch(path.name) for path in found]
        if splits and all(splits) and len({split["stem"] for split in splits}) == 1:
            return found[0]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(path.name for path in found)
            raise WorkbenchError(f"{folder}: holds several models ({names}); name one of them")
    raise WorkbenchError(f"{folder}: holds no .safetensors and no .gguf file")


def _is_gguf(path: Path) -> bool:
    """By its first bytes or its suffix; the reader says what is wrong where they disagree."""
    if not path.is_file():
        raise WorkbenchError(f"{path}: not a regular file")
    with open(path, "rb") as file:
        start = file.read(4)
    return start == b"GGUF" or path.suffix == ".gguf"


def _read_gguf(path: Path) -> tuple[Mapping, Mapping[str, Tensor]]:
    split = SPLIT.fullmatch(path.name)
    if split is None:
        file = open_gguf(path)
        return file.metadata, file
    parts = int(split["parts"])
    files = []
    for part in range(1, parts + 1):
        sibling = path.with_name(f"{split['stem']}-{part:05d}-of-{split['parts']}.gguf")
        if not sibling.exists():
            raise WorkbenchError(f"{path}: part {part} of {parts} is missing ({sibling.name})")
        files.append(open_gguf(sibling))
    return files[0].metadata, _merged(path, files)


def _read_safetensors(path: Path) -> tuple[Mapping, Mapping[str, Tensor]]:
    config = _json(path.with_name(CONFIG)) if path.with_name(CONFIG).is_file() else {}
    if path.suffix != ".json":
        file = open_safetensors(path)
        return {**config, **file.metadata}, file
    index = _json(path)
    places = index.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(p, str) for p in places.values()):
        raise FormatError(path, 0, "its 'weight_map' does not map tensors to files")
    files = []
    for name in sorted(set(places.values())):
        if Path(name).name != name:  # an index has no business outside its folder
            raise FormatError(path, 0, f"it points to {name!r}, which is outside its folder")
        if not path.with_name(name).is_file():
            raise WorkbenchError(f"{path}: the file {name} that it names is missing")
        files.append(open_safetensors(path.with_name(name)))
    tensors = _merged(path, files)
    if missing := sorted(set(places) - set(tensors)):
        raise FormatError(path, 0, f"it names the tensor {missing[0]!r}, which no file holds")
    return config, tensors


def _merged(path: Path, files: list[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in files:
        if twice := sorted(set(file) & set(tensors)):
            raise FormatError(path, 0, f"the tensor {twice[0]!r} is in two of its files")
        tensors.update(file)
    return tensors


def _json(path: Path) -> dict:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FormatError(path, getattr(error, "pos", 0), f"not valid JSON ({error})") from None
    if not isinstance(content, dict):
        raise FormatError(path, 0, "not a JSON object")
    return content
