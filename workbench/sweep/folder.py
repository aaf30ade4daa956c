"""The folder of a sweep: what ended is in it, whole, whatever happens to whoever wrote it.

A job has two files, named by its id: ``notebooks/NAME-ID.ipynb`` as it was executed, and then
``results/ID.json``, which says that it ended. Each appears whole or not at all (written beside,
then renamed; object stores put whole objects anyway). Two sweeps may therefore use one folder at
once: at worst both run a job that neither has ended yet, and one result replaces its equal.
"""

import json
import os
import re
import uuid
from collections.abc import Iterable
from contextlib import suppress
from typing import final

import fsspec

from workbench.errors import WorkbenchError

RESULTS, NOTEBOOKS, TABLE, REPORT = "results", "notebooks", "table.parquet", "report.html"
KEYS = {"id", "notebook", "source", "parameters", "status", "error", "recorded", "started"}


@final
class Folder:
    """Where a sweep keeps its results.

    Parameters
    ----------
    url : str or path
        A folder, or an fsspec address such as ``s3://bucket/sweep``.

    Raises
    ------
    WorkbenchError
        There is no such kind of place, or its package is not installed.
    """

    def __init__(self, url: str | os.PathLike):
        self.url = os.fspath(url)
        try:
            self._files, self._root = fsspec.core.url_to_fs(os.path.expanduser(self.url))
        except (ImportError, ValueError) as error:
            raise WorkbenchError(f"{self.url} is no folder that can be used: {error}") from None
        self._local = "file" in ([self._files.protocol, *self._files.protocol])

    def __str__(self) -> str:
        return self._root if self._local else self.url

    def prepare(self) -> None:
        """Make the folder and write into it; WorkbenchError where that is not possible."""
        for part in (RESULTS, NOTEBOOKS):
            try:
                self._files.makedirs(self._path(part), exist_ok=True)
            except OSError as error:
                raise self._refuse(error) from None
        probe = f"{RESULTS}/.writable-{uuid.uuid4().hex}"
        self.write(probe, b"")
        with suppress(OSError):
            self._files.rm_file(self._path(probe))

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all; WorkbenchError where the disk is full or read-only."""
        path = self._path(name)
        try:
            if not self._local:
                self._files.pipe_file(path, content)
                return
            beside = f"{path}.{uuid.uuid4().hex}.part"
            try:
                with open(beside, "xb") as file:
                    file.write(content)
                os.replace(beside, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(beside)
                raise
        except OSError as error:
            raise self._refuse(error) from None

    def read(self, name: str) -> bytes | None:
        """A file's content; None if it is not there."""
        try:
            return self._files.cat_file(self._path(name))
        except FileNotFoundError:
            return None

    def put(self, row: dict, notebook: str | None) -> None:
        """Keep what a job left: its notebook first, for the row says that the job ended."""
        if notebook is not None:
            self.write(notebook_path(row), notebook.encode())
        self.write(f"{RESULTS}/{row['id']}.json", json.dumps(row, allow_nan=True).encode())

    def row(self, job_id: str) -> dict | None:
        """What a job left; None if it has not ended."""
        content = self.read(f"{RESULTS}/{job_id}.json")
        return None if content is None else _parse(content)

    def rows(self) -> Iterable[dict]:
        """What every job left, in no order."""
        try:
            names = self._files.ls(self._path(RESULTS), detail=False)
        except FileNotFoundError:
            return
        names = [name for name in names if name.endswith(".json")]
        if self._local:  # one by one: fsspec looks at each file twice
            contents = (_read(name) for name in names)
        else:  # many at once: a request takes tens of milliseconds
            contents = self._files.cat(names, on_error="omit").values() if names else ()
        for content in contents:
            row = None if content is None else _parse(content)
            if row is not None:
                yield row

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _refuse(self, error: OSError) -> WorkbenchError:
        return WorkbenchError(f"{self} cannot be written: {error.strerror or error}")


def notebook_path(row: dict) -> str:
    """Where the executed notebook of a job lies in the folder."""
    return f"{NOTEBOOKS}/{re.sub(r'[^A-Za-z0-9_.-]', '_', row['notebook'])}-{row['id']}.ipynb"


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:  # replaced or removed meanwhile
        return None


def _parse(content: bytes) -> dict | None:
    """A row, or None where the file is not one, so that the job runs again."""
    try:
        row = json.loads(content)
    except ValueError:
        return None
    return row if isinstance(row, dict) and row.keys() >= KEYS else None
