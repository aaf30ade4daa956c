"""`workbench export`: a copy of a GGUF model with matrices stored by techniques."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from workbench.cli.arguments import Activation, Model, Replace, read_policy, refuse_to_replace
from workbench.cli.output import AsJson, show, step_progress
from workbench.errors import WorkbenchError


def export(
    model: Model,
    output: Annotated[Path, typer.Argument(help="The GGUF file to write.")],
    replace: Replace = None,
    activation: Activation = None,
    force: Annotated[bool, typer.Option(help="Replace a file that is there already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy a GGUF model with matrices stored by techniques; llama.cpp loads what comes out."""
    from workbench.lm.config import ACTIVATION_KEY
    from workbench.lm.config import Activation as Kind
    from workbench.models import open_model
    from workbench.techniques.policy import export_model

    policy = read_policy(replace or [])
    if activation not in (None, *get_args(Kind)):
        raise WorkbenchError(f"--activation is {activation!r}, but must be silu or relu2")
    if not policy and activation is None:
        raise WorkbenchError("nothing would change: give --replace PATTERN=TECHNIQUE")
    refuse_to_replace([output], force)
    weights = open_model(model)
    metadata = {f"{weights.architecture}.{ACTIVATION_KEY}": activation} if activation else {}
    with step_progress() as progress:
        rows = export_model(weights, policy, output, metadata=metadata, progress=progress)
    note = f"{output}: {output.stat().st_size:,} bytes\n"
    show([{**row, "file": str(output)} for row in rows], as_json, hide=["file"], note=note)
