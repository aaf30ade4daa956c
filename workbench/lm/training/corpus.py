"""The text that our own model learns: public-domain English out of Debian packages, or any files.

The King James Bible of `bible-kjv`, a document a chapter, and the Jargon File of `jargon-text`, a
document an entry or section. Every fortieth document is held out and never trained on.
"""

import gzip
import hashlib
import itertools
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from workbench.errors import WorkbenchError

ALL_VERSES = "gen1:1-rev22:21"
VERSE = re.compile(r"(?P<chapter>\w+):\d+ (?P<text>.+)")
JARGON = "usr/share/doc/jargon-text/jargon.txt.gz"
FIRST_SECTION = "\nChapter 1. "  # the table of contents comes before
ENTRY = re.compile(r"   :.+:")  # "   :abbrev: /@breev'/, ...", which begins an entry
DRAWN = re.compile("[\u2500-\u257f]|   {3,}")  # tables, diagrams, longer listings
FEWEST_WORDS = 8  # the lexicon's lists of entries are shorter, its paragraphs are not
HELD_OUT = 40  # one document of this many
MEND = (
    "run `apt-get download bible-kjv bible-kjv-text jargon-text` in an empty folder and name it "
    "with --packages, or give text files of your own with --text"
)


@dataclass(frozen=True)
class Source:
    """A text as it was found.

    Attributes
    ----------
    name : str
        What it is, with where it came from.
    nbytes : int
    sha256 : str
        Of its bytes, before anything was cut out of it.
    """

    name: str
    nbytes: int
    sha256: str


@dataclass(frozen=True)
class Corpus:
    """Documents to learn from and documents to be judged by.

    Attributes
    ----------
    training, held_out : tuple of str
        Each a document without an empty line or a line break at its end.
    sources : tuple of Source
    """

    training: tuple[str, ...]
    held_out: tuple[str, ...]
    sources: tuple[Source, ...]

    @property
    def held_out_text(self) -> str:
        """The held-out documents as one text, as the file beside a model has them."""
        return "\n".join(self.held_out) + "\n"


def debian_corpus(packages: Path | None = None) -> Corpus:
    """The Bible and the Jargon File, from the installed packages or a folder of them.

    Parameters
    ----------
    packages : path, optional
        Folder with the .deb files of bible-kjv, bible-kjv-text and jargon-text, or with what
        `dpkg-deb -x` made of them; by default they are looked for where Debian installs them.

    Raises
    ------
    WorkbenchError
        A text is missing, or a package cannot be unpacked.
    """
    root = Path("/") if packages is None else Path(packages)
    if not root.is_dir():
        raise WorkbenchError(f"--packages {root} is no folder; {MEND}")
    with TemporaryDirectory() as unpacked:
        archives = [] if packages is None else sorted(root.glob("*.deb"))
        for archive in archives:
            _run(["dpkg-deb", "-x", archive, unpacked])
        if archives:
            root = Path(unpacked)
        bible, jargon = _bible(root), _jargon(root)
    documents = [*_chapters(bible.decode()), *_entries(jargon.decode().replace("\xa0", " "))]
    sources = (
        _source("King James Bible, as `bible -f` of Debian's bible-kjv prints it", bible),
        _source("Jargon File, jargon.txt of Debian's jargon-text", jargon),
    )
    return _split(documents, sources)


def files_corpus(paths: Sequence[Path]) -> Corpus:
    """Text files of the user's: a document is what stands between empty lines.

    Raises
    ------
    WorkbenchError
        A file that cannot be read or is not UTF-8, or too little text to hold some out.
    """
    documents, sources = [], []
    for path in paths:
        try:
            content = Path(path).read_bytes()
            text = content.decode()
        except OSError as error:
            raise WorkbenchError(f"--text {path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise WorkbenchError(f"--text {path}: byte {error.start} is not UTF-8") from None
        pieces = re.split(r"\n\s*\n", text.replace("\r\n", "\n"))
        documents += [piece.strip("\n") for piece in pieces if piece.strip()]
        sources.append(_source(Path(path).name, content))
    return _split(documents, tuple(sources))


def _split(documents: list[str], sources: tuple[Source, ...]) -> Corpus:
    held_out = documents[HELD_OUT // 2 :: HELD_OUT]
    if not held_out:
        raise WorkbenchError(
            f"the text has {len(documents)} documents, but must have more than {HELD_OUT // 2} to "
            "hold some out; empty lines separate documents"
        )
    training = [text for at, text in enumerate(documents) if at % HELD_OUT != HELD_OUT // 2]
    return Corpus(tuple(training), tuple(held_out), sources)


def _source(name: str, content: bytes) -> Source:
    return Source(name, len(content), hashlib.sha256(content).hexdigest())


def _bible(root: Path) -> bytes:
    program = root / "usr/bin/bible"
    if not program.is_file():
        raise WorkbenchError(f"{program}, which prints the King James Bible, is missing; {MEND}")
    folder = root / "usr/lib"
    if not (folder / "bible.data").is_file():
        raise WorkbenchError(f"{folder / 'bible.data'} (bible-kjv-text) is missing; {MEND}")
    # it looks for its data in the current folder first
    return _run([program.absolute(), "-f", ALL_VERSES], folder)


def _jargon(root: Path) -> bytes:
    path = root / JARGON
    if not path.is_file():
        raise WorkbenchError(f"{path}, the Jargon File, is missing; {MEND}")
    return gzip.decompress(path.read_bytes())


def _run(command: list, folder: Path | None = None) -> bytes:
    if shutil.which(command[0]) is None:
        raise WorkbenchError(f"{command[0]} is not a program on this machine; {MEND}")
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"status {done.returncode}"
        raise WorkbenchError(f"{command[0]} failed ({said.splitlines()[-1]}); {MEND}")
    return done.stdout


def _chapters(text: str) -> list[str]:
    """A document a chapter, a line a verse, without the verses' numbers."""
    verses = [VERSE.fullmatch(line) for line in text.splitlines()]
    chapters = itertools.groupby(filter(None, verses), lambda verse: verse["chapter"])
    return ["\n".join(verse["text"] for verse in chapter) for _, chapter in chapters]


def _entries(text: str) -> list[str]:
    """A document an entry or section, a line a paragraph; no lists of names, no diagrams."""
    documents: list[list[str]] = []
    _, _, body = text.partition(FIRST_SECTION)
    for block in re.split(r"\n\s*\n", FIRST_SECTION.lstrip() + body):
        paragraph = " ".join(block.split())
        if DRAWN.search(block.lstrip()):
            continue
        if ENTRY.match(block) or not block.startswith(" "):
            documents.append([paragraph])
        elif len(paragraph.split()) >= FEWEST_WORDS:
            documents[-1].append(paragraph)
    return ["\n".join(document) for document in documents if len(document) > 1]
