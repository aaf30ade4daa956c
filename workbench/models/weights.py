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


def open_model(
    path_or_name: str | os.PathLike, *, weight_scale: str | None = None, i2_s: str = "x86"
) -> Weights:
    """Open a model of the catalog, or a file or folder of your own.

    Parameters
    ----------
    path_or_name : str or path
        A name from `catalog()`; a .gguf or .safetensors file (any part, where a GGUF model is
        split), an index of safetensors; or a folder that holds one model.
    weight_scale, i2_s : str, optional
        What packed BitNet files do not say; see `open_safetensors` and `open_gguf`. By default
        config.json tells the first.

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
        return _open_gguf(entry.path, entry.name, i2_s)
    path = Path(path_or_name).expanduser()
    if not path.exists():
        raise WorkbenchError(
            f"{os.fspath(path_or_name)!r} is neither a file or folder nor a model of the catalog "
            f"({', '.join(known)})"
        )
    file = _model_in(path) if path.is_dir() else path
    if _is_gguf(file):
        return _open_gguf(file, path.name, i2_s)
    return _open_safetensors(file, path.name, weight_scale)


def _model_in(folder: Path) -> Path:
    """The one file of a folder to open: its index, its only safetensors, or its only GGUF."""
    if (folder / INDEX).is_file():
        return folder / INDEX
    for pattern in ("*.safetensors", "*.gguf"):
        found = sorted(folder.glob(pattern))
        splits = [SPLIT.fullmatch(path.name) for path in found]
        if len(found) == 1 or (splits and all(splits) and len({s["stem"] for s in splits}) == 1):
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
        return file.read(4) == b"GGUF" or path.suffix == ".gguf"


def _open_gguf(path: Path, name: str, i2_s: str) -> Weights:
    file = open_gguf(path, i2_s=i2_s)
    architecture = file.metadata.get("general.architecture")
    return Weights(name, path, _word(architecture), file.metadata, file)


def _open_safetensors(path: Path, name: str, weight_scale: str | None) -> Weights:
    config = _read_config(path.with_name(CONFIG))
    file = open_safetensors(path, weight_scale=weight_scale or _weight_scale(config))
    return Weights(name, path, _word(config.get("model_type")), config | file.metadata, file)


def _read_config(path: Path) -> dict:
    """What Hugging Face's config.json beside a file says; nothing where there is none."""
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FormatError(path, getattr(error, "pos", 0), "not JSON that can be read") from None
    if not isinstance(config, dict):
        raise FormatError(path, 0, "not a JSON object")
    return config


def _weight_scale(config: dict) -> str | None:
    """What the layer class of a packed BitNet model does with its scales."""
    quantization = config.get("quantization_config")
    if not isinstance(quantization, dict) or quantization.get("quant_method") != "bitnet":
        return None
    # transformers' default, and all there was before the key existed
    layer = quantization.get("linear_class", "bitlinear")
    return {"bitlinear": "divide", "autobitlinear": "multiply"}.get(layer)


def _word(value: object) -> str:
    return value if isinstance(value, str) else "unknown"
