"""BitNet b1.58 in PyTorch: the forward pass that training differentiates.

A layer, with n = attn_norm and so on, all RMS norms, and B the product with a ternary matrix:

    x = x + B_output(n_sub(attention(RoPE(B_q(n(x))), RoPE(B_k(n(x))), B_v(n(x)))))
    x = x + B_down(n_sub(silu(B_gate(n(x))) * B_up(n(x))))

Every B rounds its matrix to trits times the mean magnitude, and its input to 8 bits a token. The
gradient passes both as if they were not there (straight through). The float twin rounds nothing.
(Ma et al. 2024, arXiv 2402.17764; layers as in BitNet b1.58 2B-4T, gate as in llama.cpp)
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from workbench.lm.config import Config

SMALLEST = 1e-5  # BitNet clamps what it divides by
EMBEDDING_SPREAD = 0.02


def initial_weights(config: Config, seed: int) -> dict[str, Tensor]:
    """Parameters by their names in GGUF, drawn by NumPy: normal matrices, norms of ones."""
    rng = np.random.default_rng(seed)
    attention, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    shapes = {"token_embd": (config.vocab, config.width), "output_norm": (config.width,)}
    for layer in range(config.layers):
        shapes |= {
            f"blk.{layer}.{kind}": shape
            for kind, shape in {
                "attn_norm": (config.width,),
                "attn_q": (attention, config.width),
                "attn_k": (keys, config.width),
                "attn_v": (keys, config.width),
                "attn_sub_norm": (attention,),
                "attn_output": (config.width, attention),
                "ffn_norm": (config.width,),
                "ffn_gate": (config.ff, config.width),
                "ffn_up": (config.ff, config.width),
                "ffn_sub_norm": (config.ff,),
                "ffn_down": (config.width, config.ff),
            }.items()
        }
    weights = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            values = np.ones(shape, np.float32)
        else:
            spread = EMBEDDING_SPREAD if name == "token_embd" else shape[1] ** -0.5
            values = rng.standard_normal(shape, np.float32) * np.float32(spread)
        weights[f"{name}.weight"] = torch.from_numpy(values).requires_grad_()
    return weights


def forward(weights: dict[str, Tensor], tokens: Tensor, config: Config, ternary: bool) -> Tensor:
    """Logits (batch, length, vocab) of int64 tokens (batch, length)."""
    batch, length = tokens.shape
    heads, head_dim = config.heads, config.head_dim
    matrix = Trits.apply if ternary else _same
    rounded = Int8.apply if ternary else _same
    turns = _turns(length, config)

    def product(x: Tensor, name: str) -> Tensor:
        return functional.linear(x, matrix(weights[f"{name}.weight"]))

    def norm(x: Tensor, name: str) -> Tensor:
        scale = weights[f"{name}.weight"]
        return functional.rms_norm(x, scale.shape, scale, config.norm_eps)

    def by_head(x: Tensor) -> Tensor:
        return x.view(batch, length, -1, head_dim).transpose(1, 2)  # (batch, heads, length, dim)

    x = functional.embedding(tokens, weights["token_embd.weight"])  # (batch, length, width)
    for layer in range(config.layers):
        blk = f"blk.{layer}."
        entering = rounded(norm(x, blk + "attn_norm"))
        q = _rotate(by_head(product(entering, blk + "attn_q")), turns)
        k = _rotate(by_head(product(entering, blk + "attn_k")), turns)
        v = by_head(product(entering, blk + "attn_v"))
        k, v = (each.repeat_interleave(heads // config.kv_heads, dim=1) for each in (k, v))
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        seen = seen.transpose(1, 2).reshape(batch, length, heads * head_dim)
        x = x + product(rounded(norm(seen, blk + "attn_sub_norm")), blk + "attn_output")

        entering = rounded(norm(x, blk + "ffn_norm"))
        inner = functional.silu(product(entering, blk + "ffn_gate"))
        inner = inner * product(entering, blk + "ffn_up")  # (batch, length, ff)
        x = x + product(rounded(norm(inner, blk + "ffn_sub_norm")), blk + "ffn_down")
    return functional.linear(norm(x, "output_norm"), weights["token_embd.weight"])


class Trits(torch.autograd.Function):
    """A matrix rounded to -s, 0 and s, with s the mean magnitude as a GGUF block stores it."""

    @staticmethod
    def forward(ctx, matrix: Tensor) -> Tensor:
        """Values that TQ2_0 holds exactly: s has gone through float16."""
        scale = matrix.abs().mean().clamp(min=SMALLEST)
        return (matrix / scale).round_().clamp_(-1, 1).mul_(scale.half().float())

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        """Straight through."""
        return gradient


class Int8(torch.autograd.Function):
    """Activations rounded to -127..127 times a scale a token (last axis)."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        """The nearest of the 255 values; half goes to even."""
        scale = 127 / x.abs().amax(-1, keepdim=True).clamp(min=SMALLEST)
        return (x * scale).round_().div_(scale)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        """Straight through."""
        return gradient


def _same(x: Tensor) -> Tensor:
    return x


def _turns(length: int, config: Config) -> tuple[Tensor, Tensor]:
    """Cosines and sines (length, head_dim / 2) of RoPE."""
    dims = np.arange(0, config.head_dim, 2) / config.head_dim
    angles = np.outer(np.arange(length), config.rope_base**-dims)
    return (
        torch.from_numpy(np.cos(angles).astype(np.float32)),
        torch.from_numpy(np.sin(angles).astype(np.float32)),
    )


def _rotate(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """RoPE in halves: element i turns with element i + head_dim / 2."""
    cosine, sine = turns
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
