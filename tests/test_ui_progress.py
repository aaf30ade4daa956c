"""Jobs run in a thread, show how far they are, can be cancelled, and show what went wrong."""

import threading

import ipywidgets
import pytest

from workbench.errors import WorkbenchError
from workbench.ui.progress import Job, Problem, shows_problems

SECONDS = 10


@pytest.fixture
def job():
    return Job()


def test_work_reports_and_ends(job):
    seen = []

    def work(run):
        run.progress(2, 5, "second step")
        seen.append((job.bar.value, job.bar.max, job.label.value, job.running))

    job.start(work, "first step")
    job.wait(SECONDS)
    assert seen == [(2, 5, "second step", True)]
    assert (job.running, job.outcome) == (False, "done")
    assert job.line.layout.display == "none"


def test_a_long_job_shows_its_bar(job):
    go_on = threading.Event()
    job.start(lambda run: go_on.wait(SECONDS))
    shown = threading.Event()
    job.line.layout.observe(lambda _: shown.set(), "display")
    assert shown.wait(SECONDS)
    assert job.line.layout.display == "flex"
    go_on.set()
    job.wait(SECONDS)


def test_cancel_stops_at_the_next_step(job):
    started, go_on = threading.Event(), threading.Event()
    done = []

    def work(run):
        started.set()
        go_on.wait(SECONDS)
        run.progress(1, 2)
        done.append("never")

    job.start(work)
    assert started.wait(SECONDS)
    job.stop.click()
    go_on.set()
    job.wait(SECONDS)
    assert (done, job.outcome) == ([], "cancelled")


def test_the_last_start_wins(job):
    done = []
    for number in range(20):
        job.start(lambda run, number=number: done.append(number), delay=0.05)
    job.wait(SECONDS)
    assert done == [19]
    assert job.outcome == "done"


def test_a_start_cancels_what_runs_and_follows_it(job):
    started, go_on = threading.Event(), threading.Event()
    done = []

    def slow(run):
        started.set()
        go_on.wait(SECONDS)
        done.append("slow ends")
        run.check()
        done.append("never")

    job.start(slow)
    assert started.wait(SECONDS)
    job.start(lambda run: done.append("next"))
    go_on.set()
    job.wait(SECONDS)
    assert done == ["slow ends", "next"]


def test_a_failure_is_shown_and_forgotten_by_the_next_start(job):
    def fail(run):
        raise WorkbenchError("there is no <such> thing")

    job.start(fail)
    job.wait(SECONDS)
    assert (job.outcome, job.problem.message) == ("failed", "there is no <such> thing")
    assert "&lt;such&gt;" in job.problem.value
    job.start(lambda run: None)
    job.wait(SECONDS)
    assert job.problem.message == ""


def test_wait_does_not_wait_for_ever(job):
    go_on = threading.Event()
    job.start(lambda run: go_on.wait(SECONDS), "a long step")
    with pytest.raises(TimeoutError, match="a long step"):
        job.wait(0.05)
    go_on.set()
    job.wait(SECONDS)


def test_wait_without_a_job_returns(job):
    job.wait(0)


def test_a_fault_of_ours_says_where_it_happened():
    problem = Problem()
    try:
        {}["key"]
    except KeyError as error:
        problem.show(error)
    assert problem.message == "KeyError: 'key'"
    assert "Where it happened" in problem.value
    assert "test_ui_progress.py" in problem.value
    problem.clear()
    assert problem.value == ""


def test_a_sentence_for_a_user_has_no_traceback():
    problem = Problem()
    problem.show(WorkbenchError("one sentence"))
    assert "Where it happened" not in problem.value
    assert 'role="alert"' in problem.value


def test_callbacks_show_what_they_raise():
    class Clumsy(ipywidgets.VBox):
        def __init__(self):
            self.problem = Problem()
            super().__init__([self.problem])

        @shows_problems
        def act(self, fail):
            if fail:
                raise ValueError("bad")
            return "good"

    widget = Clumsy()
    assert widget.act(True) is None
    assert widget.problem.message == "ValueError: bad"
    assert widget.act(False) == "good"
    assert widget.problem.message == ""
