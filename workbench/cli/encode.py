"""`workbench encode`: store matrices of a model with one technique, one file each."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.arguments import Model, Tensors, read_technique, split, technique_names
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
    """Store matrices with one technique; `workbench.load_encoded` opens the files."""
    from workbench.measure.compare import matching_tensors
    from workbench.models import open_model

    recipe = read_technique(technique)
    weights = open_model(model)
    targets = _targets(output, matching_tensors(weights, split(tensors)), force)
    rows = []
    with step_progress() as progress:
        for done, (name, path) in enumerate(targets.items()):
            progress(done, len(targets), name)
            encoded = recipe.encode(weights[name].read())
            path.parent.mkdir(parents=True, exist_ok=True)
            rows.append(
                {
                    "tensor": name,
                    "technique": recipe.id,
                    "parameters": recipe.model_dump(mode="json"),
                    "nbytes": encoded.save(path),
                    "bits_per_weight": encoded.bits_per_weight,
                    "file": str(path),
                }
            )
    show(rows, as_json)


def _targets(output: Path, names: list[str], force: bool) -> dict[str, Path]:
    """Where each matrix goes; nothing is written before every file is known to be free."""
    if output.suffix == SUFFIX and not output.is_dir():
        if len(names) > 1:
            raise WorkbenchError(
                f"--output {output} is one file, but {len(names)} matrices match; "
                "name a folder, or one matrix with --tensors"
            )
        targets = {names[0]: output}
    else:
        # a tensor's name may hold what a file's may not
        targets = {name: output / (name.replace("/", "_") + SUFFIX) for name in names}
    if output.is_file() and output not in targets.values():
        raise WorkbenchError(f"--output {output} is a file; name a folder or a {SUFFIX} file")
    if len(set(targets.values())) < len(names):
        raise WorkbenchError("two matrices would go to one file; choose fewer with --tensors")
    taken = [path for path in targets.values() if path.exists()]
    if taken and not force:
        raise WorkbenchError(f"{taken[0]} is there already; --force replaces it")
    return targets
