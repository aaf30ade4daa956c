"""Timing: repeats, spread, pairs, budget, refusals; on a clock that only the calls move."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from workbench.errors import WorkbenchError
from workbench.measure import timing
from workbench.measure.timing import Lap, Timing, race, time_call


class Clock:
    """Stands still unless a call passes time."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def call(self, *seconds):
        """A function of which each call lasts the next of `seconds`, over and over."""
        lasts = itertools.cycle(seconds)

        def passes():
            self.now += next(lasts)

        return passes


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=clock.perf_counter))
    return clock


def test_a_sample_is_long_enough_to_be_read(clock):
    found = time_call(clock.call(20e-6), sample_s=1e-3)
    assert isinstance(found, Timing)
    assert found.calls == 50
    assert found.min_s == pytest.approx(20e-6)


def test_median_and_spread(clock):
    # first and second call calibrate; then each sample is of one call, after an untimed one
    found = time_call(clock.call(1e-3, 1e-3, 1e-3, 2e-3, 1e-3, 3e-3, 1e-3, 7e-3), seconds=8e-3)
    assert found.samples == 4
    assert (found.min_s, found.max_s) == (pytest.approx(1e-3), pytest.approx(7e-3))
    assert found.median_s == pytest.approx(2.5e-3)


def test_the_call_before_a_sample_is_not_timed(clock):
    found = time_call(clock.call(9.0, 2e-3, 5e-3, 2e-3, 5e-3, 2e-3, 5e-3, 2e-3), seconds=1e-3)
    assert found.max_s == pytest.approx(2e-3)


def test_ratios_are_formed_in_pairs(clock):
    """A machine that slows down for a round slows both, and their ratio stays."""
    slow = clock.call(4e-3, 4e-3, 4e-3, 4e-3, 4e-3, 40e-3, 4e-3, 4e-3)
    fast = clock.call(2e-3, 2e-3, 2e-3, 2e-3, 2e-3, 20e-3, 2e-3, 2e-3)
    laps = race({"slow": slow, "fast": fast}, to=["slow"], seconds=1e-3)
    assert all(isinstance(lap, Lap) for lap in laps.values())
    assert laps["fast"].timing.max_s == pytest.approx(20e-3)
    ratio = laps["fast"].ratios["slow"]
    assert ratio.to == "slow"
    assert [ratio.min, ratio.median, ratio.max] == pytest.approx([2, 2, 2])
    itself = laps["slow"].ratios["slow"]
    assert (itself.min, itself.median, itself.max) == (1, 1, 1)


def test_rounds_are_interleaved_and_shuffled(clock):
    trace = []
    calls = {name: clock.call(1e-3) for name in "ab"}
    runners = {name: lambda name=name: (trace.append(name), calls[name]()) for name in "ab"}
    race(runners, seconds=0.04, samples=10)
    runs = [len(list(group)) for _, group in itertools.groupby(trace[4:])]  # calibration cut off
    assert set(runs) == {2, 4}, "a sample is two calls, and at most two samples are neighbours"


def test_a_slow_call_gets_three_samples_and_the_fast_one_more(clock):
    laps = race({"slow": clock.call(0.5), "fast": clock.call(1e-4)}, to=["slow"], seconds=0.1)
    assert (laps["slow"].timing.samples, laps["slow"].timing.calls) == (3, 1)
    assert laps["fast"].timing.samples > 10
    assert laps["fast"].ratios["slow"].median == pytest.approx(5000)


def test_a_slow_call_is_not_warmed_up(clock):
    count = itertools.count()

    def slow():
        next(count)
        clock.now += 1.0

    race({"slow": slow}, seconds=0.1)
    assert next(count) == 5  # two to calibrate, three samples


def test_at_most_so_many_samples(clock):
    assert time_call(clock.call(1e-5), seconds=5, samples=4).samples == 4


def test_progress_ends_at_the_total(clock):
    seen = []
    race(
        {"a": clock.call(1e-4), "b": clock.call(1e-4)},
        seconds=0.02,
        progress=lambda done, total, name: seen.append((done, total, name)),
    )
    assert [done for done, _, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][0] == seen[-1][1]
    assert {name for _, _, name in seen} == {"a", "b"}


@pytest.mark.parametrize("threads", [1, 2])
def test_blas_is_held_to_the_threads(clock, threads):
    np.ones((2, 2)) @ np.ones((2, 2))
    seen = set()

    def look():
        clock.now += 1e-3
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
        race({"a": lambda: None}, to=["b"])
