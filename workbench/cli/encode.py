"""`workbench encode`: store matrices of a model with one technique, one file each."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.arguments import Model, Tensors, split, technique_names
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
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A folder (one file a matrix), or a .safetensors file for one matrix.",
        ),
    ] = None,
    gguf: Annotated[
        Path | None,
        typer.Option(help="A GGUF copy of the model with these matrices replaced."),
    ] = None,
    tensors: Tensors = "*",
    force: Annotated[bool, typer.Option(help="Replace files that are there already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Store matrices with one technique, as files for `load_encoded` or within a GGUF model."""
    from workbench.formats import export_gguf
    from workbench.measure.compare import matching_tensors
    from workbench.models import open_model
    from workbench.techniques._blocks import gguf_tensor
    from workbench.techniques.base import read_technique

    if output is None and gguf is None:
        raise WorkbenchError("nothing to write: give --output, --gguf or both")
    recipe = read_technique(technique)
    weights = open_model(model)
    names = matching_tensors(weights, split(tensors))
    targets = {} if output is None else _targets(output, names)
    _refuse_to_replace([*targets.values(), *([gguf] if gguf else [])], force)
    if gguf and "general.architecture" not in weights.metadata:
        raise WorkbenchError(f"--gguf copies a GGUF model, which {model} is not")

    rows, replacements = [], {}
    with step_progress() as progress:
        for done, name in enumerate(names):
            progress(done, len(names), name)
            encoded = recipe.encode(weights[name].read())
            if gguf:
                replacements[name] = gguf_tensor(name, encoded)
            if path := targets.get(name):
                path.parent.mkdir(parents=True, exist_ok=True)
                encoded.save(path)
            rows.append(
                {
                    "tensor": name,
                    "technique": recipe.id,
                    "parameters": recipe.model_dump(mode="json"),
                    "nbytes": encoded.nbytes,
                    "bits_per_weight": encoded.bits_per_weight,
                    "file": str(targets.get(name, gguf)),
                }
            )
    if gguf:
        export_gguf(weights.path, gguf, replacements)
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


def _refuse_to_replace(paths: list[Path], force: bool) -> None:
    """Before anything is written: is every file free?"""
    taken = [path for path in paths if path.exists()]
    if taken and not force:
        raise WorkbenchError(f"{taken[0]} is there already; --force replaces it")
