"""Independent trits, exactly: how probable patterns are, and what the most probable ones cover.

A canonical pattern stands for itself and its negative; both signs are equally probable.
"""

from itertools import combinations
from math import ceil, comb

import numpy as np
from jaxtyping import Int8, Int32

from workbench.lookup import patterns

DOCUMENT = (0.28, 0.44, 0.28)  # P(-1), P(0), P(+1) that seed 000 states for BitNet's weights
ZEROS = DOCUMENT[1]


def strata(g: int = 16, zeros: float = ZEROS) -> list[tuple[float, int, int]]:
    """Probability and number of canonical patterns with k trits that are not 0, and k; the most
    probable first."""
    sign = (1 - zeros) / 2
    rows = [(zeros**g, 1, 0)]
    rows += [
        (2 * sign**k * zeros ** (g - k), comb(g, k) * 2 ** (k - 1), k) for k in range(1, g + 1)
    ]
    return sorted(rows, reverse=True)


def coverage(top: int, g: int = 16, zeros: float = ZEROS) -> float:
    """Share of all groups that the `top` most probable canonical patterns make up."""
    share = 0.0
    for probability, number, _ in strata(g, zeros):
        taken = min(top, number)
        share += taken * probability
        top -= taken
    return share


def needed(share: float, g: int = 16, zeros: float = ZEROS) -> int:
    """How many of the most probable canonical patterns cover this share of all groups."""
    found, covered = 0, 0.0
    for probability, number, _ in strata(g, zeros):
        if covered + number * probability >= share:
            return found + ceil((share - covered) / probability)
        found, covered = found + number, covered + number * probability
    return found


def most_probable(
    top: int, rng: np.random.Generator, g: int = 16, zeros: float = ZEROS
) -> Int32[np.ndarray, " top"]:
    """Numbers of the `top` most probable canonical patterns; of the last stratum some at random."""
    chosen, missing = [], top
    for _, _, k in strata(g, zeros):
        found = with_nonzeros(g, k)
        if len(found) > missing:
            found = rng.choice(found, missing, replace=False)
        chosen.append(found)
        missing -= len(found)
        if missing == 0:
            break
    return np.concatenate(chosen)


def with_nonzeros(g: int, k: int) -> Int32[np.ndarray, " patterns"]:
    """Numbers of all canonical patterns with k trits that are not 0."""
    if k == 0:
        return np.zeros(1, np.int32)
    where = np.array(list(combinations(range(g), k)))
    place = patterns.places(g)[where]  # (choices, k), the highest first
    signs = 1 - 2 * ((np.arange(2 ** (k - 1))[:, None] >> np.arange(k - 1)) & 1)
    return (place[:, :1] + place[:, 1:] @ signs.T).ravel().astype(np.int32)


def draw(
    shape: tuple[int, int], rng: np.random.Generator, p: tuple[float, float, float] = DOCUMENT
) -> Int8[np.ndarray, "rows cols"]:
    """Independent trits with P(-1), P(0), P(+1) = `p`."""
    return rng.choice(np.array([-1, 0, 1], np.int8), size=shape, p=p)
