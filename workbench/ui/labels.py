"""What a technique is called where several stand side by side."""

from collections.abc import Mapping

from workbench.techniques.base import Technique, techniques


def technique_label(technique: str, parameters: Mapping) -> str:
    """Id, and those parameters that differ from their defaults.

    Examples
    --------
    >>> technique_label("uniform", {"bits": 3, "scale": "row"})
    'uniform bits=3'
    """
    known = techniques().get(technique)
    defaults = {} if known is None else known().model_dump(mode="json")
    own = [f"{key}={value}" for key, value in parameters.items() if value != defaults.get(key)]
    return " ".join([technique, *own])


def label_of(technique: Technique) -> str:
    """`technique_label` of a technique."""
    return technique_label(technique.id, technique.model_dump(mode="json"))
