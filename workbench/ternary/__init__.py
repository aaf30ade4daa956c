"""The primitives of ternary weights: round, pack, multiply."""

from workbench.ternary.packing import Packed, pack, unpack
from workbench.ternary.product import linear, matmul, matmul_tokens, quantize_activations
from workbench.ternary.rounding import Trits, quantize

__all__ = [
    "Packed",
    "Trits",
    "linear",
    "matmul",
    "matmul_tokens",
    "pack",
    "quantize",
    "quantize_activations",
    "unpack",
]
