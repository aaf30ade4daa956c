"""Products by table lookup against the clock: constants of the cost model, tiers, and a race."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import cache, partial

import numpy as np
from jaxtyping import Int8

from workbench import kernels, ternary
from workbench.errors import WorkbenchError
from workbench.lookup import literal, patterns
from workbench.lookup.product import LANES, SLOTS, WholeTables, index_type
from workbench.lookup.tiers import ENTRY_BYTES, TIERS, Dictionary, TieredTables
from workbench.lookup.tuning import (
    DOCUMENT_CYCLES,
    DOCUMENT_SHARES,
    PATTERN_BYTES,
    Costs,
    build_tables,
    expected,
    predict_tiers,
    predict_whole,
)
from workbench.measure import machine
from workbench.measure.textbook import FourRussians, Rsr, RsrPlus, Textbook
from workbench.measure.timing import race, time_call

PLANAR, BASE3 = "planar", "base3"
CLOCK = 4e9  # cycles a second that the document counts with
KERNELS = ("lut_vector", "lut_vector_halved", "lut_tokens", "lut_tiers", "lut_probe", "planar")
FEW, MANY = 512, 4096  # rows of the two products whose difference is the cost of lookups
COLS = 640
LONG = 1 << 15  # rows of 40 lookups whose patterns take 10 MB
NEAR_G, FAR_G = 5, 8  # whole tables of 4 KB and 105 KB: within the first cache, and beyond it
VECTOR_NEAR_G, VECTOR_FAR_G = 3, 5  # 14 KB and 124 KB
L1, L2 = 48 << 10, 2 << 20  # where the system tells no sizes


@cache
def measured_costs(seconds: float = 4.0) -> Costs:
    """The constants of `workbench.lookup.tuning`, measured once; takes about so many seconds.

    Each is the difference of products that differ in nothing but rows, or table size.
    """
    _check_compiled()
    share = seconds / 18
    near, far = (_whole_cost(g, 1, share) for g in (NEAR_G, FAR_G))
    vector_near, vector_far = (_whole_cost(g, LANES, share) for g in (VECTOR_NEAR_G, VECTOR_FAR_G))
    fill = (far["group"] - near["group"]) / (3**FAR_G - 3**NEAR_G)
    vector_fill = (vector_far["group"] - vector_near["group"]) / (
        3**VECTOR_FAR_G - 3**VECTOR_NEAR_G
    )
    tiers = tier_costs(seconds=8 * share)
    facts = machine.machine_facts()
    found = {
        "group": near["group"] - 3**NEAR_G * fill,
        "fill": fill,
        "near_lookup": near["lookup"],
        "far_lookup": far["lookup"],
        "vector_group": vector_near["group"] - 3**VECTOR_NEAR_G * vector_fill,
        "vector_fill": vector_fill,
        "vector_near_lookup": vector_near["lookup"],
        "vector_far_lookup": vector_far["lookup"],
        "tier_group": tiers["group"] - 2 * 3**8 * fill,
        "entry": tiers["entry"],
        **{tier: tiers[tier] for tier in TIERS},
        "miss": tiers["miss"],
        "repeat": _repeat_cost(facts["l2_bytes"] or L2, 2 * share),
    }
    # a difference of two times may come out below nothing
    return Costs(
        **{name: max(value, 0.0) for name, value in found.items()},
        l1_bytes=facts["l1d_bytes"] or L1,
        l2_bytes=facts["l2_bytes"] or L2,
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
    _check_compiled()
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
    _check_compiled()
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
    _check_compiled()
    steps, out = 20_000, np.full(1, (1 << 62) - 1, np.int64)
    kernel = kernels.load("lut_probe").chain
    timing = time_call(lambda: kernel(steps, out), seconds=seconds)
    return 2 * steps / timing.min_s / 1e9


def bench_lookups(
    codes: Int8[np.ndarray, "rows cols"],
    *,
    tokens: int = 1,
    threads: int = 1,
    groups: Iterable[int] = (3, 4, 5, 6, 7, 8),
    symmetry: bool = True,
    tiers: Mapping[str, Mapping] | None = None,
    textbook: bool = True,
    copies: int = 1,
    costs: Costs | None = None,
    seconds: float = 8.0,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[dict]:
    """Race table lookups of several groups, with tiers and without, against packed trits.

    Every product is compared with planar's, which is exact, before it is timed. Filling tables is
    timed, arranging indices and activations is not.

    Parameters
    ----------
    codes : int8 array (rows, cols) of {-1, 0, +1}
    tokens, threads : int
    groups : iterable of int
        Trits of a pattern, with tables of every pattern.
    symmetry : bool
        Race tables halved by symmetry too (a token at a time only).
    tiers : mapping of name to the options of `TieredTables.of`, g included; by default four.
    textbook : bool
        Race Four Russians, RSR and RSR++ too.
    copies : int
        Copies of the matrix that each kernel multiplies with in turn: as many as exceed a cache
        have the weights come from behind it.
    costs : Costs, optional
        Of `measured_costs`: rows then say what the cost model predicts.
    seconds : float

    Returns
    -------
    list of dict
        kernel, kind ("whole", "halved", "tiers" or "other"), g (0 for others), rows, cols, tokens,
        threads, copies, median_s, min_s, max_s, gops, ratio_to ("planar"), ratio, ratio_min,
        ratio_max, lookups (of a row's group for a token), ns_a_lookup (tables included), nbytes
        (that stand for the weights), table_bytes (of eight groups, or of a dictionary),
        bytes_moved (weights, activations and results once, tables written and read), hits
        (of the tiers), predicted_s (on one thread; None without a model of this kernel), document_s
        (by seed 000's expected 39.8 cycles a lookup of 16 trits, at its 4 GHz, on one thread).
    """
    _check_compiled()
    if copies < 1:
        raise WorkbenchError(f"copies={copies} is not allowed: it is a whole number from 1 up")
    codes = patterns.checked_trits(codes)
    rng = np.random.default_rng(tokens)
    x = rng.integers(-127, 128, (tokens, codes.shape[1])).astype(np.int8)
    made = _contestants(codes, tokens, groups, symmetry, tiers, textbook)
    calls, facts = {}, {}
    exact = ternary.matmul_tokens(ternary.pack(codes), x)
    for name, (make, bind, fact) in made.items():
        matrix = make()
        bound = [bind(deepcopy(matrix) if turn else matrix, x, threads) for turn in range(copies)]
        if not all(np.array_equal(multiply(), exact) for multiply in bound):
            raise WorkbenchError(f"kernel {name!r} gives a wrong product, so it is not raced")
        calls[name] = _in_turn(bound)
        facts[name] = fact | {"nbytes": matrix.nbytes}
        if costs is not None and fact["kind"] == "whole":
            facts[name]["predicted_s"] = predict_whole(fact["g"], codes.shape, tokens, costs)
        if isinstance(matrix, TieredTables):
            if costs is not None:
                facts[name]["predicted_s"] = predict_tiers(matrix, tokens, costs)
            facts[name] |= {"hits": matrix.hits()}
            facts[name]["table_bytes"] = ENTRY_BYTES * len(matrix.dictionary.stored)
    laps = race(calls, to=[PLANAR], threads=threads, seconds=seconds, progress=progress)
    return [_row(name, laps[name], facts[name], codes, tokens, threads, copies) for name in made]


def document_s(shape: tuple[int, int], tokens: int = 1) -> float:
    """Seconds of a product by seed 000's formula: 39.8 cycles a lookup of 16 trits, at 4 GHz."""
    lookups = shape[0] * -(-shape[1] // literal.G) * tokens
    return lookups * expected(DOCUMENT_SHARES, DOCUMENT_CYCLES) / CLOCK


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


def _contestants(codes, tokens, groups, symmetry, tiers, textbook):
    """Name: maker of the matrix, of a call from it, x and threads, and facts."""
    if tiers is None:
        tiers = {
            "tiers, g=8, every pattern hot": {"g": 8, "hot": 24_576, "warm": 0},
            "tiers, g=16, 24 KB frequent": {"g": 16, "hot": 24_576, "warm": 0},
            "tiers, g=16, 20 KB covering": {
                "g": 16,
                "hot": 0,
                "warm": 24_576,
                "bases": "covering",
            },
            "tiers, g=16, computed": {"g": 16, "hot": 0, "warm": 0},
        }
    other = {"kind": "other", "g": 0, "table_bytes": 0}
    made = {
        layout: (partial(ternary.pack, codes, layout), _packed, other) for layout in (PLANAR, BASE3)
    }
    for g in groups:
        lanes = LANES if tokens > 1 else 1
        fact = {"kind": "whole", "g": g, "table_bytes": SLOTS * 3**g * ENTRY_BYTES * lanes}
        made[f"tables, g={g}"] = (partial(WholeTables.of, codes, g), WholeTables.bind, fact)
        if symmetry and tokens == 1:
            half = fact | {"kind": "halved", "table_bytes": fact["table_bytes"] // 2 + SLOTS}
            make = partial(WholeTables.of, codes, g, True)
            made[f"halved tables, g={g}"] = (make, WholeTables.bind, half)
    for name, options in tiers.items():
        options = dict(options)
        g = options.pop("g")
        fact = {"kind": "tiers", "g": g}
        made[name] = (partial(TieredTables.of, codes, g, **options), TieredTables.bind, fact)
    for maker in (FourRussians, Rsr, RsrPlus) if textbook else ():
        made[maker.name] = (partial(maker, codes), Textbook.product, other)
    return made


def _packed(packed, x, threads):
    return partial(ternary.matmul_tokens, packed, x, threads)


def _in_turn(calls):
    if len(calls) == 1:
        return calls[0]
    turn = [0]

    def call():
        turn[0] = (turn[0] + 1) % len(calls)
        return calls[turn[0]]()

    return call


def _row(name, lap, fact, codes, tokens, threads, copies):
    rows, cols = codes.shape
    ratio, timing = lap.ratios[PLANAR], lap.timing
    lookups = rows * -(-cols // fact["g"]) * tokens if fact["g"] else 0
    groups = -(-cols // fact["g"]) if fact["g"] else 0
    turns = groups * tokens / (SLOTS if fact["kind"] != "tiers" else 1)
    if fact["kind"] == "whole" and tokens > 1:
        turns /= LANES
    moved = fact["nbytes"] + tokens * (cols + 4 * rows)
    moved += int(turns * fact["table_bytes"]) + ENTRY_BYTES * lookups
    return {
        "kernel": name,
        "kind": fact["kind"],
        "g": fact["g"],
        "rows": rows,
        "cols": cols,
        "tokens": tokens,
        "threads": threads,
        "copies": copies,
        "median_s": timing.median_s,
        "min_s": timing.min_s,
        "max_s": timing.max_s,
        "gops": 2 * codes.size * tokens / timing.median_s / 1e9,
        "ratio_to": PLANAR,
        "ratio": ratio.median,
        "ratio_min": ratio.min,
        "ratio_max": ratio.max,
        "lookups": lookups,
        "ns_a_lookup": timing.median_s / lookups * 1e9 if lookups else None,
        "nbytes": fact["nbytes"],
        "table_bytes": fact["table_bytes"],
        "bytes_moved": moved,
        "hits": fact.get("hits", {}),
        "predicted_s": fact.get("predicted_s"),
        "document_s": document_s(codes.shape, tokens),
    }


def _whole_cost(g, tokens, seconds):
    rng = np.random.default_rng(g)
    groups = SLOTS * (COLS // g // SLOTS)
    x = rng.integers(-127, 128, (tokens, groups * g)).astype(np.int8)

    def bind(rows):
        index = rng.integers(0, 3**g, rows * groups).astype(index_type(3**g))
        return WholeTables(index, (rows, groups * g), g).bind(x)

    return _slope(bind, groups, seconds)


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


def _check_compiled():
    plain = [name for name in KERNELS if not kernels.status(name).compiled]
    if plain:
        raise WorkbenchError(
            f"times need compiled kernels, but {', '.join(plain)} are not: run `make kernels`"
        )
