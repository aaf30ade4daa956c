"""`workbench doctor`: is this installation whole, and what can this machine do?"""

import shutil
from typing import Annotated

import typer

from workbench.cli.arguments import Threads
from workbench.cli.output import AsJson, show

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MEND_KERNELS = "run `make kernels`, or install the package again with a C++ compiler"


def doctor(
    measure: Annotated[
        bool, typer.Option(help="Measure bandwidth and peak speed too; takes seconds.")
    ] = True,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Is everything compiled, and what can this machine do? Exit status 1 if kernels are not."""
    found = _kernels()
    compiled = all(row["ok"] for row in found)
    rows = found + _machine(threads, measure and compiled) + _optional()
    show(rows, as_json)
    if not compiled:
        raise typer.Exit(1)


def _row(check: str, ok: bool, value, mend: str = "") -> dict:
    return {"check": check, "ok": ok, "value": value, "mend": "" if ok else mend}


def _kernels() -> list[dict]:
    from workbench import kernels

    states = map(kernels.status, kernels.names())
    return [
        _row(
            f"kernel {kernel.name}",
            kernel.compiled,
            "compiled" if kernel.compiled else f"NOT COMPILED: {kernel.reason}",
            MEND_KERNELS,
        )
        for kernel in states
    ]


def _machine(threads: int, measure: bool) -> list[dict]:
    from workbench.measure.machine import machine_facts, measured_facts

    facts = machine_facts() | (measured_facts(threads) if measure else {})
    return [_row(key, True, value) for key, value in facts.items() if key != "kernels"]


def _optional() -> list[dict]:
    """What is there only for more comparisons; its lack is no fault."""
    from workbench.measure.peers import unavailable
    from workbench.models import catalog

    model = catalog()["smollm2-135m"]
    peers_missing = unavailable()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    return [
        _row(
            "optional: peers",
            not peers_missing,
            peers_missing or "llama.cpp",
            "pip install 'ternary-workbench[peers]' races our kernels against llama.cpp",
        ),
        _row(
            f"optional: {model.name}",
            model.present,
            str(model.path),
            f"run `workbench models fetch {model.name}`",
        ),
        _row(
            "optional: browser",
            browser is not None,
            browser or "none found",
            "install chromium to run the browser tests",
        ),
    ]
