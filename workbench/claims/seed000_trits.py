"""Seed 000: runs of zeros and distances of patterns, on real trits and on nulls.

The real trits are those of `material.trits`: a model's layers rounded as BitNet b1.58 rounds, and
those of our own natively ternary model. Nulls are the same rows shuffled, and independent trits
with the document's own 28/44/28.
"""

from math import comb, log2

import numpy as np

from workbench.claims.checks import check, null, says, shows
from workbench.claims.material import shuffled_rows, trits
from workbench.claims.seed000_model import NATIVE, native_trits
from workbench.lookup.counting import neighbour_distances, run_length_bits, zero_runs
from workbench.lookup.independent import DOCUMENT as IID
from workbench.lookup.independent import draw as independent
from workbench.lookup.literal import G as SIZE


@check("lut-zero-runs-rle")
def run_lengths(weights, rng):
    """Run-length code of 2+4 bits a run against 2 bits a trit, on rows and on the same shuffled."""
    codes = trits(weights, most=1_000_000)
    bits = run_length_bits(codes.values())
    yield says("bits of 16 trits as run lengths", 2 * SIZE, bits, unit="bit", relation="<=")
    runs = zero_runs(codes.values())
    yield shows("mean run of zeros", (runs * np.arange(len(runs))).sum() / runs.sum())
    if native := native_trits():
        bits = run_length_bits(native.values())
        yield shows("bits of 16 trits as run lengths", bits, unit="bit", under=NATIVE)
    sample = [
        run_length_bits(shuffled_rows(matrix, rng) for matrix in codes.values()) for _ in range(20)
    ]
    yield null("the same rows shuffled", sample=sample, of="bits of 16 trits as run lengths")
    iid = independent((50_000, SIZE), rng)
    numbers = {
        "bits as run lengths": run_length_bits(iid),
        "bits in base 3": SIZE * log2(3),
        "bits of entropy": -SIZE * sum(p * log2(p) for p in IID),
        "runs in 16": 1 + (SIZE - 1) * (1 - sum(p * p for p in IID)),
        "mean run of zeros": 1 / (1 - IID[1]),
        "runs of 6 zeros or more": IID[1] ** 5,
        "longest run of zeros in 16": _longest_zero_run(iid).mean(),
    }
    yield null("independent trits 28/44/28", numbers)


@check("lut-hamming")
def hamming(weights, rng):
    """Trits that differ between neighbouring groups of 16 (beside and below each other)."""
    codes = [m[:, : m.shape[1] // SIZE * SIZE] for m in trits(weights, most=1_000_000).values()]
    beside = np.concatenate([_distances(m[:, :-SIZE], m[:, SIZE:]) for m in codes])
    below = np.concatenate([_distances(m[:-1], m[1:]) for m in codes])
    for name, found in (("beside", beside), ("below", below)):
        yield says("differ in 1", "0.38", (found == 1).mean(), under=name)
        yield says("differ in 2", "0.28", (found == 2).mean(), under=name)
        yield says("differ in 3 or more", "0.34", (found >= 3).mean(), under=name)
    if native := native_trits():
        found = neighbour_distances(native.values())
        for name in ("beside", "below"):
            yield shows("differ in 1 and in 2", found[name][1:3], under=f"{name}, {NATIVE}")
    mixed = [shuffled_rows(m, rng) for m in codes]
    shuffled = np.concatenate([_distances(m[:-1], m[1:]) for m in mixed])
    yield null(
        "the same rows shuffled",
        {f"differ in {k}": (shuffled == k).mean() for k in (1, 2)} | {"mean": shuffled.mean()},
    )
    for name, p in (("28/44/28", IID), ("uniform", (1 / 3,) * 3)):
        same = sum(x * x for x in p)
        chance = [comb(SIZE, k) * (1 - same) ** k * same ** (SIZE - k) for k in range(SIZE + 1)]
        numbers = {"match": same, "mean": SIZE * (1 - same), "differ in 1": chance[1]}
        numbers |= {"differ in 2": chance[2], "differ in 3 or more": sum(chance[3:])}
        yield null(f"independent trits {name}, exact", numbers)


def _longest_zero_run(groups: np.ndarray) -> np.ndarray:
    """Length of the longest run of zeros in each group."""
    longest = current = np.zeros(len(groups), int)
    for place in range(groups.shape[1]):
        current = np.where(groups[:, place] == 0, current + 1, 0)
        longest = np.maximum(longest, current)
    return longest


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a != b).reshape(-1, SIZE).sum(axis=1)
