"""Seed 001: ternary keys and values, attention and norms, on recorded activations and on noise."""

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
from workbench.errors import WorkbenchError
from workbench.models import activations

SAID = {"fixed_threshold": "0.77", "no_threshold": "0.78", "rms_scale": "0.93"}


@check("trinity-kv-quant-modes")
def cache_modes(weights, rng):
    """Cosine of attention outputs with the cache in each mode and in full, on a recorded text."""
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
def scores_from_trits(rng):
    """Scores from trits and scale against dequantized keys; weights below 1e-6 left out."""
    worst_score = worst_skip = 0.0
    for _ in range(20):
        k, v = rng.normal(size=(2, 300, 1, 64))
        q = 4 * rng.normal(size=(1, 64))
        rounded = ternary_tokens(k, "rms_scale")[:, 0]
        scale = np.abs(rounded).max(axis=1)
        direct = scale * (np.sign(rounded) @ q[0])
        worst_score = max(worst_score, np.abs(direct - rounded @ q[0]).max() / np.abs(direct).max())
        weight = np.exp(direct - direct.max())
        weight /= weight.sum()
        kept = np.where(weight < 1e-6, 0, weight)
        skipped = np.abs((weight - kept) @ v[:, 0]).max()
        worst_skip = max(worst_skip, skipped / (len(k) * 1e-6 * np.abs(v).max()))
    yield says("scores, largest relative difference", 0.0, worst_score, tolerance=1e-12)
    yield says("skipping, of its bound L * 1e-6 * max abs(V)", 1.0, worst_skip, relation="<=")


@check("trinity-flash-exact")
def online_softmax(rng):
    """Attention in random tiles with rescaling, in float64 and float32, against all at once."""
    for kind, allowed in ((np.float64, 1e-12), (np.float32, 1e-5)):
        worst = 0.0
        for _ in range(20):
            q, (k, v) = rng.normal(size=64), rng.normal(size=(2, 500, 64))
            plain = attend(q[None], k[:, None], v[:, None])[0]
            q, k, v = (part.astype(kind) for part in (q, k, v))
            cuts = np.sort(rng.choice(np.arange(1, 500), 9, replace=False))
            tiled = _tiled(q, np.split(k, cuts), np.split(v, cuts))
            worst = max(worst, np.abs(tiled - plain).max() / np.abs(plain).max())
        name = np.dtype(kind).name
        yield says(f"largest relative difference, {name}", 0.0, worst, tolerance=allowed)


@check("trinity-norm-10pct")
def norm_gains(weights, rng):
    """Trained gains as trits of their largest magnitude: errors of channels and of the vector."""
    found = [t.read() for name, t in weights.items() if "norm" in name and len(t.shape) == 1]
    if not found:
        raise WorkbenchError("a model with norm gains")
    errors = [_ternary_gains(gains) for gains in found]
    channel = max(row["largest of a channel"] for row in errors)
    yield says("largest relative error of a channel, the model", 0.10, channel, relation="<=")
    for key in ("of the vector", "zeroed", "cosine"):
        yield shows(f"{key}, a mean over norms", np.mean([row[key] for row in errors]))
    near = 1 + rng.uniform(-0.04, 0.04, 100_000)
    yield null("gains within 4% of 1", _ternary_gains(near))
    for sigma in (0.1, 0.3, 0.5):
        yield null(f"lognormal gains, sigma {sigma}", _ternary_gains(rng.lognormal(0, sigma, 2048)))


@check("trinity-sinks-kept")
def ring_buffer():
    """Append more tokens than there are slots and look for the first four."""
    slots = 16
    plain, reserved = [None] * slots, [None] * slots
    for token in range(40):
        plain[token % slots] = token
        place = token if token < slots else 4 + (token - 4) % (slots - 4)
        reserved[place] = token
    yield says("first 4 tokens found in the ring", 4, len({0, 1, 2, 3} & set(plain)))
    yield shows("found where their slots are reserved", len({0, 1, 2, 3} & set(reserved)))


def _fidelity(weights, layer: str, q, k, v) -> float:
    """Cosine of `attend` over all tokens and what the recorded model computed there."""
    recorded = activations(weights, f"{layer}.attn_output.weight")
    ours = [attend(q[t], k[: t + 1], v[: t + 1]).ravel() for t in range(len(q))]
    return cosine(np.array(ours), recorded)


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


def _ternary_gains(gains: np.ndarray) -> dict[str, float]:
    largest = np.abs(gains).max()
    rounded = np.sign(gains) * (np.abs(gains) > 0.5 * largest) * largest
    return {
        "largest of a channel": float((np.abs(rounded - gains) / np.abs(gains)).max()),
        "of the vector": float(np.linalg.norm(rounded - gains) / np.linalg.norm(gains)),
        "zeroed": float((rounded == 0).mean()),
        "cosine": cosine(rounded, gains),
    }


def _tiled(q, k_tiles, v_tiles):
    """Online softmax: what was summed so far is rescaled whenever a tile has a larger score."""
    top, total, output = -np.inf, q.dtype.type(0), np.zeros_like(q)
    for k, v in zip(k_tiles, v_tiles, strict=True):
        score = k @ q / np.sqrt(q.dtype.type(len(q)))
        higher = max(top, score.max())
        shrink, weight = np.exp(top - higher), np.exp(score - higher)
        total = total * shrink + weight.sum()
        output = output * shrink + weight @ v
        top = higher
    return output / total
