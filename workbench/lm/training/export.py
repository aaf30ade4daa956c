"""A trained model as a GGUF file that llama.cpp loads: architecture `bitnet`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from workbench.formats import Tensor, encode_blocks, write_gguf
from workbench.lm.config import ACTIVATION_KEY, Config
from workbench.ternary import quantize

EMBEDDING = "token_embd.weight"


def export_trained(
    path: Path,
    arrays: Mapping[str, Float32[np.ndarray, "..."]],
    config: Config,
    ternary: bool,
    about: Mapping[str, str],
    vocabulary: Mapping,
) -> None:
    """Write a trained model.

    Parameters
    ----------
    path : path
    arrays : mapping
        Weights by their names in GGUF, as training holds them.
    config : Config
    ternary : bool
        Whether matrices are rounded to trits and stored in TQ2_0, exactly as training computed
        with them; else they are stored in Q8_0. The embedding is Q8_0, norms are F32.
    about : mapping
        Metadata entries of "general", without that prefix.
    vocabulary : mapping
        Of `gguf_vocabulary`.
    """
    tensors = {
        name: array if array.ndim == 1 else _matrix(name, array, ternary)
        for name, array in arrays.items()
    }
    keys = {
        "context_length": config.context,
        "embedding_length": config.width,
        "block_count": config.layers,
        "feed_forward_length": config.ff,
        "attention.head_count": config.heads,
        "attention.head_count_kv": config.kv_heads,
        "attention.layer_norm_rms_epsilon": config.norm_eps,
        "rope.dimension_count": config.head_dim,
        "rope.freq_base": config.rope_base,
        "vocab_size": config.vocab,
        ACTIVATION_KEY: config.activation,
    }
    metadata = {
        "general.architecture": config.architecture,
        **{f"general.{key}": value for key, value in about.items()},
        **{f"{config.architecture}.{key}": value for key, value in keys.items()},
        **vocabulary,
    }
    write_gguf(path, tensors, metadata)


def _matrix(name: str, array: Float32[np.ndarray, "rows cols"], ternary: bool) -> Tensor:
    if ternary and name != EMBEDDING:
        # absmean over the whole matrix, as network.Trits; a block's scale becomes that number
        trits = quantize(array, "absmean", scale="tensor")
        return Tensor.of(name, "TQ2_0", encode_blocks("TQ2_0", trits.dequantize()), array.shape)
    return Tensor.of(name, "Q8_0", encode_blocks("Q8_0", array), array.shape)
