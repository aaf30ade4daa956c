"""The reference path: a transformer in float32 NumPy, to be read from top to bottom.

Every faster way to run a model is held against this one, and this one against llama.cpp.

>>> from workbench.lm import open_language_model
>>> model = open_language_model("smollm2-135m")  # doctest: +SKIP
>>> cache = model.new_cache()  # doctest: +SKIP
>>> model.forward(model.tokenizer.encode("Hello"), cache, last=True).shape  # doctest: +SKIP
(1, 49152)

Shapes: n tokens, width (of the residual stream), heads and kv_heads of head_dim elements, ff (inner
vector of the feed-forward layer), vocab.
"""

import os
from collections.abc import Mapping
from copy import copy
from functools import cached_property
from inspect import signature
from math import prod
from typing import TYPE_CHECKING, Literal, final, get_args

import numpy as np
from jaxtyping import Float32

from workbench.errors import WorkbenchError
from workbench.lm.cache import Cache, new_cache
from workbench.lm.config import Activation, Config
from workbench.lm.inputs import checked_tokens
from workbench.lm.memory import check_memory
from workbench.lm.tensors import PROJECTIONS, Tensors
from workbench.models import Weights, open_model, ternary_scale
from workbench.techniques.base import dense_product
from workbench.ternary.product import quantize_activations

if TYPE_CHECKING:
    from workbench.lm.tokenizer import Tokenizer

Inputs = Literal["int8", "float"]


def open_language_model(
    model: str | os.PathLike | Weights,
    *,
    activation: Activation | None = None,
    activations: Inputs | None = None,
) -> "Model":
    """Open a GGUF model of architecture llama, bitnet, bitnet-25 or bitnet-b1.58 and check it.

    Nothing but the header is read; each tensor is decoded when it is first used.

    Parameters
    ----------
    model : str, path or Weights
        A name of the catalog, a file or folder, or what `workbench.open_model` returned.
    activation : "silu" or "relu2", optional
        Function of the feed-forward gate, against the file's own word (metadata
        "<architecture>.hidden_activation") and what the architecture's name implies (llama: silu;
        bitnet-25 and bitnet-b1.58: relu2). Plain `bitnet` stands for both, so it needs one of
        the two.
    activations : "int8" or "float", optional
        What enters matrices of natively ternary weights: int8 with one step a token, as BitNet
        b1.58 is trained, or the floats themselves. By default int8 in the bitnet architectures,
        because their training rounded that way, and float in llama, whose ternary models were
        trained both ways (Falcon3-1.58bit with int8, TriLM with floats) and do not say so. Other
        matrices always take floats. llama.cpp does a third thing: it rounds the input of every
        quantized matrix to int8, with one step a block of 256 (TQ1_0, TQ2_0) or 32 (Q4_1, Q8_0).

    Raises
    ------
    WorkbenchError
        No such model, another architecture, an activation that nothing tells, a missing, extra or
        wrongly shaped tensor, or metadata that does not describe a model.
    FormatError
        The file is not what it claims to be.
    """
    weights = model if isinstance(model, Weights) else open_model(model)
    config = Config.of(weights, activation)
    if activations is None:
        activations = "float" if config.architecture == "llama" else "int8"
    if activations not in get_args(Inputs):
        raise WorkbenchError(f"activations is {activations!r}, but must be 'int8' or 'float'")
    return Model(weights, config, Tensors(weights, config), activations)


@final
class Model:
    """A model that runs in float32, one matrix after the other.

    Attributes
    ----------
    weights : Weights
        The file.
    config : Config
    tensors : Tensors
        float32 arrays by name, decoded when first used.
    activations : "int8" or "float"
        What enters natively ternary matrices.
    """

    def __init__(self, weights: Weights, config: Config, tensors: Tensors, activations: Inputs):
        self.weights = weights
        self.config = config
        self.tensors = tensors
        self.activations = activations
        self._ternary: dict[str, str] = {}

    def __repr__(self) -> str:
        c = self.config
        return (
            f"<Model {self.weights.name!r}: {c.architecture}, {c.layers} layers, width {c.width}>"
        )

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """From the file's own vocabulary."""
        from workbench.lm.tokenizer import Tokenizer

        return Tokenizer.of(self.weights.metadata)

    @property
    def bytes_per_token(self) -> int:
        """Bytes of weights that a step reads; the keys and values seen come on top."""
        head = "token_embd.weight" if self.config.tied else "output.weight"
        names = [
            *(f"blk.{i}.{name}.weight" for i in range(self.config.layers) for name in PROJECTIONS),
            head,
        ]
        return 4 * sum(prod(self.tensors.shape(name)) for name in names)

    def new_cache(self, context: int | None = None, **options) -> Cache:
        """Room for the keys and values of `context` tokens, by default the model's context.

        `options` are those of `workbench.lm.cache.new_cache`; WorkbenchError for any other.
        """
        allowed = [*signature(new_cache).parameters][2:]  # behind config and context
        for name in options:
            if name not in allowed:
                raise WorkbenchError(
                    f"a cache has no option {name!r}; there are {', '.join(allowed)}"
                )
        return new_cache(self.config, context, **options)

    def with_tensors(self, replacements: Mapping[str, np.ndarray]) -> "Model":
        """This model with some tensors replaced by others of the same shape; the rest is shared.

        Whether a matrix takes rounded inputs stays as the file's own tensor has it: a technique
        that loses nothing changes no logit.

        Parameters
        ----------
        replacements : mapping
            Float arrays by tensor name, matrices as (outputs, inputs).
        """
        model = copy(self)  # shares what is known of the file
        model.tensors = self.tensors.replaced(replacements)
        return model

    def ternary(self, projection: str) -> str:
        """What shares a scale in a natively ternary matrix of the file; empty for all others.

        Parameters
        ----------
        projection : str
            Name of a layer's matrix without ".weight", such as "blk.0.attn_q".
        """
        if projection not in self._ternary:
            matrix = self.tensors.in_file(f"{projection}.weight")
            self._ternary[projection] = ternary_scale(matrix)
        return self._ternary[projection]

    def forward(
        self, tokens: np.ndarray, cache: Cache, last: bool = False
    ) -> Float32[np.ndarray, "n vocab"]:
        """Logits of the next token after each of `tokens`, which follow what `cache` has seen.

        Parameters
        ----------
        tokens : integer array or list (n,)
        cache : Cache
            Of `new_cache`; takes up the tokens, or stays as it was where this fails.
        last : bool
            Only after the last token: (1, vocab).

        Raises
        ------
        TypeError
            Tokens that are not whole numbers.
        WorkbenchError
            No token, an id out of the vocabulary, more than the context, weights that are not
            finite, weights or logits that take more memory than there is, or numbers that outgrow
            float32.
        """
        tokens = checked_tokens(tokens, self.config, cache, Cache)  # (n,)
        rows = 1 if last else len(tokens)
        check_memory(4 * rows * self.config.vocab, f"{self.weights.name}: logits of {rows} tokens")
        try:
            with np.errstate(all="ignore"):  # what outgrows float32 is refused in words
                logits = self._run(tokens, cache, last)  # (n or 1, vocab)
        except BaseException:  # Ctrl-C, too
            cache.undo()
            raise
        cache.advance(len(tokens))
        return logits

    def _run(self, tokens, cache, last):
        """Tokens (n,) through all layers: (n, vocab), or (1, vocab) for the last."""
        x = self.tensors["token_embd.weight"][tokens]  # (n, width)
        for layer in range(self.config.layers):
            x = x + self._attention(layer, x, cache)  # (n, width)
            x = x + self._feed_forward(layer, x)  # (n, width)
        if last:
            x = x[-1:]  # (1, width)
        logits = self._logits(x)  # (n or 1, vocab)
        self._check_finite(logits)
        return logits

    def _attention(self, layer, x, cache):
        """What layer `layer` adds by looking back. x and result: (n, width)."""
        c, block, n = self.config, f"blk.{layer}", len(x)
        x = self._norm(f"{block}.attn_norm", x)  # (n, width)
        q = self._project(f"{block}.attn_q", x)  # (n, heads * head_dim)
        k = self._project(f"{block}.attn_k", x)  # (n, kv_heads * head_dim)
        v = self._project(f"{block}.attn_v", x)  # (n, kv_heads * head_dim)
        seen = cache.attend(
            layer,
            q.reshape(n, c.heads, c.head_dim),  # (n, heads, head_dim)
            k.reshape(n, c.kv_heads, c.head_dim),  # (n, kv_heads, head_dim)
            v.reshape(n, c.kv_heads, c.head_dim),  # (n, kv_heads, head_dim)
        )  # (n, heads * head_dim)
        if c.sub_norms:
            seen = self._norm(f"{block}.attn_sub_norm", seen)  # (n, heads * head_dim)
        return self._project(f"{block}.attn_output", seen)  # (n, width)

    def _feed_forward(self, layer, x):
        """What layer `layer` adds to each token on its own. x and result: (n, width)."""
        c, block = self.config, f"blk.{layer}"
        x = self._norm(f"{block}.ffn_norm", x)  # (n, width)
        gate = self._project(f"{block}.ffn_gate", x)  # (n, ff)
        up = self._project(f"{block}.ffn_up", x)  # (n, ff)
        inner = GATES[c.activation](gate) * up  # (n, ff)
        if c.sub_norms:
            inner = self._norm(f"{block}.ffn_sub_norm", inner)  # (n, ff)
        return self._project(f"{block}.ffn_down", inner)  # (n, width)

    def _logits(self, x):
        """(n, width) to (n, vocab)."""
        x = self._norm("output_norm", x)  # (n, width)
        head = "token_embd.weight" if self.config.tied else "output.weight"
        return dense_product(x, self.tensors[head])  # (n, vocab)

    def _project(self, name, x):
        """Product with a matrix (rows, cols): (n, cols) to (n, rows)."""
        if self.activations == "int8" and self.ternary(name):
            q, step = quantize_activations(x)  # int8 (n, cols), float32 (n,)
            x = q * step[:, None]  # (n, cols)
        y = dense_product(x, self.tensors[f"{name}.weight"])  # (n, rows)
        scale = f"{name}.scale"
        return y * self.tensors[scale] if scale in self.tensors else y  # (n, rows)

    def _norm(self, name, x):
        """Each token divided by its root mean square, times a weight a channel. (n, channels)."""
        mean_square = np.mean(x * x, axis=1, keepdims=True)  # (n, 1)
        self._check_finite(mean_square)  # divided by infinity, everything would be 0
        normal = x / np.sqrt(mean_square + np.float32(self.config.norm_eps))  # (n, channels)
        return normal * self.tensors[f"{name}.weight"]  # (n, channels)

    def _check_finite(self, x):
        if not np.isfinite(x).all():
            raise WorkbenchError(
                f"{self.weights.name}: its numbers outgrow float32 on these tokens"
            )


def silu(x: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """x * sigmoid(x)."""
    return x / (1 + np.exp(-x))


def relu2(x: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """max(x, 0) squared."""
    return np.square(np.maximum(x, 0))


GATES = {"silu": silu, "relu2": relu2}
