"""Long calculations behind a page: in a thread, with a bar, a Cancel button and errors in sight.

In a dashboard an exception in a callback is invisible. `Problem` is where one is shown instead,
`shows_problems` sends those of a callback there, and `Job` those of a calculation.
"""

import functools
import html
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError

import ipywidgets
import traitlets

from workbench.errors import WorkbenchError

REVEAL_S = 0.4  # a bar that comes and goes faster than this only flickers


class Problem(ipywidgets.HTML):
    """A sentence that says what went wrong; takes no space when nothing did.

    Attributes
    ----------
    message : str
        The sentence, empty where all is well.
    """

    message = traitlets.Unicode()

    def show(self, error: BaseException | str) -> None:
        """Show an error: a WorkbenchError as its sentence, any other with where it happened."""
        detail = ""
        if isinstance(error, str | WorkbenchError):
            self.message = str(error)
        else:
            self.message = f"{type(error).__name__}: {error}"
            lines = "".join(traceback.format_exception(error))
            detail = (
                f"<details><summary>Where it happened</summary><pre>{html.escape(lines)}</pre>"
                "</details>"
            )
        self.value = (
            f'<div class="wb-problem" role="alert"><p>{html.escape(self.message)}</p>{detail}</div>'
        )

    def clear(self) -> None:
        """Forget the last error."""
        self.message = ""
        self.value = ""


def shows_problems(callback: Callable) -> Callable:
    """Decorate a method of a widget that has a `problem`: what it raises is shown there."""

    @functools.wraps(callback)
    def wrapped(self, *args):
        self.problem.clear()
        try:
            return callback(self, *args)
        except Exception as error:
            self.problem.show(error)

    return wrapped


class Run:
    """One run of a job, as its calculation sees it."""

    def __init__(self, job: "Job"):
        self._job = job
        self._stop = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Is the result no longer wanted?"""
        return self._stop.is_set()

    def progress(self, done: int, total: int, what: str = "") -> None:
        """Say how far the calculation is; raises CancelledError where it is no longer wanted."""
        self.check()
        self._job.say(done, total, what)

    def check(self) -> None:
        """Raise CancelledError where the result is no longer wanted."""
        if self.cancelled:
            raise CancelledError


class Job(ipywidgets.VBox):
    """A progress bar, its Cancel button and the place where errors show, for one job at a time.

    ``job.start(work)`` calls ``work(run)`` in a thread; `work` reports through `run.progress` and
    puts its results on the page itself. Starting again cancels what runs and follows it, so that
    the last start always wins.

    Attributes
    ----------
    running : bool
    outcome : str
        Of the last run: "", "done", "cancelled" or "failed".
    """

    running = traitlets.Bool(False)
    outcome = traitlets.Unicode()

    def __init__(self):
        self.bar = ipywidgets.IntProgress(0, 0, 1, layout={"width": "160px"})
        self.label = ipywidgets.Label()
        self.stop = ipywidgets.Button(
            description="Cancel", icon="stop", tooltip="stop this calculation"
        )
        self.stop.on_click(lambda _: self.cancel())
        self.line = ipywidgets.HBox([self.bar, self.stop, self.label])
        self.problem = Problem()
        super().__init__([self.line, self.problem])
        self.add_class("wb-job")
        self._run: Run | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()  # observers of `running` may start the next run
        self._hide()

    def start(self, work: Callable[[Run], None], label: str = "", delay: float = 0.0) -> None:
        """Run `work` in a thread, after `delay` seconds in which another start may replace it."""
        run = Run(self)
        with self._lock:
            before = self._thread
            if self._run is not None:
                self._run._stop.set()
            self._run = run
            self.running = True
            self._thread = threading.Thread(
                target=self._carry_out, args=(run, before, work, label, delay), daemon=True
            )
            self._thread.start()

    def cancel(self) -> None:
        """Ask the calculation to stop; it does at its next step."""
        with self._lock:
            if self._run is not None and self.running:
                self._run._stop.set()
                self.label.value = "stopping after this step"

    def wait(self, timeout: float = 60.0) -> None:
        """Return when nothing runs any more.

        Raises
        ------
        TimeoutError
            Something still runs after `timeout` seconds.
        """
        until = time.monotonic() + timeout
        while True:
            thread = self._thread
            if thread is None:
                return
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                raise TimeoutError(f"{self.label.value or 'the job'}: not done in {timeout:g} s")
            if thread is self._thread:
                return

    def say(self, done: int, total: int, what: str) -> None:
        """Put a state of progress on the page."""
        self.bar.max = max(total, 1)
        self.bar.value = done
        self.label.value = what

    def _carry_out(self, run, before, work, label, delay):
        if before is not None:
            before.join()
        reveal = threading.Timer(REVEAL_S, self._reveal, [run])
        reveal.daemon = True
        try:
            if run._stop.wait(delay):
                raise CancelledError
            self.problem.clear()
            self.say(0, 1, label)
            reveal.start()
            work(run)
            outcome = "done"
        except CancelledError:
            outcome = "cancelled"
        except Exception as error:
            outcome = "failed"
            if run is self._run:
                self.problem.show(error)
        finally:
            reveal.cancel()
        with self._lock:
            if run is self._run:  # otherwise the one that replaced it goes on
                self._hide()
                self.outcome = outcome
                self.running = False

    def _reveal(self, run):
        with self._lock:
            if run is self._run and self.running:
                self.line.layout.display = "flex"

    def _hide(self):
        self.line.layout.display = "none"
