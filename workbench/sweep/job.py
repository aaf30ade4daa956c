"""One job: a notebook run with one combination of parameters, on whatever machine it lands.

A worker needs this package and the files that the notebook reads; the notebook comes with the job.
"""

import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

import traitlets
from jupyter_client.manager import AsyncKernelManager
from traitlets.config import Config

from workbench.errors import WorkbenchError
from workbench.sweep.folder import Folder
from workbench.sweep.recording import VARIABLE, read_recorded

START_S = 60  # a kernel that takes longer to start has failed to
PACKAGES = ("ternary-workbench", "numpy", "papermill", "nbclient", "ipykernel", "distributed")


@final
class JobKernelManager(AsyncKernelManager):
    """Starts the kernel of a job with the file for its numbers, and ends it in peace.

    The interrupt that comes before a shutdown request is left out: with it, one kernel in eight
    overlooked the request. One that still does is ended after half of the time to wait.
    """

    shutdown_wait_time = traitlets.Float(1.0)  # seconds; by default 5
    recorded = traitlets.Unicode(help="the file that `record` writes to").tag(config=True)

    async def _async_pre_start_kernel(self, **options):
        environment = {**os.environ, VARIABLE: self.recorded}
        return await super()._async_pre_start_kernel(**{"env": environment} | options)

    pre_start_kernel = _async_pre_start_kernel

    async def _async_interrupt_kernel(self):
        pass

    interrupt_kernel = _async_interrupt_kernel


@final
@dataclass(frozen=True)
class Job:
    """A notebook and the values of its parameters.

    Attributes
    ----------
    notebook : str
        Name.
    text : str
        The notebook's file.
    parameters : dict
    id : str
        16 hexadecimal digits of the SHA-256 of name, code and parameters: whoever asks for the
        same job asks for the same id, and finds its result.
    """

    notebook: str
    text: str = field(repr=False)
    parameters: dict
    source: str  # a hash of the notebook's code, which is the same for all jobs of a sweep

    @cached_property
    def id(self) -> str:
        """What its files are called."""
        return _digest([self.notebook, self.source, self.parameters])


def source_of(text: str) -> str:
    """Hash of a notebook's code; outputs, prose and metadata do not count."""
    cells = json.loads(text)["cells"]
    return _digest(["".join(c["source"]) for c in cells if c["cell_type"] == "code"])


def run_job(job: Job, limit_s: float, shared: str | None = None) -> tuple[dict, str | None]:
    """Run a job; whatever the notebook does, this returns.

    Parameters
    ----------
    job : Job
    limit_s : float
        Seconds that all its cells together may take.
    shared : str, optional
        The sweep's folder, where workers are to write into it themselves.

    Returns
    -------
    row : dict
        JSON values: id, notebook, source, parameters, status ("ok" or "failed"), error, recorded,
        seconds, started, attempts, machine, versions.
    notebook : str or None
        The executed notebook's file; None where the worker has written it.

    Raises
    ------
    WorkbenchError
        The shared folder cannot be written.
    """
    if shared is None:
        return _run(job, limit_s)
    folder = Folder(shared)
    row = folder.row(job.id)  # a worker that died may have written it before
    if row is None or row["status"] != "ok":
        row, text = _run(job, limit_s)
        folder.put(row, text)
    return row, None


def row_of(job: Job, error: str = "", **found) -> dict:
    """The row of a job that ended, with an error or without."""
    row = {
        "id": job.id,
        "notebook": job.notebook,
        "source": job.source,
        "parameters": job.parameters,
        "status": "failed" if error else "ok",
        "error": error,
        "recorded": {},
        "seconds": 0.0,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "attempts": 1,
        "machine": {},
        "versions": {},
    }
    return row | found


def _run(job: Job, limit_s: float) -> tuple[dict, str]:
    started, begin = datetime.now(UTC), time.perf_counter()
    attempts = 1
    error, recorded, text, any_cell = _attempt(job, limit_s)
    if error and not any_cell:  # the kernel failed to start, which a busy machine makes happen
        attempts = 2
        error, recorded, text, _ = _attempt(job, limit_s)
    row = row_of(
        job,
        error,
        recorded=recorded,
        seconds=round(time.perf_counter() - begin, 3),
        started=started.isoformat(timespec="seconds"),
        attempts=attempts,
        machine=_machine(),
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
    )
    return row, text


def _attempt(job: Job, limit_s: float) -> tuple[str, dict, str, bool]:
    """Run once: error (empty: none), recorded numbers, executed notebook, whether a cell ran."""
    import papermill

    logging.getLogger("papermill").setLevel(logging.CRITICAL + 1)  # the row says what went wrong
    until = time.monotonic() + limit_s
    with TemporaryDirectory(prefix="workbench-job-") as scratch:
        source, executed = Path(scratch, "notebook.ipynb"), Path(scratch, "executed.ipynb")
        file = Path(scratch, "recorded.jsonl")
        source.write_text(job.text, encoding="utf-8")
        error = ""
        try:
            papermill.execute_notebook(
                str(source),
                str(executed),
                job.parameters,
                progress_bar=False,
                start_timeout=START_S,
                extra_arguments=["--log-level=CRITICAL"],  # of what is no concern of a job
                kernel_manager_class=JobKernelManager,
                config=Config(JobKernelManager={"recorded": str(file)}),
                timeout_func=lambda _cell: max(until - time.monotonic(), 0.1),
            )
        except Exception as caught:
            error = _sentence(caught, limit_s)
        recorded = read_recorded(file.read_text(encoding="utf-8")) if file.exists() else {}
        ran = executed if executed.exists() else source
        return error, recorded, *_tidy(ran.read_text(encoding="utf-8"), job)


def _tidy(text: str, job: Job) -> tuple[str, bool]:
    """The executed notebook without megabytes of widget state, and whether a cell of it ran."""
    notebook = json.loads(text)
    notebook["metadata"].pop("widgets", None)
    about = notebook["metadata"].get("papermill", {})
    for key in ("input_path", "output_path"):
        about.pop(key, None)  # in a folder that is gone
    notebook["metadata"]["workbench_job"] = {"id": job.id, "notebook": job.notebook}
    starts = [c["metadata"].get("papermill", {}).get("start_time") for c in notebook["cells"]]
    return json.dumps(notebook, indent=1, ensure_ascii=False), any(starts)


def _sentence(error: Exception, limit_s: float) -> str:
    """What went wrong, in one line."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        said = f"cell {error.exec_count}: {error.ename}: {error.evalue}"
    elif isinstance(error, CellTimeoutError):
        said = f"not done after {limit_s:g} s, the time limit of a job"
    elif isinstance(error, DeadKernelError):
        said = "the kernel died (out of memory, or a crash in compiled code)"
    elif isinstance(error, WorkbenchError):
        said = str(error)
    else:
        said = f"{type(error).__name__}: {error}"
    return " ".join(said.split())[:1000]


def _machine() -> dict:
    from workbench.measure.machine import machine_facts

    return {"host": platform.node()} | machine_facts()


def _digest(content) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
