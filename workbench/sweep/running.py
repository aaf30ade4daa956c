"""Jobs on Dask: a few more than there are workers are under way, and what ends is written down."""

import json
import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

import pandas as pd

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.sweep.folder import REPORT, TABLE, Folder
from workbench.sweep.grid import expand
from workbench.sweep.job import Job, row_of, run_job, source_of
from workbench.sweep.parameters import BUILT_IN, Notebook, open_notebook
from workbench.sweep.report import to_html
from workbench.sweep.table import newest, tidy, to_frame, to_parquet
from workbench.techniques.base import technique

LIMIT_S = 600.0  # of a job
CONNECT_S = 10.0  # to a scheduler
WORKERS_S = 60.0  # that a scheduler may be without any worker
POLL_S = 0.2
# Ctrl-C in a terminal reaches all processes, but ending the workers is up to us
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
AHEAD = 2  # jobs under way for each thread, so that none waits for us


def plan(notebook: str | Path | Notebook, grid: Mapping | Iterable[Mapping] = ()) -> list[Job]:
    """The jobs of a sweep, all parameters checked; nothing is run.

    Parameters
    ----------
    notebook : str, path or Notebook
        As `open_notebook` takes it; ``"compare"`` for one technique on one matrix a job,
        ``"sensitivity"`` for one on one layer of a language model.
    grid : mapping of parameter to values, or several mappings
        As `expand` takes it.

    Raises
    ------
    WorkbenchError
        No such notebook, no parameters cell, or a name or value that the notebook does not allow.

    Examples
    --------
    >>> len(plan("compare", {"technique": ["q4_0", "nf4"], "tensor": "blk.0.attn_k.weight"}))
    2
    """
    if not isinstance(notebook, Notebook):
        notebook = open_notebook(notebook)
    source = source_of(notebook.text)
    combinations = expand(notebook, grid or {})
    if any(notebook == open_notebook(name) for name in BUILT_IN):
        _check_techniques(combinations)
    return [Job(notebook.name, notebook.text, values, source) for values in combinations]


def run(
    jobs: Sequence[Job],
    folder: str | PathLike,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    limit_s: float = LIMIT_S,
    shared: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
    found: Callable[[dict], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> pd.DataFrame:
    """Run the jobs that the folder has no good result of; write table and report.

    Parameters
    ----------
    jobs : sequence of Job
        As `plan` makes them.
    folder : str or path
        Where results go; made if need be. An fsspec address, such as ``s3://bucket/sweep``, too.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``; left out, a cluster of
        processes on this machine is started, and ended again.
    workers : int, optional
        Processes of that cluster; one for each processor where left out.
    limit_s : float
        Seconds that the cells of a job may take together.
    shared : bool
        Workers write into `folder` themselves, which must be the same place for all of them.
        Otherwise results come back through the scheduler, and only this process writes.
    progress : callable (done, total, what), optional
        Called as jobs end, and at least once a second.
    found : callable (row), optional
        Called with what each job left, those of earlier calls first.
    cancel : callable () -> bool, optional
        Asked all the time; when true, what ended so far is returned.

    Returns
    -------
    pandas.DataFrame
        The rows of these jobs. ``table.parquet`` has those of everything in the folder.

    Raises
    ------
    WorkbenchError
        The folder cannot be written (disk full in mid-run, too), or the scheduler cannot be
        reached, or has no workers. What ended before stays, and the same call goes on from there;
        so it does after KeyboardInterrupt.
    """
    if not jobs:
        raise WorkbenchError("there are no jobs to run")
    if limit_s <= 0:
        raise WorkbenchError(f"limit_s={limit_s} is not allowed: it must be above 0")
    if workers is not None and workers < 1:
        raise WorkbenchError(f"workers={workers} is not allowed: it must be at least 1")
    place = Folder(folder)
    place.prepare()
    wanted = {job.id for job in jobs}
    rows = {row["id"]: row for row in place.rows() if row["id"] in wanted}
    rows = {key: row for key, row in rows.items() if row["status"] == "ok"}
    for row in rows.values():
        if found is not None:
            found(row)
    missing = [job for job in jobs if job.id not in rows]
    try:
        if missing:
            with _client(scheduler, workers) as client:
                shown = place if shared else None
                for row in _results(
                    client, missing, place, shown, limit_s, progress, len(jobs), cancel
                ):
                    rows[row["id"]] = row
                    if found is not None:
                        found(row)
    except BaseException:
        with suppress(WorkbenchError, OSError):  # the first error is the one to tell
            finish(place)
        raise
    finish(place)
    return to_frame(tidy(rows[job.id] for job in jobs if job.id in rows))


def _check_techniques(combinations: Iterable[dict]) -> None:
    """What the built-in jobs are asked for can be made; WorkbenchError if not."""
    for name, settings in {(c["technique"], json.dumps(c["settings"])) for c in combinations}:
        technique(name, **json.loads(settings))


def finish(folder: str | PathLike | Folder) -> None:
    """Write table and report of everything that is in the folder."""
    place = folder if isinstance(folder, Folder) else Folder(folder)
    table = tidy(newest(place.rows()))
    place.write(TABLE, to_parquet(table))
    place.write(REPORT, to_html(to_frame(table), str(place)).encode())


def _results(client, jobs, place, shared, limit_s, progress, total, cancel) -> Iterator[dict]:
    """The row of each job, once, as soon as it is in the folder."""
    waiting, running = deque(jobs), {}
    ended: queue.SimpleQueue = queue.SimpleQueue()
    done, workers_seen = total - len(jobs), time.monotonic()
    try:
        while waiting or running:
            if cancel is not None and cancel():
                return
            threads = _threads(client)
            if threads:
                workers_seen = time.monotonic()
            elif time.monotonic() - workers_seen > WORKERS_S:
                raise WorkbenchError(
                    f"the scheduler {client.scheduler.address} has had no workers for "
                    f"{WORKERS_S:g} s; what ended is in {place}"
                )
            while waiting and len(running) < AHEAD * max(threads, 1):
                job = waiting.popleft()
                future = client.submit(
                    run_job, job, limit_s, str(shared) if shared else None, pure=False
                )
                running[future.key] = job, future
                future.add_done_callback(ended.put)
            if progress is not None:
                progress(done, total, f"{len(running)} under way" if threads else "no workers yet")
            for future in _take(ended):
                job, _ = running.pop(future.key)
                row, notebook = _outcome(job, future, client)
                if shared is None or not row["machine"]:  # the worker died, so it wrote nothing
                    place.put(row, notebook)
                done += 1
                if progress is not None:
                    progress(done, total, f"{row['id']} {row['status']}")
                yield row
    finally:
        with suppress(Exception):  # the scheduler may be the one that is gone
            client.cancel([future for _, future in running.values()], force=True)


def _take(ended: queue.SimpleQueue) -> Iterator:
    """Futures that are done: waits a little for the first."""
    with suppress(queue.Empty):
        yield ended.get(timeout=POLL_S)
        while True:
            yield ended.get_nowait()


def _outcome(job: Job, future, client) -> tuple[dict, str | None]:
    """What a job left; of one that took its worker with it, a row that says so."""
    if future.status == "finished":
        return future.result()
    if future.status in ("cancelled", "lost"):
        raise WorkbenchError(
            f"the scheduler {client.scheduler.address} went away; run the same sweep again, and it "
            "goes on from what ended"
        )
    error = future.exception()
    if isinstance(error, WorkbenchError):
        raise error
    said = f"{type(error).__name__}: {error}"
    if type(error).__name__ == "KilledWorker":
        said = "every worker that took this job died (out of memory, or killed)"
    return row_of(job, " ".join(said.split())[:1000]), job.text


def _threads(client) -> int:
    """How many jobs the cluster can run at once, as far as the client has heard."""
    try:
        return sum(client.nthreads().values())
    except (OSError, TimeoutError, ValueError, AttributeError):
        return 0


@contextmanager
def _client(scheduler: str | None, workers: int | None) -> Iterator:
    """A client of the scheduler at this address, or of a cluster that ends with the block."""
    import dask
    from distributed import Client, LocalCluster

    with dask.config.set({"distributed.comm.timeouts.connect": CONNECT_S}):
        if scheduler is None:
            cluster = LocalCluster(
                n_workers=workers or kernels.cores(),
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # any free port
                silence_logs="CRITICAL",
                preload=DEAF,
                security=True,  # whoever can send jobs can run code: keys keep others out
            )
            with cluster, Client(cluster) as client:
                yield client
            return
        try:
            client = Client(scheduler, timeout=CONNECT_S)
        except (OSError, ValueError, TypeError) as error:
            raise WorkbenchError(
                f"no Dask scheduler answers at {scheduler} within {CONNECT_S:g} s ({error})"
            ) from None
        with client:
            _check_workers(client)
            yield client


def _check_workers(client) -> None:
    """WorkbenchError where there is no worker, or one without the package."""
    from distributed.comm import CommClosedError

    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
        client.run(_has_the_package)
    except TimeoutError:
        raise WorkbenchError(
            f"the scheduler {client.scheduler.address} has no workers after {WORKERS_S:g} s; "
            "start some with `dask worker ADDRESS --nthreads 1`"
        ) from None
    except (ImportError, CommClosedError) as error:
        raise WorkbenchError(
            f"the workers of {client.scheduler.address} cannot run the workbench: {error}; "
            "install the same package there"
        ) from None


def _has_the_package() -> str:
    import papermill

    return papermill.__version__
