"""Seed 000: cycles, bandwidth and throughput, recomputed from the document's own costs."""

import math

from workbench.claims.checks import check, says, shows
from workbench.lookup.literal import TIERS
from workbench.lookup.tuning import DOCUMENT_CYCLES as CYCLES
from workbench.lookup.tuning import DOCUMENT_SHARES as SHARES
from workbench.lookup.tuning import expected

CLOCK = 4e9
LARGEST_L1 = 192 * 1024  # bytes; the largest of any processor on sale (Apple M, instructions)
LARGEST_L2 = 36 * 2**20  # likewise (IBM Telum II)
LOOKUP = 10e-9  # seconds, as stated


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


@check("lut-gemm-800-gops")
def throughput():
    """Operations of one output element over its time."""
    seconds = 4096 / 16 * LOOKUP
    yield says("time of 256 lookups", "2.56", seconds * 1e6, unit="us")
    yield says("throughput of a thread", 800, 2 * 4096 / seconds / 1e9, unit="GOPS", tolerance=50)


@check("lut-cache-levels")
def cache_levels():
    """Times from the stated bandwidths; table sizes against the largest caches that exist."""
    yield says("tier 1 at 1000 GB/s", "1.25", 1.25e6 / 1000e9 * 1e6, unit="us")
    yield says("tier 2 at 500 GB/s", "102", 51e6 / 500e9 * 1e6, unit="us")
    yield says("tier 3 at 50 GB/s", "30", 1.5e9 / 50e9 * 1e3, unit="ms")
    yield says("tier 1, to fit L1", LARGEST_L1, TIERS["tier 1"], unit="B", relation="<=")
    yield says("tier 2, to fit L2", LARGEST_L2, TIERS["tier 2"], unit="B", relation="<=")


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


@check("lut-40x-speedup")
def forty_times():
    """The number 40 among the document's figures: a latency, in cycles."""
    yield shows("expected cycles of a lookup", cycles(SHARES))
    yield shows("computing directly over that", 100 / cycles(SHARES))
