"""`workbench models`: what is known, bring it here, look inside."""

from typing import Annotated

import typer

from workbench.cli.arguments import Model, catalog_names
from workbench.cli.output import AsJson, byte_progress, show

app = typer.Typer(help="Models: list, fetch, inspect.", no_args_is_help=True)


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """Models that are known by name. Any GGUF or safetensors file opens by its path."""
    from workbench.models import catalog

    rows = [
        {
            "name": entry.name,
            "source": entry.source,
            "bundled": entry.bundled,
            "architecture": entry.architecture,
            "present": entry.present,
            "nbytes": entry.nbytes,
            "license": entry.license,
            "description": entry.description,
            "path": str(entry.path),
        }
        for entry in catalog().values()
    ]
    show(rows, as_json, hide=["path"])


@app.command()
def fetch(
    name: Annotated[
        str, typer.Argument(help="Name from the list.", autocompletion=catalog_names)
    ] = "smollm2-135m",
    as_json: AsJson = False,
) -> None:
    """Bring a model to this machine: resumed where it was cut, checked by its SHA-256."""
    from workbench.models import catalog
    from workbench.models import fetch as fetch_model

    with byte_progress() as progress:
        path = fetch_model(name, progress)
    entry = catalog()[name]
    rows = [{"name": name, "path": str(path), "nbytes": entry.nbytes, "sha256": entry.sha256}]
    show(rows, as_json)


@app.command()
def inspect(
    model: Model,
    values: Annotated[
        bool, typer.Option(help="Read the weights too: zeros, and what is natively ternary.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """What a model holds: its tensors with type, size, zeros, and whether they are ternary."""
    from workbench.models import inspect as inspect_model
    from workbench.models import open_model

    with byte_progress() as progress:
        found = inspect_model(open_model(model), progress, values=values)
    rows = [
        {
            "tensor": facts.tensor,
            "shape": "x".join(map(str, facts.shape)),
            "type": facts.type,
            "nbytes": facts.nbytes,
            "zeros": facts.zeros,
            "ternary": facts.ternary,
        }
        for facts in found.tensors
    ]
    note = (
        f"{found.path}: {found.architecture}, {len(rows)} tensors, {found.weights:,} weights, "
        f"{found.nbytes:,} bytes"
    )
    if values:
        note += f", {found.zeros:.2%} zeros, {found.ternary_share:.2%} natively ternary"
    show(rows, as_json, note=note)
