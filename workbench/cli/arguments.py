"""Arguments that several verbs share, and how their text is read."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from workbench.errors import WorkbenchError

SHAPE = re.compile(r"(\d+)x(\d+)")


def catalog_names() -> list[str]:
    """Model names, for shell completion."""
    from workbench.models.known import catalog

    return list(catalog())


def technique_names() -> list[str]:
    """Technique names, for shell completion."""
    from workbench.techniques.base import techniques

    return list(techniques())


Model = Annotated[
    str,
    typer.Argument(
        help="A name (see `workbench models list`), or a .gguf file, a .safetensors file or a "
        "folder of them.",
        autocompletion=catalog_names,
    ),
]
Tensors = Annotated[
    str,
    typer.Option(help="Which matrices: shell patterns, separated by commas.", metavar="GLOB"),
]
Replace = Annotated[
    list[str] | None,
    typer.Option(
        help="Store matrices with a technique, as in blk.*.ffn_*=uniform:bits=3; repeatable, the "
        "first pattern that fits a matrix counts.",
        metavar="PATTERN=NAME[:KEY=VALUE,...]",
    ),
]
Activation = Annotated[
    str | None,
    typer.Option(
        help="silu or relu2, for a bitnet model that does not say it.",
        show_default="what the file says",
    ),
]
Runs = Annotated[
    str,
    typer.Option(
        "--weights",
        help="reference: float32, slow and exact. Otherwise compiled, with int8 activations and "
        "the weights in memory as file (as near to the file as possible), planar, base3, int8 or "
        "int4.",
    ),
]
Cache = Annotated[
    str,
    typer.Option(
        help="How keys and values are kept, as in store=ternary,mode=rms or "
        "layout=ring,sinks=4,window=252.",
        metavar="KEY=VALUE,...",
        show_default="float32, all tokens",
    ),
]
Threads = Annotated[int, typer.Option(min=1, help="Threads of our kernels.")]


def split(text: str) -> list[str]:
    """What stands between commas."""
    return [part.strip() for part in text.split(",")]


def read_shapes(text: str) -> list[tuple[int, int]]:
    """``2048x2048,4096x4096`` as rows and columns."""
    shapes = []
    for part in split(text):
        found = SHAPE.fullmatch(part)
        if found is None or 0 in (shape := tuple(map(int, found.groups()))):
            raise WorkbenchError(
                f"--shape {part!r} is not ROWSxCOLS, such as 2048x2048, with both above 0"
            )
        shapes.append(shape)
    return shapes


def read_counts(text: str, option: str) -> list[int]:
    """``1,2`` as positive integers."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1:
        raise WorkbenchError(f"{option} {text!r} is not a list of positive integers, such as 1,2")
    return counts


def read_policy(replace: Iterable[str]) -> dict[str, str]:
    """``PATTERN=TECHNIQUE``, several times, as a policy (`workbench.techniques.policy`)."""
    policy: dict[str, str] = {}
    for text in replace:
        pattern, equals, technique = text.partition("=")
        if not (pattern and equals and technique):
            raise WorkbenchError(f"--replace {text!r} is not of the form PATTERN=TECHNIQUE")
        if pattern in policy:
            raise WorkbenchError(f"--replace {pattern} is given twice")
        policy[pattern] = technique
    return policy


def read_cache(text: str, weights: str, threads: int) -> dict:
    """``--cache`` as options of `new_cache`, whose kernels on the reference path take threads."""
    from workbench.techniques.base import read_options

    options = read_options(text, "--cache")
    return {"threads": threads, **options} if options and weights == "reference" else options


def refuse_to_replace(paths: Iterable[Path], force: bool) -> None:
    """Before anything is written: is every file free?"""
    taken = [path for path in paths if path.exists()]
    if taken and not force:
        raise WorkbenchError(f"{taken[0]} is there already; --force replaces it")
