"""Processes of their own that answer questions: what they take cannot be seen from within one."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import final

from workbench.errors import WorkbenchError


@final
class Asked:
    """A Python process that writes lines of JSON; ended at the end of a `with`.

    Parameters
    ----------
    arguments : sequence of str
        What follows `python` on its command line.
    environment : mapping, optional
        Variables besides our own.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None):
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def __enter__(self) -> "Asked":
        return self

    def __exit__(self, *_) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def ask(self, question: str) -> dict:
        """Send a line and wait for the one that answers it."""
        try:
            print(question, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._ended() from None
        return self.line()

    def line(self) -> dict:
        """The next line that the process writes.

        Raises
        ------
        WorkbenchError
            The process ended instead; with the last line that it complained in.
        """
        text = self._process.stdout.readline()
        if not text:
            raise self._ended()
        return json.loads(text)

    def _ended(self) -> WorkbenchError:
        _, complaint = self._process.communicate()
        last = complaint.strip().rpartition("\n")[2] or "it said nothing"
        return WorkbenchError(
            f"a process that was to measure ended with {self._process.returncode}: {last}"
        )
