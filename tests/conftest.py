"""What several tests share: the command line, a real browser, and where its pictures go."""

import io
import os
import re
import shutil
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from workbench import cli

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# harmless, and not ours: plotly's renderer wants to store a picture in a model that Voila lacks,
# and Voila's front end says of each library that it is older than JupyterLab's
KNOWN_MESSAGES = re.compile(r"setData is not a function|version .* of shared")
FAILED = pytest.StashKey[bool]()

# a shell starts background jobs with Ctrl-C ignored, and what the tests start would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def run(monkeypatch):
    """Runs a command line within this process; returns exit status, standard output and error."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["workbench", *map(str, words)])
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, out.getvalue(), err.getvalue()

    return call


@pytest.fixture(scope="session")
def chromium():
    """A real Chromium; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = [os.environ.get("WORKBENCH_CHROMIUM"), *map(shutil.which, BROWSERS)]
    path = next(filter(None, found), None)
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page, and everything that it asked for and complained about.

    Attributes
    ----------
    page : playwright page
    addresses : list of str
        Of requests and WebSockets.
    complaints : list of str
        Errors on the console, uncaught exceptions, and answers of 400 and more.
    """

    page: object
    addresses: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self):
        page = self.page
        page.on("request", lambda request: self.addresses.append(request.url))
        page.on("websocket", lambda socket: self.addresses.append(socket.url))
        page.on("pageerror", lambda error: self.complain(str(error)))
        page.on(
            "console",
            lambda message: self.complain(message.text) if message.type == "error" else None,
        )
        page.on(
            "response",
            lambda answer: (
                self.complain(f"{answer.status} {answer.url}") if answer.status >= 400 else None
            ),
        )

    def complain(self, text: str) -> None:
        """Note what is not known to be harmless."""
        if not KNOWN_MESSAGES.search(text):
            self.complaints.append(text)

    def check(self) -> None:
        """Nothing left this machine, and nothing went wrong."""
        local = ("http://127.0.0.1:", "ws://127.0.0.1:", "blob:http://127.0.0.1:", "data:")
        assert [a for a in self.addresses if not a.startswith(local)] == []
        assert self.complaints == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Let a fixture's end know whether its test failed."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture
def visit(chromium, screenshots, request):
    """Open pages with ``visit(address, width, theme)``; each is a Visit, closed at the end.

    Where the test fails, what they showed last is among the screenshots.
    """
    contexts = []

    def open_page(address: str, width: int = 1200, theme: str = "light", height: int = 1400):
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme
        )
        context.set_default_timeout(60_000)
        contexts.append(context)
        visited = Visit(context.new_page())
        visited.page.goto(address, wait_until="commit")
        return visited

    yield open_page
    for number, context in enumerate(contexts):
        if request.node.stash.get(FAILED, False):
            name = re.sub(r"[^\w-]+", "-", request.node.name)
            context.pages[0].screenshot(path=screenshots / f"failed-{name}-{number}.png")
        context.close()


@pytest.fixture
def screenshots(tmp_path) -> Path:
    """Where pictures go: WORKBENCH_SCREENSHOTS, to look at them, or a temporary folder."""
    folder = Path(os.environ.get("WORKBENCH_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
