"""What every entry point asks of the arrays it is given, with one wording for each refusal."""

import numpy as np
from jaxtyping import Float32

from workbench.errors import WorkbenchError


def checked_weights(weights: np.ndarray) -> Float32[np.ndarray, "rows cols"]:
    """C-contiguous float32 copy or view of a weight matrix.

    Raises
    ------
    TypeError
        `weights` is not an array of floats.
    WorkbenchError
        It is not two-dimensional, is empty, or holds what float32 cannot as a finite number.
    """
    weights = np.asarray(weights)
    if weights.dtype.kind != "f":
        raise TypeError(f"weights are {weights.dtype}, but must be a float type")
    if weights.ndim != 2:
        raise WorkbenchError(
            f"weights have shape {weights.shape}, but must have two axes (rows, cols)"
        )
    if 0 in weights.shape:
        raise WorkbenchError(f"weights have shape {weights.shape}, but no axis may be empty")
    with np.errstate(over="ignore"):  # what float64 holds and float32 cannot is refused below
        narrow = np.ascontiguousarray(weights, dtype=np.float32)
    finite = np.isfinite(narrow)
    if not finite.all():
        row, col = np.argwhere(~finite)[0]
        raise WorkbenchError(
            f"weights hold {weights[row, col]} at row {row}, column {col} "
            f"({(~finite).sum()} such values); they must be finite in float32"
        )
    return narrow
