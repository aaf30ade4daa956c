"""Rounding weights to trits: a threshold, a sign and a scale for each group, row or matrix."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Int8

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.groups import Scale, check_grouping, from_lines, scales_shape, spread, to_lines
from workbench.validation import checked_weights

Rounding = Literal["absmean", "absmax", "rms", "optimal"]

# rule: (threshold, scale) as multiples of the rule's statistic; "optimal" finds both
DEFAULTS = {"absmean": (0.5, 1.0), "absmax": (0.3, 1.0), "rms": (0.5, 1.5)}
SMALLEST_ABSMEAN = np.float32(1e-5)  # BitNet b1.58 clamps its scale there
LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True, eq=False)
class Trits:
    """A matrix of {-1, 0, +1} and the scales it is multiplied with.

    Attributes
    ----------
    codes : int8 array (rows, cols)
    scales : float32 array (1, 1), (rows, 1) or (rows, ceil(cols / group))
    group : int or None
        Neighbours in a row that share a scale; None: a row or the whole matrix does.
    """

    codes: Int8[np.ndarray, "rows cols"]
    scales: Float32[np.ndarray, "scale_rows groups"]
    group: int | None = None

    def dequantize(self) -> Float32[np.ndarray, "rows cols"]:
        """The weights that these trits stand for."""
        return self.codes * spread(self.scales, self.codes.shape, self.group)


def quantize(
    weights: np.ndarray,
    rounding: Rounding = "absmean",
    *,
    threshold: float | None = None,
    scale: Scale = "row",
    group: int | None = None,
    refit: bool = False,
) -> Trits:
    """Round a weight matrix to {-1, 0, +1} times scales.

    Parameters
    ----------
    weights : float array (rows, cols)
    rounding : {"absmean", "absmax", "rms", "optimal"}
        How threshold and scale are found from the weights w that share a scale:

        ========= ========================= ===================== ==========================
        rule      statistic m               kept: abs(w) above    scale
        ========= ========================= ===================== ==========================
        absmean   mean abs(w), at least 1e-5 0.5 m                m (BitNet b1.58, exactly)
        absmax    max abs(w)                0.3 m                 m
        rms       sqrt(mean w^2)            0.5 m                 1.5 m
        optimal   none                      least squared error   mean abs(w) of those kept
        ========= ========================= ===================== ==========================
    threshold : float, optional
        Replaces 0.5, 0.3 or 0.5 above; "optimal" takes none.
    scale : {"row", "tensor"}
        Whether each row or the whole matrix has a scale.
    group : int, optional
        This many neighbours of a row have a scale (the last group of a row may be shorter).
    refit : bool
        Replace the rule's scale by the one with the least squared error for the trits chosen.

    Examples
    --------
    >>> import numpy as np
    >>> trits = quantize(np.array([[0.9, -0.1, -1.1, 0.4]]), "optimal")
    >>> trits.codes
    array([[ 1,  0, -1,  0]], dtype=int8)
    >>> trits.scales
    array([[1.]], dtype=float32)

    Raises
    ------
    TypeError, WorkbenchError
        `weights` is no finite float matrix, or a parameter has no meaning.
    """
    check_rounding(rounding, threshold)
    check_grouping(scale, group)
    weights = checked_weights(weights)
    lines, lengths = to_lines(weights, scale, group)

    kernel = kernels.load("rounding")
    line_count = len(lines)
    cut = np.empty(line_count, np.float32)
    scales = np.empty(line_count, np.float32)
    inverse = np.ones(line_count, np.float32)
    if rounding == "optimal":
        kernel.best_threshold(np.sort(np.abs(lines), axis=1), cut, scales)
    else:
        kept_above, height = DEFAULTS[rounding]
        kept_above = kept_above if threshold is None else threshold
        statistic = _statistic(lines, lengths, rounding)
        scales[:] = np.minimum(height * statistic.astype(np.float64), LARGEST)
        if rounding == "absmean":  # as BitNet computes it: round(w * (1 / m)), half to even
            inverse[:] = 1 / statistic
            cut[:] = kept_above
        else:
            cut[:] = kept_above * statistic.astype(np.float64)

    codes = np.empty(lines.shape, np.int8)
    kernel.ternarize(lines, inverse, cut, codes)
    if refit and rounding != "optimal":  # whose scale is that already
        scales = _least_squares(lines, codes, scales)
    return Trits(
        from_lines(codes, weights.shape),
        scales.reshape(scales_shape(weights.shape, scale, group)),
        group,
    )


def check_rounding(rounding: Rounding, threshold: float | None) -> None:
    """Refuse a rule that does not exist or a threshold that it does not take, in one sentence."""
    if rounding not in get_args(Rounding):
        raise WorkbenchError(
            f"rounding={rounding!r} is not allowed: it is one of {', '.join(get_args(Rounding))}"
        )
    if threshold is not None:
        if rounding == "optimal":
            raise WorkbenchError(
                f"threshold={threshold!r} is not allowed: rounding='optimal' finds its own"
            )
        if not 0 <= threshold < np.inf:
            raise WorkbenchError(
                f"threshold={threshold!r} is not allowed: it is a number from 0 up"
            )


def _statistic(lines, lengths, rounding):
    """Of each line: what the rule measures thresholds and scales in."""
    total = np.empty(len(lines))
    square = np.empty(len(lines))
    peak = np.empty(len(lines), np.float32)
    kernels.load("rounding").summarise(lines, total, square, peak)
    if rounding == "absmax":
        return peak
    if rounding == "rms":
        return np.sqrt(square / lengths).astype(np.float32)
    return np.maximum((total / lengths).astype(np.float32), SMALLEST_ABSMEAN)


def _least_squares(lines, codes, scales):
    """The scale of least squared error for each line of codes; the old one where all are zero."""
    product = np.empty(len(lines))
    count = np.empty(len(lines), np.int64)
    kernels.load("rounding").correlate(lines, codes, product, count)
    return np.where(count > 0, product / np.maximum(count, 1), scales).astype(np.float32)
