"""Seed 002: dictionaries of weight patterns. A design without measurements.

Its W = P(i,j) * S(x,y) is read as gain-shape vector quantization: a pattern of 2, 4, 8 or 16
neighbours in a row times a scale, the row's here.
"""

import heapq
from collections import Counter, OrderedDict

import numpy as np
from scipy.cluster.vq import kmeans, vq

from workbench.claims.checks import check, null, says, shows
from workbench.claims.grids import draw, snr, uniform_steps
from workbench.claims.material import matrices, shuffled_rows, trits
from workbench.lookup.independent import DOCUMENT as IID

WINDOWS = {2: 16, 4: 256, 8: 256, 16: 256}  # window: patterns in its codebook
WINDOWS_CODED = (1, 2, 4, 8)
FIVE_A_BYTE = 1.6  # bits a trit of the plainest dense packing
PARTS = {"patterns": (20, 30), "synthesis": (10, 15), "references": (5, 10)}  # % of the original


@check("pattern-35-55")
def parts_of_the_original():
    """Sums of the lower and of the upper percentages."""
    low, high = (sum(part[end] for part in PARTS.values()) for end in (0, 1))
    yield says("at least", 35, low, unit="%")
    yield says("at most", 55, high, unit="%")
    yield shows("compression", [100 / high, 100 / low])


@check("pattern-vs-plain-quant")
def plain_rounding(weights, rng):
    """What plain rounding of rows reaches with the bits that 35 to 55% of fp16 are."""
    yield shows("bits a weight of 35 to 55% of fp16", [0.35 * 16, 0.55 * 16])
    found = list(matrices(weights, 600_000).values())
    gaussian = draw("Gaussian", rng)
    for bits in (6, 8):
        quality = np.mean([snr(m, uniform_steps(m, 2**bits)) for m in found])
        yield shows(f"plain {bits} bits, the model", quality, unit="dB")
        yield null(
            f"Gaussian, plain {bits} bits", {"dB": snr(gaussian, uniform_steps(gaussian, 2**bits))}
        )


@check("pattern-dict-implied-size")
def implied_original():
    """The original that each part's megabytes and percentages imply."""
    dictionary = [100 / 0.30, 100 / 0.20]
    synthesis = [50 / 0.15, 50 / 0.10]
    for name, a, b in zip(("smallest", "largest"), dictionary, synthesis, strict=True):
        yield says(
            f"{name} original by the dictionary, as by the synthesis", b, a, unit="MB", tolerance=1
        )
    yield shows("parameters of such a model in float32", [1e6 * size / 4 for size in dictionary])


@check("pattern-static-total")
def static_total():
    """The sums, and the same with the references that they leave out."""
    yield says("dictionary and synthesis", 150, 100 + 50, unit="MB")
    yield says("with the cache", 350, 100 + 50 + 200, unit="MB")
    references = 0.05 * 100 / 0.30
    yield says("complete storage, at least", "150", 100 + 50 + references, unit="MB")


@check("pattern-runtime-total")
def runtime_total():
    """Sums of the lower and of the upper ends."""
    yield says("at least", 350, 50 + 100 + 200, unit="MB")
    yield says("at most", 700, 100 + 200 + 400, unit="MB")


@check("pattern-llm-scale")
def seven_billion():
    """35 to 55% of 7 billion weights in fp16."""
    yield says("least size of a 7B model", 350, 0.35 * 14e9 / 1e6, unit="MB", relation="<=")
    yield shows("greatest", 0.55 * 14e9 / 1e6, unit="MB")


@check("pattern-recurring", quick=False)
def recurring(weights, rng):
    """Codebooks trained on half of the rows, tested on the others; the same with rows shuffled."""
    rows = [
        m / np.sqrt(np.square(m).mean(axis=1, keepdims=True)) for m in matrices(weights).values()
    ]
    gaussian = [draw("Gaussian", rng, 1024)]
    for window, size in WINDOWS.items():
        error = _codebook_error(rows, window, size, rng)
        sample = [
            _codebook_error([shuffled_rows(m, rng) for m in rows], window, size, rng)
            for _ in range(6)
        ]
        label = f"relative squared error, window {window}"
        yield says(label, 0.98 * min(sample), error, relation="<=", under=f"window {window}")
        yield null(
            f"the same rows shuffled, window {window}",
            of=f"{label} (window {window})",
            sample=sample,
        )
        yield null(
            f"Gaussian, window {window}",
            {"relative squared error": _codebook_error(gaussian, window, size, rng)},
        )


@check("pattern-ternary-dictionary")
def ternary_dictionary(weights):
    """Trits through a dictionary of all patterns of a window and back."""
    codes = np.concatenate([m[:, : m.shape[1] // 16 * 16].ravel() for m in trits(weights).values()])
    for window in (2, 4, 8):
        powers = 3 ** np.arange(window)
        references = (codes.reshape(-1, window) + 1) @ powers
        dictionary = np.arange(3**window)[:, None] // powers % 3 - 1
        wrong = (dictionary[references].ravel() != codes).sum()
        yield says(f"trits lost, window {window}", 0, wrong)
        yield shows(f"patterns, window {window}", len(dictionary))
    yield shows("patterns, window 16", 3**16)


@check("pattern-varlen")
def variable_length(weights):
    """Mean length of Huffman codes of patterns of 1, 2, 4 and 8 trits against 5 trits a byte."""
    codes = np.concatenate([m[:, : m.shape[1] // 8 * 8].ravel() for m in trits(weights).values()])
    model = {}
    for window in WINDOWS_CODED:
        lengths = 8 * 3**window / len(codes)  # the table: a byte for the length of each code
        model[window] = _huffman_bits(codes, window) + lengths
    p = np.array(IID)
    independent = {window: _huffman_mean(_products(p, window)) / window for window in WINDOWS_CODED}
    for name, bits in (("the model", model), ("independent trits 28/44/28", independent)):
        saving = 100 * (1 - min(bits.values()) / FIVE_A_BYTE)
        yield says("saving of the best", 1.0, saving, unit="%", relation=">=", under=name)
        for window, length in bits.items():
            yield shows(f"bits a trit, patterns of {window}", length, unit="bit", under=name)
    yield shows("entropy of 28/44/28", float(-(p * np.log2(p)).sum()), unit="bit")
    share = (codes == 0).mean()
    yield shows("zeros of the model's trits", share)


@check("pattern-synthesis-cost")
def synthesis_cost():
    """Operations of a 50 MB fp16 network, a multiplication and an addition for each parameter."""
    parameters = 50e6 / 2
    yield shows("operations a call", 2 * parameters)
    yield shows("operations for each of 256 weights a call", 2 * parameters / 256)
    yield shows("operations for which a weight is then used, a token", 2)


@check("pattern-selective-loading")
def least_recently_used(rng):
    """Hit rate of a cache of the most recent references, over 30 tokens of 1000 patterns."""
    every = [np.arange(1000) for _ in range(30)]
    for share in (0.5, 0.9, 0.99):
        hits = _lru_hits(every, int(1000 * share))
        yield says(f"hit rate, every weight used, cache of {share:.0%}", 0.01, hits, relation=">=")
    sparse = [rng.choice(1000, 100, replace=False) for _ in range(300)]
    yield null(
        "a tenth used a token, at random", {"hit rate, cache of 50%": _lru_hits(sparse, 500)}
    )


def _codebook_error(rows: list[np.ndarray], window: int, size: int, rng) -> float:
    """Relative squared error on every other row of patterns trained on the rest."""
    trained, tested = (
        np.concatenate([m[half::2, : m.shape[1] // 16 * 16].reshape(-1, window) for m in rows])
        for half in (0, 1)
    )
    trained = rng.permutation(trained)[:24_000]
    tested = rng.permutation(tested)[:24_000]
    codebook, _ = kmeans(trained, trained[:size].copy(), thresh=1e-3)
    index, _ = vq(tested, codebook)
    return float(np.square(tested - codebook[index]).sum() / np.square(tested).sum())


def _products(p: np.ndarray, window: int) -> np.ndarray:
    """Probabilities of all patterns of independent trits."""
    patterns = p
    for _ in range(window - 1):
        patterns = np.outer(patterns, p).ravel()
    return patterns


def _huffman_bits(codes: np.ndarray, window: int) -> float:
    patterns = (codes.reshape(-1, window) + 1) @ 3 ** np.arange(window)
    counts = np.bincount(patterns)
    return _huffman_mean(counts[counts > 0] / counts.sum()) / window


def _huffman_mean(probabilities: np.ndarray) -> float:
    """Mean length of a Huffman code: the sum of all inner nodes' probabilities."""
    heap = [float(p) for p in probabilities]
    heapq.heapify(heap)
    mean = 0.0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        mean += merged
        heapq.heappush(heap, merged)
    return mean


def _lru_hits(tokens, size: int) -> float:
    """Share of uses that find their pattern in a cache of `size`, the first token left out."""
    cache: OrderedDict[int, None] = OrderedDict()
    seen = Counter()
    for number, used in enumerate(tokens):
        for pattern in used.tolist():
            hit = pattern in cache
            seen[hit] += number > 0
            cache[pattern] = None
            cache.move_to_end(pattern)
            if len(cache) > size:
                cache.popitem(last=False)
    return seen[True] / seen.total()
