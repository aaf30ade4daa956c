"""Seed 000: how many patterns there are, and what symmetry makes of them."""

from math import comb

import numpy as np

from workbench import kernels
from workbench.claims.checks import check, says, shows
from workbench.claims.material import TRITS
from workbench.lookup.literal import CANONICAL, ENTRIES, PATTERNS, VALUES, prove_collapse, sum_table
from workbench.lookup.literal import G as SIZE
from workbench.lookup.patterns import every, positive_biased_count, ties


def differing_entries(rng: np.random.Generator, layers: int = 32) -> int:
    """Table entries (pattern of 4 trits, activation) on which random layers disagree."""
    table: dict[tuple, int] = {}
    conflicts = 0
    for _ in range(layers):
        patterns = rng.choice(TRITS, size=(1000, 4)).tolist()
        values = rng.integers(-128, 128, 1000).tolist()
        for pattern, x in zip(map(tuple, patterns), values, strict=True):
            conflicts += table.setdefault((pattern, x), sum(pattern) * x) != sum(pattern) * x
    return conflicts


@check("lut-pattern-count")
def pattern_count():
    """3^16 and times 256, in integers."""
    yield says("patterns of 16 trits", 43_046_721, PATTERNS)
    yield says("with 256 activations each", 11_019_960_576, ENTRIES)


@check("lut-44gb-1p4tb")
def naive_table(rng):
    """Sizes, and how many different tables 32 random layers need."""
    yield says("int32 table", "44", 4 * ENTRIES / 1e9, unit="GB")
    yield says("32 tables", "1.4", 32 * 4 * ENTRIES / 1e12, unit="TB")
    conflicts = differing_entries(rng)
    yield shows("entries that differ between 32 random layers", conflicts)
    yield says("tables that 32 layers need", 32, 32 if conflicts else 1)


@check("lut-466x")
def goal_ratio():
    """Quotient of the two sizes as printed."""
    yield says("1.4 TB / 3 GB", "466", 1.4e12 / 3e9)
    yield shows("from the exact 1.41 TB", 32 * 4 * ENTRIES / 3e9)


@check("lut-one-int8-index")
def one_int8_index(rng):
    """The table by sum of trits: with one broadcast activation and with 16 different ones."""
    table = sum_table()
    # all 11 billion entries, or those of 4 trits where plain Python would take days
    proof = prove_collapse(SIZE if kernels.status("lut_literal").compiled else 4)
    yield says("entries that differ from the table by sum, one x for all 16", 0, proof.differing)
    w = rng.choice(TRITS, size=(20_000, SIZE)).astype(int)
    broadcast = rng.integers(-128, 128, len(w))
    wanted = (w * broadcast[:, None]).sum(axis=1)
    wrong = table[w.sum(axis=1) + SIZE, broadcast + 128] != wanted
    yield says("wrong of 20,000, one x for all 16", 0, wrong.sum())
    distinct = rng.integers(-128, 128, w.shape)
    wanted = (w * distinct).sum(axis=1)
    wrong = (table[w.sum(1) + 16, distinct[:, 0] + 128] != wanted).mean()
    yield says("share wrong, 16 different x", 0.0, wrong)
    yield shows("entries of the table by sum", table.size)
    yield shows("its size in int16", table.nbytes / 1e3, unit="kB")
    yield shows("44 GB over that", 4 * ENTRIES / table.nbytes)
    yield shows("columns that real 16-vectors need, log2", np.log2(VALUES) * SIZE)


@check("lut-group16")
def group_16():
    """Rows from which a table of 3^g entries (halved by symmetry) saves additions."""
    rows = {g: (3**g - 1) / 2 / (g * 0.56 - 1) for g in (3, 4, 5, 8, 16)}
    for g, least in rows.items():
        yield shows(f"rows to break even, groups of {g}", least)
    yield shows("additions a group of 16 saves at 4096 rows", 4096 * (16 * 0.56 - 1))
    yield says("rows to break even, at most a layer's 4096", 4096, rows[16], relation="<=")


@check("lut-sign-theorem")
def sign_theorem(rng):
    """(-w).x against -(w.x): all 3^8 patterns, random int8 vectors."""
    w = every(8).astype(int)
    x = rng.integers(-128, 128, (8, 64))
    yield says("cases where (-w).x differs from -(w.x)", 0, ((-w) @ x != -(w @ x)).sum())
    values = np.arange(-128, 128)
    unpaired = values[~np.isin(-values, values)]
    yield shows("int8 values without a negative, for the second antisymmetry", unpaired)


@check("lut-canonical-count")
def canonical_count():
    """Pairs and the zero vector, by formula; enumerated up to 10 trits."""
    for length in (4, 8, 10):
        w = every(length)
        codes = (w + 1) @ 3 ** np.arange(length)
        distinct = len(np.unique(np.minimum(codes, 3**length - 1 - codes)))
        formula = (3**length - 1) // 2 + 1
        yield says(f"formula against enumeration, {length} trits", formula, distinct)
    yield says("canonical patterns of 16 trits", 21_523_360, CANONICAL)


@check("lut-positive-biased")
def positive_biased():
    """What remains when only patterns with more -1 than +1 are flipped."""
    for length in (8, 10):
        sums = every(length).sum(axis=1)
        yield says(f"ties against enumeration, {length} trits", ties(length), (sums == 0).sum())
    kept = positive_biased_count(SIZE)
    yield shows("patterns with as many +1 as -1", ties(SIZE))
    yield shows("their share", ties(SIZE) / PATTERNS)
    yield shows("patterns kept", kept)
    yield says("reduction", "2.00", PATTERNS / kept)
    yield shows("reduction when the first non-zero trit decides", PATTERNS / CANONICAL)


@check("lut-sym-22gb")
def symmetric_size():
    """Table of half the patterns, and one flag a pattern."""
    yield says("symmetric table", "22", 21_523_360 * VALUES * 4 / 1e9, unit="GB")
    yield says("flip flags", "5.2", PATTERNS / 8 / 1e6, unit="MB")
    yield shows("flip flags", PATTERNS / 8 / 2**20, unit="MiB", under="binary")


@check("lut-int32-tier")
def int32_tier():
    """The extremes of a group's product over all int8 activations."""
    largest = SIZE * max(127, abs(-128))
    yield says("largest magnitude", 2032, largest)
    beyond = [value for value in (-largest, largest) if not -(2**15) <= value < 2**15]
    yield says("products that need int32", True, bool(beyond))
    yield shows("bits that suffice", 1 + int(np.ceil(np.log2(largest + 1))))


@check("lut-rle-example")
def rle_example():
    """The run lengths, decoded."""
    raw = [1, 0, 0, 0, 0, 0, 0, -1, 0, 0, 1, 0, 0, 0, 1]
    pairs = [(1, 1), (0, 6), (-1, 1), (0, 2), (1, 1), (0, 3), (1, 1)]
    decoded = [trit for trit, length in pairs for _ in range(length)]
    yield says("pairs decode to the vector", True, decoded == raw)
    yield says("trits in the vector", 16, len(raw))
    yield shows("trits in the second example", len([1, 0, 0, -1, 0, 1, *[0] * 9, 1]))


@check("lut-strata-counts")
def strata_counts():
    """Binomials times signs."""
    count = {k: comb(16, k) * 2**k for k in range(17)}
    yield says("patterns with 4 non-zeros", "466e3", count[4])
    yield says("patterns with 8 non-zeros", "3.3e6", count[8])
    yield says("patterns with 16 non-zeros", "65e3", count[16])
    yield says("all strata together", PATTERNS, sum(count.values()))
    yield shows("mean non-zeros at 44% zeros", 16 * 0.56)
    for k in (10, 11, 12):
        yield shows(f"patterns with {k} non-zeros, left out", count[k])


@check("lut-theorem2")
def compressed_is_exact(rng):
    """Base plus difference, exactly and with the difference in one byte."""
    base = rng.choice(TRITS, size=(2000, SIZE)).astype(int)
    x = rng.integers(-128, 128, (SIZE, 200))
    for changed in (1, 2, 3):
        w = base.copy()
        for row in w:
            places = rng.choice(SIZE, changed, replace=False)
            row[places] = (row[places] + 1 + rng.integers(1, 3, changed)) % 3 - 1
        difference = (w - base) @ x
        yield says(f"wrong at distance {changed}", 0, (base @ x + difference != w @ x).sum())
        stored = difference.astype(np.int8).astype(int)
        wrong = (base @ x + stored != w @ x).mean()
        yield says(f"share wrong at distance {changed}, differences of 1 byte", 0.0, wrong)
    flips = [a for a in range(129) if not -128 <= 2 * a <= 127]
    yield shows("least activation at which a sign flip overflows", flips[0])


@check("lut-theorem4")
def constant_time():
    """The most additions that any group of 16 takes, whatever the model's size."""
    most = max(k for k in range(SIZE + 1) if comb(SIZE, k))
    yield says("additions for one group", SIZE, most, relation="<=")
    cycles = 0.6 * 2 + 0.35 * 75 + 0.049 * 250 + 0.001 * 100
    yield says("expected cycles by the tiers' own figures", 40, cycles, relation="<=")
