"""The table as it was proposed: an entry for every pattern of 16 trits and every value of ONE int8.

With one activation x for all sixteen trits an entry is x times the sum of the trits, and that sum
has 33 values: the table of 11 billion entries is one of 33 x 256, for all layers alike. Real
groups have sixteen activations; for those the proposed table has no index.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int16

from workbench import kernels
from workbench.lookup import patterns

G = 16
VALUES = 256  # of an int8
PATTERNS = patterns.count(G)
CANONICAL = patterns.canonical_count(G)
ENTRIES = PATTERNS * VALUES
LAYERS = 32

# the document's own counts
HALF = 21_523_360  # canonical patterns: one too few
DENSE = HALF * 65 * 4  # bytes: activations from -32 to 32 in int32
SPARSE = HALF * 191 * 4 / 100  # the other 191, of which 1 % occur
BASES = 100_000
DELTA = 264  # bytes of a difference
STRATA = {  # name: entries, bytes each, printed size in GB
    "bases": (BASES, 1024, "0.102"),
    "distance 1": (8_000_000, DELTA, "2.0"),
    "distance 2": (6_000_000, DELTA, "1.5"),
    "distance 3": (4_000_000, 400, "1.5"),
    "the rest": (3_423_360, 1024, "3.3"),
}
MIXED = 0.8 * 2 + 0.2 * 4  # bytes an entry, four fifths of them int16
EFFECTIVE = 6_000_000  # patterns that it expects to occur
TIERS = {"tier 1": 10_000 * 64 * 2, "tier 2": BASES * 256 * 2, "tier 3": 6_000_000 * DELTA}
METADATA = 10_000_000
LAYER_DELTA = 20_000_000

KEY = 5  # bytes: 25 bits of a pattern and 8 of an activation
LOAD = 0.7  # share of a hash table's slots that may be filled


@dataclass(frozen=True)
class Stage:
    """One step of the document's chain, in bytes.

    Attributes
    ----------
    name : str
    claimed : float
        As the document prints it.
    formula : float
        By its own formula, multiplied again.
    needed : float
        What the step's table takes when it is correct and its keys are counted.
    why : str
        Where the three part.
    """

    name: str
    claimed: float
    formula: float
    needed: float
    why: str


def waterfall() -> list[Stage]:
    """The document's chain from 1.4 TB to 2.14 GB, and what it comes down to."""
    deltas = sum(number * size for number, size, _ in STRATA.values())
    whole = sum(STRATA[name][0] * STRATA[name][1] for name in ("bases", "the rest"))
    tiers = sum(TIERS.values()) + METADATA
    collapsed = sum_table().nbytes
    rest = CANONICAL - BASES
    return [
        Stage(
            f"{LAYERS} layers",
            1.4e12,
            LAYERS * 4 * ENTRIES,
            4 * ENTRIES,
            "no entry depends on a weight: all layers share one table",
        ),
        Stage("one table", 44e9, 4 * ENTRIES, 2 * ENTRIES, "all sums fit 16 bits (at most 2048)"),
        Stage(
            "symmetry",
            22e9,
            HALF * VALUES * 4,
            CANONICAL * VALUES * 2,
            "one canonical pattern more; its rule leaves ties on both sides (24.1 million)",
        ),
        Stage(
            "sparse",
            5.8e9,
            DENSE + SPARSE,
            DENSE + SPARSE / 4 * (4 + KEY) / LOAD,
            "a hash table stores keys and leaves slots empty",
        ),
        Stage(
            "delta",
            8.4e9,
            deltas,
            BASES * VALUES * 2 + rest * (4 + 2 + 2),
            "larger than the step before; for one x a difference is one small number, not 256",
        ),
        Stage(
            "quantization",
            5.0e9,
            deltas * MIXED / 4,
            deltas - whole / 2,
            "only whole rows of int32 can shrink; differences of a byte overflow at a sign flip",
        ),
        Stage(
            "zero runs",
            3.7e9,
            EFFECTIVE * VALUES * MIXED,
            CANONICAL * VALUES * 2,
            "nothing says which 6 million patterns occur: 17 million are 95 % of independent trits",
        ),
        Stage(
            "tiers",
            1.562e9,
            tiers,
            sum(TIERS.values()) + (CANONICAL - BASES - EFFECTIVE) * DELTA,
            "6 million is a guess: the other patterns are differences too",
        ),
        Stage(
            f"shared by {LAYERS} layers",
            2.14e9,
            tiers + LAYERS * LAYER_DELTA,
            tiers,
            "a layer adds nothing to a table that does not depend on it",
        ),
        Stage(
            "by sums of trits",
            collapsed,
            collapsed,
            collapsed,
            f"{2 * G + 1} sums x {VALUES} activations in int16, exact; and one multiplication "
            "replaces it",
        ),
    ]


def sum_table(g: int = G) -> Int16[np.ndarray, "sums 256"]:
    """Row s + g, column x + 128: s * x, for every sum s of g trits and every int8 x."""
    sums = np.arange(-g, g + 1, dtype=np.int16)
    return np.multiply.outer(sums, np.arange(-128, 128, dtype=np.int16))


@dataclass(frozen=True)
class Collapse:
    """What comparing every entry of the proposed table with the table of sums found.

    Attributes
    ----------
    entries, differing : int
    smallest, largest : int
        Of all entries.
    """

    entries: int
    differing: int
    smallest: int
    largest: int


def prove_collapse(g: int = G) -> Collapse:
    """Compute every entry w . (x, ..., x) trit by trit and compare it with `sum_table`.

    All 3^g patterns times 256 activations; a second for the 11 billion entries of g = 16.
    """
    front = g // 2
    x = np.arange(-128, 128, dtype=np.int16)
    halves = [patterns.every(length) for length in (front, g - front)] if front else None
    if halves is None:
        halves = [np.zeros((1, 0), np.int8), patterns.every(g)]
    rows = [_products(half, x) for half in halves]
    sums = [half.sum(axis=1, dtype=np.int32) for half in halves]
    found = np.zeros(3, np.int64)
    kernels.load("lut_literal").compare(*rows, *sums, sum_table(g), found)
    return Collapse(len(rows[0]) * len(rows[1]) * len(x), *found.tolist())


def _products(half, x):
    """w . (x, ..., x) for each pattern, an addition or subtraction a trit."""
    total = np.zeros((len(half), len(x)), np.int16)
    for trit in half.T:
        total += np.where(trit[:, None] > 0, x, 0) - np.where(trit[:, None] < 0, x, 0)
    return total
