"""Run checks: in processes, with progress, each with a random generator of its own."""

import datetime
import multiprocessing
import os
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

import numpy as np
from threadpoolctl import threadpool_limits

from workbench import kernels
from workbench.claims.checks import Needs, checks, judge
from workbench.claims.ledger import SLICE, select
from workbench.claims.models import Claim, Null, Part, Verdict
from workbench.errors import WorkbenchError
from workbench.measure.machine import machine_facts
from workbench.models import Weights, open_model

SEED = 20251122  # of every random generator, with the claim's id
Progress = Callable[[Verdict, int, int], None]


def run(
    ids: str | Iterable[str] | None = None,
    weights: str | os.PathLike | Weights | None = None,
    quick: bool | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Verdict]:
    """Run the checks of these claims and say what they found.

    Claims without a check are returned as the ledger has them: open or not testable.

    Parameters
    ----------
    ids : str or iterable of str, optional
        Ids or patterns ("phi-*"); by default all.
    weights : str, path or Weights, optional
        The model that checks about real weights use; by default the bundled slice.
    quick : bool, optional
        True: only claims whose check is quick; False: only the others.
    workers : int, optional
        Processes; by default one a core. 1: everything in this process. Checks that measure time
        or memory run alone, after all others.
    progress : callable (verdict, done, total), optional
        Called after each.

    Returns
    -------
    list of Verdict, in the order of the ledger

    Raises
    ------
    WorkbenchError
        No such claim, or no such model.
    """
    claims = select(ids)
    if quick is not None:
        claims = [claim for claim in claims if claim.executable and claim.quick == quick]
    if weights is not None and not isinstance(weights, Mapping):
        open_model(weights)  # refuses what cannot be opened before anything starts
        weights = os.fspath(weights)
    known = checks()
    timed = [c for c in claims if c.executable and known[c.id].alone]
    others = [c for c in claims if c not in timed]
    # a mapping that is no model of ours may not survive the way into another process
    portable = weights.path if isinstance(weights, Weights) else weights
    if isinstance(portable, Mapping):
        workers = 1
    results: dict[str, Verdict] = {}
    here = machine()

    def took(verdict: Verdict) -> None:
        results[verdict.id] = verdict
        if progress is not None:
            progress(verdict, len(results), len(claims))

    workers = min(workers or kernels.cores(), len(others))
    if workers > 1:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            futures = [pool.submit(run_one, claim, portable, here) for claim in others]
            try:
                for future in as_completed(futures):
                    took(future.result())
            except BrokenProcessPool:
                raise WorkbenchError(
                    f"a process that ran checks was killed after {len(results)} of {len(claims)} "
                    "claims (out of memory?); workers=1 takes the least"
                ) from None
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    else:
        for claim in others:
            took(run_one(claim, weights, here))
    for claim in timed:
        took(run_one(claim, weights, here))
    return [results[claim.id] for claim in claims]


def run_one(claim: Claim, weights=None, here: str = "") -> Verdict:
    """Run the check of one claim in this process, on one thread; `here` describes the machine.

    A model that a check cannot use (no matrix large enough, no recorded activations) leaves the
    claim open, and the verdict says so.
    """
    check = checks().get(claim.id)
    found: list[Part | Null | Needs] = []
    model = ""
    start = time.perf_counter()
    if check is not None:
        arguments = {}
        if "rng" in check.parameters:
            arguments["rng"] = np.random.default_rng([SEED, zlib.crc32(claim.id.encode())])
        try:
            if "weights" in check.parameters:
                arguments["weights"], model = _opened(weights)
            with threadpool_limits(1):
                found.extend(check.function(**arguments))
        except WorkbenchError as error:
            found = [Needs(str(error))]
    parts = [item for item in found if isinstance(item, Part)]
    needs = "; ".join(item.what for item in found if isinstance(item, Needs)) or claim.needs
    word, condition = judge(parts, needs, claim.reason)
    return Verdict(
        id=claim.id,
        seed=claim.seed,
        statement=claim.statement,
        verdict=word,
        parts=parts,
        null=[item for item in found if isinstance(item, Null)],
        condition=condition,
        reason=claim.reason,
        needs=needs if word == "open" else "",
        seconds=round(time.perf_counter() - start, 3),
        date=datetime.date.today().isoformat(),
        machine=here,
        weights=model,
    )


def machine() -> str:
    """One line: processor, threads, Python, NumPy, and whether the kernels are compiled."""
    facts = machine_facts()
    return (
        f"{facts['cpu']}, {facts['threads']} threads, Python {facts['python']}, "
        f"NumPy {facts['numpy']}, kernels {facts['kernels']}"
    )


def _opened(weights) -> tuple[Mapping, str]:
    """A model and the name under which its runs go."""
    if weights is None:
        return open_model(SLICE), SLICE
    if not isinstance(weights, Mapping):
        weights = open_model(weights)
    return weights, getattr(weights, "name", "a model in memory")
