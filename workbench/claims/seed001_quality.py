"""Seed 001: what ternary weights cost a language model: perplexity after rounding, and trained."""

import numpy as np

import workbench as wb
from workbench.claims.checks import Needs, check, null, says, shows
from workbench.claims.grids import draw, snr
from workbench.claims.material import SMOLLM2, TERNARY, TWIN, held_out, matrices, present
from workbench.lm import evaluate, open_language_model
from workbench.lm.evaluation import matrix_names
from workbench.ternary import quantize

ROUNDINGS = {
    "one absmean a matrix": "planar-ternary:rounding=absmean,scale=tensor",
    "best threshold and scale a row": "planar-ternary:rounding=optimal",
    "best threshold and scale a group of 64": "planar-ternary:rounding=optimal,group=64",
}
PLAIN = ("uniform:bits=2", "q4_0", "q8_0")
LAYERS = "blk.*"
SERVED = 2.0  # times the perplexity of the file, at most


@check("trinity-ptq-quality", quick=False)
def ternary_rounding(weights, rng):
    """Signal and perplexity after ternary rounding of all layers; beside plain quantizers."""
    found = list(matrices(weights, 1_000_000).values())
    for name in ("absmean", "optimal"):
        kept = np.mean([snr(m, quantize(m, name).dequantize()) for m in found])
        yield shows(f"signal, ternary, {name}", kept, unit="dB")
    for id in ("q8_0", "q4_0"):
        kept = np.mean([snr(m, wb.technique(id).encode(m).decode()) for m in found])
        yield shows(f"signal, {id}", kept, unit="dB")
    gaussian = draw("Gaussian", rng)
    best = snr(gaussian, quantize(gaussian, "optimal").dequantize())
    yield null(
        "Gaussian, best ternary rounding", {"dB": best, "energy kept": 1 - 10 ** (-best / 10)}
    )
    if not present(SMOLLM2):
        yield Needs("SmolLM2-135M (workbench models fetch smollm2-135m)")
        return
    yield from _rounded(SMOLLM2, 513, rng)
    if present(TWIN):
        yield from _rounded(TWIN, 4097, rng, under="a model of 2.5 million weights")
    if present(TERNARY):
        trained, text = open_language_model(TERNARY), held_out(TERNARY, 4097)
        as_it_is = evaluate(trained, {}, text).perplexity.perplexity
        yield shows("perplexity of the same model trained ternary", as_it_is)


@check("trinity-bitnet-ppl", quick=False)
def natively_ternary(rng):
    """Bits a weight of the published files; our own ternary model stored again, and its twin."""
    yield shows("b1.58-large, bits a weight of the file", 2.92e9 * 8 / 700e6)
    yield shows("b1.58-3B, bits a weight of the file", 11.6e9 * 8 / 3e9)
    yield shows("in 1.6 bits", [700e6 * 1.6 / 8 / 1e9, 3e9 * 1.6 / 8 / 1e9], unit="GB")
    for name in (TERNARY, TWIN):
        if not present(name):
            yield Needs(f"the BitNet b1.58 checkpoints, or {name}")
            return
    model, text = open_language_model(TERNARY), held_out(TERNARY, 4097)
    before = evaluate(model, {}, text).perplexity
    yield shows("perplexity of our ternary model", before.perplexity)
    yield shows("its standard error", before.standard_error)
    options = "rounding=optimal,scale=tensor"
    for technique in (f"planar-ternary:{options}", f"base3-ternary:{options}", "tq1_0"):
        after = evaluate(model, {LAYERS: technique}, text)
        under = f"our ternary model, its trits stored again as {technique}"
        ratio = after.perplexity.perplexity / before.perplexity
        yield says("perplexity, times that before", 1.0, ratio, tolerance=1e-3, under=under)
        yield shows("bits a weight", after.bits_per_weight, under=under)
    again = evaluate(model, {LAYERS: ROUNDINGS["one absmean a matrix"]}, text).perplexity
    said = "absmean applied a second time, which shrinks scales by the share of non-zeros, times"
    yield shows(said, again.perplexity / before.perplexity)
    four = evaluate(model, {LAYERS: "uniform:bits=2"}, text).perplexity.perplexity
    yield null("the same trits by a quantizer of four levels", {"ratio": four / before.perplexity})
    twin = evaluate(TWIN, {}, held_out(TWIN, 4097)).perplexity.perplexity
    yield shows("perplexity of the same model trained in float32", twin)
    under = "our ternary model, against the same model trained in float32"
    ratio = before.perplexity / twin
    yield says(
        "perplexity, times that of floats", 1.0, ratio, relation="<=", tolerance=0.01, under=under
    )
    yield Needs("the BitNet b1.58 checkpoints, for the two perplexities")


def _rounded(name, tokens, rng, under=""):
    """Perplexities of a model whose layers are rounded."""
    model, text = open_language_model(name), held_out(name, tokens)
    before = evaluate(model, {}, text).perplexity
    yield shows(f"{name}, perplexity as it is", before.perplexity)
    yield shows(f"{name}, tokens scored", before.tokens)

    def times(runner, policy=None):
        return evaluate(runner, policy or {}, text).perplexity.perplexity / before.perplexity

    for rounding, technique in ROUNDINGS.items():
        after = evaluate(model, {LAYERS: technique}, text)
        ratio = after.perplexity.perplexity / before.perplexity
        said = f"{name}, {rounding}: perplexity, times the file's"
        yield says(said, SERVED, ratio, relation="<=", under=under and f"{under}, {rounding}")
        yield shows(f"{name}, {rounding}: compression", 32 / after.bits_per_weight)
    plain = {technique: times(model, {LAYERS: technique}) for technique in PLAIN}
    yield null(f"{name}, plain quantizers, times", plain)
    shuffled = {
        matrix: rng.permuted(np.asarray(model.tensors[matrix]), axis=1)
        for matrix in matrix_names(model)
        if matrix.startswith("blk.")
    }
    structure = {
        "every row shuffled": times(model.with_tensors(shuffled)),
        "all tokens alike": model.config.vocab / before.perplexity,
    }
    yield null(f"{name}, no structure, times", structure)
