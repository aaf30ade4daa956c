"""`workbench sweep`: a notebook, or `compare`, over a grid of parameters."""

from typing import Annotated

import typer

from workbench.cli.output import AsJson, show, step_progress
from workbench.errors import WorkbenchError

SHOWN = 20  # jobs in the table that people see
HIDDEN = ("job.source", "job.notebook", "job.started", "job.file")


def names() -> list[str]:
    """Notebook names, for shell completion."""
    from workbench.sweep import notebook_names

    return notebook_names()


def sweep(
    notebook: Annotated[
        str,
        typer.Argument(
            help="The path of a notebook, the name of one of the workbench's own, `compare` (one "
            "technique on one matrix a job) or `sensitivity` (on one layer of a language model).",
            autocompletion=names,
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Values of a parameter: 2,3,4 or a range 2..8 or 0..1..0.25, both ends included, "
            'or a JSON list ["a,b", "c"]; for `tensor` and `technique` patterns too. Repeatable: '
            "every combination is a job.",
            metavar="NAME=VALUES",
        ),
    ] = None,
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the results, or an fsspec address such as s3://bucket/sweep. Jobs of "
            "which it has a result are not run again.",
            metavar="FOLDER",
            show_default="runs/NOTEBOOK",
        ),
    ] = "",
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="A Dask scheduler that is running already.",
            metavar="tcp://HOST:PORT",
            show_default="processes on this machine",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes on this machine.", show_default="one for each processor"
        ),
    ] = None,
    limit: Annotated[float, typer.Option(help="Seconds that a job may take.", min=1)] = 600,
    shared: Annotated[
        bool,
        typer.Option(
            "--shared", help="Workers write into the folder themselves: it is the same for all."
        ),
    ] = False,
    parameters: Annotated[
        bool, typer.Option("--parameters", help="Print the notebook's parameters; run nothing.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and count the jobs; run nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a notebook once for every combination of parameters; a table and a report come out.

    Called again with the same folder, only what is missing or failed is run.
    """
    from workbench.sweep import open_notebook, plan, read_values, run

    book = open_notebook(notebook)
    if parameters:
        show([_about(parameter) for parameter in book.parameters.values()], as_json)
        return
    grid: dict = {}
    for text in settings or []:
        name, equals, values = text.partition("=")
        if not equals:
            raise WorkbenchError(f"--set {text!r} is not of the form name=values")
        if name in grid:
            raise WorkbenchError(f"--set {name} is given twice; put its values into one list")
        grid[name] = read_values(values, book.parameter(name))
    jobs = plan(book, grid)
    if dry_run:
        _show([{"job.id": job.id, **job.parameters} for job in jobs], as_json, "nothing was run")
        return
    folder = out or f"runs/{book.name}"
    with step_progress() as progress:
        table = run(
            jobs,
            folder,
            scheduler=scheduler,
            workers=workers,
            limit_s=limit,
            shared=shared,
            progress=progress,
        )
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    _show(rows, as_json, f"all in {folder}: report.html, table.parquet, notebooks")
    failed = [row for row in rows if row["job.status"] != "ok"]
    if failed:
        raise WorkbenchError(
            f"{len(failed)} of {len(rows)} jobs failed, the first ({failed[0]['job.id']}) with: "
            f"{failed[0]['job.error']}; the same command runs these again"
        )


def _about(parameter) -> dict:
    return {
        "name": parameter.name,
        "type": " or ".join(parameter.kinds) or "any",
        "default": "-" if parameter.default.__class__ is object else repr(parameter.default),
        "description": parameter.help,
    }


def _show(rows: list[dict], as_json: bool, note: str) -> None:
    """All rows for programs; for people the first, and no facts of machines."""
    if as_json:
        show(rows, True)
        return
    hidden = [key for key in rows[0] if key.startswith(("machine.", "version.")) or key in HIDDEN]
    jobs = f"{len(rows)} job{'s' * (len(rows) > 1)}"
    more = f", of which the first {SHOWN} are shown" if len(rows) > SHOWN else ""
    texts = [{k: str(v) if isinstance(v, list | dict) else v for k, v in r.items()} for r in rows]
    show(texts[:SHOWN], False, hide=hidden, note=f"{jobs}{more}; {note}")
