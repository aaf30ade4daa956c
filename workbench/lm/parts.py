"""The parts of a transformer that can be ternary, and what each costs in bytes and perplexity.

>>> from workbench.lm import open_language_model, read_text
>>> from workbench.lm.parts import switched
>>> model = open_language_model("english-float")  # doctest: +SKIP
>>> text = read_text("english-held-out.txt")  # doctest: +SKIP
>>> switched(model, ["embedding", "cache"], text).total_bytes  # doctest: +SKIP
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from workbench.errors import WorkbenchError
from workbench.lm.evaluation import Replaced, apply_policy
from workbench.lm.generation import cache_for
from workbench.lm.model import Model
from workbench.lm.scoring import Perplexity, Progress, perplexity
from workbench.techniques.base import Technique, read_technique

NORMS = "norms"
CACHE = "cache"
READING = "attention"
PARTS = {
    "attention matrices": ("blk.*.attn_[qkvo]*.weight",),
    "feed-forward matrices": ("blk.*.ffn_[gud]*.weight",),
    "embedding": ("token_embd.weight", "output.weight"),
    NORMS: ("*_norm.weight",),
    CACHE: (),
    READING: (),
}
"""Names of the parts and the tensors that belong to each. `cache`: the keys and values of the
tokens seen; `attention`: scores and sums straight from their codes, small weights left out."""


@dataclass(frozen=True)
class Switched:
    """A model some of whose parts are ternary.

    Attributes
    ----------
    parts : tuple of str
        Those that are.
    perplexity : Perplexity
    nbytes : dict of part to int
        Of what each part stores, ternary or as the file has it. The cache is counted full, for
        `tokens` tokens; attention itself stores nothing.
    tokens : int
    model : Model
        With the decoded tensors.
    replaced : tuple of Replaced
        Matrices, embedding included.
    """

    parts: tuple[str, ...]
    perplexity: Perplexity
    nbytes: dict[str, int]
    tokens: int
    model: Model = field(repr=False)
    replaced: tuple[Replaced, ...] = field(repr=False)

    @property
    def total_bytes(self) -> int:
        """Of all parts together."""
        return sum(self.nbytes.values())


def switched(
    model: Model,
    parts: Collection[str],
    text: str | Sequence[int],
    technique: str | Technique = "planar-ternary:rounding=optimal",
    *,
    cache: Mapping | None = None,
    skip: float = 1e-3,
    window: int | None = None,
    progress: Progress | None = None,
) -> Switched:
    """Make some parts of a model ternary and measure it.

    Parameters
    ----------
    model : Model
    parts : names of PARTS
    text : str or token ids
    technique : str or Technique
        For matrices, embedding and norms (all of one length as one matrix, a norm a row).
    cache : mapping, optional
        Options of `new_cache` for a ternary cache; ``{"store": "ternary"}``.
    skip : float
        For ternary attention: the weight below which values are left out.
    window, progress
        As in `perplexity`.

    Raises
    ------
    WorkbenchError
        A part that does not exist, attention on codes without a cache that has them, or what
        `evaluate` refuses.
    """
    for part in parts:
        if part not in PARTS:
            raise WorkbenchError(f"no part is called {part!r}; there are {', '.join(PARTS)}")
    if READING in parts and CACHE not in parts:
        raise WorkbenchError(
            "attention reads codes, which only a ternary cache has; switch the cache too"
        )
    policy = {
        pattern: technique
        for part in parts
        if part != NORMS
        for pattern in PARTS[part]
        if pattern in model.tensors or "*" in pattern
    }
    options: dict = {"attention": "plain"}
    if CACHE in parts:
        options |= cache or {"store": "ternary"}
    if READING in parts:
        options |= {"attention": "packed", "skip": skip}
    changed, replaced = apply_policy(model, policy, progress=progress)
    nbytes = dict.fromkeys([part for part in PARTS if part != READING], 0)
    for name, size in stored_bytes(model, replaced).items():
        nbytes[part_of(name)] += size
    if NORMS in parts:
        norms, nbytes[NORMS] = _norms(model, technique)
        changed = changed.with_tensors(norms)
    found = perplexity(changed, text, window=window, cache=options, progress=progress)
    tokens = found.window
    nbytes[CACHE] = tokens * cache_for(changed, tokens, options).bytes_per_token
    return Switched(
        tuple(part for part in PARTS if part in parts), found, nbytes, tokens, changed, replaced
    )


def _norms(model: Model, technique: str | Technique) -> tuple[dict[str, np.ndarray], int]:
    """The decoded norms by name, and the bytes of all."""
    recipe = read_technique(technique) if isinstance(technique, str) else technique
    by_length: dict[tuple[int, ...], list[str]] = {}
    for name in model.tensors:
        if part_of(name) == NORMS:
            by_length.setdefault(model.tensors.shape(name), []).append(name)
    decoded, nbytes = {}, 0
    for names in by_length.values():
        encoded = recipe.encode(np.stack([model.tensors[name] for name in names]))
        decoded |= dict(zip(names, encoded.decode(), strict=True))
        nbytes += encoded.nbytes
    return decoded, nbytes


def part_of(tensor: str) -> str:
    """The part that a tensor belongs to.

    >>> part_of("blk.3.attn_sub_norm.weight"), part_of("blk.3.ffn_up.weight")
    ('norms', 'feed-forward matrices')
    """
    if tensor.endswith("_norm.weight"):
        return NORMS
    if tensor in PARTS["embedding"]:
        return "embedding"
    return "attention matrices" if ".attn_" in tensor else "feed-forward matrices"


def stored_bytes(model: Model, replaced: Sequence[Replaced] = ()) -> dict[str, int]:
    """Bytes of each tensor: as its technique stores it, as the file does, or as float32."""
    sizes = {each.tensor: each.nbytes for each in replaced}
    for name in model.tensors:
        if name in sizes:
            continue
        stored = model.tensors.stored(name)
        if stored is None:  # replaced by an array
            sizes[name] = 4 * prod(model.tensors.shape(name))
        else:
            tensor, rows = stored
            raw = tensor.raw()
            sizes[name] = raw.nbytes if rows is None else raw[rows].nbytes
    return sizes
