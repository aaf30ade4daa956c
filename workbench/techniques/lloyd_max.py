"""Levels wherever they leave the least squared error on this matrix (Lloyd 1982, Max 1960)."""

import numpy as np
from jaxtyping import Float32, Float64
from pydantic import Field

from workbench.errors import WorkbenchError
from workbench.groups import Scale
from workbench.techniques._arrays import FloatType, narrow, pack_bits, packed_bytes, unpack_bits
from workbench.techniques._codebook import nearest
from workbench.techniques.base import Technique

MOST_ROUNDS = 1000
SETTLED = 1e-7  # of the error, gained in one round


class LloydMax(Technique, id="lloyd-max"):
    """The best list of levels for this matrix, each weight the index of the nearest one.

    Parameters
    ----------
    levels : int
        2 to 256; a weight takes as many whole bits as the index needs.
    scale : {"tensor", "row"}
        Whether the levels fit the matrix as it is, or rows divided by their root mean square.
    scale_type : {"float32", "float16"}
        Of the rows' scales.

    Notes
    -----
    `codebook` holds the levels, ascending, in float32; `codes` the indices end to end, low bits
    first, as in `uniform`; `scales`, with scale="row", has shape (rows, 1).

    Levels start where their density follows the cube root of the weights' (optimal for many
    levels), then move in turns to the mean of the weights that are nearest to them. With a scale a
    row, weights count by the square of it, so that the error of the matrix itself goes down.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> encoded = wb.technique("lloyd-max", levels=2).encode(np.array([[1.0, 2.0, 9.0, 10.0]]))
    >>> encoded.codes()
    array([[0, 0, 1, 1]], dtype=uint8)
    >>> encoded.decode()
    array([[1.5, 1.5, 9.5, 9.5]], dtype=float32)
    """

    levels: int = Field(16, ge=2, le=256, description="how many levels")
    scale: Scale = Field("tensor", description="whether each row has a scale of its own")
    scale_type: FloatType = Field("float32", description="how scales are stored")

    @property
    def bits(self) -> int:
        """Bits an index."""
        return (self.levels - 1).bit_length()

    def layout(self, shape):
        layout = {
            "codes": ("uint8", (packed_bytes(shape[0] * shape[1], self.bits),)),
            "codebook": ("float32", (self.levels,)),
        }
        if self.scale == "tensor":
            return layout
        return layout | {"scales": (self.scale_type, (shape[0], 1))}

    def compress(self, weights):
        values, mass, stored = weights, None, {}
        if self.scale == "row":
            size = np.sqrt(np.square(weights, dtype=np.float64).mean(axis=1, keepdims=True))
            stored["scales"] = narrow(size, self.scale_type)
            scales = stored["scales"].astype(np.float32)
            values = weights / np.where(scales > 0, scales, 1)
            mass = np.broadcast_to(np.square(scales, dtype=np.float64), weights.shape)
        codebook = fit_levels(values, mass, self.levels)
        codes = nearest(values, codebook)
        return {"codes": pack_bits(codes, self.bits), "codebook": codebook, **stored}

    def codes(self, arrays, shape):
        codes = unpack_bits(arrays["codes"], self.bits, shape)
        if codes.max() >= self.levels:
            raise WorkbenchError(
                f"array 'codes' holds {codes.max()}, but there are {self.levels} levels"
            )
        return codes

    def restore(self, arrays, shape):
        values = arrays["codebook"][self.codes(arrays, shape)]
        return values * arrays["scales"].astype(np.float32) if self.scale == "row" else values


def fit_levels(
    values: Float32[np.ndarray, "rows cols"],
    mass: Float64[np.ndarray, "rows cols"] | None,
    levels: int,
) -> Float32[np.ndarray, " levels"]:
    """Ascending levels of (locally) least squared error; values count by their mass, or alike."""
    order = np.argsort(values, axis=None)
    values = values.ravel()[order].astype(np.float64)
    mass = np.ones_like(values) if mass is None else mass.ravel()[order]
    if not mass.any():  # nothing but zero rows
        return np.zeros(levels, np.float32)

    # sums up to each place: a round then costs as much as there are levels, not weights
    mass_below = np.concatenate([[0.0], np.cumsum(mass)])
    sum_below = np.concatenate([[0.0], np.cumsum(mass * values)])
    book = _spread_levels(values, mass, levels)
    gained = np.inf
    for _ in range(MOST_ROUNDS):
        edges = np.searchsorted(values, (book[1:] + book[:-1]) / 2, side="right")
        edges = np.concatenate([[0], edges, [values.size]])
        weight = np.diff(mass_below[edges])
        total = np.diff(sum_below[edges])
        mean = np.divide(total, weight, out=book.copy(), where=weight > 0)
        # the error that is left is a constant minus this
        before, gained = gained, (weight * mean**2).sum()
        if np.array_equal(mean, book) or abs(gained - before) <= SETTLED * abs(gained):
            break
        book = mean
    return mean.astype(np.float32)


def _spread_levels(values, mass, levels):
    """Levels whose density follows the cube root of the values' density."""
    counts, edges = np.histogram(values, bins=4096, weights=mass)
    share = np.cumsum(np.cbrt(counts))
    return np.interp((np.arange(levels) + 0.5) / levels * share[-1], share, edges[1:])
