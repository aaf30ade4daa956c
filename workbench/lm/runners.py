"""One way to open either path of a model: the reference, or the fast one."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import final, get_args

from threadpoolctl import threadpool_limits

from workbench.errors import WorkbenchError
from workbench.lm.config import Activation
from workbench.lm.engine import Engine
from workbench.lm.generation import Runner
from workbench.lm.model import Model, open_language_model
from workbench.lm.packing import Form
from workbench.measure.machine import check_threads
from workbench.models import Weights

REFERENCE = "reference"


@final
class NumpyThreads(AbstractContextManager):
    """Holds NumPy's products to so many threads, as often as it is entered.

    More than the cores that are free are slow: they wait by spinning.
    """

    def __init__(self, threads: int):
        self.threads = threads

    def __enter__(self) -> None:
        self._limits = threadpool_limits(self.threads)

    def __exit__(self, *raised) -> None:
        self._limits.restore_original_limits()


def open_runner(
    model: str | os.PathLike | Weights | Model,
    weights: str = "file",
    threads: int = 1,
    *,
    activation: Activation | None = None,
) -> tuple[Runner, AbstractContextManager]:
    """A model that runs, and a context that holds it to so many threads while it does.

    Parameters
    ----------
    model : str, path, Weights or Model
    weights : str
        "reference" for float32 NumPy, `Model`; otherwise the fast path, `Engine`, with its weights
        in memory as "file", "planar", "base3", "int8" or "int4".
    threads : int
    activation : "silu" or "relu2", optional
        As of `open_language_model`; for what is not a Model yet.

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
    if not isinstance(model, Model):
        model = open_language_model(model, activation=activation)
    if weights == REFERENCE:
        return model, NumpyThreads(threads)
    return Engine(model, weights, threads), nullcontext()
