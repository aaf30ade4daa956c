"""Timing: repeats, spread, pairs, budget, refusals."""

import itertools
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from workbench.errors import WorkbenchError
from workbench.measure.timing import Lap, Timing, race, time_call


def busy(seconds):
    """A call that lasts `seconds` by the clock that the race reads."""

    def call():
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    return call


def test_a_sample_is_long_enough_to_be_read():
    timing = time_call(busy(20e-6), seconds=0.05, sample_s=1e-3)
    assert isinstance(timing, Timing)
    assert 10 <= timing.calls <= 60
    assert timing.calls * timing.min_s > 0.3e-3


def test_times_are_those_of_one_call_and_ordered():
    timing = time_call(busy(1e-3), seconds=0.1)
    assert 1e-3 <= timing.min_s <= timing.median_s <= timing.max_s


def test_ratios_are_paired_and_ordered():
    laps = race({"slow": busy(2e-3), "fast": busy(0.5e-3)}, to=["slow"], seconds=0.3)
    assert all(isinstance(lap, Lap) for lap in laps.values())
    ratio = laps["fast"].ratios["slow"]
    assert ratio.to == "slow"
    assert ratio.min <= ratio.median <= ratio.max
    assert 2 < ratio.median < 8
    itself = laps["slow"].ratios["slow"]
    assert (itself.min, itself.median, itself.max) == (1, 1, 1)


def test_rounds_are_interleaved():
    trace = []
    race(
        {name: lambda name=name: (trace.append(name), busy(1e-3)()) for name in "ab"},
        seconds=0.2,
        samples=10,
    )
    runs = [len(list(group)) for _, group in itertools.groupby(trace[4:])]  # calibration cut off
    assert len(runs) > 8
    assert max(runs) <= 4, "one runner took several samples in a row"


def test_a_slow_call_gets_three_samples_and_the_fast_one_more():
    laps = race({"slow": busy(0.05), "fast": busy(1e-4)}, to=["slow"], seconds=0.1)
    assert laps["slow"].timing.samples == 3
    assert laps["slow"].timing.calls == 1
    assert laps["fast"].timing.samples > 3
    assert laps["fast"].ratios["slow"].median > 50


def test_at_most_so_many_samples():
    assert time_call(busy(1e-5), seconds=5, samples=4, sample_s=1e-4).samples == 4


def test_progress_ends_at_the_total():
    seen = []
    race(
        {"a": busy(1e-4), "b": busy(1e-4)},
        seconds=0.02,
        progress=lambda done, total, name: seen.append((done, total, name)),
    )
    assert [done for done, _, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][0] == seen[-1][1]
    assert {name for _, _, name in seen} == {"a", "b"}


@pytest.mark.parametrize("threads", [1, 2])
def test_blas_is_held_to_the_threads(threads):
    np.ones((2, 2)) @ np.ones((2, 2))
    seen = set()

    def look():
        seen.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    race({"look": look}, threads=threads, seconds=0.01, samples=3)
    assert seen == {threads}


def test_errors_of_the_call_pass_through():
    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        race({"fails": fails})


def test_refusals():
    with pytest.raises(WorkbenchError, match="callables is empty"):
        race({})
    with pytest.raises(WorkbenchError, match="to='b' is not among the callables: a"):
        race({"a": busy(1e-4)}, to=["b"])
