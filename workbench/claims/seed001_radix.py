"""Seed 001: identities, radix economy, and numbers that contradict each other."""

from fractions import Fraction
from itertools import product
from math import ceil, e, log, pi

import numpy as np
from scipy.stats import beta

from workbench.claims.checks import check, null, says, shows

PHI = (1 + 5**0.5) / 2


@check("trinity-phi-identity")
def phi_identity():
    """phi^2 + 1/phi^2 in exact numbers a + b sqrt 5."""

    def times(x, y):
        return x[0] * y[0] + 5 * x[1] * y[1], x[0] * y[1] + x[1] * y[0]

    half = Fraction(1, 2)
    phi, inverse = (half, half), (-half, half)
    yield says("phi * (1/phi)", [1, 0], [int(n) for n in times(phi, inverse)])
    total = [int(a + b) for a, b in zip(times(phi, phi), times(inverse, inverse), strict=True)]
    yield says("phi^2 + 1/phi^2 as a + b sqrt 5", [3, 0], total)


@check("trinity-radix-e")
def radix_economy():
    """r / ln r on integers; digits of a million counted whole."""
    cost = {r: r / log(r) for r in range(2, 11)}
    yield says("best integer radix", 3, min(cost, key=cost.get))
    yield says("E(2) / ln N", "2.885", cost[2])
    yield says("E(3) / ln N", "2.731", cost[3])
    radii = np.linspace(2, 4, 200_001)
    yield says("best real radix", e, radii[np.argmin(radii / np.log(radii))], tolerance=1e-4)
    yield shows("margin over 2", 100 * (cost[2] / cost[3] - 1), unit="%")
    for r in (2, 3, 4):
        yield shows(f"radix {r}, whole digits for a million", r * ceil(log(1e6) / log(r)))


@check("trinity-radix-e4")
def economy_of_four():
    """4 / ln 4, and 2 / ln 2."""
    yield says("E(4) / ln N", "3.000", 4 / log(4))
    yield shows("E(2) / ln N", 2 / log(2))


@check("trinity-94p9")
def ternary_efficiency():
    """(ln r / r) over (1 / e)."""
    yield says("ternary", "94.9", 100 * e * log(3) / 3, unit="%")
    yield shows("binary", 100 * e * log(2) / 2, unit="%")


@check("trinity-58p5")
def information_a_digit():
    """log2 3, and what is left of it in two packings."""
    bits = log(3) / log(2)
    yield says("more information a digit than binary", "58.5", 100 * (bits - 1), unit="%")
    yield shows("efficiency of 2 bits a trit", 100 * bits / 2, unit="%")
    yield shows("efficiency of 5 trits a byte", 100 * 5 * bits / 8, unit="%")


@check("trinity-sacred-formula")
def sacred_formula(rng):
    """How close the formula comes to numbers drawn at random from 1e-3 to 1e3."""
    ranges = (range(1, 10), range(-4, 5), range(-3, 4), range(-4, 5), range(-3, 4))
    logs = [log(3), log(pi), log(PHI), 1.0]
    values = {
        round(log(n) + sum(p * q for p, q in zip(powers, logs, strict=True)), 9)
        for n, *powers in product(*ranges)
    }
    values = np.sort(np.fromiter(values, float))
    drawn = rng.uniform(log(1e-3), log(1e3), 20_000)
    place = np.searchsorted(values, drawn)
    below, above = values[place - 1], values[np.minimum(place, len(values) - 1)]
    error = 100 * np.expm1(np.minimum(drawn - below, above - drawn))
    yield shows("distinct values of the formula", len(values))
    yield shows("median error for a random number", np.median(error), unit="%")
    yield shows("95% of them within", np.quantile(error, 0.95), unit="%")
    yield null("20,000 random numbers", of="median error for a random number", sample=error[:2000])


@check("trinity-gflops")
def gflops():
    """2 x 2048^2 operations over the printed times."""
    operations = 2 * 2048**2
    simd, tiled = operations / 2499.7e-6 / 1e9, operations / 1096.0e-6 / 1e9
    yield says("SIMD-16", "3.36", simd, unit="GFLOPS")
    yield says("BatchTiled", "7.65", tiled, unit="GFLOPS")
    yield says("speed-up", "2.28", tiled / simd)
    yield says("7.71 over the 0.94 of a scalar loop", "8.2", 7.71 / 0.94)
    yield shows("packed weights read", 2048**2 / 4 / 1096.0e-6 / 1e9, unit="GB/s")


@check("trinity-matvec-4mflop")
def matvec_operations():
    """A multiplication and an addition for each of 2048^2 weights."""
    yield says("operations", 4e6, 2 * 2048**2, tolerance=5e5)
    yield shows("dense float32, at 1.07 ms", 2 * 2048**2 / 1.07e-3 / 1e9, unit="GFLOPS")


@check("trinity-166x")
def load_of_two_models():
    """Quotients as printed, and for one and the same model."""
    yield says("208 s / 1.25 s", "166", 208 / 1.25)
    yield says("1.7B before / 1.7B after", "166", 208 / 4.82)
    yield shows("with the later load of 19.36 s", 208 / 19.36)
    printed = {
        "19.36 / 1.25": "15.5",
        "0.74 / 0.16": "4.6",
        "1.7 / 0.39": "4.4",
        "208 / 13.25": "15.7",
    }
    for quotient, said in printed.items():
        above, below = map(float, quotient.split(" / "))
        yield says(quotient, said, above / below)


@check("trinity-bind-linear")
def bind_times():
    """Growth of the printed times from one dimension to the next, as a power of it."""
    times = {1_000: 11, 10_000: 8, 100_000: 33}
    for low, high in ((1_000, 10_000), (10_000, 100_000)):
        power = log(times[high] / times[low]) / log(high / low)
        yield says(f"power from {low:,} to {high:,}", 1.0, power, tolerance=0.1)


@check("trinity-bind-memory")
def bind_memory():
    """Bits for each of 100,000 trits."""
    bits = 97 * 1024 * 8 / 100_000
    yield shows("bits a trit", bits)
    yield says("compression from 16 bits", 8, 16 / bits, tolerance=0.5)


@check("trinity-tinymodel")
def tiny_model():
    """Embedding and two square layers."""
    yield says("parameters", 8_000, 256 * 64 + 2 * 64 * 64, tolerance=500)
    yield shows("layers alone", 2 * 64 * 64)


@check("trinity-flash-speed")
def flash_ratios():
    """Quotients of the printed times, within what their rounding to 1 us leaves open."""
    rows = {
        32: (0.040, 0.035, 1.13),
        64: (0.074, 0.068, 1.09),
        128: (0.152, 0.138, 1.10),
        256: (0.300, 0.278, 1.08),
        512: (0.605, 0.544, 1.11),
        1024: (1.384, 1.184, 1.17),
    }
    for length, (standard, flash, said) in rows.items():
        low, high = (standard - 5e-4) / (flash + 5e-4), (standard + 5e-4) / (flash - 5e-4)
        middle, half = (low + high) / 2, (high - low) / 2
        yield says(f"speed-up at {length}", said, middle, tolerance=half + 0.005)
    yield says("scores of 1024 keys over those of a tile", 16, 1024 // 64)
    yield shows("scores of one query, 1024 keys", 1024 * 4, unit="B")


@check("trinity-batch-1p32")
def batch_ratio():
    """Quotient of the printed throughputs."""
    yield says("20,475 / 15,500", "1.32", 20_475 / 15_500)


@check("trinity-not-testable-misc")
def what_can_be_said():
    """The interval of 21 of 21, and the sums."""
    low = beta.ppf(0.025, 21, 1)
    yield shows("95% lower bound of 21 of 21", 100 * low, unit="%")
    yield shows("3 + 3 + 9", 3 + 3 + 9)
    yield shows("8 + 17 + 4", 8 + 17 + 4)
    yield shows("time of one of 43 specifications in 42 ms", 42 / 43, unit="ms")


@check("trinity-spec-draft-cost")
def draft_cost():
    """Operations of the whole model over those of its first 4 layers, with and without LM head."""
    layer = 4 * 2048 * 2048 + 3 * 2048 * 8192  # SmolLM2-1.7B: 24 layers, width 2048
    head = 49_152 * 2048
    yield shows("24 layers, layers alone", 24 / 4)
    yield shows("32 layers, layers alone", 32 / 4)
    yield shows("SmolLM2-1.7B with its head", (24 * layer + head) / (4 * layer + head))
