"""Rounding to evenly spaced levels, whatever then becomes of the codes."""

from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8
from pydantic import Field, model_validator

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.groups import Scale, check_grouping, from_lines, scales_shape, spread, to_lines
from workbench.techniques._arrays import FloatType, narrow
from workbench.techniques.base import Technique

# candidate ranges as parts of the one that covers every weight, down to 1 %: a few outliers may
# lie a hundred times as far out as the rest
SHRINKS = (0.93 ** np.arange(64)).astype(np.float32)


class UniformRounding(Technique):
    """Parameters and arithmetic that `uniform` and `entropy-uniform` share."""

    bits: int = Field(4, ge=2, le=8, description="bits a code")
    levels: Literal["symmetric", "asymmetric"] = Field(
        "symmetric",
        description="2^bits - 1 levels around zero, or 2^bits levels from the lowest weight up",
    )
    clip: Literal["max", "mse"] = Field(
        "mse",
        description="levels cover every weight, or the range with the least squared error",
    )
    scale: Scale = Field("row", description="what shares a scale: a row or the whole matrix")
    group: int | None = Field(
        None, ge=8, description="weights of a row that share a scale; None: all of them"
    )
    scale_type: FloatType = Field("float32", description="how scales are stored")

    @model_validator(mode="after")
    def _groups_lie_in_rows(self):
        check_grouping(self.scale, self.group)
        return self

    @property
    def level_count(self) -> int:
        """How many levels a code chooses from."""
        return 2**self.bits - (self.levels == "symmetric")

    def scale_layout(self, shape: tuple[int, int]) -> dict:
        """Layout of the arrays beside the codes."""
        layout = (self.scale_type, scales_shape(shape, self.scale, self.group))
        if self.levels == "symmetric":
            return {"step": layout}
        return {"step": layout, "low": layout}

    def round(
        self, weights: Float32[np.ndarray, "rows cols"]
    ) -> tuple[UInt8[np.ndarray, "rows cols"], dict[str, np.ndarray]]:
        """Codes, and the arrays that `scale_layout` describes."""
        kernel = kernels.load("uniform")
        lines, lengths = to_lines(weights, self.scale, self.group)
        symmetric = self.levels == "symmetric"

        # the range of each line
        low = np.empty(len(lines), np.float32)
        high = np.empty(len(lines), np.float32)
        kernel.find_range(lines, lengths, symmetric, low, high)
        width = (high.astype(np.float64) - low).max()
        if width > np.finfo(np.float32).max:
            raise WorkbenchError(
                f"weights span {width:.3g}, more than float32 can; scale them down"
            )
        if self.clip == "mse":
            kernel.shrink_range(lines, lengths, self.level_count, SHRINKS, low, high)

        # what is stored of it; the codes are those that suit the stored values
        width = high.astype(np.float64) - low
        stored = {"step": narrow(width / (self.level_count - 1), self.scale_type)}
        step = stored["step"].astype(np.float32)
        if symmetric:
            low = step * np.float32(-(self.level_count // 2))
        else:
            stored["low"] = narrow(low, self.scale_type)
            low = stored["low"].astype(np.float32)

        codes = np.empty(lines.shape, np.uint8)
        kernel.round_lines(lines, self.level_count, low, step, codes)
        shape = scales_shape(weights.shape, self.scale, self.group)
        return from_lines(codes, weights.shape), {
            name: values.reshape(shape) for name, values in stored.items()
        }

    def unround(self, codes: np.ndarray, arrays: dict) -> Float32[np.ndarray, "rows cols"]:
        """The weights that codes and scales stand for."""
        step = spread(arrays["step"].astype(np.float32), codes.shape, self.group)
        if self.levels == "symmetric":
            return (codes.astype(np.float32) - np.float32(self.level_count // 2)) * step
        low = spread(arrays["low"].astype(np.float32), codes.shape, self.group)
        return codes.astype(np.float32) * step + low
