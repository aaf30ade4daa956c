"""Two ways to get a file into memory, read() and mmap: time, warm and cold, and memory.

>>> from workbench.measure.mapping import bench_reading, reading_memory
>>> bench_reading("model.gguf")  # doctest: +SKIP
>>> reading_memory("model.gguf", processes=2)  # doctest: +SKIP

*Warm*: all of the file is in the system's page cache. *Cold*: none of it is; that can be measured
without being root, since whoever may read a file may ask for its pages to be dropped
(posix_fadvise), unless someone else uses them. Below the system, a disk has caches of its own.
"""

import ctypes
import mmap
import os
import random
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

import numpy as np
import psutil
from jaxtyping import UInt8

from workbench.errors import WorkbenchError
from workbench.formats.mapped import map_file
from workbench.measure import _holding
from workbench.measure.asking import Asked
from workbench.measure.timing import race

HOLDING = ("read", "read and copy", "map", "map and touch pages")
STATES = ("warm", "cold")
DROPPED = 0.01  # share of the pages that may stay: the system keeps some that are being written
Progress = Callable[[int, int, str], None]


def cached_share(path: str | os.PathLike) -> float | None:
    """Share of a file's pages that are in memory now; None where the system does not tell.

    Of a file that is not ours, Linux says that all of them are.
    """
    size = len(map_file(path))
    try:
        mincore = ctypes.CDLL(None, use_errno=True).mincore
    except (AttributeError, TypeError, OSError):  # not a POSIX system
        return None
    pages = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
    data = _mapped(path)
    address, length = ctypes.c_void_p(data.ctypes.data), ctypes.c_size_t(size)
    failed = mincore(address, length, ctypes.c_void_p(pages.ctypes.data))
    return None if failed else float((pages & 1).mean())


def drop_cache(path: str | os.PathLike) -> str:
    """Have the system forget a file's pages; why it did not, or nothing where it did."""
    if not hasattr(os, "posix_fadvise"):
        return "this system has no way to drop a file's pages (posix_fadvise)"
    map_file(path)  # refuses what is no file
    with open(path, "rb") as file:
        os.fsync(file.fileno())  # pages that are still to be written stay
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    left = cached_share(path)
    if left is None or left > DROPPED:
        share = "an unknown share" if left is None else f"{left:.0%}"
        return (
            f"{share} of {Path(path).name} stays in memory: a process uses it, or the file system "
            "keeps files nowhere else"
        )
    return ""


def bench_reading(
    path: str | os.PathLike,
    *,
    states: Sequence[str] = STATES,
    seconds: float = 2.0,
    repeats: int = 3,
    progress: Progress | None = None,
) -> list[dict]:
    """Time read() and mmap on one file, with and without use of its bytes.

    Mapping alone reads nothing: what is to be compared with `read` is the time until all bytes have
    been used once, here by adding them up.

    Parameters
    ----------
    path : path
    states : sequence of "warm" and "cold"
    seconds : float
        For all warm measurements together.
    repeats : int
        Cold measurements of each way; each begins by dropping the file from memory.
    progress : callable (done, total, what), optional

    Returns
    -------
    list of dict
        way ("read", "read and sum", "map", "map and touch pages", "map and sum"), state,
        file_bytes, median_s, min_s, max_s, gb_per_s (the file's size over the median; None for a
        way that does not touch all of it), ratio_to ("read"), ratio (median of its time over ours,
        None where not measured), note (why a cold one could not be measured, else "").

    Raises
    ------
    WorkbenchError
        No such file, one larger than the free memory, or an unknown state.
    """
    for state in states:
        if state not in STATES:
            raise WorkbenchError(f"state {state!r} is not allowed: it is warm or cold")
    path, size = Path(path), len(map_file(path))
    free = psutil.virtual_memory().available
    if size > free:
        raise WorkbenchError(
            f"{path}: reading its {size >> 20} MB takes more than the {free >> 20} MB of memory "
            "that are free"
        )
    calls = {name: lambda way=way: way(path) for name, way in WAYS.items()}
    rows = []
    for state in states:
        if state == "warm":
            laps = race(calls, to=["read"], seconds=seconds, progress=progress)
            for name, lap in laps.items():
                timing = lap.timing
                times = [timing.median_s, timing.min_s, timing.max_s]
                rows.append(_row(name, state, size, times, lap.ratios["read"].median))
            continue
        taken, note = _cold(path, calls, repeats, progress)
        for name, found in taken.items():
            pairs = [read / own for read, own in zip(taken["read"], found, strict=True)]
            times = [statistics.median(found), min(found), max(found)] if found else [None] * 3
            ratio = statistics.median(pairs) if pairs else None
            rows.append(_row(name, state, size, times, ratio, note))
    return rows


def reading_memory(
    path: str | os.PathLike,
    processes: int = 2,
    ways: Sequence[str] = HOLDING,
    progress: Progress | None = None,
) -> list[dict]:
    """What each of several processes uses that hold one file at the same time.

    Parameters
    ----------
    path : path
    processes : int
    ways : sequence of "read", "read and copy", "map", "map and touch pages"
        "read and copy": the buffer and a converted copy are both alive, as in loaders that copy.
    progress : callable (done, total, what), optional

    Returns
    -------
    list of dict
        way, process (from 1), file_bytes, and what it uses more than before it held the file:
        rss_bytes (resident: all that the process sees), pss_bytes (each page divided by the
        processes that share it: these add up), uss_bytes (its alone); None where the system does
        not count them.

    Raises
    ------
    WorkbenchError
        No such file, an unknown way, no process, or too little memory.
    """
    size = len(map_file(path))
    for way in ways:
        if way not in HOLDING:
            raise WorkbenchError(f"way {way!r} is not allowed: it is one of {', '.join(HOLDING)}")
    if processes < 1:
        raise WorkbenchError(f"processes={processes} is not allowed: it is a number from 1 up")
    needed, free = 2 * size * processes, psutil.virtual_memory().available
    if needed > free:
        raise WorkbenchError(
            f"{processes} processes would hold up to {needed >> 20} MB of {Path(path).name}, but "
            f"only {free >> 20} MB of memory are free"
        )
    rows = []
    for done, way in enumerate(ways):
        if progress is not None:
            progress(done, len(ways), way)
        arguments = [_holding.__file__, way, os.fspath(path)]
        with ExitStack() as stack:
            holders = [stack.enter_context(Asked(arguments)) for _ in range(processes)]
            # all are asked twice: what they share with each other counts for none of them
            before = [[each.ask("memory") for each in holders] for _ in "ab"][1]
            for holder in holders:
                holder.ask("hold")
            after = [holder.ask("memory") for holder in holders]
        for number, (start, end) in enumerate(zip(before, after, strict=True), 1):
            more = {key: None if end[key] is None else end[key] - start[key] for key in end}
            rows.append({"way": way, "process": number, "file_bytes": size, **more})
    if progress is not None:
        progress(len(ways), len(ways), "")
    return rows


def _cold(path, calls, repeats, progress):
    """Seconds of each way from an empty cache, and why there are none."""
    taken, order, done = {name: [] for name in calls}, list(calls), 0
    for turn in range(repeats):
        random.Random(turn).shuffle(order)
        for name in order:
            note = drop_cache(path)
            if note:
                return {name: [] for name in calls}, f"not measured: {note}"
            start = perf_counter()
            calls[name]()
            taken[name].append(perf_counter() - start)
            done += 1
            if progress is not None:
                progress(done, repeats * len(calls), f"{name}, cold")
    return taken, ""


def _row(way, state, size, times, ratio, note=""):
    median, least, most = times
    used = None if way == "map" or median is None else size / median / 1e9
    return {
        "way": way,
        "state": state,
        "file_bytes": size,
        "median_s": median,
        "min_s": least,
        "max_s": most,
        "gb_per_s": used,
        "ratio_to": "read",
        "ratio": ratio,
        "note": note,
    }


def _mapped(path) -> UInt8[np.ndarray, " bytes"]:
    """The bytes of a file; unmapped with the last reference."""
    with open(path, "rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def _sum(data: np.ndarray) -> int:
    """All bytes used once, eight at a time."""
    whole = len(data) // 8 * 8
    return int(data[:whole].view(np.uint64).sum())


def _read_and_sum(path) -> int:
    return _sum(np.frombuffer(path.read_bytes(), np.uint8))


def _map(path) -> int:
    return len(_mapped(path))


def _touch(path) -> int:
    return int(_mapped(path)[:: mmap.PAGESIZE].sum())


def _map_and_sum(path) -> int:
    return _sum(_mapped(path))


WAYS = {
    "read": Path.read_bytes,
    "read and sum": _read_and_sum,
    "map": _map,
    "map and touch pages": _touch,
    "map and sum": _map_and_sum,
}
