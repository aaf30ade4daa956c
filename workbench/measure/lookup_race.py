"""The race of table lookups against packed trits and textbook methods, on one matrix or several."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import asdict
from functools import partial

import numpy as np
from jaxtyping import Int8

from workbench import ternary
from workbench.errors import WorkbenchError
from workbench.lookup import literal, patterns
from workbench.lookup.product import LANES, SLOTS, VECTORS_FROM, WholeTables
from workbench.lookup.tiers import ENTRY_BYTES, TieredTables
from workbench.lookup.tuning import (
    DOCUMENT_CYCLES,
    DOCUMENT_SHARES,
    Costs,
    expected,
    predict_tiers,
    predict_whole,
)
from workbench.measure.lookups import check_compiled, clock_ghz, measured_costs
from workbench.measure.textbook import FourRussians, Rsr, RsrPlus, Textbook
from workbench.measure.timing import race

PLANAR, BASE3 = "planar", "base3"
CLOCK = 4e9  # cycles a second that the document counts with


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
    check_compiled()
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


def bench_random(
    problems: Iterable[tuple[tuple[int, int], int, int]],
    *,
    groups: Iterable[int] = (3, 4, 5, 6, 7, 8),
    tiers: bool = True,
    copies: int = 1,
    seconds: float = 8.0,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[dict]:
    """`bench_lookups` on seeded Gaussian matrices, rounded as BitNet b1.58 does.

    Parameters
    ----------
    problems : iterable of ((rows, cols), threads, tokens)
    groups, copies : as in `bench_lookups`
    tiers : bool
        Race dictionaries in tiers too; to build them takes a minute for 8192 x 8192 weights.
    seconds : float
        For each problem.

    Returns
    -------
    list of dict
        Rows of `bench_lookups`, with cycles_a_lookup (tables included; None without lookups).
    """
    problems, groups = list(problems), list(groups)
    ghz, costs = clock_ghz(), measured_costs()
    rows = []
    for place, (shape, threads, tokens) in enumerate(problems):

        def report(done, total, name, place=place, shape=shape, threads=threads, tokens=tokens):
            if progress:
                label = f"{shape[0]}x{shape[1]}, threads {threads}, tokens {tokens}: {name}"
                progress(100 * place + 100 * done // total, 100 * len(problems), label)

        weights = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        rows += bench_lookups(
            ternary.quantize(weights, scale="tensor").codes,
            tokens=tokens,
            threads=threads,
            groups=groups,
            tiers=None if tiers else {},
            copies=copies,
            costs=costs,
            seconds=seconds,
            progress=report,
        )
    for row in rows:
        spent = row["ns_a_lookup"]
        row["cycles_a_lookup"] = None if spent is None else spent * ghz
    return rows


def tier_cycles() -> dict[str, float]:
    """Cycles of a lookup that each tier answers, and of one whose tier was not foreseen (miss)."""
    ghz, costs = clock_ghz(), asdict(measured_costs())
    return {tier: costs[tier] * ghz for tier in ("hot", "warm", "near", "computed", "miss")}


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
        lanes = LANES if tokens >= VECTORS_FROM else 1
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
    if fact["kind"] == "whole" and tokens >= VECTORS_FROM:
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
