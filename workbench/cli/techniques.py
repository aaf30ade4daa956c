"""`workbench techniques`: the ways to store a matrix, and their parameters."""

from typing import Annotated

import typer

from workbench.cli.arguments import technique_names
from workbench.cli.output import AsJson, show, word


def techniques(
    name: Annotated[
        str | None,
        typer.Argument(help="Show this one's parameters.", autocompletion=technique_names),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The ways to store a weight matrix; with NAME, the parameters of one."""
    from workbench.techniques.base import technique
    from workbench.techniques.base import techniques as all_techniques

    if name is not None:
        show(_parameters(type(technique(name))), as_json)
        return
    rows = [
        {
            "technique": identity,
            "description": (cls.__doc__ or "").strip().splitlines()[0],
            "parameters": ", ".join(
                f"{row['parameter']}={row['default']}" for row in _parameters(cls)
            ),
        }
        for identity, cls in all_techniques().items()
    ]
    show(rows, as_json, note="`workbench techniques NAME` shows what the parameters may be.")


def _parameters(cls) -> list[dict]:
    """A row a field, from the schema that validation uses too."""
    fields = cls.model_json_schema()["properties"] if cls.model_fields else {}
    return [
        {
            "technique": cls.id,
            "parameter": name,
            "default": word(field.get("default")),
            "allowed": _allowed(field),
            "description": field.get("description", ""),
        }
        for name, field in fields.items()
    ]


def _allowed(field: dict) -> str:
    if "anyOf" in field:
        return " or ".join(_allowed(option) for option in field["anyOf"])
    if "enum" in field:
        return " or ".join(map(word, field["enum"]))
    if "const" in field:
        return word(field["const"])
    if field.get("type") == "null":
        return "none"
    if field.get("type") == "boolean":
        return "true or false"
    text = field.get("type", "")
    bounds = {
        "minimum": "from {}",
        "exclusiveMinimum": "above {}",
        "maximum": "to {}",
        "exclusiveMaximum": "below {}",
        "multipleOf": "in steps of {}",
    }
    return " ".join(
        [text, *(form.format(field[key]) for key, form in bounds.items() if key in field)]
    )
