"""Download one file over HTTP: resumed where it stopped, checked by its SHA-256."""

import hashlib
import http
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from workbench.errors import WorkbenchError

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all (0: unknown), and what is being done."""

CHUNK = 1 << 20
SECONDS = 30  # without a single byte before a connection counts as dead
DROPS = 4  # connections in a row that may break without a single new byte


def download(url: str, part: Path, sha256: str, progress: Progress) -> Path:
    """Complete the partial file `part` from `url`; returns `part` once its hash is right.

    A partial file of an earlier call is continued by an HTTP range request. One whose hash comes
    out wrong is deleted, and a continued one is then loaded again from the start.

    Parameters
    ----------
    url : str
        http, https or file.
    part : Path
        Where the bytes go. It is kept when the download stops half-way.
    sha256 : str
        Of the complete file, in hexadecimal.
    progress : callable

    Raises
    ------
    WorkbenchError
        No connection, a refusal, or wrong bytes; one sentence.
    """
    resumed = _size(part) > 0
    _complete(url, part, progress)
    if file_sha256(part, progress) == sha256:
        return part
    part.unlink()
    if resumed:  # the old half may have been the bad one
        return download(url, part, sha256, progress)
    raise WorkbenchError(
        "what came was not the file that was asked for (its SHA-256 differs), so it was deleted"
    )


def file_sha256(path: Path, progress: Progress) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest, done, total = hashlib.sha256(), 0, _size(path)
    with open(path, "rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
            done += len(block)
            progress(done, total, "checking")
    return digest.hexdigest()


def _complete(url: str, part: Path, progress: Progress) -> None:
    """Append to `part` until it is whole, over as many connections as it takes."""
    drops = 0
    while drops < DROPS:
        before = _size(part)
        try:
            if _receive(url, part, progress):
                return
        except urllib.error.HTTPError as error:
            raise WorkbenchError(f"the server answered {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            if before == 0:
                raise WorkbenchError(f"no connection ({error.reason})") from None
        except (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException):
            pass  # continued below
        drops = 0 if _size(part) > before else drops + 1
    raise WorkbenchError(
        f"the connection broke after {_size(part):,} bytes; they are kept, and the same command "
        "goes on from there"
    )


def _receive(url: str, part: Path, progress: Progress) -> bool:
    """One request, appended to `part`; says whether the file is now whole."""
    done = _size(part)
    headers = {"User-Agent": "ternary-workbench"}
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=SECONDS
        )
    except urllib.error.HTTPError as error:
        error.close()
        if not done or error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # nothing lies beyond what we have: whole, or another file's; the hash will tell
        return True
    with response:
        if done and response.status != http.HTTPStatus.PARTIAL_CONTENT:
            done = 0  # the server sends everything again
        left = int(response.headers.get("Content-Length") or 0)
        total = done + left if left else 0
        with open(part, "ab" if done else "wb") as file:
            while block := response.read(CHUNK):
                file.write(block)
                done += len(block)
                progress(done, total, "downloading")
    return not total or done == total


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
