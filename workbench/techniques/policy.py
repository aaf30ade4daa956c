"""Policies: which technique stores which tensors of a model."""

import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.formats import export_gguf
from workbench.models import Weights, open_model
from workbench.techniques._blocks import gguf_tensor
from workbench.techniques.base import Encoded, Technique, read_technique

Policy = Mapping[str, str | Technique | None]


def chosen_techniques(
    shapes: Mapping[str, tuple[int, ...]], policy: Policy
) -> dict[str, Technique]:
    """The technique of each tensor that a policy replaces, in the order of `shapes`.

    Parameters
    ----------
    shapes : mapping of tensor names to shapes
    policy : mapping of pattern to technique
        Names or shell patterns of matrices, such as ``"blk.*.ffn_*"``; techniques as
        ``"name:key=value"`` or `Technique` objects, or None to leave matrices as they are. The
        first pattern that fits a matrix counts. Vectors are only replaced by patterns that fit no
        matrix, such as ``"*_norm.weight"``.

    Raises
    ------
    TypeError
        A technique of another type.
    WorkbenchError
        A pattern that fits no matrix, or only such as patterns before it took, or an unknown
        technique.
    """
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    recipes = [_recipe(pattern, technique) for pattern, technique in policy.items()]
    for_vectors = {
        index
        for index, pattern in enumerate(policy)
        if not any(_fits(name, pattern) for name in matrices)
    }
    takes = {}
    for name, shape in shapes.items():
        fitting = (i for i, pattern in enumerate(policy) if _fits(name, pattern))
        if len(shape) == 1:
            fitting = (i for i in fitting if i in for_vectors)
        takes[name] = next(fitting, None)
    for index, pattern in enumerate(policy):
        if index in takes.values():
            continue
        if any(_fits(name, pattern) for name in shapes):
            raise WorkbenchError(
                f"the pattern {pattern!r} never counts: patterns before it take all it fits"
            )
        raise WorkbenchError(
            f"no matrix is called {pattern!r}; there are {', '.join(matrices[:9])} and so on"
        )
    return {
        name: recipes[index]
        for name, index in takes.items()
        if index is not None and recipes[index] is not None
    }


def export_model(
    model: str | os.PathLike | Weights,
    policy: Policy,
    path: str | os.PathLike,
    *,
    metadata: Mapping | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[dict]:
    """Copy a GGUF model with matrices stored by techniques; llama.cpp loads what comes out.

    A technique that is one of GGUF's block formats keeps its blocks, where the columns divide into
    them. Every other matrix is stored decoded, as float32: such a file shows what llama.cpp makes
    of the changed weights, not how small they are.

    Parameters
    ----------
    model : str, path or Weights
        A GGUF model, by name or path, or open.
    policy
        As in `chosen_techniques`, for matrices by the file's names: where queries, keys and values
        are one matrix attn_qkv, they are so here, though `evaluate` has three.
    path : path
        The file to write, through a temporary sibling.
    metadata : mapping, optional
        Entries to add or to change.
    progress : callable (done, total, what), optional

    Returns
    -------
    list of dict
        tensor, technique, parameters, nbytes (of the file that `Encoded.save` would write),
        bits_per_weight, stored (the type in the GGUF file), stored_nbytes; a row a matrix.

    Raises
    ------
    WorkbenchError
        A model that is no GGUF file, a pattern that takes vectors, or what `chosen_techniques` and
        `export_gguf` refuse. Nothing is written then.
    """
    weights = model if isinstance(model, Weights) else open_model(model)
    if "general.architecture" not in weights.metadata:
        raise WorkbenchError(f"{weights.path} is not a GGUF model, so no copy can be made of it")
    chosen = chosen_techniques({name: t.shape for name, t in weights.items()}, policy)
    vector = next((name for name in chosen if len(weights[name].shape) != 2), None)
    if vector is not None:
        raise WorkbenchError(f"tensor {vector!r} is no matrix, and llama.cpp loads it as F32 only")
    replacements, rows = {}, []
    for done, (name, technique) in enumerate(chosen.items()):
        if progress is not None:
            progress(done, len(chosen) + 1, f"{technique.id} on {name}")
        encoded = encoded_matrix(name, technique, weights[name].read())
        replacements[name] = gguf_tensor(name, encoded)
        rows.append(
            {
                "tensor": name,
                "technique": technique.id,
                "parameters": technique.model_dump(mode="json"),
                "nbytes": encoded.nbytes,
                "bits_per_weight": encoded.bits_per_weight,
                "stored": getattr(replacements[name], "quant", "F32"),
                "stored_nbytes": replacements[name].nbytes,
            }
        )
    if progress is not None:
        progress(len(chosen), len(chosen) + 1, f"writing {Path(path).name}")
    export_gguf(weights.path, path, replacements, metadata)
    return rows


def encoded_matrix(name: str, technique: Technique, matrix) -> Encoded:
    """`technique.encode`, whose refusal names the tensor."""
    try:
        return technique.encode(matrix)
    except WorkbenchError as error:
        raise WorkbenchError(f"{technique.id} cannot store {name!r}: {error}") from None


def _recipe(pattern: str, technique: str | Technique | None) -> Technique | None:
    if technique is None or isinstance(technique, Technique):
        return technique
    if not isinstance(technique, str):
        raise TypeError(
            f"the policy says {technique!r} of {pattern!r}, but must say a technique, its name or "
            "None"
        )
    return read_technique(technique)


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)
