"""What happens until a model's first token: time and memory of each step, warm and cold.

Three routes are gone, each in a process of its own:

========= ========================================================================================
pack      the first start of the fast path: its weights are packed and saved
engine    every later start of it: the packed weights are mapped
reference float32: every tensor is decoded
========= ========================================================================================

>>> from workbench.lm import load_profile
>>> for row in load_profile("smollm2-135m"):  # doctest: +SKIP
...     print(row["route"], row["state"], row["phase"], row["time_s"])

Reading and mapping a file by itself, decoding alone, and threads: `workbench.measure.mapping`,
`workbench.measure.decoding`, `workbench.measure.pools`.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import get_args

from workbench.errors import WorkbenchError
from workbench.lm.config import Activation
from workbench.lm.model import open_language_model
from workbench.lm.packing import Form
from workbench.measure.asking import Asked
from workbench.measure.machine import check_threads
from workbench.measure.mapping import STATES, drop_cache
from workbench.models import Weights
from workbench.paths import cache_dir

ROUTES = ("pack", "engine", "reference")
Progress = Callable[[int, int, str], None]


def load_profile(
    model: str | os.PathLike | Weights,
    *,
    weights: Form = "file",
    threads: int = 1,
    routes: Sequence[str] = ROUTES,
    states: Sequence[str] = STATES,
    repeats: int = 3,
    activation: Activation | None = None,
    progress: Progress | None = None,
) -> list[dict]:
    """Load a model in processes of their own and time every step.

    Packed weights go to a temporary folder in the cache folder, so the user's own are neither used
    nor written. Cold means that the model's file and the packed weights are not in memory; Python
    and its modules are.

    Parameters
    ----------
    model : str, path or Weights
        What `open_language_model` opens, in one file; it is opened again by its path.
    weights : {"file", "planar", "base3", "int8", "int4"}
        Form of the packed weights.
    threads : int
        Of the fast path, and of NumPy on the reference path.
    routes : sequence of "pack", "engine", "reference"
    states : sequence of "warm" and "cold"
        "pack" is gone once, as the files happen to be.
    repeats : int
    activation : "silu" or "relu2", optional
        As of `open_language_model`.
    progress : callable (done, total, what), optional

    Returns
    -------
    list of dict
        model, route, state, phase, type (of the tensors that are decoded, else ""), time_s, min_s,
        max_s (median, least and most of the repeats), share (of the route's median time), nbytes
        (what the step made or read, None where that is nothing), gb_per_s, rss_bytes, pss_bytes,
        uss_bytes (of the process after the step), note (why a cold run is not here, else "").
        A route that could not be gone cold is one row without numbers.

    Raises
    ------
    WorkbenchError
        What `open_language_model` refuses, or a route, state, form or number that is not allowed.
    """
    for what, chosen, allowed in (
        *(("route", route, ROUTES) for route in routes),
        *(("state", state, STATES) for state in states),
        ("weights", weights, get_args(Form)),
    ):
        if chosen not in allowed:
            raise WorkbenchError(f"{what} {chosen!r} is not allowed: {' or '.join(allowed)}")
    if repeats < 1:
        raise WorkbenchError(f"repeats={repeats} is not allowed: it is a whole number from 1 up")
    check_threads(threads)
    name, told = _told(model, weights, threads, activation)
    planned = [
        (route, state)
        for route in ROUTES  # in this order: the second needs what the first saves
        if route in routes or (route == "pack" and "engine" in routes)
        for state in (("as it is",) if route == "pack" else states)
    ]
    rows = []
    with _packed_folder() as folder:
        for done, (route, state) in enumerate(planned):
            if progress is not None:
                progress(done, len(planned), f"{route}, {state}")
            runs = []
            for _ in range(1 if route == "pack" else repeats):
                note = _prepare(state, [Path(told["path"]), *folder.rglob("*.safetensors")])
                if note:
                    break
                with _loaded(told | {"route": route}, folder) as (_, steps):
                    runs.append(steps)
            if route in routes:
                rows += _rows({"model": name, "route": route, "state": state}, runs, note)
    if progress is not None:
        progress(len(planned), len(planned), "")
    return rows


def load_memory(
    model: str | os.PathLike | Weights,
    processes: int = 2,
    *,
    weights: Form = "file",
    threads: int = 1,
    routes: Sequence[str] = ("engine", "reference"),
    activation: Activation | None = None,
    progress: Progress | None = None,
) -> list[dict]:
    """What each of several processes uses that hold one model at the same time.

    Parameters
    ----------
    model, weights, threads, activation
        As in `load_profile`.
    processes : int
    routes : sequence of "engine" and "reference"
    progress : callable (done, total, what), optional

    Returns
    -------
    list of dict
        model, route, file_bytes (of the model), process (from 1), rss_bytes (resident: all that the
        process sees), pss_bytes (each page divided by the processes that share it: these add up),
        uss_bytes (its alone), after two tokens, Python included; None where the system does not
        count them.
    """
    for route in routes:
        if route not in ROUTES[1:]:
            raise WorkbenchError(f"route {route!r} is not allowed: it is {' or '.join(ROUTES[1:])}")
    if processes < 1:
        raise WorkbenchError(f"processes={processes} is not allowed: it is a number from 1 up")
    check_threads(threads)
    name, told = _told(model, weights, threads, activation)
    size, rows = Path(told["path"]).stat().st_size, []
    with _packed_folder() as folder:
        if "engine" in routes:
            with _loaded(told | {"route": "pack"}, folder):
                pass
        for done, route in enumerate(routes):
            if progress is not None:
                progress(done, len(routes), f"{processes} processes, {route}")
            with ExitStack() as stack:
                loaded = [
                    stack.enter_context(_loaded(told | {"route": route}, folder))[0]
                    for _ in range(processes)
                ]
                used = [process.ask("memory") for process in loaded]
            facts = {"model": name, "route": route, "file_bytes": size}
            rows += [facts | {"process": at} | found for at, found in enumerate(used, 1)]
    if progress is not None:
        progress(len(routes), len(routes), "")
    return rows


def _told(model, weights, threads, activation) -> tuple[str, dict]:
    """The model's name, and what a process that loads it is told; the file is let go again."""
    opened = open_language_model(model, activation=activation)
    vocabulary = opened.weights.metadata.get("tokenizer.ggml.model", "none")
    return opened.weights.name, {
        "path": str(Path(opened.weights.path).resolve()),
        "weights": weights,
        "threads": threads,
        "activation": activation,
        "vocabulary": vocabulary not in ("none", "no_vocab"),
    }


@contextmanager
def _packed_folder() -> Iterator[Path]:
    """Where packed weights go meanwhile: on the disk that they would be on anyhow."""
    home = cache_dir()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        yield Path(folder)


@contextmanager
def _loaded(told: dict, folder: Path) -> Iterator[tuple[Asked, list[dict]]]:
    """A process that has loaded the model, and what its steps took."""
    told = json.dumps(told | {"started": time.time()})
    arguments = ["-m", "workbench.lm._load_steps", told]
    with Asked(arguments, {"WORKBENCH_CACHE": str(folder)}) as process:
        steps = []
        while (step := process.line())["phase"]:
            steps.append(step)
        yield process, steps


def _prepare(state: str, files: Sequence[Path]) -> str:
    """Bring files into a state; why it cannot be done, or nothing."""
    if state == "cold":
        return next(filter(None, map(drop_cache, files)), "")
    if state == "warm":
        for file in files:
            file.read_bytes()
    return ""


def _rows(facts: dict, runs: list[list[dict]], note: str) -> list[dict]:
    keys = ("time_s", "min_s", "max_s", "share", "nbytes", "gb_per_s")
    if note:
        keys = (*keys, "rss_bytes", "pss_bytes", "uss_bytes")
        return [facts | {"phase": "", "type": ""} | dict.fromkeys(keys) | {"note": note}]
    times = [[step["time_s"] for step in steps] for steps in zip(*runs, strict=True)]
    medians = [statistics.median(found) for found in times]
    rows = []
    for step, found, median in zip(runs[-1], times, medians, strict=True):
        nbytes = step["nbytes"]
        numbers = (median, min(found), max(found), median / sum(medians), nbytes)
        row = facts | {"phase": step["phase"], "type": step["type"]}
        row |= dict(zip(keys, (*numbers, nbytes and nbytes / median / 1e9), strict=True))
        row |= {key: step[key] for key in ("rss_bytes", "pss_bytes", "uss_bytes")}
        rows.append(row | {"note": ""})
    return rows
