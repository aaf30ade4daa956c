"""Notebooks and clusters for the tests of sweeps: small ones, and real ones."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

START_S = 60
TRIVIAL = """\
x: int = 1  # a number from 0 to 100
text: str = "a"  # any
seconds: float = 0.0  # to wait; at least 0
fail: bool = False  # end with an error"""
BODY = """\
import time
from workbench.sweep.recording import record
record("square", x * x)
record("text_length", len(text))
time.sleep(seconds)
assert not fail, "as asked"
record("text_again", text)"""


def write_sweep_notebook(path: Path, parameters: str | None = TRIVIAL, body: str = BODY) -> Path:
    """A notebook of two cells; without a tagged one where there are no parameters."""
    cells = [parameters, body] if parameters is not None else [body]
    made = [
        {
            "cell_type": "code",
            "id": f"cell-{index}",
            "metadata": {"tags": ["parameters"]} if source == parameters else {},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        for index, source in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4}
    path.write_text(json.dumps(content | {"nbformat_minor": 5}))
    return path


@contextmanager
def running_cluster(folder: Path, workers: int):
    """A Dask scheduler and its workers, each a process of its own; yields its address and them."""
    file = folder / "scheduler.json"
    loopback = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    started = [_start("dask_scheduler", *loopback, "--scheduler-file", file)]
    try:
        until = time.monotonic() + START_S
        while not file.exists() or not file.read_text():
            assert time.monotonic() < until, "the scheduler did not start"
            assert started[0].poll() is None, "the scheduler ended"
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        started += [_start("dask_worker", address, *options) for _ in range(workers)]
        yield address, started
    finally:
        for process in started:  # asked politely, they wait for one another
            process.kill()
            process.wait(15)


def _start(module: str, *arguments) -> subprocess.Popen:
    command = [sys.executable, "-m", f"distributed.cli.{module}", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
