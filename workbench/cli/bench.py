"""`workbench bench`: races against named peers in one run, and what loading a model takes."""

from typing import Annotated

import typer

from workbench.cli.arguments import (
    Activation,
    Model,
    Runs,
    Threads,
    read_counts,
    read_shapes,
    split,
)
from workbench.cli.output import AsJson, show, step_progress

LOOKUP_HIDDEN = (
    *("kind", "g", "copies", "min_s", "max_s", "ratio_min", "ratio_max"),
    *("lookups", "ns_a_lookup", "table_bytes", "hits", "bytes_moved"),
)
HIDDEN = ("min_s", "max_s", "nbytes", "machine")  # in JSON, but too much for a table

app = typer.Typer(help="Races against named peers, and what loading takes.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Races against named peers, and what loading takes."""


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


@app.command()
def decode(
    model: Model,
    weights: Annotated[
        str,
        typer.Option(help="Forms in memory, separated by commas: file, planar, base3, int8, int4."),
    ] = "file",
    threads: Annotated[str, typer.Option(help="Counts, separated by commas.")] = "1",
    store: Annotated[str, typer.Option(help="Of our keys and values: f32 or int8.")] = "f32",
    prompt: Annotated[int, typer.Option(min=1, help="Tokens of the prompt.")] = 128,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens after it, one by one.")] = 32,
    seconds: Annotated[float, typer.Option(help="For all turns.", min=0.01)] = 10.0,
    as_json: AsJson = False,
) -> None:
    """A whole model: a prompt, then token by token, beside llama.cpp where it is installed."""
    from workbench.lm.speed import bench_decode

    counts = read_counts(threads, "--threads")
    with step_progress() as progress:
        rows = bench_decode(
            model,
            counts,
            weights=split(weights),
            store=store,
            prompt=prompt,
            tokens=tokens,
            seconds=seconds,
            progress=progress,
        )
    hidden = [key for key in rows[0] if key.endswith(("_min", "_max"))]
    show(rows, as_json, hide=("prompt", "tokens", "machine", *hidden))


@app.command()
def load(
    model: Model,
    weights: Runs = "file",
    threads: Threads = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Of each warm and cold run.")] = 3,
    processes: Annotated[
        int,
        typer.Option(
            min=0, help="Instead: the memory that so many processes use at the same time."
        ),
    ] = 0,
    activation: Activation = None,
    as_json: AsJson = False,
) -> None:
    """Everything up to a model's first token, step by step: time and memory, warm and cold."""
    from workbench.lm import load_memory, load_profile

    routes = ("reference",) if weights == "reference" else ("pack", "engine")
    form = "file" if weights == "reference" else weights
    options = {"weights": form, "threads": threads, "activation": activation}
    with step_progress() as progress:
        if processes:
            rows = load_memory(model, processes, routes=routes[-1:], progress=progress, **options)
        else:
            rows = load_profile(model, routes=routes, repeats=repeats, progress=progress, **options)
    show(rows, as_json, hide=("model", "min_s", "max_s", "pss_bytes"))


@app.command()
def reading(
    model: Model,
    repeats: Annotated[int, typer.Option(min=1, help="Of each cold measurement.")] = 3,
    processes: Annotated[
        int,
        typer.Option(
            min=0, help="Instead: the memory that so many processes use at the same time."
        ),
    ] = 0,
    seconds: Annotated[float, typer.Option(help="For all warm ones.", min=0.01)] = 2.0,
    as_json: AsJson = False,
) -> None:
    """A model's file read and mapped: time, warm and cold, and memory."""
    from workbench.measure.mapping import bench_reading, reading_memory
    from workbench.models import open_model

    path = open_model(model).path
    with step_progress() as progress:
        if processes:
            rows = reading_memory(path, processes, progress=progress)
        else:
            rows = bench_reading(path, seconds=seconds, repeats=repeats, progress=progress)
    show(rows, as_json, hide=("min_s", "max_s"))


@app.command()
def decoding(
    types: Annotated[
        str, typer.Option(help="GGUF types, separated by commas.", show_default="all with a kernel")
    ] = "",
    threads: Annotated[str, typer.Option(help="Counts, separated by commas.")] = "1",
    weights: Annotated[int, typer.Option(help="How many to decode.", min=1)] = 1 << 23,
    seconds: Annotated[float, typer.Option(help="Time for each type.", min=0.01)] = 1.5,
    as_json: AsJson = False,
) -> None:
    """Blocks decoded to float32, by type and threads, beside gguf-py."""
    from workbench.measure.decoding import DECODED, bench_decoding

    chosen, counts = split(types) if types else DECODED, read_counts(threads, "--threads")
    with step_progress() as progress:
        rows = bench_decoding(chosen, counts, weights=weights, seconds=seconds, progress=progress)
    show(rows, as_json, hide=("min_s", "max_s", "nbytes", "ratio_min", "ratio_max"))


@app.command()
def pools(
    sizes: Annotated[str, typer.Option(help="Rows and columns, separated by commas.")] = (
        "512,1024,2048,4096,8192"
    ),
    threads: Threads = 2,
    seconds: Annotated[float, typer.Option(help="Time for each size.", min=0.01)] = 1.5,
    as_json: AsJson = False,
) -> None:
    """Threads kept in a pool, spawned for each product, and OpenMP's inside of the kernel."""
    from workbench.measure.pools import bench_pools

    wanted = read_counts(sizes, "--sizes")
    with step_progress() as progress:
        rows = bench_pools(wanted, threads, seconds=seconds, progress=progress)
    show(rows, as_json, hide=("min_s", "max_s", "ratio_spawned_min", "ratio_spawned_max"))


@app.command()
def lookups(
    shape: Annotated[str, typer.Option(help="ROWSxCOLS, one or several.")] = "2048x2048",
    threads: Annotated[str, typer.Option(help="Counts, separated by commas.")] = "1",
    tokens: Annotated[str, typer.Option(help="Counts, separated by commas.")] = "1",
    groups: Annotated[
        str, typer.Option(help="Trits of a pattern, separated by commas.")
    ] = "3,4,5,6,7,8",
    tiers: Annotated[
        bool, typer.Option(help="Race dictionaries in tiers too; large ones are slow to build.")
    ] = True,
    copies: Annotated[
        int,
        typer.Option(min=1, help="Copies of the matrix multiplied in turn, to exceed a cache."),
    ] = 1,
    seconds: Annotated[
        float, typer.Option(help="Time for each shape, threads and tokens.", min=0.01)
    ] = 8.0,
    as_json: AsJson = False,
) -> None:
    """Products by table lookup, with tiers and without, against packed trits and textbooks."""
    problems = [
        (shape, thread_count, token_count)
        for shape in read_shapes(shape)
        for thread_count in read_counts(threads, "--threads")
        for token_count in read_counts(tokens, "--tokens")
    ]
    wanted = read_counts(groups, "--groups")
    from workbench.measure.lookup_race import bench_random

    with step_progress() as progress:
        rows = bench_random(
            problems,
            groups=wanted,
            tiers=tiers,
            copies=copies,
            seconds=seconds,
            progress=progress,
        )
    show(rows, as_json, hide=LOOKUP_HIDDEN)
