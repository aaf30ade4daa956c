"""Products by table lookup against the clock: constants of the cost model, tiers, and a race."""

from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np
from jaxtyping import Int8

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.lookup import patterns
from workbench.lookup.product import LANES, SLOTS, WholeTables, index_type
from workbench.lookup.tiers import TIERS, Dictionary, TieredTables
from workbench.lookup.tuning import (
    PATTERN_BYTES,
    Costs,
    build_tables,
)
from workbench.measure import machine
from workbench.measure.timing import race, time_call

PLANAR, BASE3 = "planar", "base3"
CLOCK = 4e9  # cycles a second that the document counts with
KERNELS = ("lut_vector", "lut_vector_halved", "lut_tokens", "lut_tiers", "lut_probe", "planar")
FEW, MANY = 512, 4096  # rows of the two products whose difference is the cost of lookups
COLS = 640
LONG = 1 << 15  # rows of 40 lookups whose patterns take 10 MB
NEAR_G, FAR_G = 5, 8  # whole tables of 4 KB and 105 KB: within the first cache, and beyond it
VECTOR_NEAR_G, VECTOR_FAR_G = 3, 5  # 14 KB and 124 KB
INDEX_G, VECTOR_INDEX_G = 5, 4  # indices of one byte
L1, L2 = 48 << 10, 2 << 20  # where the system tells no sizes


@cache
def measured_costs(seconds: float = 4.0) -> Costs:
    """The constants of `workbench.lookup.tuning`, measured once; takes about so many seconds.

    Each is the difference of products that differ in nothing but rows, or table size.
    """
    check_compiled()
    share = seconds / 22
    near, far = (_whole_cost(g, 1, share) for g in (NEAR_G, FAR_G))
    vector_near, vector_far = (_whole_cost(g, LANES, share) for g in (VECTOR_NEAR_G, VECTOR_FAR_G))
    fill = (far["group"] - near["group"]) / (3**FAR_G - 3**NEAR_G)
    vector_fill = (vector_far["group"] - vector_near["group"]) / (
        3**VECTOR_FAR_G - 3**VECTOR_NEAR_G
    )
    tiers = tier_costs(seconds=8 * share)
    facts = machine.machine_facts()
    l2_bytes = facts["l2_bytes"] or L2
    found = {
        "group": near["group"] - 3**NEAR_G * fill,
        "fill": fill,
        "near_lookup": near["lookup"],
        "far_lookup": far["lookup"],
        "index": _index_cost(INDEX_G, 1, l2_bytes, 2 * share),
        "vector_group": vector_near["group"] - 3**VECTOR_NEAR_G * vector_fill,
        "vector_fill": vector_fill,
        "vector_near_lookup": vector_near["lookup"],
        "vector_far_lookup": vector_far["lookup"],
        "vector_index": _index_cost(VECTOR_INDEX_G, LANES, l2_bytes, 2 * share),
        "tier_group": tiers["group"] - 2 * 3**8 * fill,
        "entry": tiers["entry"],
        **{tier: tiers[tier] for tier in TIERS},
        "miss": tiers["miss"],
        "repeat": _repeat_cost(l2_bytes, 2 * share),
    }
    # a difference of two times may come out below nothing
    return Costs(
        **{name: max(value, 0.0) for name, value in found.items()},
        l1_bytes=facts["l1d_bytes"] or L1,
        l2_bytes=l2_bytes,
    )


def tier_costs(hot: int = 4096, warm: int = 400_000, seconds: float = 2.0) -> dict[str, float]:
    """Nanoseconds of a lookup that each tier answers, at 16 trits, with dictionaries made for it.

    Parameters
    ----------
    hot, warm : int
        Entries of tiers 1 and 2; at 2 bytes, 8 KB and 800 KB.

    Returns
    -------
    dict
        hot, warm, near, computed: of a lookup. entry: of filling one of a group's table. group:
        of a group, its half tables filled. miss: what a lookup costs more where half of them, at
        random, are of another tier than the rest.
    """
    check_compiled()
    rng = np.random.default_rng(0)
    numbers = rng.choice(patterns.canonical_count(16), hot + warm + 2 * MANY, replace=False)
    stored, others = numbers[: hot + warm].astype(np.int32), numbers[hot + warm :].astype(np.int32)
    small = _dictionary(stored[:hot], others, rng)
    large = _dictionary(stored, others, rng)
    shares = {
        "hot": (small, [0, hot]),
        "near": (small, [hot, hot + MANY]),
        "computed": (small, [hot + MANY, hot + 2 * MANY]),
        "warm": (large, [hot, hot + warm]),
    }
    found, group = {}, {}
    for tier, (dictionary, (first, last)) in shares.items():
        cost = _slope(
            lambda rows, dictionary=dictionary, first=first, last=last: _tiered(
                dictionary, rows, rng.integers(first, last, rows * COLS // 16)
            ),
            COLS // 16,
            seconds / 6,
        )
        found[tier], group[tier] = cost["lookup"], cost["group"]
    found["entry"] = (group["warm"] - group["hot"]) / warm
    found["group"] = group["hot"] - hot * found["entry"]

    mixed = _slope(
        lambda rows: _tiered(
            small,
            rows,
            rng.integers(0, hot, rows * COLS // 16)
            + rng.integers(0, 2, rows * COLS // 16) * (hot + MANY),
        ),
        COLS // 16,
        seconds / 6,
    )
    even = (found["hot"] + found["computed"]) / 2
    found["miss"] = max(mixed["lookup"] - even, 0.0) / 0.5
    return found


def load_latency_ns(nbytes: int, seconds: float = 0.2) -> float:
    """Nanoseconds from one load to a load that depends on it, at random within so many bytes."""
    check_compiled()
    lines = max(nbytes // 64, 1)
    order = np.random.default_rng(0).permutation(lines).astype(np.int32) * 16
    after = machine.aligned(64 * lines).view(np.int32)
    after[:] = 0
    after[order] = np.roll(order, -1)  # one cycle through every cache line
    out = np.zeros(1, np.int32)
    steps = 20_000
    kernel = kernels.load("lut_probe").chase
    timing = time_call(lambda: kernel(after, steps, out), seconds=seconds)
    return timing.min_s / steps * 1e9


def clock_ghz(seconds: float = 0.2) -> float:
    """Cycles a nanosecond, from a chain of operations that take one each."""
    check_compiled()
    steps, out = 20_000, np.full(1, (1 << 62) - 1, np.int64)
    kernel = kernels.load("lut_probe").chain
    timing = time_call(lambda: kernel(steps, out), seconds=seconds)
    return 2 * steps / timing.min_s / 1e9


def check_predictions(
    codes: Int8[np.ndarray, "rows cols"],
    rows: Iterable[Mapping],
    *,
    tokens: int = 1,
    seconds: float = 5.0,
) -> list[dict]:
    """Rows of `workbench.lookup.tuning.tune` with the time that each really takes.

    Returns
    -------
    list of dict
        The rows, with measured_s and error (predicted over measured, less 1).
    """
    rows = [dict(row) for row in rows]
    rng = np.random.default_rng(tokens)
    x = rng.integers(-127, 128, (tokens, codes.shape[1])).astype(np.int8)
    calls = {str(place): build_tables(codes, row).bind(x) for place, row in enumerate(rows)}
    laps = race(calls, seconds=seconds)
    for place, row in enumerate(rows):
        row["measured_s"] = laps[str(place)].timing.median_s
        row["error"] = row["predicted_s"] / row["measured_s"] - 1
    return rows


def _whole_cost(g, tokens, seconds):
    groups = SLOTS * (COLS // g // SLOTS)
    return _slope(lambda rows: _whole(g, tokens, rows, groups), groups, seconds)


def _index_cost(g, tokens, l2_bytes, seconds):
    """ns a byte of indices beyond the second cache: of a product with 24 times what it holds, so
    that a third has not kept them either, against the line through an eighth of it and a half."""
    eight = MANY * SLOTS * np.dtype(index_type(3**g)).itemsize
    few = max(l2_bytes // 8 // eight, 1)
    eights = few, 4 * few, 192 * few
    laps = race({str(n): _whole(g, tokens, MANY, SLOTS * n) for n in eights}, seconds=seconds)
    # medians, for where the bytes come from varies
    least, near, far = (laps[str(n)].timing.median_s for n in eights)
    extra = far - near - (near - least) * (eights[2] - eights[1]) / (eights[1] - eights[0])
    beyond = eights[2] * eight - l2_bytes
    return extra * 1e9 / beyond if beyond > 0 else 0.0


def _whole(g, tokens, rows, groups):
    """A product by tables of every pattern, at random."""
    rng = np.random.default_rng(g)
    x = rng.integers(-127, 128, (tokens, groups * g)).astype(np.int8)
    index = rng.integers(0, 3**g, rows * groups, dtype=index_type(3**g))
    return WholeTables(index, (rows, groups * g), g).bind(x)


def _repeat_cost(l2_bytes, seconds):
    """ns of a computed pattern met before, its list beyond the second cache: one lookup in sixteen
    goes back at random, against none."""
    rng = np.random.default_rng(0)
    lookups = LONG * COLS // 16
    numbers = rng.integers(0, patterns.canonical_count(16), lookups).astype(np.int32)
    none, unchanged = numbers[:0], np.zeros((0, 3), np.uint8)
    dictionary = Dictionary(16, True, none, 0, none, unchanged, numbers)
    back = np.arange(lookups)
    back[::16] = back[::16] * rng.random(len(back[::16]))
    entries = {"in order": np.arange(lookups), "back": back}
    calls = {name: _tiered(dictionary, LONG, entry) for name, entry in entries.items()}
    laps = race(calls, seconds=seconds)
    extra = (laps["back"].timing.min_s - laps["in order"].timing.min_s) * 1e9
    beyond = 1 - l2_bytes / (PATTERN_BYTES * lookups)
    return extra / (lookups / 16 * beyond) if beyond > 0 else 0.0


def _slope(bind, groups, seconds):
    """ns of a lookup and of a group without any, from products with few rows and with many."""
    laps = race({str(rows): bind(rows) for rows in (FEW, MANY)}, seconds=seconds)
    few, many = (laps[str(rows)].timing.min_s * 1e9 / groups for rows in (FEW, MANY))
    lookup = (many - few) / (MANY - FEW)
    return {"lookup": lookup, "group": max(few - FEW * lookup, 0.0)}


def _dictionary(stored, others, rng):
    """Tier 3 and 4 of as many patterns each, tier 3 with three trits changed."""
    bases = rng.integers(0, 2 * min(len(stored), 4096), MANY).astype(np.int32)
    changes = rng.integers(1, 4 * 16 + 1, (MANY, 3)).astype(np.uint8)
    return Dictionary(16, True, stored, 0, bases, changes, others[:MANY])


def _tiered(dictionary, rows, entry):
    rng = np.random.default_rng(1)
    index = 2 * entry + rng.integers(0, 2, len(entry))
    index = index.astype(index_type(2 * dictionary.entries))
    x = rng.integers(-127, 128, (1, COLS)).astype(np.int8)
    return TieredTables(index, (rows, COLS), dictionary).bind(x)


def check_compiled() -> None:
    """Refuse to time kernels that are not compiled."""
    plain = [name for name in KERNELS if not kernels.status(name).compiled]
    if plain:
        raise WorkbenchError(
            f"times need compiled kernels, but {', '.join(plain)} are not: run `make kernels`"
        )
