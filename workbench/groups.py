"""Which weights share a scale: a matrix laid out as lines of one scale each, and back."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Int64

from workbench.errors import WorkbenchError

Scale = Literal["tensor", "row"]


def check_grouping(scale: Scale, group: int | None) -> None:
    """Refuse a scale or group that has no meaning, in one sentence."""
    if scale not in get_args(Scale):
        raise WorkbenchError(
            f"scale={scale!r} is not allowed: it is one of {', '.join(get_args(Scale))}"
        )
    if group is None:
        return
    if not isinstance(group, int | np.integer) or group < 1:
        raise WorkbenchError(f"group={group!r} is not allowed: it is a whole number from 1 up")
    if scale == "tensor":
        raise WorkbenchError(
            f"group={group!r} is not allowed with scale='tensor': groups lie within rows"
        )


def scales_shape(shape: tuple[int, int], scale: Scale, group: int | None) -> tuple[int, int]:
    """Shape of the array of scales: (1, 1), (rows, 1) or (rows, ceil(cols / group))."""
    if scale == "tensor":
        return 1, 1
    return shape[0], 1 if group is None else -(-shape[1] // group)


def to_lines(
    weights: Float32[np.ndarray, "rows cols"], scale: Scale, group: int | None
) -> tuple[Float32[np.ndarray, "lines longest"], Int64[np.ndarray, " lines"]]:
    """Lay out a matrix so that each line shares a scale; also the length of each line.

    The last group of a row may be shorter; its line is filled up with zeros.
    """
    rows, cols = weights.shape
    if scale == "tensor":
        return weights.reshape(1, -1), np.array([rows * cols])
    if group is None:
        return weights, np.full(rows, cols)
    groups = -(-cols // group)
    lengths = np.full((rows, groups), group)
    lengths[:, -1] = cols - group * (groups - 1)
    missing = groups * group - cols
    padded = np.pad(weights, ((0, 0), (0, missing))) if missing else weights
    return padded.reshape(rows * groups, group), lengths.ravel()


def from_lines(lines: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The matrix that `to_lines` laid out (of any dtype), without what filled it up."""
    rows, cols = shape
    if lines.size == rows * cols:
        return lines.reshape(shape)
    return np.ascontiguousarray(lines.reshape(rows, -1)[:, :cols])


def spread(scales: np.ndarray, shape: tuple[int, int], group: int | None) -> np.ndarray:
    """Scales as an array that broadcasts against a matrix of `shape`."""
    if group is None:
        return scales
    return np.repeat(scales, group, axis=1)[:, : shape[1]]
