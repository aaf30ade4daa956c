"""Seed 000: zeros, activations and sums of a natively ternary model, our own; nulls beside.

Ours is a BitNet b1.58 model with 3.3 million ternary weights and SiLU gates; what enters them, int8
as in its training, is recorded on text that it was not trained on. A natively ternary model that is
given is judged instead. The bundled slice of SmolLM2, rounded to trits, is evidence beside it and
decides nothing.
"""

from functools import cache
from math import log, log2

import numpy as np

from workbench.claims.checks import Needs, check, null, says, shows
from workbench.claims.material import (
    HELD_OUT,
    TERNARY,
    is_ternary,
    matrices,
    present,
    recorded_inputs,
    to_int8,
    trits,
)
from workbench.lm import open_language_model, read_text
from workbench.lm.recording import record_inputs
from workbench.lookup.counting import magnitudes, partial_sums
from workbench.lookup.independent import DOCUMENT as IID
from workbench.lookup.independent import draw as independent
from workbench.lookup.literal import G as SIZE
from workbench.models import Weights, open_model
from workbench.ternary import quantize

NATIVE = "our natively ternary model"
MISSING = f"a natively ternary model ({TERNARY})"
BOUNDS = {16: "0.70", 32: "0.90", 48: "0.95"}
SUMS = {256: "0.80", 1024: "0.95"}
TOKENS, ROWS = 256, 64  # read for activations; of each matrix, rows whose sums are counted
AFTER = ("ffn_down", "down_proj")  # the matrix behind the activation function


@check("lut-zeros-44")
def zero_share(weights, rng):
    """Zeros of a natively ternary model, a matrix each; of rounded weights, and of random ones."""
    given = _is_native(weights)
    if not given:
        rounded = [float((codes == 0).mean()) for codes in trits(weights).values()]
        yield shows("share of zeros of rounded weights", np.mean(rounded))
        yield shows("their smallest and largest of a matrix", [min(rounded), max(rounded)])
    if given or present(TERNARY):
        under, found = ("", trits(weights)) if given else (NATIVE, native_trits())
        shares = np.array([[(m == v).mean() for v in (-1, 0, 1)] for m in found.values()])
        mean, zeros = shares.mean(axis=0), shares[:, 1]
        yield says("share of zeros", 0.44, mean[1], tolerance=0.02, under=under)
        yield shows("shares of -1 and +1", mean[[0, 2]], under=under)
        yield shows("smallest and largest of a matrix", [zeros.min(), zeros.max()], under=under)
        yield shows("entropy", -(mean * np.log2(mean)).sum(), unit="bit", under=under)
    else:
        yield Needs(MISSING)
    yield shows("entropy of 28/44/28", -sum(p * log2(p) for p in IID), unit="bit")
    yield shows("log2(3)", log2(3), unit="bit")
    draws = {
        "Gaussian": lambda: rng.normal(size=(1, 100_000)),
        "Laplace": lambda: rng.laplace(size=(1, 100_000)),
        "Student t(3)": lambda: rng.standard_t(3, size=(1, 100_000)),
    }
    of = "share of zeros" if given else "share of zeros of rounded weights"
    for name, draw in draws.items():
        sample = [float((quantize(draw(), "absmean").codes == 0).mean()) for _ in range(20)]
        yield null(f"{name} weights", sample=sample, of=of)


@check("lut-activation-tail")
def activation_tail(weights, rng):
    """What enters the matrices of a ternary model as int8, the largest of each token at 127."""
    model, _, inputs = _subject(weights)
    if inputs:
        yield from _tail(inputs, says, model)
    else:
        yield Needs(MISSING)
    if model:
        recorded = {name: to_int8(x) for name, _, x in recorded_inputs(weights)}
        yield from _tail(recorded, _evidence, "rounded weights")
    implied = [log(3) / log(2), log(2) / log(1.5)]
    yield shows("tail exponents that .70/.90/.95 imply", implied)
    draws = {
        "Laplace of width 13.3": np.clip(np.rint(rng.laplace(0, 13.3, (500, 4096))), -128, 127),
        "Gaussian, 4096 a token": to_int8(rng.normal(size=(500, 4096)).astype(np.float32)),
    }
    for name, x in draws.items():
        yield null(name, {f"at most {b}": (np.abs(x.astype(int)) <= b).mean() for b in BOUNDS})


@check("lut-output-dist")
def output_distribution(weights, rng):
    """Sums of 16 activations under the trits of a ternary model, both as it multiplies them."""
    model, codes, inputs = _subject(weights)
    for scope, names in _scopes(inputs).items():
        under = f"{model}, {scope}" if model else scope
        counts = sum(partial_sums(codes[name][:ROWS], inputs[name][::4], SIZE) for name in names)
        for bound, said in SUMS.items():
            share = counts[: bound + 1].sum() / counts.sum()
            yield says(f"at most {bound}", said, share, under=under)
        yield shows("largest", np.flatnonzero(counts)[-1], under=under)
    if not inputs:
        yield Needs(MISSING)
    if model:
        counts = 0
        for _, matrix, x in recorded_inputs(weights):
            rounded = quantize(matrix, "absmean", scale="tensor").codes[:ROWS]
            counts = counts + partial_sums(rounded, to_int8(x)[:16], SIZE)
        for bound in SUMS:
            share = counts[: bound + 1].sum() / counts.sum()
            yield shows(f"at most {bound}", share, under="rounded weights")
    w = independent((100_000, SIZE), rng).astype(int)
    laplace = np.clip(np.rint(rng.laplace(0, 13.3, w.shape)), -128, 127)
    uniform = rng.integers(-128, 128, w.shape)
    products = {
        "independent trits, 16 Laplace activations": (w * laplace).sum(axis=1),
        "independent trits, one Laplace activation": w.sum(axis=1) * laplace[:, 0],
        "independent trits, one uniform activation": w.sum(axis=1) * uniform[:, 0],
    }
    for name, product in products.items():
        yield null(name, {f"at most {b}": (np.abs(product) <= b).mean() for b in SUMS})


@cache
def native_trits() -> dict[str, np.ndarray]:
    """Trits of our natively ternary model by tensor name; empty where it is not here."""
    return trits(open_model(TERNARY)) if present(TERNARY) else {}


def _is_native(weights):
    return all(is_ternary(matrix) for matrix in matrices(weights).values())


def _subject(weights):
    """What is judged: the model given where it is natively ternary, else our own. Its name (empty
    for the one given), trits, and inputs on held-out text as int8; empty where there is none."""
    given = isinstance(weights, Weights) and _is_native(weights)
    if not given and not present(TERNARY):
        return NATIVE, {}, {}
    model = open_language_model(weights if given else TERNARY)
    tokens = model.tokenizer.encode(read_text(HELD_OUT)[: 16 * TOKENS])[:TOKENS]
    codes = trits(model.weights)
    found = record_inputs(model, tokens)
    inputs = {name: to_int8(x) for name, x in found.items() if name in codes}
    return "" if given else NATIVE, codes, inputs


def _evidence(what, _, share, under):
    return shows(what, share, under=under)


def _scopes(inputs):
    """Names of all matrices, and of those behind the activation function."""
    scopes = {
        "all matrices": list(inputs),
        "behind the activation function": [n for n in inputs if any(word in n for word in AFTER)],
    }
    return {scope: names for scope, names in scopes.items() if names}


def _tail(inputs, part, model):
    """Shares of small activations, a mean over matrices, and the exponents of their tail."""
    for scope, names in _scopes(inputs).items():
        under = f"{model}, {scope}" if model else scope
        shares = np.mean([magnitudes(inputs[name]) for name in names], axis=0)
        for bound, said in BOUNDS.items():
            yield part(f"at most {bound}", said, shares[bound], under=under)
        beyond = -np.log(1 - shares[list(BOUNDS)])
        steps = np.diff(np.log(list(BOUNDS)))
        yield shows("tail exponents, 16 to 32 and 32 to 48", np.diff(beyond) / steps, under=under)
