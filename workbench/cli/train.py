"""`workbench train`: a small language model of one's own, ternary or its float twin."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.output import AsJson, show, step_progress


def train(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder of the course; called again, it goes on from there."
        ),
    ],
    weights: Annotated[
        str, typer.Option(help="ternary, or float for the twin that rounds nothing.")
    ] = "ternary",
    steps: Annotated[int, typer.Option(min=1, help="Updates of the weights.")] = 3000,
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights and the order.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch.")] = 1,
    packages: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the Debian packages bible-kjv, bible-kjv-text and jargon-text, as "
            ".deb files or unpacked.",
            show_default="where Debian installs them",
        ),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(help="Learn this file instead; empty lines separate documents. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a small BitNet b1.58 on public-domain English and write it as GGUF.

    Stopped and called again with the same --output, it goes on. Needs PyTorch (extra `train`).
    """
    from workbench.lm.training import Plan, train

    plan = Plan(weights=weights, steps=steps, seed=seed)
    with step_progress() as progress:
        log = train(
            output, plan, packages=packages, texts=text or (), threads=threads, progress=progress
        )
    show(log, as_json, note=f"{output / 'model.gguf'} is the model")
