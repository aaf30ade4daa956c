"""One way to open either path of a model: the reference, or the fast one."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import get_args

from threadpoolctl import threadpool_limits

from workbench.errors import WorkbenchError
from workbench.lm.config import Activation
from workbench.lm.engine import Engine
from workbench.lm.generation import Runner
from workbench.lm.model import open_language_model
from workbench.lm.packing import Form
from workbench.measure.machine import check_threads
from workbench.models import Weights

REFERENCE = "reference"


def open_runner(
    model: str | os.PathLike | Weights,
    weights: str = "file",
    threads: int = 1,
    *,
    activation: Activation | None = None,
) -> tuple[Runner, AbstractContextManager]:
    """A model that runs, and a context that holds it to so many threads while it does.

    Parameters
    ----------
    model : str, path or Weights
    weights : str
        "reference" for float32 NumPy, `Model`; otherwise the fast path, `Engine`, with its weights
        in memory as "file", "planar", "base3", "int8" or "int4".
    threads : int
    activation : "silu" or "relu2", optional
        As of `open_language_model`.

    Raises
    ------
    WorkbenchError
        Another form, a number of threads that is not allowed, or what `open_language_model` and
        `Engine` refuse.
    """
    forms = (REFERENCE, *get_args(Form))
    if weights not in forms:
        raise WorkbenchError(f"weights is {weights!r}, but must be one of {', '.join(forms)}")
    check_threads(threads)
    if weights == REFERENCE:
        # NumPy's own threads, which are slow beside other work: they wait by spinning
        return open_language_model(model, activation=activation), threadpool_limits(threads)
    return Engine(model, weights, threads, activation=activation), nullcontext()
