"""Seed 001: what attention over trits and in tiles computes; thresholds and scales on noise."""

from functools import reduce

import numpy as np

from workbench.claims.attention import (
    MODES,
    attend,
    cosine,
    random_similarity,
    recorded_attention,
    similarity,
    ternary_tokens,
)
from workbench.claims.checks import check, null, says, shows
from workbench.lm.attention import Partial, Span
from workbench.lm.attention import attend as attend_spans
from workbench.lm.stores import new_stores

SKIP = 1e-6


@check("trinity-rms-reason")
def threshold_or_scale(rng):
    """Threshold and scale changed one at a time, in attention over 512 random tokens of 64."""
    queries = rng.normal(size=(20, 1, 64))
    keys, values = rng.normal(size=(2, 20, 512, 1, 64))

    def attention(threshold, scale):
        found = []
        for q, k, v in zip(queries, keys, values, strict=True):
            rounded = [_trits(part, threshold, scale) for part in (k, v)]
            found.append(cosine(attend(q, k, v), attend(q, *rounded)))
        return float(np.mean(found))

    designs = {
        (threshold, scale): attention(threshold, scale)
        for threshold in ("0", "0.3 m", "0.5 r")
        for scale in ("m", "1.5 r")
    }
    for (threshold, scale), found in designs.items():
        yield shows(f"cosine of attention, threshold {threshold}, scale {scale}", found)
    start, end = designs["0.3 m", "m"], designs["0.5 r", "1.5 r"]
    by_threshold = (designs["0.5 r", "m"] - start) / (end - start)
    said = "share of the gain over fixed_threshold by its threshold alone"
    yield says(said, 0.5, by_threshold, relation=">=")
    yield shows("by its scale alone", (designs["0.3 m", "1.5 r"] - start) / (end - start))
    x = rng.normal(size=(4000, 1, 256))
    for threshold in ("0", "0.5 r", "0.612 r", "0.3 m"):
        kept = cosine(x, _trits(x, threshold, "1 r"))
        yield shows(f"cosine of trits and vector, threshold {threshold}", kept)
    r = np.sqrt(np.square(x).mean(axis=2, keepdims=True))
    beyond = np.abs(x) > 0.5 * r
    best = (np.abs(x) * beyond).sum() / (r * beyond).sum()
    yield says("best scale at threshold 0.5 r", 1.5, best, unit="r", tolerance=0.05)
    for threshold, scale in (("0.5 r", "1.5 r"), ("0.5 r", "1.141 r"), ("0.612 r", "1.22 r")):
        error = np.square(x - _trits(x, threshold, scale)).sum() / np.square(x).sum()
        yield shows(f"relative squared error, threshold {threshold}, scale {scale}", error)
    yield shows(
        "cosine of attention, threshold 0.5 r, scale 1.141 r", attention("0.5 r", "1.141 r")
    )


@check("trinity-attn-cos-0p7")
def attention_test(rng):
    """The stored test: q, k and v from sines of a running index; the same for random numbers."""
    heads, width, tokens = 4, 32, 16
    index = np.arange(tokens * heads * width).reshape(tokens, heads, width)
    q = (np.arange(heads * width) % 10 / 10).reshape(heads, width)
    k, v = np.sin(0.1 * index), np.cos(0.1 * index)
    for mode in MODES:
        yield says(mode, 0.7, similarity(q, k, v, mode), relation=">=")
    for mode in MODES:
        sample = random_similarity(64, 64, mode, rng, heads=1)
        yield null(f"Gaussian, 64 tokens of 64, {mode}", of=mode, sample=sample)


@check("trinity-attn-exactness")
def scores_from_trits(weights, rng):
    """Scores and outputs from packed trits against dequantized ones; light weights left out."""
    worst = 0.0
    for _ in range(20):
        k, q = rng.normal(size=(300, 1, 64)), 4 * rng.normal(size=64)
        rounded = ternary_tokens(k, "rms_scale")[:, 0]
        direct = np.abs(rounded).max(axis=1) * (np.sign(rounded) @ q)
        worst = max(worst, np.abs(direct - rounded @ q).max() / np.abs(direct).max())
    yield says("scores, largest relative difference, float64", 0.0, worst, tolerance=1e-12)
    q, k, v = rng.normal(size=(3, 300, 4, 64))
    inputs = {"Gaussian, 300 tokens": (4 * q, k, v)}
    inputs |= {f"recorded, {layer}": rows for layer, *rows in recorded_attention(weights)}
    for name, (q, k, v) in inputs.items():
        span = _ternary_span(q[-1:], k, v)
        exact = attend_spans([span], "plain")
        packed, skipped = (attend_spans([span], "packed", skip=skip) for skip in (0.0, SKIP))
        under = f"our kernel, {name}"
        difference = float(np.abs(packed - exact).max() / np.abs(exact).max())
        yield says("relative difference, to 5 decimals", 0.0, round(difference, 5), under=under)
        bound = len(k) * SKIP * np.abs(span.values.read(0, 0, len(k))).max()
        share = round(float(np.abs(skipped - packed).max() / bound), 1)
        yield says(
            "skipping, of its bound L * 1e-6 * max abs(V)", 1.0, share, relation="<=", under=under
        )


@check("trinity-flash-exact")
def online_softmax(rng):
    """Attention in random tiles that are merged, in float64 and float32, against all at once."""
    for kind, allowed in ((np.float64, 1e-12), (np.float32, 1e-5)):
        worst = 0.0
        for _ in range(20):
            q, (k, v) = rng.normal(size=64), rng.normal(size=(2, 500, 64))
            plain = attend(q[None], k[:, None], v[:, None])[0]
            q, k, v = (part.astype(kind) for part in (q, k, v))
            cuts = np.sort(rng.choice(np.arange(1, 500), 9, replace=False))
            tiles = zip(np.split(k, cuts), np.split(v, cuts), strict=True)
            merged = reduce(Partial.merge, [_tile(q, *tile) for tile in tiles]).result()
            worst = max(worst, np.abs(merged - plain).max() / np.abs(plain).max())
        name = np.dtype(kind).name
        yield says(f"largest relative difference, {name}", 0.0, worst, tolerance=allowed)


def _tile(q, k, v) -> Partial:
    """Attention of one query over a few tokens, to be merged with others."""
    score = k @ q / np.sqrt(q.dtype.type(len(q)))
    weight = np.exp(score - score.max())
    return Partial(score.max(), weight.sum(), weight @ v)


def _ternary_span(q, k, v) -> Span:
    """The last token's query over all keys and values in a ternary store."""
    q, k, v = (part.astype(np.float32) for part in (q, k, v))
    stores = new_stores(1, k.shape[1], len(k), k.shape[2], "ternary", "rms")
    for store, vectors in zip(stores, (k, v), strict=True):
        store.write(0, 0, vectors)
    return Span(*stores, 0, 0, len(k), q, np.zeros(1, int), np.full(1, len(k)))


def _trits(x: np.ndarray, threshold: str, scale: str) -> np.ndarray:
    """Rounded with a threshold and a scale in units of r (root mean square) or m (largest)."""
    units = {
        "m": np.abs(x).max(axis=-1, keepdims=True),
        "r": np.sqrt(np.square(x).mean(axis=-1, keepdims=True)),
    }

    def value(text):
        number, _, unit = text.rpartition(" ")
        return float(number or 1) * units[unit] if unit in units else float(unit)

    return np.sign(x) * (np.abs(x) > value(threshold)) * value(scale)
