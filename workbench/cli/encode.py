"""`workbench encode`: store matrices of a model with one technique, one file each."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.arguments import Model, Tensors, refuse_to_replace, split, technique_names
from workbench.cli.output import AsJson, show, step_progress
from workbench.errors import WorkbenchError

SUFFIX = ".safetensors"


def encode(
    model: Model,
    technique: Annotated[
        str,
        typer.Option(
            help="With its parameters, as in uniform:bits=3,group=128.",
            metavar="NAME[:KEY=VALUE,...]",
            autocompletion=technique_names,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="A folder (one file a matrix), or a .safetensors file for one matrix.",
        ),
    ],
    tensors: Tensors = "*",
    force: Annotated[bool, typer.Option(help="Replace files that are there already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Store matrices with one technique, as files for `load_encoded`."""
    from workbench.measure.compare import matching_tensors
    from workbench.models import open_model
    from workbench.techniques.base import read_technique

    recipe = read_technique(technique)
    weights = open_model(model)
    names = matching_tensors(weights, split(tensors))
    targets = _targets(output, names)
    refuse_to_replace(targets.values(), force)

    rows = []
    with step_progress() as progress:
        for done, name in enumerate(names):
            progress(done, len(names), name)
            encoded = recipe.encode(weights[name].read())
            targets[name].parent.mkdir(parents=True, exist_ok=True)
            encoded.save(targets[name])
            rows.append(
                {
                    "tensor": name,
                    "technique": recipe.id,
                    "parameters": recipe.model_dump(mode="json"),
                    "nbytes": encoded.nbytes,
                    "bits_per_weight": encoded.bits_per_weight,
                    "file": str(targets[name]),
                }
            )
    show(rows, as_json)


def _targets(output: Path, names: list[str]) -> dict[str, Path]:
    """Where each matrix goes."""
    if output.suffix == SUFFIX and not output.is_dir():
        if len(names) > 1:
            raise WorkbenchError(
                f"--output {output} is one file, but {len(names)} matrices match; "
                "name a folder, or one matrix with --tensors"
            )
        return {names[0]: output}
    if output.is_file():
        raise WorkbenchError(f"--output {output} is a file; name a folder or a {SUFFIX} file")
    # a tensor's name may hold what a file's may not
    targets = {name: output / (name.replace("/", "_") + SUFFIX) for name in names}
    if len(set(targets.values())) < len(names):
        raise WorkbenchError("two matrices would go to one file; choose fewer with --tensors")
    return targets
