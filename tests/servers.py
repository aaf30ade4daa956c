"""Servers for tests: started as a user would start them, ended whatever happens."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import nbformat

START_S = 60
STOP_S = 20


def write_notebook(path: Path, cells: list[str], **about) -> Path:
    """A notebook of these cells; those that begin with a letter are code, other ones Markdown."""
    v4 = nbformat.v4
    made = [
        v4.new_code_cell(text) if re.match(r"\w", text) else v4.new_markdown_cell(text)
        for text in cells
    ]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    if about:
        metadata["workbench"] = about
    nbformat.write(v4.new_notebook(cells=made, metadata=metadata), path)
    return path


@contextmanager
def running_server(code: str, **environment: str):
    """Run Python `code` that serves; yields the process and the address that it announces."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that its kernels end with it, whatever happens
        env={**os.environ, "JUPYTER_PLATFORM_DIRS": "1", **environment},
    )
    try:
        yield process, _announced(process)
    finally:
        _stop(process)


def _announced(process) -> str:
    until, said = time.monotonic() + START_S, ""
    while time.monotonic() < until and process.poll() is None:
        if select.select([process.stdout], [], [], 0.5)[0]:
            said += process.stdout.readline()
            if found := re.search(r"http://\S+", said):
                return found[0].replace("localhost", "127.0.0.1")
    raise AssertionError(f"the server did not start: {said}")


def _stop(process) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_S)
        process.stdout.close()


@contextmanager
def dashboard_server(folder: Path):
    """Serve the notebooks of a folder as dashboards; yields the address of the landing page."""
    code = (
        "from workbench.ui.launch import dashboards\n"
        f"dashboards(port=0, folder={os.fspath(folder)!r})"
    )
    with running_server(code) as (_, address):
        yield address
