"""The primitives of ternary weights: round, pack, multiply."""

from workbench.ternary.rounding import Trits, quantize

__all__ = ["Trits", "quantize"]
