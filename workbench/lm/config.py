"""What a transformer's metadata says about its shape, and what it leaves unsaid."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal, get_args

import numpy as np

from workbench.errors import WorkbenchError
from workbench.models import Weights

Architecture = Literal["llama", "bitnet", "bitnet-25", "bitnet-b1.58"]
Activation = Literal["silu", "relu2"]
RopeOrder = Literal["interleaved", "halves"]

ACTIVATIONS: dict[str, Activation] = {
    "llama": "silu",
    "bitnet-25": "relu2",
    "bitnet-b1.58": "relu2",
}
"""Where the architecture's name implies it. Plain `bitnet` does not: the 700M to 3B reproductions
have SiLU gates, BitNet b1.58 2B-4T squared ReLU, and files of both carry that name."""

ACTIVATION_KEY = "hidden_activation"
"""Metadata key, behind the architecture's name, by which a file says it: "silu" or "relu2".

For instance "bitnet.hidden_activation". The workbench writes it into what it makes; llama.cpp does
not read it for these architectures.
"""


@dataclass(frozen=True)
class Config:
    """The numbers of a model.

    Attributes
    ----------
    architecture : "llama", "bitnet", "bitnet-25" or "bitnet-b1.58"
    vocab : int
        Tokens in the vocabulary: rows of the embedding.
    width : int
        Length of the residual stream.
    layers : int
    heads, kv_heads : int
        Query heads, and key and value heads; heads is a multiple of kv_heads.
    head_dim : int
        Even. `heads * head_dim` is the width of attention, as a rule `width`.
    ff : int
        Length of the feed-forward layer's inner vector.
    context : int
        Positions that the model was trained for.
    norm_eps : float
        Added to the mean square in every norm.
    rope_base : float
    rope_order : "interleaved" or "halves"
        Which elements of a head turn together: (2i, 2i+1), or (i, i + head_dim/2).
    rope_factors : tuple of float, or None
        head_dim/2 divisors of the angles, where the model stretches positions.
    activation : "silu" or "relu2"
        Of the feed-forward gate: x * sigmoid(x), or max(x, 0)**2.
    sub_norms : bool
        Is there a norm in front of the two output projections of a layer, as BitNet has?
    tied : bool
        Is the output matrix the embedding?
    """

    architecture: Architecture
    vocab: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ff: int
    context: int
    norm_eps: float
    rope_base: float
    rope_order: RopeOrder
    activation: Activation
    sub_norms: bool
    tied: bool
    rope_factors: tuple[float, ...] | None = None

    @classmethod
    def of(cls, weights: Weights, activation: Activation | None = None) -> "Config":
        """What the metadata of a GGUF model says.

        Parameters
        ----------
        weights : Weights
            Of `workbench.models.open_model`.
        activation : "silu" or "relu2", optional
            Goes before the file's own word; architecture `bitnet` without one needs it.

        Raises
        ------
        WorkbenchError
            No GGUF model, another architecture, a missing key or one of another kind, a number out
            of range, an activation that nothing tells, or something that changes the computation
            and that is not computed here (experts, other position stretching than linear).
        """
        if "general.architecture" not in weights.metadata:
            raise WorkbenchError(
                f"{weights.name}: only GGUF models run; llama.cpp's convert_hf_to_gguf.py makes "
                "one of a folder from Hugging Face"
            )
        architecture = weights.architecture
        if architecture not in get_args(Architecture):
            raise WorkbenchError(
                f"{weights.name}: its architecture is {architecture!r}, but the workbench runs "
                f"{', '.join(get_args(Architecture))}"
            )
        read = _Reader(weights)
        read.refuse_other_computations()
        width = read.count("embedding_length")
        heads = read.count("attention.head_count")
        kv_heads = read.count("attention.head_count_kv", heads)
        if heads % kv_heads:
            raise read.fail(
                "attention.head_count_kv", kv_heads, f"a divisor of the {heads} query heads"
            )
        head_dim = _head_dim(read, width, heads)
        return cls(
            architecture=architecture,
            vocab=_vocab(read),
            width=width,
            layers=read.count("block_count"),
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            ff=read.count("feed_forward_length"),
            context=read.count("context_length"),
            norm_eps=read.positive("attention.layer_norm_rms_epsilon"),
            rope_base=read.positive("rope.freq_base", 10_000.0),
            rope_order="interleaved" if architecture == "llama" else "halves",
            rope_factors=_rope_factors(read, head_dim),
            activation=_activation(read, activation),
            sub_norms=architecture != "llama",
            tied="output.weight" not in weights,
        )


class _Reader:
    """Reads entries of one architecture from the metadata, and refuses what they may not be."""

    def __init__(self, weights: Weights):
        self.weights = weights

    def key(self, name: str) -> str:
        return f"{self.weights.architecture}.{name}"

    def get(self, name: str, default=None):
        return self.weights.metadata.get(self.key(name), default)

    def fail(self, name: str, value, allowed: str) -> WorkbenchError:
        return WorkbenchError(
            f"{self.weights.name}: metadata {self.key(name)!r} is {value!r}, but must be {allowed}"
        )

    def count(self, name: str, default: int | None = None) -> int:
        """A whole number from 1 to 2^31 - 1."""
        value = self._needed(name, default)
        if type(value) is not int or not 1 <= value < 2**31:
            raise self.fail(name, value, "a whole number from 1 to 2147483647")
        return value

    def positive(self, name: str, default: float | None = None) -> float:
        """A finite number above 0."""
        value = self._needed(name, default)
        if type(value) not in (int, float) or not isfinite(value) or value <= 0:
            raise self.fail(name, value, "a number above 0")
        return float(value)

    def refuse_other_computations(self) -> None:
        """Entries by which a file asks for arithmetic that is not done here."""
        if self.get("expert_count", 0) != 0:
            raise self.fail("expert_count", self.get("expert_count"), "0: experts are not computed")
        if self.get("attention.causal", True) is not True:
            raise self.fail("attention.causal", self.get("attention.causal"), "true")

    def _needed(self, name: str, default):
        value = self.get(name, default)
        if value is None:
            raise WorkbenchError(
                f"{self.weights.name}: metadata {self.key(name)!r} is missing, without which the "
                "model cannot run"
            )
        return value


def _head_dim(read: _Reader, width: int, heads: int) -> int:
    """Elements of a head; all the keys that speak of it must agree."""
    named = read.get("attention.key_length")
    if named is None and width % heads:
        raise read.fail("attention.head_count", heads, f"a divisor of the width {width}")
    head_dim = width // heads if named is None else read.count("attention.key_length")
    longest = max((n for tensor in read.weights.values() for n in tensor.shape), default=0)
    if heads * head_dim > longest:  # before anything of that length is made
        name = "attention.key_length" if named is not None else "embedding_length"
        raise read.fail(
            name, read.get(name), f"what matrices of at most {longest} columns can hold"
        )
    if head_dim % 2:
        name = "attention.head_count" if named is None else "attention.key_length"
        raise read.fail(name, read.get(name), f"such that heads are even, not {head_dim} long")
    for name in ("attention.value_length", "rope.dimension_count"):
        if read.count(name, head_dim) != head_dim:
            raise read.fail(name, read.get(name), f"{head_dim}, the length of a head")
    return head_dim


def _vocab(read: _Reader) -> int:
    """Rows of the embedding, which the tokenizer's list must have too."""
    weights = read.weights
    if "token_embd.weight" not in weights:
        raise WorkbenchError(f"{weights.name}: the tensor 'token_embd.weight' is missing")
    rows = weights["token_embd.weight"].shape[0]
    if read.count("vocab_size", rows) != rows:
        raise read.fail("vocab_size", read.get("vocab_size"), f"{rows}, the embedding's rows")
    tokens = weights.metadata.get("tokenizer.ggml.tokens")
    if tokens is not None and len(tokens) != rows:
        raise WorkbenchError(
            f"{weights.name}: the vocabulary has {len(tokens)} tokens, but the tensor "
            f"'token_embd.weight' {rows} rows"
        )
    return rows


def _rope_factors(read: _Reader, head_dim: int) -> tuple[float, ...] | None:
    """Divisors of the rotation angles: a tensor of its own, a linear scale, or both."""
    kind = read.get("rope.scaling.type", "linear")  # what is not said is as in llama.cpp
    if kind not in ("none", "linear"):
        raise read.fail("rope.scaling.type", kind, "'none' or 'linear'")
    factors = np.ones(head_dim // 2)
    if kind == "linear":
        by_older_key = read.positive("rope.scale_linear", 1.0)
        factors *= read.positive("rope.scaling.factor", by_older_key)
    tensor = read.weights.get("rope_freqs.weight")
    if tensor is not None:
        values = tensor.read()
        if values.shape != factors.shape or not (np.isfinite(values) & (values > 0)).all():
            raise WorkbenchError(
                f"{read.weights.name}: the tensor 'rope_freqs.weight' must be {len(factors)} "
                "numbers above 0, half a head"
            )
        factors *= values
    return None if (factors == 1).all() else tuple(factors.tolist())


def _activation(read: _Reader, chosen: Activation | None) -> Activation:
    """The caller's word, the file's, or what the architecture's name implies; never a guess."""
    allowed = "'silu' or 'relu2'"
    if chosen is not None:
        if chosen not in get_args(Activation):
            raise WorkbenchError(f"activation is {chosen!r}, but must be {allowed}")
        return chosen
    architecture = read.weights.architecture
    written = read.get(ACTIVATION_KEY, ACTIVATIONS.get(architecture))
    if written is None:
        raise WorkbenchError(
            f"{read.weights.name}: neither its architecture {architecture!r} nor metadata "
            f"{read.key(ACTIVATION_KEY)!r} tells its activation; pass activation='silu' (what "
            "llama.cpp computes) or 'relu2' (BitNet b1.58 2B-4T)"
        )
    if written not in get_args(Activation):
        raise read.fail(ACTIVATION_KEY, written, allowed)
    return written
