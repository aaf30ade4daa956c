"""How long calls take: warmed up, repeated, taken in turn, and compared in pairs."""

import gc
import itertools
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from threadpoolctl import threadpool_limits

from workbench.errors import WorkbenchError

WARM_UP_LIMIT_S = 0.02  # beside a call this long, refilling the caches costs nothing that shows


@dataclass(frozen=True)
class Timing:
    """Seconds that one call takes.

    Attributes
    ----------
    median_s, min_s, max_s : float
        Over the samples; a sample is the mean of `calls` calls in a row.
    samples, calls : int
    """

    median_s: float
    min_s: float
    max_s: float
    samples: int
    calls: int


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as `to`: its seconds over ours, of samples taken in the same round.

    Attributes
    ----------
    to : str
    median, min, max : float
        Over the rounds in which both were sampled.
    """

    to: str
    median: float
    min: float
    max: float


@dataclass(frozen=True)
class Lap:
    """What a race found of one callable: its timing, and its ratio to each named peer."""

    timing: Timing
    ratios: dict[str, Ratio] = field(default_factory=dict)


def race(
    callables: Mapping[str, Callable[[], object]],
    to: Sequence[str] = (),
    *,
    threads: int = 1,
    seconds: float = 2.0,
    samples: int = 50,
    sample_s: float = 1e-3,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Lap]:
    """Time calls against each other, one sample of each a round, in an order shuffled each round.

    What disturbs the machine for a while then disturbs all of them, so that ratios hold where
    times do not. Each call is repeated within a sample until the sample lasts `sample_s`, and
    runs once before it, untimed, to have its data back in the caches (unless it is slow).

    Parameters
    ----------
    callables : mapping of name to function without arguments
    to : names of peers to give ratios to
    threads : int
        What BLAS and OpenMP are held to; a callable that asks for a number itself gets that.
    seconds : float
        Shared out evenly. A call too slow for its share still gets three samples.
    samples : int
        At most this many of each.
    sample_s : float
    progress : function of (done, total, name), optional

    Examples
    --------
    >>> laps = race({"ten": lambda: sum(range(10)), "ten thousand": lambda: sum(range(10_000))},
    ...             to=["ten thousand"], seconds=0.05)
    >>> laps["ten"].ratios["ten thousand"].median > 10
    True

    Raises
    ------
    WorkbenchError
        Nothing to time, or a peer that is not among the callables.
    """
    names = list(callables)
    if not names:
        raise WorkbenchError("callables is empty: there is nothing to time")
    for peer in to:
        if peer not in callables:
            raise WorkbenchError(f"to={peer!r} is not among the callables: {', '.join(names)}")

    with threadpool_limits(limits=threads), _no_garbage_collection():
        calls, warm, rounds = {}, {}, {}
        for name in names:
            calls[name], call_s = _calibrate(callables[name], sample_s)
            warm[name] = call_s < WARM_UP_LIMIT_S
            affordable = seconds / len(names) / ((calls[name] + warm[name]) * call_s)
            rounds[name] = max(3, min(samples, int(affordable)))

        total, done = sum(rounds.values()), 0
        taken = {name: [] for name in names}
        order = random.Random(0)
        for turn in range(max(rounds.values())):
            runners = [name for name in names if turn < rounds[name]]
            order.shuffle(runners)
            for name in runners:
                taken[name].append(_sample(callables[name], calls[name], warm[name]))
                done += 1
                if progress is not None:
                    progress(done, total, name)

    return {
        name: Lap(_timing(taken[name], calls[name]), _ratios(taken, name, to)) for name in names
    }


def time_call(call: Callable[[], object], **options) -> Timing:
    """`race` with one runner; takes its options."""
    return race({"call": call}, **options)["call"].timing


def _calibrate(call, sample_s):
    """Calls that make a sample last `sample_s`, and the seconds that one of them takes."""
    call()
    calls = 1
    while True:
        call_s = _sample(call, calls, warm=False)
        if calls * call_s >= sample_s / 2:
            return max(1, round(sample_s / call_s)), call_s
        calls *= 4


def _sample(call, calls, warm):
    """Mean seconds of `calls` calls, after an untimed one if `warm`."""
    if warm:
        call()
    start = time.perf_counter()
    for _ in itertools.repeat(None, calls):
        call()
    return (time.perf_counter() - start) / calls


def _timing(seconds, calls):
    return Timing(statistics.median(seconds), min(seconds), max(seconds), len(seconds), calls)


def _ratios(taken, name, to):
    ratios = {}
    for peer in to:
        pairs = [theirs / ours for theirs, ours in zip(taken[peer], taken[name], strict=False)]
        ratios[peer] = Ratio(peer, statistics.median(pairs), min(pairs), max(pairs))
    return ratios


@contextmanager
def _no_garbage_collection():
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
