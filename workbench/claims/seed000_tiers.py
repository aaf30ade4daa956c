"""Seed 000: how often a ranking of patterns is hit, on a real model and on independent trits."""

import numpy as np

from workbench import kernels
from workbench.claims.checks import check, null, says, shows
from workbench.claims.material import shuffled_rows, trits
from workbench.claims.seed000_model import NATIVE, native_trits
from workbench.claims.seed000_speed import CYCLES, SHARES, cycles
from workbench.lookup.counting import canonical_numbers, halves, hit_rate, tier_shares
from workbench.lookup.independent import coverage, draw, most_probable, needed
from workbench.lookup.literal import CANONICAL, G
from workbench.lookup.tiers import TIERS, nearest_stored
from workbench.lookup.tuning import expected
from workbench.measure import lookups

HOT, WARM = 10_000, 100_000  # patterns in tiers 1 and 2


@check("lut-effective-5-8m")
def effective_patterns(weights, rng):
    """Coverage by the most probable patterns of independent trits; unseen patterns of a model."""
    yield says("6 million rows of 256 x 2.4 bytes", "3.7", 6e6 * 256 * 2.4 / 1e9, unit="GB")
    said = "covered by the 8 million most probable, independent trits"
    yield says(said, 0.95, coverage(8_000_000), relation=">=")
    yield shows("covered by 6 million", coverage(6_000_000))
    yield shows("patterns for 95%", needed(0.95))
    yield shows("patterns for 99.9%", needed(0.999))
    yield shows("of all canonical patterns", CANONICAL)
    first, second = _halves(trits(weights).values(), rng)
    yield shows("groups of half the model", len(first))
    yield shows("share of the other half with a pattern seen in it", np.isin(second, first).mean())


@check("lut-tier1-hit-60")
def tier_1(weights, rng):
    """Patterns ranked on half the groups of a model, looked up for the other half."""
    yield from _hits(weights, rng, HOT, "0.60")
    zeros = np.linspace(0.44, 0.99, 1000)
    enough = next(z for z in zeros if coverage(HOT, zeros=z) >= 0.60)
    yield shows("zeros at which 10,000 patterns cover 60%", enough)


@check("lut-tier2-hit-35")
def tier_2(weights, rng):
    """The same for tiers 1 and 2 together."""
    yield from _hits(weights, rng, WARM, "0.95")
    zeros = np.linspace(0.44, 0.99, 1000)
    enough = next(z for z in zeros if coverage(WARM, zeros=z) >= 0.95)
    yield shows("zeros at which 100,000 patterns cover 95%", enough)


@check("lut-tier34-hits")
def tiers_3_and_4(weights, rng):
    """Distance of groups to the nearest of 100,000 bases; tier 3 takes those up to 3."""
    first, second = _halves(trits(weights).values(), rng)
    patterns, counts = np.unique(first, return_counts=True)
    bases = patterns[np.argsort(-(counts + rng.random(len(counts))))[:WARM]]
    _, near = nearest_stored(rng.choice(second, 2000), bases, G)
    yield says("tier 3", "0.049", ((near > 0) & (near <= 3)).mean())
    yield says("computed", "0.001", (near > 3).mean())
    yield shows("tiers 1 and 2", (near == 0).mean())
    yield null(
        "independent trits 28/44/28",
        dict(zip(("tier 1", "tier 2", "tier 3", "computed"), _iid_shares(rng), strict=True)),
    )
    yield shows("patterns within 3 of a base", 1 + sum(np.array([32, 480, 4480])))


@check("lut-latency-39p8", alone=True)
def latency(weights, rng):
    """The document's costs and those of four tiers here, by its hit rates and by others."""
    seed = "the document's hit rates"
    yield says("cycles", "39.8", cycles(SHARES), under=seed)
    yield says("at 4 GHz", "10", cycles(SHARES) / 4, unit="ns", under=seed)
    iid = "hit rates of independent trits 28/44/28"
    found = cycles(_iid_shares(rng))
    yield says("cycles", "39.8", found, under=iid)
    yield shows("cycles of computing directly", CYCLES[3])
    if not all(kernels.status(name).compiled for name in lookups.KERNELS):
        return
    found, ghz = lookups.tier_costs(seconds=1.5), lookups.clock_ghz()
    here = [found[tier] * ghz for tier in TIERS]
    yield shows("cycles of the four tiers here, tables filled before", here)
    real = tier_shares(canonical_numbers(trits(weights).values()), rng).values()
    for name, shares in (("the document's hit rates", SHARES), ("hit rates of real trits", real)):
        under = f"costs measured here, {name}"
        yield says("cycles", "39.8", expected(shares, here), under=under)


def _hits(weights, rng, top, said):
    first, second = _halves(trits(weights).values(), rng)
    label = f"hit rate of the {top:,} most frequent"
    yield says(label, said, hit_rate(first, second, top, rng))
    sample = []
    for _ in range(5):
        mixed = [shuffled_rows(matrix, rng) for matrix in trits(weights).values()]
        sample.append(hit_rate(*_halves(mixed, rng), top, rng))
    yield null("the same rows shuffled", sample=sample, of=label)
    iid = [canonical_numbers(draw((1_000_000, G), rng)) for _ in range(2)]
    numbers = {
        "perfect knowledge": coverage(top),
        "ranked on a million groups": hit_rate(*iid, top, rng),
    }
    yield null("independent trits 28/44/28", numbers)
    if native := native_trits():
        rate = hit_rate(*_halves(native.values(), rng), top, rng)
        yield shows(label, rate, under=NATIVE)


def _halves(codes, rng) -> tuple[np.ndarray, np.ndarray]:
    """Canonical patterns of a model's groups of 16, split at random."""
    return halves(canonical_numbers(codes), rng)


def _iid_shares(rng, sample: int = 4000) -> tuple[float, float, float, float]:
    """Shares of the four tiers for independent trits and the most probable patterns as bases."""
    drawn = canonical_numbers(draw((sample, G), rng))
    _, near = nearest_stored(drawn, most_probable(WARM, rng), G)
    three = float(((near > 0) & (near <= 3)).mean())
    hot, warm = coverage(HOT), coverage(WARM)
    return hot, warm - hot, three, 1 - warm - three
