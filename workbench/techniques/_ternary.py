"""Rounding to trits and scales, whatever then becomes of the trits."""

from typing import ClassVar

import numpy as np
from jaxtyping import Int8
from pydantic import Field, model_validator

from workbench.groups import Scale, check_grouping, scales_shape, spread
from workbench.techniques._arrays import FloatType, narrow
from workbench.techniques.base import Technique
from workbench.ternary import Packed, linear, pack, quantize, unpack
from workbench.ternary.packing import ROWS_PER_BYTE, Layout
from workbench.ternary.rounding import DEFAULTS, Rounding, check_rounding


class TernaryRounding(Technique):
    """Parameters and arithmetic that `planar-ternary`, `base3-ternary` and `entropy-ternary` share.

    `workbench.ternary.quantize` says what the parameters mean.
    """

    rounding: Rounding = Field("absmean", description="how threshold and scale are found")
    threshold: float | None = Field(
        None,
        ge=0,
        le=10,
        description="smallest weight kept, in units of the rule's statistic; None: its own",
    )
    scale: Scale = Field("row", description="what shares a scale: a row or the whole matrix")
    group: int | None = Field(
        None, ge=32, description="weights of a row that share a scale; None: all of them"
    )
    refit: bool = Field(False, description="scales of least squared error for the trits chosen")
    scale_type: FloatType = Field("float32", description="how scales are stored")

    @model_validator(mode="after")
    def _fit_together(self):
        check_rounding(self.rounding, self.threshold)
        check_grouping(self.scale, self.group)
        return self

    @property
    def exact_on_ternary(self) -> bool:
        if self.scale == "tensor" or self.scale_type == "float16":
            return False
        if self.rounding == "optimal":
            return True
        # no statistic exceeds the one magnitude that there is, so thresholds below 1 keep it
        threshold = DEFAULTS[self.rounding][0] if self.threshold is None else self.threshold
        return threshold < 1 and (self.refit or self.rounding == "absmax")

    def scale_layout(self, shape: tuple[int, int]) -> dict:
        """Layout of the array beside the trits."""
        return {"scales": (self.scale_type, scales_shape(shape, self.scale, self.group))}

    def round(self, weights: np.ndarray) -> tuple[Int8[np.ndarray, "rows cols"], dict]:
        """Trits, and the array that `scale_layout` describes."""
        trits = quantize(
            weights,
            self.rounding,
            threshold=self.threshold,
            scale=self.scale,
            group=self.group,
            refit=self.refit,
        )
        return trits.codes, {"scales": narrow(trits.scales, self.scale_type)}

    def unround(self, trits: np.ndarray, arrays: dict) -> np.ndarray:
        """The weights that trits and scales stand for."""
        return trits * spread(arrays["scales"].astype(np.float32), trits.shape, self.group)


class PackedTernary(TernaryRounding):
    """Trits in a layout of `workbench.ternary.pack`, multiplied by its kernels."""

    rounds_activations: ClassVar[bool] = True
    packing: ClassVar[Layout]

    def layout(self, shape):
        groups = -(-shape[0] // ROWS_PER_BYTE[self.packing])
        return {"trits": ("uint8", (groups, shape[1])), **self.scale_layout(shape)}

    def compress(self, weights):
        trits, stored = self.round(weights)
        return {"trits": pack(trits, self.packing).data, **stored}

    def codes(self, arrays, shape):
        return unpack(Packed(arrays["trits"], shape, self.packing))

    def restore(self, arrays, shape):
        return self.unround(self.codes(arrays, shape), arrays)

    def multiply(self, arrays, shape, x, threads=1):
        packed = Packed(arrays["trits"], shape, self.packing)
        return linear(packed, arrays["scales"].astype(np.float32), x, threads, self.group)
