"""Seed 000: what ternary weights and their products look like, on a real model and on nulls.

The real trits are those of `material.trits`: a model's layers rounded as BitNet b1.58 rounds, or
its own where it is natively ternary. Nulls are the same rows shuffled, and independent trits with
the document's own 28/44/28.
"""

from math import comb, log, log2

import numpy as np

from workbench.claims.checks import Needs, check, null, says, shows
from workbench.claims.material import (
    is_ternary,
    matrices,
    recorded_inputs,
    shuffled_rows,
    to_int8,
    trits,
)
from workbench.lookup.counting import run_length_bits, zero_runs
from workbench.lookup.independent import DOCUMENT as IID
from workbench.lookup.independent import draw as independent
from workbench.lookup.literal import G as SIZE
from workbench.ternary import quantize

BITNET = "a natively ternary model (a BitNet b1.58 checkpoint)"
BOUNDS = (16, 32, 48)


@check("lut-zeros-44")
def zero_share(weights, rng):
    """Zeros after absmean rounding, a matrix each; the same on Gaussian, Laplace and t(3)."""
    native = all(is_ternary(matrix) for matrix in matrices(weights).values())
    shares = [float((codes == 0).mean()) for codes in trits(weights).values()]
    if native:
        yield says("share of zeros", 0.44, np.mean(shares), tolerance=0.02)
    else:
        yield shows("share of zeros after rounding", np.mean(shares))
        yield Needs(BITNET)
    yield shows("smallest and largest of a matrix", [min(shares), max(shares)])
    yield shows("entropy of 28/44/28", -sum(p * log2(p) for p in IID), unit="bit")
    yield shows("log2(3)", log2(3), unit="bit")
    draws = {
        "Gaussian": lambda: rng.normal(size=(1, 100_000)),
        "Laplace": lambda: rng.laplace(size=(1, 100_000)),
        "Student t(3)": lambda: rng.standard_t(3, size=(1, 100_000)),
    }
    for name, draw in draws.items():
        sample = [float((quantize(draw(), "absmean").codes == 0).mean()) for _ in range(20)]
        yield null(f"{name} weights", sample=sample, of="share of zeros after rounding")


@check("lut-zero-runs-rle")
def run_lengths(weights, rng):
    """Run-length code of 2+4 bits a run against 2 bits a trit, on rows and on the same shuffled."""
    codes = trits(weights, most=1_000_000)
    bits = run_length_bits(codes.values())
    yield says("bits of 16 trits as run lengths", 2 * SIZE, bits, unit="bit", relation="<=")
    runs = zero_runs(codes.values())
    yield shows("mean run of zeros", (runs * np.arange(len(runs))).sum() / runs.sum())
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


@check("lut-activation-tail")
def activation_tail(weights, rng):
    """Recorded inputs of the layers as int8, the largest of each token at 127."""
    inputs = {name: np.abs(to_int8(x).astype(int)) for name, _, x in recorded_inputs(weights)}
    after = [x for name, x in inputs.items() if "ffn_down" in name or "down_proj" in name]
    for bound in BOUNDS:
        yield shows(
            f"at most {bound}, all layers", np.mean([(x <= bound).mean() for x in inputs.values()])
        )
        if after:
            share = np.mean([(x <= bound).mean() for x in after])
            yield shows(f"at most {bound}, after the activation function", share)
    yield shows("tail exponents that .70/.90/.95 imply", [log(3) / log(2), log(2) / log(1.5)])
    draws = {
        "Laplace of width 13.3": np.clip(np.rint(rng.laplace(0, 13.3, (500, 4096))), -128, 127),
        "Gaussian, 4096 a token": to_int8(rng.normal(size=(500, 4096)).astype(np.float32)),
    }
    for name, x in draws.items():
        yield null(name, {f"at most {b}": (np.abs(x.astype(int)) <= b).mean() for b in BOUNDS})
    yield Needs(f"{BITNET} with ReLU or GELU, its activations recorded")


@check("lut-output-dist")
def output_distribution(weights, rng):
    """Products of groups of 16 trits with recorded int8 inputs."""
    found = []
    for _, matrix, x in recorded_inputs(weights):
        codes = quantize(matrix, "absmean", scale="tensor").codes[:64].astype(np.int32)
        groups = codes.shape[1] // SIZE
        w = codes[:, : groups * SIZE].reshape(-1, groups, SIZE)
        tokens = to_int8(x)[:16, : groups * SIZE].reshape(-1, groups, SIZE).astype(np.int32)
        found.append(np.einsum("rgs,tgs->trg", w, tokens).ravel())
    y = np.abs(np.concatenate(found))
    for bound, said in ((256, 0.80), (1024, 0.95)):
        yield shows(f"at most {bound} (said: {said})", (y <= bound).mean())
    w = independent((100_000, SIZE), rng).astype(int)
    laplace = np.clip(np.rint(rng.laplace(0, 13.3, w.shape)), -128, 127)
    uniform = rng.integers(-128, 128, w.shape)
    products = {
        "independent trits, 16 Laplace activations": (w * laplace).sum(axis=1),
        "independent trits, one Laplace activation": w.sum(axis=1) * laplace[:, 0],
        "independent trits, one uniform activation": w.sum(axis=1) * uniform[:, 0],
    }
    for name, product in products.items():
        yield null(name, {f"at most {b}": (np.abs(product) <= b).mean() for b in (256, 1024)})
    yield Needs(f"{BITNET}, its activations recorded")


def _longest_zero_run(groups: np.ndarray) -> np.ndarray:
    """Length of the longest run of zeros in each group."""
    longest = current = np.zeros(len(groups), int)
    for place in range(groups.shape[1]):
        current = np.where(groups[:, place] == 0, current + 1, 0)
        longest = np.maximum(longest, current)
    return longest


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a != b).reshape(-1, SIZE).sum(axis=1)
