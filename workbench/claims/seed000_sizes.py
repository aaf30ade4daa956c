"""Seed 000: bytes of the tables, recomputed from their own counts."""

import numpy as np

from workbench.claims.checks import check, says, shows
from workbench.claims.seed000_patterns import differing_entries
from workbench.lookup import patterns
from workbench.lookup.independent import most_probable
from workbench.lookup.literal import (
    BASES,
    CANONICAL,
    DELTA,
    DENSE,
    HALF,
    METADATA,
    PATTERNS,
    SPARSE,
    STRATA,
    TIERS,
    VALUES,
    G,
)
from workbench.lookup.tuning import SPARSE_CYCLES, SPARSE_SHARES, expected


@check("lut-tier1-tier2-sizes")
def dense_and_sparse(rng):
    """Value bytes, and the bytes of a hash map that also holds its keys, at load 0.7."""
    yield says("dense tier", "5.6", DENSE / 1e9, unit="GB")
    yield says("sparse tier, values only", "164", SPARSE / 1e6, unit="MB")
    entries = 100_000  # a small map, filled for real, then scaled
    slots = np.zeros(int(entries / 0.7), [("key", np.uint8, 5), ("value", np.int32)])
    filled = rng.choice(len(slots), entries, replace=False)
    slots["value"][filled] = rng.integers(-2048, 2049, entries)
    bytes_an_entry = slots.nbytes / entries
    stored = HALF * 191 / 100 * bytes_an_entry
    yield says("sparse tier with its 5-byte keys", "164", stored / 1e6, unit="MB")


@check("lut-7p6x")
def sparse_reduction():
    """Both totals over the dense and the sparse tier."""
    total = DENSE + SPARSE
    yield says("below the symmetric table", "7.6", HALF * VALUES * 4 / total)
    yield shows("below the naive table", PATTERNS * VALUES * 4 / total)


@check("lut-2p57-cycles")
def sparse_cycles():
    """The sum, then the same sum with the tier shares that the section itself states."""
    yield says("cycles as summed", "2.57", expected(SPARSE_SHARES, SPARSE_CYCLES))
    stated = expected((0.90, 0.0999, 0.0001), SPARSE_CYCLES)
    yield says("cycles with 90% in tier 1 and 0.01% computed", "2.57", stated)
    yield says("bytes behind a 1-cycle cache hit, at most 48 KiB", 48 * 1024, DENSE, relation="<=")


@check("lut-delta-264")
def delta_entry():
    """Bytes of an entry, and the largest difference it must hold."""
    yield says("bytes of an entry", 264, 4 + 2 + 256)
    yield says("full row over entry", "3.9", 1024 / 262)
    for distance in (1, 2, 3):
        largest = distance * 2 * 128  # every differing trit flips its sign, x = -128
        yield says(f"largest difference at distance {distance}", 127, largest, relation="<=")
    yield shows("mask of position 2", f"0x{1 << 2:04X}")


@check("lut-h1-8m")
def neighbours(rng):
    """The bound, and the count for the 100,000 most probable patterns as bases."""
    yield says("patterns at distance 1, at most", 8_000_000, 2 * G * BASES, relation=">=")
    bases = most_probable(BASES, rng)
    codes, found = patterns.trits(bases, G), []
    for place in range(G):
        for value in (-1, 0, 1):
            changed = codes.copy()
            changed[:, place] = value
            found.append(np.abs(patterns.numbers(changed)))
    near = np.setdiff1d(np.concatenate(found), bases)
    yield shows("at distance 1 of the 100,000 most probable", len(near))


@check("lut-delta-8p4gb")
def delta_total():
    """Every stratum multiplied again."""
    yield says("patterns in all strata", HALF, sum(count for count, _, _ in STRATA.values()))
    for name, (count, size, printed) in STRATA.items():
        yield says(f"{name}", printed, count * size / 1e9, unit="GB")
    total = sum(count * size for count, size, _ in STRATA.values())
    yield says("total", "8.4", total / 1e9, unit="GB")
    yield says("total, at most what it started from", "5.8", total / 1e9, unit="GB", relation="<=")
    yield shows("total", total / 2**30, unit="GiB", under="binary")


@check("lut-quant-1p67x")
def int16_share():
    """The mix as stated, and with the tier's own bound of 1024, which covers 95%."""
    mixed = 0.80 * 2 + 0.20 * 4
    yield says("bytes an entry", "2.4", mixed)
    yield says("reduction", "1.67", 4 / mixed)
    yield says("8.4 GB reduced", "5.0", 8.4 * mixed / 4, unit="GB")
    yield says("bytes an entry by the tier's own 95%", "2.4", 0.95 * 2 + 0.05 * 4)
    whole_rows = sum(STRATA[name][0] * STRATA[name][1] for name in ("bases", "the rest"))
    total = sum(count * size for count, size, _ in STRATA.values())
    yield shows("rows of int32, the only ones that can shrink", whole_rows / 1e9, unit="GB")
    halved = (total - whole_rows / 2) / 1e9
    yield says("total with those rows in int16", "5.0", halved, unit="GB")


@check("lut-tier1-size")
def tier_sizes():
    """Patterns times activations times bytes."""
    yield says("tier 1", "1.25", TIERS["tier 1"] / 1e6, unit="MB")
    yield says("tier 2", "51", TIERS["tier 2"] / 1e6, unit="MB")
    yield says("tier 3", "1.5", TIERS["tier 3"] / 1e9, unit="GB")
    yield says("activations from -32 to 32", 64, len(range(-32, 33)))


@check("lut-total-1562")
def tiers_total():
    """The sum of the exact parts."""
    yield says("sum of the parts as printed", "1562", 1.25 + 51 + 1500 + 10, unit="MB")
    total = sum(TIERS.values()) + METADATA
    yield says("sum of the exact parts", "1562", total / 1e6, unit="MB")
    yield says("32 layers", "48", 32 * total / 1e9, unit="GB")


@check("lut-2p14gb")
def shared_total(rng):
    """The sum; then what a layer's table needs beyond the shared one."""
    yield says("as printed", "2.14", 1.5 + 32 * 0.020, unit="GB")
    exact = (sum(TIERS.values()) + METADATA + 32 * 20e6) / 1e9
    yield says("from the exact parts", "2.14", exact, unit="GB")
    yield says("below the goal", 3.0, exact, unit="GB", relation="<=")
    yield says("bytes that a layer must add", 20e6, 4 * differing_entries(rng))


@check("lut-theorem3")
def size_bound():
    """The worst case of the stated algorithm: all other canonical patterns become differences."""
    yield shows("stored differences at worst", CANONICAL - BASES)
    yield says("their size", 3.0, (CANONICAL - BASES) * DELTA / 1e9, unit="GB", relation="<=")


@check("lut-654x-chain")
def chain():
    """Quotients of the sizes along the chain."""
    yield says("1.4 TB / 2.14 GB", "654", 1.4e12 / 2.14e9)
    yield says("product of the four factors", "654", 2 * 7.6 * 1.5 * 1.67)
    yield says("symmetric 22 GB / 5.8 GB", "7.6", 22 / 5.8)
    yield says("3.7 GB after the last factor", "2.14", 3.7 / 1.67, unit="GB")
    exact = sum(TIERS.values()) + METADATA + 32 * 20e6
    yield shows("1.41 TB over the exact parts", 32 * 4 * PATTERNS * VALUES / exact)
