"""Three ways to put threads to one product: OpenMP in the kernel, a pool kept, threads spawned.

Seed 001 found a pool of threads no better than new threads for each product, and gave as the reason
that a product takes far longer than to spawn them. Here our own kernel is asked again: it is quick,
and lets go of Python's lock.

>>> from workbench.measure.pools import bench_pools
>>> bench_pools([512, 2048], threads=2)  # doctest: +SKIP
"""

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.measure.machine import check_threads
from workbench.measure.timing import race
from workbench.ternary import pack

SIZES = (512, 1024, 2048, 4096, 8192)
ONE = "one thread"
WAYS = (ONE, "OpenMP", "pool kept", "threads spawned")


def bench_pools(
    sizes: Sequence[int] = SIZES,
    threads: int | None = None,
    *,
    cols: int | None = None,
    seconds: float = 1.5,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[dict]:
    """Race the ways on products of ternary matrices of two bits a weight with one token.

    Every way calls the same kernel; all but OpenMP on parts of the rows, a part a thread. All
    results are checked against each other first.

    Parameters
    ----------
    sizes : sequence of int
        Rows, and columns too unless `cols` says otherwise.
    threads : int, optional
        By default one a core.
    cols : int, optional
    seconds : float
        For each size.
    progress : callable (done, total, what), optional

    Returns
    -------
    list of dict
        rows, cols, way ("one thread", "OpenMP", "pool kept", "threads spawned"), threads, nbytes
        (of the matrix), median_s, min_s, max_s, empty_s (the same with nothing to do; None for the
        first two), ratio_one (its speed over that of one thread, median of rounds),
        ratio_spawned (over that of threads spawned), ratio_spawned_min, ratio_spawned_max.

    Raises
    ------
    WorkbenchError
        A number that is not allowed, or a kernel that is not compiled.
    """
    threads = kernels.cores() if threads is None else threads
    check_threads(threads)
    for size in [*sizes, *([] if cols is None else [cols])]:
        if size < 1:
            raise WorkbenchError(f"size {size} is not allowed: it is a whole number from 1 up")
    state = kernels.status("planar")
    if not state.compiled:
        raise WorkbenchError(f"a race of threads needs compiled kernels: {state.reason}")
    rows = []
    with ThreadPoolExecutor(threads) as pool:
        for done, size in enumerate(sizes):
            if progress is not None:
                progress(done, len(sizes), f"{size} x {cols or size}")
            rows += _race(size, cols or size, threads, pool, seconds)
    if progress is not None:
        progress(len(sizes), len(sizes), "")
    return rows


def pooled(pool: ThreadPoolExecutor, parts: Sequence[Callable[[], object]]) -> None:
    """Run all parts in a pool; the last in this thread, which would only wait otherwise."""
    futures = [pool.submit(part) for part in parts[:-1]]
    parts[-1]()
    for future in futures:
        future.result()


def spawned(parts: Sequence[Callable[[], object]]) -> None:
    """Run all parts but the last in new threads, and the last in this one."""
    others = [threading.Thread(target=part) for part in parts[:-1]]
    for other in others:
        other.start()
    parts[-1]()
    for other in others:
        other.join()


def _race(rows, cols, threads, pool, seconds):
    rng = np.random.default_rng(0)
    codes = rng.integers(-1, 2, (rows, cols), np.int8)
    x = rng.integers(-127, 128, (1, cols), np.int8)
    packed = pack(codes, "planar")
    results = {way: np.empty((1, 4 * len(packed.data)), np.int32) for way in WAYS}
    total = np.array([x.sum(dtype=np.int32)])
    x = np.pad(x, ((0, 0), (0, -cols % 64)))  # the kernel reads whole vectors

    def parts(way):
        return _parts(packed.data, x, total, results[way], threads)

    multiply, data = kernels.load("planar").matmul, packed.data.reshape(-1)
    pool_parts, spawn_parts = parts("pool kept"), parts("threads spawned")
    nothing = [_nothing] * threads
    calls = {
        ONE: lambda: multiply(data, x, total, results[ONE], 1),
        "OpenMP": lambda: multiply(data, x, total, results["OpenMP"], threads),
        "pool kept": lambda: pooled(pool, pool_parts),
        "threads spawned": lambda: spawned(spawn_parts),
        "pool kept, empty": lambda: pooled(pool, nothing),
        "threads spawned, empty": lambda: spawned(nothing),
    }
    laps = race(calls, to=[ONE, "threads spawned"], threads=threads, seconds=seconds)
    expected = codes.astype(np.int32) @ x[0, :cols].astype(np.int32)
    for way, found in results.items():
        assert np.array_equal(found[0, :rows], expected), way
    return [
        {
            "rows": rows,
            "cols": cols,
            "way": way,
            "threads": 1 if way == ONE else threads,
            "nbytes": packed.data.nbytes,
            "median_s": laps[way].timing.median_s,
            "min_s": laps[way].timing.min_s,
            "max_s": laps[way].timing.max_s,
            "empty_s": laps[empty].timing.median_s if (empty := f"{way}, empty") in laps else None,
            "ratio_one": laps[way].ratios[ONE].median,
            "ratio_spawned": laps[way].ratios["threads spawned"].median,
            "ratio_spawned_min": laps[way].ratios["threads spawned"].min,
            "ratio_spawned_max": laps[way].ratios["threads spawned"].max,
        }
        for way in WAYS
    ]


def _parts(data, x, total, result, threads):
    """A call for each thread, which multiplies its share of the rows."""
    multiply, groups = kernels.load("planar").matmul, len(data)
    cuts = [groups * part // threads for part in range(threads + 1)]
    pieces = [
        (data[begin:end].reshape(-1), result[:, 4 * begin : 4 * end])
        for begin, end in itertools.pairwise(cuts)
        if begin < end
    ]
    return [lambda piece=piece: multiply(piece[0], x, total, piece[1], 1) for piece in pieces]


def _nothing() -> None:
    """What an empty part does."""
