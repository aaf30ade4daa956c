"""`workbench doctor`: is this installation whole, and what can this machine do?"""

import shutil
from importlib.util import find_spec
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
    kernel_rows = _kernels()
    rows = kernel_rows + _machine(threads, measure) + _optional()
    show(rows, as_json)
    if not all(row["ok"] for row in kernel_rows):
        raise typer.Exit(1)


def _row(check: str, ok: bool, value, mend: str = "") -> dict:
    return {"check": check, "ok": ok, "value": str(value), "mend": "" if ok else mend}


def _kernels() -> list[dict]:
    from workbench import kernels

    facts = kernels.build_facts()
    rows = [
        _row(f"build {key}", True, " ".join(value) if isinstance(value, list) else value)
        for key in ("compiler", "flags", "pythran")
        if (value := facts.get(key)) is not None
    ]
    for name in kernels.names():
        kernel = kernels.status(name)
        value = "compiled" if kernel.compiled else f"NOT COMPILED: {kernel.reason}"
        rows.append(_row(f"kernel {name}", kernel.compiled, value, MEND_KERNELS))
    return rows


def _machine(threads: int, measure: bool) -> list[dict]:
    from workbench.measure.machine import machine_facts, measured_facts

    facts = dict(machine_facts())
    if measure:
        facts |= measured_facts(threads)
    return [_row(key, True, value) for key, value in facts.items()]


def _optional() -> list[dict]:
    """What is there only for more comparisons; its lack is no fault."""
    from workbench.models import catalog

    model = catalog()["smollm2-135m"]
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    return [
        _row(
            "optional: peers",
            find_spec("llama_cpp") is not None,
            "llama-cpp-python",
            "pip install 'ternary-workbench[peers]' races our kernels against llama.cpp",
        ),
        _row(
            f"optional: {model.name}",
            model.present,
            model.path,
            f"run `workbench models fetch {model.name}`",
        ),
        _row(
            "optional: browser",
            browser is not None,
            browser or "none",
            "install chromium to run the browser tests",
        ),
    ]
