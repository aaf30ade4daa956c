"""Patterns of g trits: their numbers, canonical forms, ties, and an order of single steps.

A pattern's number is its value in balanced ternary, first trit highest: 3^g numbers around 0, and
the number of -w is minus that of w. The sign of a number is that of the first trit that is not 0,
so that the magnitude names a pattern and its negative at once: it is the canonical form.
"""

from math import comb, factorial

import numpy as np
from jaxtyping import Int8, Int32, Int64

from workbench.errors import WorkbenchError

SMALLEST, LARGEST = 1, 19  # 3^19 numbers around 0 fit 32 bits with a sign


def count(g: int) -> int:
    """Patterns of g trits."""
    return 3**g


def canonical_count(g: int) -> int:
    """Patterns of g trits, one of each w and -w."""
    return (3**g + 1) // 2


def places(g: int) -> Int64[np.ndarray, " g"]:
    """What a trit counts in a pattern's number, first trit highest."""
    return 3 ** np.arange(g - 1, -1, -1, dtype=np.int64)


def numbers(groups: Int8[np.ndarray, "... g"]) -> Int32[np.ndarray, "..."]:
    """Number of each group of trits: negated where the group is.

    Parameters
    ----------
    groups : integer array (..., g) of {-1, 0, +1}, g from 1 to 19

    Examples
    --------
    >>> numbers(np.array([[0, 1], [1, -1], [-1, 1]]))
    array([ 1,  2, -2], dtype=int32)
    """
    g = _checked(groups.shape[-1])
    result = np.zeros(groups.shape[:-1], np.int32)
    for place in range(g):
        result *= 3
        result += groups[..., place]
    return result


def trits(number: np.ndarray, g: int) -> Int8[np.ndarray, "... g"]:
    """The patterns of these numbers: undoes `numbers`.

    Examples
    --------
    >>> trits(np.array([1, 2, -2]), 2)
    array([[ 0,  1],
           [ 1, -1],
           [-1,  1]], dtype=int8)
    """
    left = np.asarray(number, np.int64) + 3 ** _checked(g) // 2
    result = np.empty((*left.shape, g), np.int8)
    for place in range(g - 1, -1, -1):
        left, digit = np.divmod(left, 3)
        result[..., place] = digit - 1
    return result


def every(g: int) -> Int8[np.ndarray, "patterns g"]:
    """All patterns of g trits in the order of their numbers; g up to 14."""
    if not SMALLEST <= g <= 14:
        raise WorkbenchError(f"g={g} is not allowed: it is from 1 to 14")
    return trits(np.arange(3**g) - 3**g // 2, g)


def canonical(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Canonical number, from 0 up, and whether it stands for the negative.

    First non-zero trit positive: exactly one of w and -w, and 0 alone.
    """
    return np.abs(number), number < 0


def positive_biased(groups: Int8[np.ndarray, "... g"]) -> Int8[np.ndarray, "... g"]:
    """The document's form: flipped where more trits are -1 than +1. Ties keep both signs."""
    total = groups.sum(axis=-1, keepdims=True, dtype=np.int64)
    return np.where(total < 0, -groups, groups).astype(np.int8)


def ties(g: int) -> int:
    """Patterns with as many +1 as -1: the central trinomial coefficient."""
    return sum(
        factorial(g) // (factorial(k) ** 2 * factorial(g - 2 * k)) for k in range(g // 2 + 1)
    )


def positive_biased_count(g: int) -> int:
    """Patterns that the document's form leaves: of each tie both signs but for the zero pattern."""
    return (count(g) + ties(g)) // 2


def stratum(g: int, k: int) -> int:
    """Patterns with k trits that are not 0."""
    return comb(g, k) * 2**k


def ball(g: int, radius: int) -> int:
    """Patterns that differ from a given one in at most `radius` trits."""
    return sum(stratum(g, k) for k in range(radius + 1))


def gray_walk(g: int) -> tuple[Int32[np.ndarray, " steps"], Int32[np.ndarray, " steps"]]:
    """From the pattern of zeros through the upper half of the reflected ternary Gray order.

    The order is its own mirror image: the k-th pattern from the end is the k-th from the start,
    negated. So this half meets each pattern or its negative once, one trit changing by one, and a
    table of sums filled along it takes one addition an entry.

    Returns
    -------
    steps, numbers : int32 arrays ((3^g - 1) / 2,)
        steps: the trit that grows, or g + the trit that shrinks, to reach the i-th pattern.
        numbers: that pattern's.
    """
    order = np.zeros((1, 0), np.int8)
    for _ in range(_checked(g)):
        lead = np.repeat(np.array([-1, 0, 1], np.int8), len(order))[:, None]
        order = np.hstack([lead, np.vstack([order, order[::-1], order])])
    half = order[len(order) // 2 :]
    change = np.diff(half, axis=0)
    trit = np.abs(change).argmax(axis=1)
    steps = np.where(change.sum(axis=1) > 0, trit, g + trit)
    return steps.astype(np.int32), numbers(half[1:])


def group(codes: np.ndarray, g: int) -> tuple[Int8[np.ndarray, "rows groups g"], int]:
    """Neighbours along the rows in groups of g, and how many zero columns fill up the last one.

    Raises
    ------
    TypeError
        `codes` are not integers.
    WorkbenchError
        They are not two-dimensional, are empty, or hold another value than -1, 0 and 1 (says
        where); or g is not from 1 to 19.
    """
    codes = checked_trits(codes)
    padding = -codes.shape[1] % _checked(g)
    if padding:
        codes = np.pad(codes, ((0, 0), (0, padding)))
    return codes.reshape(len(codes), -1, g), padding


def checked_trits(codes: np.ndarray) -> Int8[np.ndarray, "rows cols"]:
    """`codes` as int8, refused in one sentence where they are no ternary matrix."""
    codes = np.asarray(codes)
    if codes.dtype.kind not in "iu":
        raise TypeError(f"codes are {codes.dtype}, but must be integers")
    if codes.ndim != 2 or 0 in codes.shape:
        raise WorkbenchError(f"codes have shape {codes.shape}, but must be (rows, cols), not empty")
    if codes.max() > 1 or codes.min() < -1:
        row, col = np.argwhere((codes > 1) | (codes < -1))[0]
        raise WorkbenchError(
            f"codes hold {codes[row, col]} at row {row}, column {col}, but must be -1, 0 or 1"
        )
    return np.ascontiguousarray(codes, dtype=np.int8)


def _checked(g):
    if not isinstance(g, int | np.integer) or not SMALLEST <= g <= LARGEST:
        raise WorkbenchError(f"g={g!r} is not allowed: it is a whole number from 1 to {LARGEST}")
    return g
