"""`workbench bench`: races, every kernel and every named peer in one run."""

from typing import Annotated

import typer

from workbench.cli.arguments import read_counts, read_shapes
from workbench.cli.output import AsJson, show, step_progress

HIDDEN = ("min_s", "max_s", "nbytes", "machine")  # in JSON, but too much for a table

app = typer.Typer(help="Races against named peers.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Races against named peers."""


@app.command()
def matmul(
    shape: Annotated[
        str, typer.Option(help="ROWSxCOLS, several separated by commas.")
    ] = "2048x2048",
    threads: Annotated[str, typer.Option(help="Counts, separated by commas.")] = "1",
    tokens: Annotated[str, typer.Option(help="Counts, separated by commas.")] = "1",
    only: Annotated[
        str,
        typer.Option(
            help="Which kernels: shell patterns, separated by commas; the peers run always.",
            metavar="GLOB",
        ),
    ] = "*",
    seconds: Annotated[
        float, typer.Option(help="Time for each shape, threads and tokens.", min=0.01)
    ] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Ternary matrix products: our kernels, NumPy, textbook variants, llama.cpp where installed."""
    shapes = read_shapes(shape)
    counts = read_counts(threads, "--threads"), read_counts(tokens, "--tokens")
    from workbench.measure.race import bench_matmul

    with step_progress() as progress:
        rows = bench_matmul(shapes, *counts, only=only, seconds=seconds, progress=progress)
    show(rows, as_json, hide=HIDDEN, note=f"\nMeasured on {rows[0]['machine']}.\n")
