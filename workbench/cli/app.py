"""The `workbench` command: its verbs, and what every one of them does on errors and on Ctrl-C."""

import importlib.metadata
import os
import sys
import warnings
from typing import Annotated

import typer

from workbench.cli import (
    bench,
    claims,
    compare,
    doctor,
    encode,
    export,
    generate,
    models,
    notebooks,
    perplexity,
    sweep,
    techniques,
    train,
)
from workbench.cli.output import quiet_pipe
from workbench.errors import WorkbenchError

INTERRUPTED = 130  # what shells give a program that Ctrl-C ended

# typer exports this class only through its subclass
UsageError = typer.BadParameter.__base__

app = typer.Typer(
    name="workbench",
    help="Make neural-network weights smaller, and measure what that costs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")
app.command("techniques")(techniques.techniques)
app.command("encode")(encode.encode)
app.command("export")(export.export)
app.command("compare")(compare.compare)
app.add_typer(bench.app, name="bench")
app.command("generate")(generate.generate)
app.command("perplexity")(perplexity.perplexity)
app.command("sweep")(sweep.sweep)
app.command("train")(train.train)
app.command("claims")(claims.claims)
app.command("lab")(notebooks.lab)
app.command("dashboards")(notebooks.dashboards)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"workbench {importlib.metadata.version('ternary-workbench')}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Options before the verb."""


def main() -> None:
    """Run the command line and leave the process with its exit status.

    0: done. 1: an error that a line on standard error tells. 2: wrong usage, told likewise.
    130: Ctrl-C.
    """
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):  # a text may hold what the terminal cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    status = _status()
    with quiet_pipe():
        sys.stdout.flush()
    sys.exit(status)


def _status() -> int:
    try:
        return app(prog_name="workbench", standalone_mode=False) or 0
    except UsageError as error:
        return _complain(_usage(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print(file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("WORKBENCH_DEBUG", "0") not in ("", "0"):
            raise
        return _complain(_sentence(error), 1)


def _usage(error: Exception) -> str:
    """What was wrong with the arguments, and where to look."""
    said = error.format_message() or "a command is missing"
    context = error.ctx
    return f"{said.rstrip('.')} (see {context.command_path} --help)" if context else said


def _sentence(error: Exception) -> str:
    if isinstance(error, WorkbenchError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    if isinstance(error, MemoryError):
        return f"not enough memory ({error}); take fewer or smaller matrices, or a shorter text"
    return f"{type(error).__name__}: {error} (a fault of the workbench; WORKBENCH_DEBUG=1 shows it)"


def _complain(sentence: str, status: int) -> int:
    print("error:", " ".join(sentence.split()), file=sys.stderr)
    return status


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print("warning:", " ".join(str(message).split()), file=sys.stderr)
