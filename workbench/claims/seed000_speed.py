"""Seed 000: cycles, bandwidth and throughput, by the document's own costs and measured here."""

import math

from workbench import kernels
from workbench.claims.checks import Needs, check, says, shows
from workbench.claims.material import trits
from workbench.claims.seed000_model import NATIVE, native_trits
from workbench.lookup import independent
from workbench.lookup.counting import canonical_numbers, tier_shares
from workbench.lookup.literal import TIERS, G, sum_table
from workbench.lookup.tuning import DOCUMENT_CYCLES as CYCLES
from workbench.lookup.tuning import DOCUMENT_SHARES as SHARES
from workbench.lookup.tuning import expected
from workbench.measure import lookup_race, lookups, machine

CLOCK = 4e9
LARGEST_L1 = 192 * 1024  # bytes; the largest of any processor on sale (Apple M, instructions)
LARGEST_L2 = 36 * 2**20  # likewise (IBM Telum II)
LOOKUP = 10e-9  # seconds, as stated
CACHES = ("l1d", "l2", "l3")
REACH = {  # bytes
    "the table of sums, 16.9 KB": sum_table().nbytes,
    "tier 1, 1.28 MB": TIERS["tier 1"],
    "tier 2, 51.2 MB": TIERS["tier 2"],
    "512 MB of tier 3": 512_000_000,
}


def cycles(shares) -> float:
    """Expected cycles of a lookup under these shares of hits."""
    return expected(shares, CYCLES)


@check("lut-tier3-slower")
def without_tier_3():
    """Expected cycles when tier 3's share is computed directly instead."""
    one, two, three, four = SHARES
    yield says(
        "cycles without tier 3", cycles(SHARES), cycles((one, two, 0, three + four)), relation=">="
    )
    yield shows("bytes saved", TIERS["tier 3"] / 1e9, unit="GB")


@check("lut-gemm-800-gops", alone=True)
def throughput(rng):
    """Operations of one output element over its time; and the throughput of lookups here."""
    seconds = 4096 / 16 * LOOKUP
    yield says("time of 256 lookups", "2.56", seconds * 1e6, unit="us")
    yield says("throughput of a thread", 800, 2 * 4096 / seconds / 1e9, unit="GOPS", tolerance=50)
    if not _compiled():
        return
    codes, tiers = independent.draw((2048, 4096), rng), {"g": G, "hot": 0, "warm": 0}
    for tokens in (1, 32):
        rows = lookup_race.bench_lookups(
            codes,
            tokens=tokens,
            groups=(4, 5, 7),
            symmetry=False,
            tiers={"groups of 16, computed": tiers} if tokens == 1 else {},
            textbook=False,
            seconds=0.8,
        )
        for row in rows:
            under = f"2048 x 4096 here, {tokens} tokens, {row['kernel']}"
            yield shows("throughput of a thread", row["gops"], unit="GOPS", under=under)


@check("lut-cache-levels", alone=True)
def cache_levels():
    """Times from the stated bandwidths; table sizes against the largest caches; latency."""
    yield says("tier 1 at 1000 GB/s", "1.25", 1.25e6 / 1000e9 * 1e6, unit="us")
    yield says("tier 2 at 500 GB/s", "102", 51e6 / 500e9 * 1e6, unit="us")
    yield says("tier 3 at 50 GB/s", "30", 1.5e9 / 50e9 * 1e3, unit="ms")
    yield says("tier 1, to fit L1", LARGEST_L1, TIERS["tier 1"], unit="B", relation="<=")
    yield says("tier 2, to fit L2", LARGEST_L2, TIERS["tier 2"], unit="B", relation="<=")
    facts = machine.machine_facts()
    yield shows("caches here", [facts[f"{level}_bytes"] or 0 for level in CACHES], unit="B")
    if not _compiled():
        return
    ghz = lookups.clock_ghz()
    for name, nbytes in REACH.items():
        yield shows(f"cycles of a load from {name}", lookups.load_latency_ns(nbytes) * ghz)


@check("lut-50mb-token")
def bytes_a_token():
    """Bandwidth as stated; then the stream of weight indices of a 2.4-billion-weight model."""
    yield says("50 MB at 25 tokens/s", "1.25", 50e6 * 25 / 1e9, unit="GB/s")
    yield says("of DDR5-6400", "2.4", 1.25 / 51.2 * 100, unit="%")
    indices = 2.4e9 * math.log2(3) / 8
    yield says("bytes a token, weight indices alone", 50e6, indices, relation="<=")
    yield shows("their bandwidth at 25 tokens/s", indices * 25 / 1e9, unit="GB/s")
    yield says(
        "time of a token's lookups, 25 tokens/s",
        0.040,
        2.4e9 / 16 * LOOKUP,
        unit="s",
        relation="<=",
    )


@check("lut-40x-speedup", quick=False, alone=True)
def forty_times(weights, rng):
    """Tiers on real trits against computing every pattern; and against one table in memory."""
    yield shows("computing directly over the expected cycles, as stated", 100 / cycles(SHARES))
    if not _compiled():
        yield Needs("compiled kernels")
        return
    ghz = lookups.clock_ghz()
    tiers = {
        "computed": {"g": G, "hot": 0, "warm": 0},
        "10,000 hot and 100,000 patterns in all": {"g": G, "hot": 20_000, "warm": 180_000},
        "24 KB of frequent patterns": {"g": G, "hot": 24_576, "warm": 0},
        "every pattern of 8 trits hot": {"g": 8, "hot": 24_576, "warm": 0},
    }
    for name, codes in _matrices(weights).items():
        rows = lookup_race.bench_lookups(
            codes, groups=(), symmetry=False, tiers=tiers, textbook=False, seconds=3.0
        )
        found = {row["kernel"]: row for row in rows}
        for kernel in list(tiers)[1:]:
            under = f"{kernel}, against computing every pattern, {name}"
            ratio = found["computed"]["median_s"] / found[kernel]["median_s"]
            yield says("speed-up", 40, ratio, relation=">=", under=under)
            yield shows("against the planar product", found[kernel]["ratio"], under=under)
        spent = found["computed"]["ns_a_lookup"] * ghz
        yield shows("cycles of computing a pattern, all included", spent, under=name)
    latency = [lookups.load_latency_ns(nbytes) * ghz for nbytes in list(REACH.values())[1:]]
    yield shows("cycles of a load from tables of the tiers' sizes", latency)
    numbers = canonical_numbers(trits(weights).values())
    real = tuple(tier_shares(numbers, rng).values())
    computed = lookups.tier_costs()["computed"] * ghz
    for name, shares in (("the document's hit rates", SHARES), ("hit rates of real trits", real)):
        mean = expected(shares, (*latency, computed))
        under = f"against one table in memory, {name}"
        yield says("speed-up", 40, latency[2] / mean, relation=">=", under=under)


def _compiled():
    return all(kernels.status(name).compiled for name in lookups.KERNELS)


def _matrices(weights):
    """Of the model given, rounded, and of our natively ternary one the matrix with most rows."""
    models = {"rounded weights": trits(weights, most=100_000_000)}
    if native := native_trits():
        models[NATIVE] = native
    return {name: max(found.values(), key=len) for name, found in models.items()}
