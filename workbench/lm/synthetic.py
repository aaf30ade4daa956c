"""Random models of any size as GGUF files: for benchmarks, and tiny ones for tests."""

import os
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from workbench.errors import WorkbenchError
from workbench.formats import ENCODABLE, Deferred, write_gguf
from workbench.lm.config import ACTIVATION_KEY, ACTIVATIONS, Activation, Architecture, Config
from workbench.lm.tensors import required_shapes
from workbench.models import Weights

TERNARY = ("TQ1_0", "TQ2_0", "Q2_0")


def make_random_model(
    path: str | os.PathLike,
    architecture: Architecture = "bitnet",
    *,
    layers: int,
    width: int,
    ff: int,
    heads: int,
    kv_heads: int | None = None,
    vocab: int = 32_000,
    context: int = 2048,
    quant: str = "TQ2_0",
    embedding: str = "F16",
    ternary: bool | None = None,
    tied: bool = True,
    activation: Activation | None = None,
    seed: int = 0,
) -> Path:
    """Write a model of random weights that llama.cpp runs too; its tokens are numbers, not text.

    One tensor is in memory at a time. The same seed gives the same weights in every type that
    holds them: a natively ternary model is the same in F32, TQ1_0, TQ2_0 and Q2_0.

    Parameters
    ----------
    path : path
    architecture : "bitnet", "bitnet-25", "bitnet-b1.58" or "llama"
        llama.cpp runs "bitnet" (with `activation` "silu" and tied) and "llama".
    layers, width, ff, heads, vocab, context : int
        See `Config`.
    kv_heads : int, optional
        By default as many as `heads`.
    quant, embedding : str
        Types of `workbench.formats.ENCODABLE`: of the layers' matrices; of the embedding and, where
        it is not tied, of the output matrix.
    ternary : bool, optional
        Trits, each value as often as the others, times one scale a matrix, instead of Gaussian
        weights? By default where `quant` can hold nothing else.
    tied : bool
        Is the output matrix the embedding?
    activation : "silu" or "relu2", optional
        Written into the file. By default what the architecture's name implies, and silu for bitnet.
    seed : int

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    WorkbenchError
        Numbers that do not go together, an unknown type, rows that do not divide into its blocks,
        or a file that cannot be written.
    """
    path = Path(path)
    for name, chosen in (("quant", quant), ("embedding", embedding)):
        if chosen not in ENCODABLE:
            raise WorkbenchError(f"{name} is {chosen!r}, but must be one of {', '.join(ENCODABLE)}")
    metadata = {
        "general.architecture": architecture,
        f"{architecture}.block_count": layers,
        f"{architecture}.context_length": context,
        f"{architecture}.embedding_length": width,
        f"{architecture}.feed_forward_length": ff,
        f"{architecture}.attention.head_count": heads,
        f"{architecture}.attention.head_count_kv": heads if kv_heads is None else kv_heads,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{architecture}.vocab_size": vocab,
        f"{architecture}.{ACTIVATION_KEY}": activation or ACTIVATIONS.get(architecture, "silu"),
        "tokenizer.ggml.model": "none",
    }
    ternary = quant in TERNARY if ternary is None else ternary
    # what a configuration is read from, and so refused by the same sentences as a file
    names = ["token_embd.weight"] if tied else ["token_embd.weight", "output.weight"]
    outline = {name: Deferred(embedding, (vocab, width), list) for name in names}
    config = Config.of(Weights(path.name, path, architecture, metadata, outline))
    tensors = {}
    for index, (name, shape) in enumerate(required_shapes(config).items()):
        draw = partial(_draw, name, shape, [seed, index], ternary)
        kind = embedding if name in outline else quant
        tensors[name] = Deferred("F32" if len(shape) == 1 else kind, shape, draw)
    write_gguf(path, tensors, metadata)
    return path


def _draw(
    name: str, shape: tuple[int, ...], seed: list[int], ternary: bool
) -> Float32[np.ndarray, "..."]:
    """Weights under which numbers neither vanish nor outgrow float32, however many layers."""
    rng = np.random.default_rng(seed)
    if len(shape) == 1:  # of a norm
        return 1 + rng.standard_normal(shape, np.float32) / 8
    if ternary and name.startswith("blk."):
        # products of such a row have the variance of its input; float16 is what blocks can hold
        scale = np.float16(np.sqrt(1.5 / shape[1]))
        return rng.integers(-1, 2, shape, np.int8) * np.float32(scale)
    return rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(shape[1]))
