"""`workbench bench`: races, every kernel and every named peer in one run."""

from typing import Annotated

import typer

from workbench.cli.arguments import read_counts, read_shapes
from workbench.cli.output import AsJson, show

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
    as_json: AsJson = False,
) -> None:
    """Ternary matrix products: our kernels, NumPy, textbook variants, llama.cpp where installed."""
    shapes = read_shapes(shape)
    counts = read_counts(threads, "--threads"), read_counts(tokens, "--tokens")
    from workbench.measure.race import bench_matmul

    show(bench_matmul(shapes, *counts), as_json)
