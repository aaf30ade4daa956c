"""What a product by lookup should cost, and the parameters that should cost least.

A product of T tokens looks up each of the groups G of every row once a token and fills a table a
group and token (32 tokens at once where tokens are vectors). Its time is

    whole tables   G T (group + 3^g fill + rows lookup)
                   + T index (bytes of indices beyond the second cache)
    tiers          G T (group + (3^(g//2) + 3^(g-g//2)) fill + stored entry
                        + rows (shares . costs of the tiers + share missed * miss))
                   + T repeat (lookups of tiers 3 and 4 whose pattern was met before, by the share
                               of their list beyond the second cache)

with constants that `workbench.measure.lookups` measures. What is met for the first time is read in
order, which costs nothing that shows; so are indices, but whole tables use them up too fast. A
table entry of a dictionary pays only where it is looked up more often in a group than filling it
costs; that, not the size of a cache, bounds a dictionary.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int8

from workbench.errors import WorkbenchError
from workbench.lookup import patterns
from workbench.lookup.product import (
    LANES,
    LARGEST_WHOLE,
    SLOTS,
    VECTORS_FROM,
    WholeTables,
    entries,
    index_type,
)
from workbench.lookup.tiers import ENTRY_BYTES, TIERS, TieredTables

PATTERN_BYTES = 8  # of a pattern in the list of tier 4, as the kernel reads it; in tier 3 it is 7
# seed 000: hits of its four tiers, and cycles of each; then those of its sparse table
DOCUMENT_SHARES = (0.60, 0.35, 0.049, 0.001)
DOCUMENT_CYCLES = (2, 75, 250, 100)
SPARSE_SHARES = (0.70, 0.29, 0.01)
SPARSE_CYCLES = (1, 3, 100)


@dataclass(frozen=True)
class Costs:
    """Nanoseconds on one thread of one machine, and its cache sizes.

    Attributes
    ----------
    group, fill, near_lookup, far_lookup : float
        Whole tables, a token at a time: a group's fixed cost, an entry filled, a lookup in tables
        that fit the first cache, and in tables that do not but fit the second.
    index : float
        A byte of indices that the second cache does not hold, each time it is read.
    vector_group, vector_fill, vector_near_lookup, vector_far_lookup, vector_index : float
        The same for 32 tokens at once.
    tier_group : float
    entry : float
        Filling an entry of a dictionary from two halves.
    hot, warm, near, computed : float
        A lookup that each tier answers.
    miss : float
        A lookup whose tier was not foreseen by the processor.
    repeat : float
        A pattern met before, in a list that the second cache does not hold.
    l1_bytes, l2_bytes : int
    """

    group: float
    fill: float
    near_lookup: float
    far_lookup: float
    index: float
    vector_group: float
    vector_fill: float
    vector_near_lookup: float
    vector_far_lookup: float
    vector_index: float
    tier_group: float
    entry: float
    hot: float
    warm: float
    near: float
    computed: float
    miss: float
    repeat: float
    l1_bytes: int
    l2_bytes: int


def expected(shares: Iterable[float], costs: Iterable[float]) -> float:
    """The mean cost of a lookup: the document's formula."""
    return sum(share * cost for share, cost in zip(shares, costs, strict=True))


def predict_whole(g: int, shape: tuple[int, int], tokens: int, costs: Costs) -> float:
    """Seconds of a product with tables of every pattern, on one thread."""
    rows, groups = shape[0], -(-shape[1] // g)
    size = entries(g, False)
    beyond = max(0, _index_bytes(g, shape) - costs.l2_bytes)
    if tokens >= VECTORS_FROM:
        blocks = -(-tokens // LANES)
        nbytes = SLOTS * size * ENTRY_BYTES * LANES
        look = _mixed(nbytes, costs.vector_near_lookup, costs.vector_far_lookup, costs)
        each = costs.vector_group + size * costs.vector_fill + rows * look
        return blocks * (groups * each + beyond * costs.vector_index) / 1e9
    nbytes = SLOTS * size * ENTRY_BYTES
    look = _mixed(nbytes, costs.near_lookup, costs.far_lookup, costs)
    each = costs.group + size * costs.fill + rows * look
    return tokens * (groups * each + beyond * costs.index) / 1e9


def predict_tiers(tables: TieredTables, tokens: int, costs: Costs) -> float:
    """Seconds of a product by a dictionary, on one thread."""
    g, stored = tables.dictionary.g, len(tables.dictionary.stored)
    rows, groups = tables.shape[0], len(tables.index) // tables.shape[0]
    filled = 3 ** (g // 2) + 3 ** (g - g // 2)
    hits = tables.hits()
    look = expected(hits.values(), (costs.hot, costs.warm, costs.near, costs.computed))
    look += costs.miss * missed(hits)
    each = costs.tier_group + filled * costs.fill + stored * costs.entry + rows * look
    again = _repeats(tables, hits, costs) * costs.repeat
    return tokens * (groups * each + again) / 1e9


def missed(hits: Mapping[str, float]) -> float:
    """Share of lookups whose tier a processor that always foresees the most frequent one misses."""
    outside = hits["near"] + hits["computed"]
    second = min(hits["near"], hits["computed"])
    return min(outside, 1 - outside) + second


def worthwhile(codes: np.ndarray, g: int, costs: Costs) -> int:
    """How many of the most frequent patterns are looked up often enough to be in a dictionary.

    An entry costs `entry` in every group, and saves `computed - hot` at each lookup.
    """
    numbers = np.abs(patterns.numbers(patterns.group(codes, g)[0]))
    _, times = np.unique(numbers, return_counts=True)
    saving = max(costs.computed - costs.hot, 0.0)
    return int((times / numbers.shape[1] * saving > costs.entry).sum())


def tune(
    codes: Int8[np.ndarray, "rows cols"],
    costs: Costs,
    *,
    tokens: int = 1,
    groups: Iterable[int] = range(2, 17),
    tiered: Iterable[int] = (8, 12, 16),
) -> list[dict]:
    """Predict every kind of table on a matrix; the least time first.

    Parameters
    ----------
    codes : int8 array (rows, cols)
    costs : Costs
        Of this machine; its cache sizes bound the tiers.
    tokens : int
    groups : iterable of int
        Trits of a pattern to try with tables of every pattern; left out are those beyond 10, and
        those whose eight tables the second cache does not hold.
    tiered : iterable of int
        Trits of a pattern to try with a dictionary, three sizes each: what pays, what half of the
        first cache holds, and what half of the second does; with frequent bases and, in the
        largest, with those of a covering code.

    Returns
    -------
    list of dict
        kind ("whole" or "tiers"), g, parameters (of technique `lut`), predicted_s, table_bytes
        (of a group), index_bytes (with the dictionary), hits (of the tiers; empty for whole),
        why (which part of the time is largest).
    """
    codes = patterns.checked_trits(codes)
    if tokens < 1:
        raise WorkbenchError(f"tokens={tokens} is not allowed: it is a whole number from 1 up")
    whole = [
        _whole(codes, g, tokens, costs) for g in groups if g <= min(LARGEST_WHOLE, codes.shape[1])
    ]
    found = [row for row in whole if row["table_bytes"] <= costs.l2_bytes]
    for g in tiered:
        pays = ENTRY_BYTES * worthwhile(codes, g, costs)
        hot = costs.l1_bytes // 2
        for first, second, bases in dict.fromkeys(
            [
                (min(pays, hot), max(pays - hot, 0), "frequent"),
                (hot, 0, "frequent"),
                (hot, costs.l2_bytes // 2, "frequent"),
                (hot, costs.l2_bytes // 2, "covering"),
            ]
        ):
            found.append(_tiers(codes, g, tokens, costs, first, second, bases))
    return sorted(found, key=lambda row: row["predicted_s"])


def _whole(codes, g, tokens, costs):
    rows, lanes = codes.shape[0], LANES if tokens >= VECTORS_FROM else 1
    size = entries(g, False)
    fill, lookup = (
        (costs.vector_fill, costs.vector_near_lookup)
        if lanes > 1
        else (
            costs.fill,
            costs.near_lookup,
        )
    )
    return {
        "kind": "whole",
        "g": g,
        "parameters": {"pattern": g},
        "predicted_s": predict_whole(g, codes.shape, tokens, costs),
        "table_bytes": SLOTS * size * ENTRY_BYTES * lanes,
        "index_bytes": _index_bytes(g, codes.shape),
        "hits": {},
        "why": "filling tables" if size * fill > rows * lookup else "lookups",
    }


def _tiers(codes, g, tokens, costs, hot, warm, bases):
    tables = TieredTables.of(codes, g, hot=hot, warm=warm, bases=bases)
    hits, stored = tables.hits(), len(tables.dictionary.stored)
    parts = {"filling the dictionary": stored * costs.entry}
    for tier in TIERS:
        parts[f"{tier} lookups"] = codes.shape[0] * hits[tier] * getattr(costs, tier)
    parts["tiers not foreseen"] = codes.shape[0] * missed(hits) * costs.miss
    return {
        "kind": "tiers",
        "g": g,
        "parameters": {
            "pattern": g,
            "tiers": True,
            "symmetry": True,
            "hot": hot,
            "warm": warm,
            "bases": bases,
        },
        "predicted_s": predict_tiers(tables, tokens, costs),
        "table_bytes": stored * ENTRY_BYTES,
        "index_bytes": tables.nbytes,
        "hits": hits,
        "why": max(parts, key=parts.get),
    }


def build_tables(codes: np.ndarray, row: Mapping) -> WholeTables | TieredTables:
    """What a row of `tune` stands for, built from the matrix."""
    options = dict(row["parameters"])
    g = options.pop("pattern")
    if row["kind"] == "whole":
        return WholeTables.of(codes, g)
    del options["tiers"]
    return TieredTables.of(codes, g, **options)


def _repeats(tables, hits, costs):
    """Lookups of tiers 3 and 4 that go back in their lists, behind the second cache."""
    found = 0.0
    for tier, count in zip(("near", "computed"), tables.dictionary.sizes[2:], strict=True):
        beyond = max(0.0, 1 - costs.l2_bytes / max(PATTERN_BYTES * count, 1))
        found += beyond * (hits[tier] * len(tables.index) - count)
    return found


def _index_bytes(g, shape):
    """Of the indices of whole tables."""
    return shape[0] * -(-shape[1] // g) * np.dtype(index_type(entries(g, False))).itemsize


def _mixed(nbytes, near, far, costs):
    """A lookup in tables of this size: near for the share that the first cache holds."""
    share = min(1.0, costs.l1_bytes / nbytes)
    return share * near + (1 - share) * far
