"""Coverage-guided fuzzing of the GGUF reader with atheris; not part of `make test`.

    pip install atheris
    python tests/fuzz_gguf.py -max_total_time=60 [-rss_limit_mb=2048] [CORPUS_FOLDER]

Ends with an error and keeps the input where `gguf_oracle.accepted` finds a promise broken.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["workbench.formats"]):
    import workbench.formats  # noqa: F401

from gguf_bytes import samples
from gguf_oracle import accepted

path = Path(tempfile.mkdtemp(prefix="fuzz-gguf-")) / "input.gguf"


def one_input(data: bytes) -> None:
    path.write_bytes(data or b"\0")
    accepted(path)


def main() -> None:
    corpus = path.parent / "corpus"
    corpus.mkdir()
    for number, sample in enumerate(samples()):
        (corpus / str(number)).write_bytes(sample)
    atheris.Setup([*sys.argv, str(corpus)], one_input)
    atheris.Fuzz()


main()
