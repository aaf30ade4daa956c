"""Seed 001: ternary and ring caches, embeddings and norms, in a model that runs."""

from dataclasses import dataclass

import numpy as np

from workbench import kernels
from workbench.claims.attention import (
    MODES,
    attend,
    cosine,
    random_similarity,
    recorded_attention,
    similarity,
)
from workbench.claims.checks import Needs, check, null, says, shows
from workbench.claims.material import SMOLLM2, held_out, present
from workbench.errors import WorkbenchError
from workbench.lm import Model, open_language_model
from workbench.lm.attention_speed import race_attention
from workbench.lm.cache import new_cache
from workbench.lm.config import Config
from workbench.lm.generation import cache_for
from workbench.lm.scoring import log_losses
from workbench.lm.ternary_parts import ternary_gains, ternary_table
from workbench.models import activations

SAID = {"fixed_threshold": "0.77", "no_threshold": "0.78", "rms_scale": "0.93"}
STORED = {"fixed_threshold": "fixed", "no_threshold": "none", "rms_scale": "rms"}
TOKENS = 512
FETCH = Needs(f"{SMOLLM2} (workbench models fetch {SMOLLM2})")


@dataclass(frozen=True)
class Reading:
    """What a model says while it reads a text.

    Attributes
    ----------
    logits : float32 array (tokens, vocab)
    perplexity : float
    """

    logits: np.ndarray
    perplexity: float

    def similarity(self, other: "Reading") -> np.ndarray:
        """Cosine of the logits after each token."""
        pairs = zip(self.logits.astype(float), other.logits.astype(float), strict=True)
        return np.array([cosine(a, b) for a, b in pairs])


def read(model: Model, text: np.ndarray, **cache) -> Reading:
    """Run all but the last token of a text through a model, in chunks of 128."""
    kept = cache_for(model, len(text), cache)
    starts = range(0, len(text) - 1, 128)
    chunks = [model.forward(text[i : min(i + 128, len(text) - 1)], kept) for i in starts]
    logits = np.concatenate(chunks)
    return Reading(logits, float(np.exp(log_losses(logits, text[1:]).mean())))


@check("trinity-kv-quant-modes", quick=False)
def cache_modes(weights, rng):
    """Attention outputs on a recorded text and SmolLM2's logits, cache in each mode and in full."""
    first = {mode: [] for mode in MODES}
    all_tokens = {mode: [] for mode in MODES}
    for layer, q, k, v in recorded_attention(weights):
        yield shows(
            f"cosine of our outputs and those recorded, {layer}", _fidelity(weights, layer, q, k, v)
        )
        for mode in MODES:
            first[mode].append(similarity(q[0], k[:1], v[:1], mode))
            all_tokens[mode] += [
                similarity(q[t], k[: t + 1], v[: t + 1], mode) for t in range(1, len(q))
            ]
    for mode in MODES:
        one, more = "one cached token", "2 to 80 cached tokens"
        yield says(mode, SAID[mode], np.mean(first[mode]), tolerance=0.03, under=one)
        yield says(mode, SAID[mode], np.mean(all_tokens[mode]), tolerance=0.03, under=more)
    for length, width in ((1, 16), (16, 16), (64, 64), (512, 64)):
        found = {m: random_similarity(length, width, m, rng, heads=1) for m in MODES}
        name = f"Gaussian, {length} tokens of {width}"
        yield null(
            name,
            {mode: np.mean(found[mode]) for mode in MODES},
            of="rms_scale (2 to 80 cached tokens)",
            sample=found["rms_scale"],
        )
    if not present(SMOLLM2):
        yield FETCH
        return
    model, text = open_language_model(SMOLLM2), held_out(SMOLLM2, TOKENS + 1)
    full = read(model, text)
    yield shows("perplexity, cache in float32", full.perplexity)
    for mode in MODES:
        rounded = read(model, text, store="ternary", mode=STORED[mode])
        alike = rounded.similarity(full)
        under = "logits of SmolLM2, one cached token"
        yield says(mode, SAID[mode], alike[0], tolerance=0.03, under=under)
        under = f"logits of SmolLM2, 2 to {TOKENS} cached tokens"
        yield says(mode, SAID[mode], alike[1:].mean(), tolerance=0.03, under=under)
        yield shows(f"perplexity, {mode}", rounded.perplexity)
    others = {
        "best threshold and scale": {"store": "ternary"},
        "only the values so": {"store": "f32", "value_store": "ternary"},
        "only the keys so": {"store": "ternary", "value_store": "f32"},
    }
    for name, cache in others.items():
        yield shows(f"perplexity, {name}", read(model, text, **cache).perplexity)
    plain = {kind: read(model, text, store=kind).perplexity for kind in ("f16", "int8")}
    yield null("perplexity, plain caches", plain)


@check("trinity-kv-speed", quick=False, alone=True)
def cache_speed():
    """One token's attention over ternary and float32 caches, both compiled, one thread."""
    names = ("attention_keys", "attention_values", "decoder_attention")
    if not all(kernels.status(name).compiled for name in names):
        yield Needs("compiled kernels")
        return
    for layers, where in ((1, "one layer again and again"), (30, "30 layers in turn, as a model")):
        lengths = (512, 2048, 8192, 32_768) if layers == 1 else (512, 2048, 8192)
        laps = race_attention(lengths, layers=layers, seconds=2.0)
        for tokens in lengths:
            lap = {each.store: each for each in laps if each.tokens == tokens}
            under = f"{tokens} tokens, {where}"
            ternary = lap["ternary"]
            yield says("speed-up over float32", 1.5, ternary.ratio, relation=">=", under=under)
            yield shows("spread", [ternary.ratio_min, ternary.ratio_max], under=under)
            yield shows("speed-up of int8", lap["int8"].ratio, under=under)
            blas = ternary.ratio / lap["f32 BLAS"].ratio
            yield shows("speed-up over float32 by BLAS", blas, under=under)
    seeds = 8 * 128 * 4 / (8 * 128 / 4 + 4)
    yield says("context in the same memory, a scale a token", 16, seeds, tolerance=1)
    yield shows("context in the same memory, a scale a vector of 64", 64 * 4 / (64 / 4 + 4))


@check("trinity-embeddings", quick=False)
def embedding_table():
    """Bytes of the toy's table and of a row of 2048; SmolLM2's logits with both kinds of trits."""
    toy = ternary_table(np.random.default_rng(0).normal(size=(32, 64)))
    yield says("float32", 8192, 32 * 64 * 4, unit="B")
    yield says("ternary with a scale a row", 640, toy.nbytes, unit="B")
    yield says("compression", "12.8", 8192 / toy.nbytes)
    yield shows("compression of rows of 2048", 2048 * 4 / (2048 // 4 + 4))
    if not present(SMOLLM2):
        yield FETCH
        return
    model, text = open_language_model(SMOLLM2), held_out(SMOLLM2, TOKENS + 1)
    full = read(model, text)
    yield shows("perplexity as it is", full.perplexity)
    for mode in ("rms", "optimal"):
        table = ternary_table(model.tensors["token_embd.weight"], mode)
        changed = model.with_tensors({"token_embd.weight": table.decode()})
        alone = read(changed, text)
        yield shows(f"perplexity, embeddings {mode}, cache float32", alone.perplexity)
        yield shows(f"similarity, embeddings {mode}, cache float32", alone.similarity(full).mean())
        for said, what, other in (
            ("0.93", "cache alone", model),
            ("0.88", "and embeddings", changed),
        ):
            alike = read(other, text, store="ternary", mode=mode).similarity(full)
            for under, value in (("one token", alike[0]), (f"{TOKENS} tokens", alike.mean())):
                under = f"SmolLM2, {mode}, {under}"
                yield says(f"similarity, {what}", said, value, tolerance=0.03, under=under)


@check("trinity-norm-10pct", quick=False)
def norm_gains(weights, rng):
    """Trained gains as trits of their largest magnitude: errors, and SmolLM2's perplexity."""
    found = [t.read() for name, t in weights.items() if "norm" in name and len(t.shape) == 1]
    if not found:
        raise WorkbenchError("a model with norm gains")
    errors = [_ternary_gains(gains) for gains in found]
    channel = max(row["largest of a channel"] for row in errors)
    yield says("largest relative error of a channel, the model", 0.10, channel, relation="<=")
    for key in ("of the vector", "zeroed", "cosine"):
        yield shows(f"{key}, a mean over norms", np.mean([row[key] for row in errors]))
    near = 1 + rng.uniform(-0.04, 0.04, 100_000).astype(np.float32)
    yield null("gains within 4% of 1", _ternary_gains(near))
    for sigma in (0.1, 0.3, 0.5):
        yield null(f"lognormal gains, sigma {sigma}", _ternary_gains(rng.lognormal(0, sigma, 2048)))
    if not present(SMOLLM2):
        yield FETCH
        return
    model, text = open_language_model(SMOLLM2), held_out(SMOLLM2, TOKENS + 1)
    yield shows("perplexity as it is", read(model, text).perplexity)
    norms = [name for name in model.tensors if name.endswith("_norm.weight")]
    for mode in ("half", "rms", "optimal"):
        rounded = {name: ternary_gains(model.tensors[name], mode).decode() for name in norms}
        perplexity = read(model.with_tensors(rounded), text).perplexity
        yield shows(f"perplexity, all norms, {mode}", perplexity)


@check("trinity-sinks-kept")
def ring_buffer(rng):
    """Append more tokens than there are slots and look for the first four keys."""
    config = Config(
        architecture="llama",
        vocab=1,
        width=8,
        layers=1,
        heads=1,
        kv_heads=1,
        head_dim=8,
        ff=1,
        context=16,
        norm_eps=1e-5,
        rope_base=1e4,
        rope_order="interleaved",
        activation="silu",
        sub_norms=False,
        tied=True,
    )
    x = rng.normal(size=(40, 1, 8)).astype(np.float32)
    for sinks, name in ((0, "a plain ring"), (4, "a ring with reserved slots")):
        cache = new_cache(config, layout="ring", sinks=sinks, window=16 - sinks)
        for token in range(40):
            cache.attend(0, x[token : token + 1], x[token : token + 1], x[token : token + 1])
            cache.advance(1)
        kept = {values.tobytes() for values in cache.values.read(0, 0, 16)[0]}
        found = sum(x[token, 0].tobytes() in kept for token in range(4))
        if sinks:
            yield shows(f"first 4 tokens found in {name}", found)
        else:
            yield says(f"first 4 tokens found in {name}", 4, found)


@check("trinity-sliding-window", quick=False)
def sliding_window():
    """Tokens kept and bytes evicted; SmolLM2's perplexity in a window of 128 with and without."""
    yield says("500 tokens, window 100", "5.0", 500 / 100)
    yield says("bytes saved", 819_200, 400 * 4 * 64 * 2 * 4)
    yield says("32K context, 2K window", 16, 32_768 // 2_048)
    if not present(SMOLLM2):
        return
    model, text = open_language_model(SMOLLM2), held_out(SMOLLM2, TOKENS + 1)
    yield shows(f"perplexity of SmolLM2, all {TOKENS} tokens kept", read(model, text).perplexity)
    for sinks in (4, 0):
        ring = read(model, text, layout="ring", sinks=sinks, window=128 - sinks)
        yield shows(f"perplexity, 128 kept, {sinks} of them sinks", ring.perplexity)


def _fidelity(weights, layer: str, q, k, v) -> float:
    """Cosine of `attend` over all tokens and what the recorded model computed there."""
    recorded = activations(weights, f"{layer}.attn_output.weight")
    ours = [attend(q[t], k[: t + 1], v[: t + 1]).ravel() for t in range(len(q))]
    return cosine(np.array(ours), recorded)


def _ternary_gains(gains: np.ndarray) -> dict[str, float]:
    rounded = ternary_gains(gains).decode()
    return {
        "largest of a channel": float((np.abs(rounded - gains) / np.abs(gains)).max()),
        "of the vector": float(np.linalg.norm(rounded - gains) / np.linalg.norm(gains)),
        "zeroed": float((rounded == 0).mean()),
        "cosine": cosine(rounded, gains),
    }
