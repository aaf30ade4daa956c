"""Attention over a ternary cache, as seed 001's engine rounds keys and values.

Per token, over all its heads together, r is the root mean square and m the largest magnitude of a
key or value vector:

=============== =========================== =====
mode            trit is sign(x) where       scale
=============== =========================== =====
fixed_threshold abs(x) > 0.3 m              m
no_threshold    x is not 0                  m
rms_scale       abs(x) > 0.5 r              1.5 r
=============== =========================== =====
"""

from collections.abc import Iterator

import numpy as np

from workbench.claims.material import recorded_inputs
from workbench.errors import WorkbenchError
from workbench.lm.rope import rotate, tables

MODES = ("fixed_threshold", "no_threshold", "rms_scale")


def ternary_tokens(x: np.ndarray, mode: str) -> np.ndarray:
    """Keys or values (tokens, heads, width) as the cache gives them back."""
    flat = x.reshape(len(x), -1)
    largest = np.abs(flat).max(axis=1, keepdims=True)
    if mode == "rms_scale":
        r = np.sqrt(np.square(flat).mean(axis=1, keepdims=True))
        threshold, scale = 0.5 * r, 1.5 * r
    else:
        threshold, scale = (0.3 if mode == "fixed_threshold" else 0) * largest, largest
    return (np.sign(flat) * (np.abs(flat) > threshold) * scale).reshape(x.shape)


def attend(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Output of one query (heads, width) over all tokens; query heads share key heads evenly.

    k and v: (tokens, key heads, width).
    """
    share = len(q) // k.shape[1]
    k, v = np.repeat(k, share, axis=1), np.repeat(v, share, axis=1)
    score = np.einsum("hd,thd->ht", q, k) / np.sqrt(q.shape[1])
    score = np.exp(score - score.max(axis=1, keepdims=True))
    return np.einsum("ht,thd->hd", score / score.sum(axis=1, keepdims=True), v)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between two arrays as vectors; 0 where one of them is zero."""
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return float((a * b).sum() / lengths) if lengths else 0.0


def similarity(q: np.ndarray, k: np.ndarray, v: np.ndarray, mode: str) -> float:
    """Cosine of the outputs with the cache in this mode and in full."""
    rounded = attend(q, ternary_tokens(k, mode), ternary_tokens(v, mode))
    return cosine(attend(q, k, v), rounded)


def random_similarity(length: int, width: int, mode: str, rng, heads=4, times=20) -> list[float]:
    """`similarity` for independent Gaussian queries, keys and values; one a repetition."""
    found = []
    for _ in range(times):
        q = rng.normal(size=(heads, width))
        k, v = rng.normal(size=(2, length, heads, width))
        found.append(similarity(q, k, v, mode))
    return found


def recorded_attention(weights) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Layers whose attention inputs were recorded: name, q, k (both rotated) and v.

    q: (tokens, heads, width); k, v: (tokens, key heads, width).

    Raises
    ------
    WorkbenchError
        The model has no recorded attention inputs, or is no llama.
    """
    wide = {name: x @ matrix.T for name, matrix, x in recorded_inputs(weights)}
    layers = sorted({name.rsplit(".", 2)[0] for name in wide if "attn_k" in name})
    if not layers or "llama.attention.head_count" not in weights.metadata:
        raise WorkbenchError("a llama model with recorded inputs of its attention (smollm2-slice)")
    heads = int(weights.metadata["llama.attention.head_count"])
    base = float(weights.metadata["llama.rope.freq_base"])
    for layer in layers:
        q, k, v = (wide[f"{layer}.attn_{part}.weight"] for part in "qkv")
        width = q.shape[1] // heads
        q, k, v = (part.reshape(len(part), -1, width) for part in (q, k, v))
        cos, sin = tables(np.arange(len(q)), width, base)
        yield layer, *(rotate(part, cos, sin, "interleaved") for part in (q, k)), v
