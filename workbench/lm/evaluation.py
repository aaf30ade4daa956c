"""What a technique costs: the perplexity of a model whose matrices it stores.

>>> import workbench as wb
>>> policy = {"blk.*.ffn_*": "planar-ternary:group=128", "blk.*.attn_*": "q8_0"}
>>> wb.evaluate("smollm2-135m", policy, text).perplexity.perplexity  # doctest: +SKIP
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from workbench.errors import WorkbenchError
from workbench.lm.model import Model, open_language_model
from workbench.lm.scoring import Convention, Perplexity, Progress, perplexity
from workbench.lm.texts import read_text
from workbench.measure.error import relative_mse
from workbench.models import Weights
from workbench.techniques.base import Technique
from workbench.techniques.policy import Policy, chosen_techniques, encoded_matrix

HELD_OUT = "english-held-out.txt"


@dataclass(frozen=True)
class Replaced:
    """A matrix that a technique stores instead of the file.

    Attributes
    ----------
    tensor : str
    technique : Technique
    nbytes : int
        Of the file that the technique would save.
    weights : int
        How many there are.
    rel_mse : float
        Of the decoded matrix, held against the file's.
    """

    tensor: str
    technique: Technique
    nbytes: int
    weights: int
    rel_mse: float


@dataclass(frozen=True)
class Evaluation:
    """A model under a policy.

    Attributes
    ----------
    perplexity : Perplexity
    tensors : tuple of Replaced
        In the model's order; everything else is as in the file.
    """

    perplexity: Perplexity
    tensors: tuple[Replaced, ...] = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of the replaced matrices, exactly."""
        return sum(each.nbytes for each in self.tensors)

    @property
    def weights(self) -> int:
        """Weights of the replaced matrices."""
        return sum(each.weights for each in self.tensors)

    @property
    def bits_per_weight(self) -> float | None:
        """Over all replaced matrices; None where nothing was replaced."""
        return 8 * self.nbytes / self.weights if self.tensors else None

    def __str__(self) -> str:
        found = self.perplexity
        text = f"perplexity {found.perplexity:.2f} on {found.tokens:,} tokens"
        if not self.tensors:
            return f"{text}, nothing replaced"
        return (
            f"{text}, {len(self.tensors)} tensors stored in {self.nbytes:,} bytes, "
            f"{self.bits_per_weight:.2f} bits a weight"
        )


def evaluate(
    model: str | os.PathLike | Weights | Model,
    policy: Policy,
    text: str | Sequence[int] | None = None,
    *,
    window: int | None = None,
    stride: int | None = None,
    convention: Convention = "all",
    cache: Mapping | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """The perplexity of a model some of whose tensors are stored by techniques.

    The model runs on the reference path with the decoded matrices, so what is measured is the loss
    of the weights alone: techniques that also round activations do not do so here.

    Parameters
    ----------
    model : str, path, Weights or Model
        As `open_language_model` takes it, or what it returned.
    policy : mapping of pattern to technique
        Such as ``{"blk.*.ffn_*": "q4_0"}``, see `workbench.techniques.policy`; vectors are stored
        as matrices of one row.
    text : str or token ids, optional
        By default English that no model of the workbench was trained on (`english-held-out.txt`;
        45,013 tokens of our own models).
    window, stride, convention, cache, progress
        As in `perplexity`; `progress` is first called for each matrix.

    Raises
    ------
    WorkbenchError
        A pattern that fits no matrix, or only such as patterns before it took; a technique that
        cannot store a matrix; or what `open_language_model` and `perplexity` refuse.
    """
    if not isinstance(model, Model):
        model = open_language_model(model)
    changed, replaced = apply_policy(model, policy, progress=progress)
    text = read_text(HELD_OUT) if text is None else text
    found = perplexity(
        changed,
        text,
        window=window,
        stride=stride,
        convention=convention,
        cache=cache,
        progress=progress,
    )
    return Evaluation(found, replaced)


def apply_policy(
    model: Model, policy: Policy, *, progress: Progress | None = None
) -> tuple[Model, tuple[Replaced, ...]]:
    """A model with what techniques make of its tensors, and what they made of each.

    Parameters
    ----------
    model : Model
        Stays as it is; the result shares whatever is not replaced.
    policy, progress
        As in `evaluate`.
    """
    chosen = chosen_techniques(tensor_shapes(model), policy)
    decoded, replaced = {}, []
    for done, (name, technique) in enumerate(chosen.items()):
        if progress is not None:
            progress(done, len(chosen), f"{technique.id} on {name}")
        tensor = np.asarray(model.tensors[name])
        matrix = np.atleast_2d(tensor)
        encoded = encoded_matrix(name, technique, matrix)
        result = encoded.decode()
        decoded[name] = result.reshape(tensor.shape)
        error = relative_mse(matrix, result)
        replaced.append(Replaced(name, technique, encoded.nbytes, tensor.size, error))
    return model.with_tensors(decoded), tuple(replaced)


def tensor_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Shapes by name, in the model's order."""
    return {name: model.tensors.shape(name) for name in model.tensors}


def matrix_names(model: Model) -> list[str]:
    """Names of a model's matrices, in its order."""
    return [name for name, shape in tensor_shapes(model).items() if len(shape) == 2]


@dataclass(frozen=True)
class LayerCost:
    """What it costs to store one layer with a technique, all others left as they are.

    Attributes
    ----------
    layer : int
    perplexity : float
    base : float
        The perplexity of the model as it is, on the same tokens.
    ratio : float
        perplexity / base.
    tokens : int
        Tokens scored.
    nbytes : int
        Of the layer's replaced matrices.
    bits_per_weight : float
    rel_mse : float
        Over all replaced weights of the layer, each matrix counted by its number of weights.
    """

    layer: int
    perplexity: float
    base: float
    ratio: float
    tokens: int
    nbytes: int
    bits_per_weight: float
    rel_mse: float

    def row(self) -> dict:
        """As a flat row of a table."""
        return asdict(self)


def sensitivity(
    model: str | os.PathLike | Weights | Model,
    technique: str | Technique,
    text: str | Sequence[int],
    *,
    layers: Sequence[int] | None = None,
    tensors: str = "*",
    base: float | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    **settings,
) -> Iterator[LayerCost]:
    """Store one layer at a time, and say what each costs.

    Parameters
    ----------
    model : str, path, Weights or Model
    technique : str or Technique
    text : str or token ids
    layers : sequence of int, optional
        By default all.
    tensors : str
        Which matrices of a layer, such as ``"ffn_*"``.
    base : float, optional
        The perplexity of the model as it is, where it is known; otherwise it is measured first.
    progress : callable (done, total, what), optional
        Called before each layer, with layers.
    settings
        `window`, `stride`, `convention` and `cache`, as in `perplexity`.

    Yields
    ------
    LayerCost
        As soon as it is known.
    """
    if not isinstance(model, Model):
        model = open_language_model(model)
    layers = range(model.config.layers) if layers is None else list(layers)
    for layer in layers:
        if not 0 <= layer < model.config.layers:
            raise WorkbenchError(
                f"layer {layer} is not there: the model has the layers 0 to "
                f"{model.config.layers - 1}"
            )
    policies = [{f"blk.{layer}.{tensors}": technique} for layer in layers]
    shapes = tensor_shapes(model)
    for policy in policies:  # every refusal before the first number
        chosen_techniques(shapes, policy)
    if base is None:
        if progress is not None:
            progress(0, len(policies), "as it is")
        base = perplexity(model, text, **settings).perplexity
    for done, (layer, policy) in enumerate(zip(layers, policies, strict=True)):
        if progress is not None:
            progress(done, len(policies), f"layer {layer}")
        found = evaluate(model, policy, text, **settings)
        yield LayerCost(
            layer=layer,
            perplexity=found.perplexity.perplexity,
            base=base,
            ratio=found.perplexity.perplexity / base,
            tokens=found.perplexity.tokens,
            nbytes=found.nbytes,
            bits_per_weight=found.bits_per_weight,
            rel_mse=sum(t.rel_mse * t.weights for t in found.tensors) / found.weights,
        )
    if progress is not None:
        progress(len(policies), len(policies), "")
