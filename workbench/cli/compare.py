"""`workbench compare`: techniques x tensors, size against error."""

from typing import Annotated

import typer

from workbench.cli.arguments import (
    Model,
    Tensors,
    Threads,
    split,
    technique_names,
)
from workbench.cli.output import AsJson, show, step_progress

# in JSON, but too much for a table
DETAILS = (
    "max_error",
    "entropy_bits",
    "plain_rel_mse",
    "shuffled_rel_mse",
    "gaussian_rel_mse",
    "laplace_rel_mse",
)


def compare(
    model: Model = "smollm2-slice",
    tensors: Tensors = "*",
    techniques: Annotated[
        str,
        typer.Option(
            help="Which techniques, with default parameters: shell patterns, separated by commas.",
            metavar="GLOB",
            show_default="all, unless --technique is given",
        ),
    ] = "",
    technique: Annotated[
        list[str] | None,
        typer.Option(
            help="One technique with its parameters, as in uniform:bits=3,group=128; repeatable.",
            metavar="NAME[:KEY=VALUE,...]",
            autocompletion=technique_names,
        ),
    ] = None,
    nulls: Annotated[
        bool, typer.Option(help="The same techniques on shuffled, Gaussian and Laplace weights.")
    ] = True,
    plain: Annotated[bool, typer.Option(help="Plain rounding at the same number of bytes.")] = True,
    timing: Annotated[bool, typer.Option(help="Time a product with one token.")] = True,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Store the same matrices in different ways: exact sizes, errors, time of a product."""
    from workbench.measure.compare import compare as compare_techniques
    from workbench.models import open_model
    from workbench.techniques.base import read_technique

    chosen = [read_technique(text) for text in technique or []]
    if techniques or not chosen:
        chosen = split(techniques or "*") + chosen
    weights = open_model(model)
    with step_progress() as progress:
        reports = compare_techniques(
            weights,
            split(tensors),
            chosen,
            nulls=nulls,
            plain=plain,
            timing=timing,
            threads=threads,
            progress=progress,
        )
    rows = [report.row() for report in reports]
    if not as_json:
        for row in rows:
            row["parameters"] = _unusual(row["technique"], row["parameters"])
    show(rows, as_json, hide=DETAILS)


def _unusual(name: str, parameters: dict) -> dict:
    """The parameters that are not at their defaults."""
    from workbench.techniques.base import technique

    defaults = technique(name).model_dump(mode="json")
    return {key: value for key, value in parameters.items() if value != defaults[key]}
