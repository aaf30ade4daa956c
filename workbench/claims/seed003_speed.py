"""Seed 003: lookups timed against each other in compiled loops whose sums are kept."""

import numpy as np

from workbench import kernels
from workbench.claims.checks import Needs, check, says, shows
from workbench.claims.factoring import SIZE, factor_a, factor_u
from workbench.measure.timing import race

COUNT = 1 << 16  # inputs, one byte each
FACTORS = [factor_a(n) for n in range(SIZE)]
SUMS = np.array([sum(factors) for factors in FACTORS], np.uint8)
FLAT = np.array([p for factors in FACTORS for p in factors], np.uint8)
OFFSETS = np.cumsum([0, *map(len, FACTORS)]).astype(np.uint8)


def orders(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Inputs at random and in sequence."""
    return {
        "random n": rng.integers(0, SIZE, COUNT, np.uint8),
        "n in sequence": (np.arange(COUNT) % SIZE).astype(np.uint8),
    }


def ratio(n: np.ndarray, slow: str, fast: str) -> float:
    """How many times as fast one of the kernels is as another."""
    kernel = kernels.load("lookups")
    out = np.zeros(1, np.int64)
    calls = {
        "fused": lambda: kernel.fused(n, SUMS, out),
        "fused, n mod 96": lambda: kernel.fused_modulo(n, SUMS, out),
        "two steps": lambda: kernel.two_steps(n, OFFSETS, FLAT, out),
        "trial division": lambda: kernel.trial_division(n, out),
    }
    laps = race({name: calls[name] for name in (slow, fast)}, to=[slow], seconds=0.4)
    return laps[fast].ratios[slow].median


def compiled() -> bool:
    """Whether times of these kernels mean anything."""
    return kernels.status("lookups").compiled


@check("fusion-sum-table", quick=False, alone=True)
def sum_table(rng):
    """Size of the table of sums; one lookup against the list of factors and a loop over it."""
    yield says("bytes at 4 an entry", 384, SIZE * 4)
    yield says("260 M/s over 130 M/s", "2.0", 260 / 130)
    yield shows("largest sum, definition A", int(SUMS.max()))
    differing = sum(sum(factor_u(n)) != sum(factor_a(n)) for n in range(SIZE))
    yield shows("entries on which definitions U and A differ", differing)
    if not compiled():
        yield Needs("compiled kernels")
        return
    for name, n in orders(rng).items():
        faster = ratio(n, "two steps", "fused")
        yield says("speed-up by fusion", 2.0, faster, relation=">=", under=name)


@check("fusion-stream-1p04", quick=False, alone=True)
def without_modulo(rng):
    """A lookup of n against a lookup of n mod 96, a constant."""
    yield says("135 M/s over 130 M/s", "1.04", 135 / 130)
    if not compiled():
        yield Needs("compiled kernels")
        return
    for name, n in orders(rng).items():
        faster = ratio(n, "fused, n mod 96", "fused")
        yield says("speed-up without mod 96", 1.04, faster, tolerance=0.04, under=name)


@check("fusion-130m-8p5m", quick=False, alone=True)
def table_or_division(rng):
    """The table of factors against trial division by four primes."""
    yield shows("130 M/s over 8.5 M/s", 130 / 8.5)
    if not compiled():
        yield Needs("compiled kernels")
        return
    for name, n in orders(rng).items():
        faster = ratio(n, "trial division", "two steps")
        yield says("speed-up by the table", 130 / 8.5, faster, tolerance=130 / 8.5 / 2, under=name)
