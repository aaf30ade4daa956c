"""Groups of 16 trits as bit masks, their canonical forms, and what a ranking of them covers.

A group w and its negative share a table row, so the canonical form keeps one of each pair: here the
one whose first non-zero trit is +1. A group is two 16-bit masks (where +1, where -1).
"""

from itertools import combinations
from math import comb

import numpy as np

from workbench.claims.material import IID

SIZE = 16
PATTERNS = 3**SIZE
CANONICAL = (PATTERNS - 1) // 2 + 1


def masks(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a group (groups, 16) is +1 and where -1, as uint32 masks; trit 0 is the top bit."""
    weights = 1 << np.arange(SIZE - 1, -1, -1, dtype=np.uint32)
    return (groups == 1) @ weights, (groups == -1) @ weights


def canonical(plus: np.ndarray, minus: np.ndarray) -> np.ndarray:
    """One uint32 code for a group and its negative: the larger mask of first signs comes first."""
    plus, minus = plus.astype(np.uint32), minus.astype(np.uint32)
    return (np.maximum(plus, minus) << np.uint32(SIZE)) | np.minimum(plus, minus)


def distances(codes: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """Trits in which each canonical group differs from its nearest base (of either sign).

    Parameters
    ----------
    codes, bases : uint32 arrays from `canonical`
    """
    low = np.uint32(0xFFFF)
    base_plus, base_minus = bases >> np.uint32(SIZE), bases & low
    nearest = np.empty(len(codes), np.int64)
    for index, code in enumerate(codes):
        plus, minus = code >> np.uint32(SIZE), code & low
        same = np.bitwise_count((base_plus ^ plus) | (base_minus ^ minus)).min()
        opposite = np.bitwise_count((base_plus ^ minus) | (base_minus ^ plus)).min()
        nearest[index] = min(same, opposite)
    return nearest


def strata(zeros: float = IID[1]) -> list[tuple[float, int]]:
    """Probability and number of canonical patterns with k non-zeros, most probable first.

    Independent trits, P(0) = `zeros`, both signs alike. A pattern stands for itself and its
    negative.
    """
    sign = (1 - zeros) / 2
    rows = [(zeros**SIZE, 1)]
    rows += [
        (2 * sign**k * zeros ** (SIZE - k), comb(SIZE, k) * 2 ** (k - 1))
        for k in range(1, SIZE + 1)
    ]
    return sorted(rows, reverse=True)


def coverage(top: int, zeros: float = IID[1]) -> float:
    """Share of all groups that the `top` most probable canonical patterns make up."""
    share = 0.0
    for probability, count in strata(zeros):
        taken = min(top, count)
        share += taken * probability
        top -= taken
    return share


def needed(share: float) -> int:
    """How many of the most probable canonical patterns cover this share of independent groups."""
    patterns, covered = 0, 0.0
    for probability, count in strata():
        if covered + count * probability >= share:
            return patterns + int(np.ceil((share - covered) / probability))
        patterns, covered = patterns + count, covered + count * probability
    return patterns


def most_probable(top: int, rng: np.random.Generator) -> np.ndarray:
    """Codes of the `top` most probable canonical patterns of independent trits, ties at random."""
    order = sorted(range(SIZE + 1), key=lambda k: -_canonical_probability(k))
    chosen, missing = [], top
    for k in order:
        codes = with_nonzeros(k)
        if len(codes) > missing:
            codes = rng.choice(codes, missing, replace=False)
        chosen.append(codes)
        missing -= len(codes)
        if missing == 0:
            break
    return np.concatenate(chosen)


def with_nonzeros(k: int) -> np.ndarray:
    """Codes of all canonical patterns with k non-zero trits."""
    if k == 0:
        return np.zeros(1, np.uint32)
    places = np.array(list(combinations(range(SIZE), k)), np.uint32)
    bits = np.uint32(1) << places  # (choices, k)
    support = bits.sum(axis=1, dtype=np.uint32)
    signs = (np.arange(2 ** (k - 1))[:, None] >> np.arange(k - 1)) & 1  # of all but the last place
    minus = bits[:, : k - 1] @ signs.T.astype(np.uint32)
    plus = support[:, None] - minus
    return canonical(plus.ravel(), minus.ravel())


def hit_rate(ranked: np.ndarray, tested: np.ndarray, top: int, rng: np.random.Generator) -> float:
    """Share of `tested` codes among the `top` most frequent of `ranked`, ties at random."""
    patterns, counts = np.unique(ranked, return_counts=True)
    order = np.argsort(-(counts + rng.random(len(counts))))
    return float(np.isin(tested, patterns[order[:top]]).mean())


def _canonical_probability(k: int) -> float:
    _, zero, plus = IID
    return (1 if k == 0 else 2) * plus**k * zero ** (SIZE - k)
