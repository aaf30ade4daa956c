"""The race of table lookups on several problems, with the cost model's predictions beside."""

from collections.abc import Callable, Iterable
from dataclasses import asdict

import numpy as np

from workbench import ternary
from workbench.measure.lookups import bench_lookups, clock_ghz, measured_costs


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
