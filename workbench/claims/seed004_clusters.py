"""Seed 004: errors at powers of the golden ratio, chaos maps, and sorting.

The document measured GPT-2; here it is the given model, and random numbers on the same grid.
"""

from math import e, lgamma, log, sqrt

import numpy as np
from scipy.stats import kurtosis, norm

from workbench.claims.checks import check, null, says, shows
from workbench.claims.grids import (
    EULER,
    PHI,
    clustering,
    deviations,
    draw,
    levels,
    uniform_levels,
)
from workbench.claims.material import matrices, shuffled_rows

CHANCE = 0.15  # what the document expects of errors without structure
KINDS = ("Gaussian", "Laplace", "Student t(5)")


@check("phi-e-sqrt5")
def ratio_identity():
    """Both sides of the equation."""
    yield says("e / sqrt 5", "1.216", EULER)
    yield says("e / (2 phi - 1) minus that", 0.0, e / (2 * PHI - 1) - EULER, tolerance=1e-12)


@check("phi-clock-phases")
def constants():
    """Largest real roots of x^2 - x - 1, x^2 - 2x - 1 and x^3 - x - 1."""
    polynomials = {
        "golden": ("1.618", [1, -1, -1]),
        "silver": ("2.414", [1, -2, -1]),
        "plastic": ("1.325", [1, 0, -1, -1]),
    }
    for name, (said, coefficients) in polynomials.items():
        roots = np.roots(coefficients)
        yield says(name, said, roots[np.abs(roots.imag) < 1e-9].real.max())


@check("phi-60p1")
def clusters(weights, rng):
    """D1 to D5 of the rounding errors, on the model and on random numbers."""
    grid = levels(EULER, 32)
    found = _mean([clustering(deviations(m, grid)[0]) for m in matrices(weights).values()])
    for name, share in found.items():
        yield shows(f"{name}, grid e/sqrt 5", share, under="the model")
    gaussian = clustering(deviations(draw("Gaussian", rng), grid)[0])
    yield says("D1 of random numbers on the same grid", CHANCE, gaussian["D1"], tolerance=0.05)
    layers = list(matrices(weights, 600_000).values())
    for name, draw_like in (("Gaussian", _gaussian), ("Student t with each layer's tails", _heavy)):
        sample = [
            np.mean([clustering(deviations(draw_like(m, rng), grid)[0])["D1"] for m in layers])
            for _ in range(20)
        ]
        yield null(f"{name}, its shapes", of="D1, grid e/sqrt 5 (the model)", sample=sample)
    for kind in KINDS:
        w = draw(kind, rng)
        for name, ratio in (("e/sqrt 5", EULER), ("phi", PHI)):
            yield null(f"{kind}, grid {name}", clustering(deviations(w, levels(ratio, 32))[0]))
    w = draw("Gaussian", rng)
    for ratio in (1.15, 1.25, 1.3, sqrt(2), 2, 1 + sqrt(2)):
        d = clustering(deviations(w, levels(ratio, 32))[0])
        yield null(f"Gaussian, grid {ratio:.3g}", {"D1": d["D1"], "D5": d["D5"]})
    for count in (16, 256):
        d = clustering(deviations(w, uniform_levels(count))[0])
        yield null(f"Gaussian, {count} uniform levels", d)


@check("phi-z-3p10")
def observations():
    """The number of observations that z, 60.1% and 15% imply; both tails."""
    n = CHANCE * (1 - CHANCE) * (3.10 / (0.601 - CHANCE)) ** 2
    yield says("observations, if a layer's weights were counted", 768 * 768, n, relation=">=")
    yield shows("p, one-sided", norm.sf(3.10))
    yield says("p, two-sided", 0.001, 2 * norm.sf(3.10), relation="<=")


@check("phi-recursive")
def recursion(weights, rng):
    """D1 of the errors, of the errors' errors and of theirs; the same for random numbers."""
    found = [
        [clustering(d)["D1"] for d in deviations(m, levels(EULER, 32), 3)]
        for m in matrices(weights, most=1_000_000).values()
    ]
    for depth, share in enumerate(np.mean(found, axis=0), 1):
        yield shows(f"level {depth}", share, under="the model")
    random = [clustering(d)["D1"] for d in deviations(draw("Gaussian", rng), levels(EULER, 32), 3)]
    for depth, share in enumerate(random, 1):
        yield says(f"level {depth}", CHANCE, share, tolerance=0.05, under="random numbers")
    for kind in KINDS:
        for name, ratio in (("e/sqrt 5", EULER), ("phi", PHI)):
            deeper = deviations(draw(kind, rng), levels(ratio, 32), 3)
            numbers = {f"level {k}": clustering(d)["D1"] for k, d in enumerate(deeper, 1)}
            yield null(f"{kind}, grid {name}", numbers)


@check("phi-other-models")
def other_models(weights, rng):
    """D1 and D5 of this model's errors and of random numbers of the same shape."""
    matrix = next(iter(matrices(weights).values()))
    for name, ratio in (("e/sqrt 5", EULER), ("phi", PHI)):
        found = clustering(deviations(matrix, levels(ratio, 32))[0])
        random = clustering(deviations(rng.normal(size=matrix.shape), levels(ratio, 32))[0])
        for d in ("D1", "D5"):
            yield shows(f"{d}, grid {name}", found[d], under="the model")
            yield shows(f"{d}, grid {name}", random[d], under="random numbers")


@check("phi-chaos-amplify")
def chaos(rng):
    """Error of rounding to 256 steps after k maps, once inverted, over that of rounding alone."""
    x, y = rng.random((2, 100_000))
    names = ("cat map", "baker's map", "golden rotation", "moved positions")
    for name in names:
        growth = [_amplification(name, x, y, k, rng) for k in range(1, 7)]
        yield says(
            "error after 6 maps over the quantizer's", 1.5, growth[-1], relation=">=", under=name
        )
        yield shows(f"after 1 to 6, {name}", growth)
    yield shows("eigenvalue of the cat map", max(np.linalg.eigvals([[1, 1], [1, 2]]).real))


@check("phi-row-sort-15x")
def row_sorting(weights, rng):
    """Correlation of neighbours before and after sorting each row; the same for random numbers."""
    matrix = max(matrices(weights).values(), key=len)
    yield shows(".51 / .03", 0.51 / 0.03)
    shapes = {
        "the model": matrix,
        "the model, shuffled": shuffled_rows(matrix, rng),
        "Gaussian numbers": rng.normal(size=matrix.shape),
    }
    for name, values in shapes.items():
        ordered = np.sort(values, axis=1)
        yield shows("across, as it is", _neighbours(values), under=name)
        yield shows("across, sorted", _neighbours(ordered), under=name)
        yield shows("down, sorted", _neighbours(ordered.T), under=name)
    plain = _neighbours(np.sort(shapes["Gaussian numbers"], axis=1))
    said = "coherence of sorted random numbers, if sorting found structure"
    yield says(said, 0.03, plain, tolerance=0.05)


@check("phi-sort-free")
def sorting_with_index(weights, rng):
    """Sorted rows times gathered inputs against the plain product; bits of the permutations."""
    matrix = next(iter(matrices(weights).values())).astype(float)
    x = rng.normal(size=matrix.shape[1])
    order = np.argsort(matrix, axis=1)
    gathered = (np.take_along_axis(matrix, order, axis=1) * x[order]).sum(axis=1)
    difference = np.abs(gathered - matrix @ x).max() / np.abs(matrix @ x).max()
    yield says("largest difference of the products, relative", 0.0, difference, tolerance=1e-12)
    for n in sorted({768, 1024, 3072, matrix.shape[1]}):
        yield shows(f"bits a weight of the permutation, {n} columns", lgamma(n + 1) / log(2) / n)


def _gaussian(matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=matrix.shape)


def _heavy(matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Independent Student t with the kurtosis of the matrix, its rows scaled to one deviation."""
    excess = kurtosis(matrix / np.maximum(matrix.std(axis=1, keepdims=True), 1e-30), axis=None)
    return rng.standard_t(4 + 6 / max(excess, 0.01), matrix.shape)


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _neighbours(matrix: np.ndarray) -> float:
    """Correlation of each value with the one to its right."""
    return float(np.corrcoef(matrix[:, :-1].ravel(), matrix[:, 1:].ravel())[0, 1])


def _amplification(name: str, x: np.ndarray, y: np.ndarray, times: int, rng) -> float:
    """Root mean square error after map, rounding and inverse map, over that of rounding."""
    a, b = x, y
    place = rng.permutation(len(x))
    for _ in range(times):
        if name == "cat map":
            a, b = (a + b) % 1, (a + 2 * b) % 1
        elif name == "baker's map":
            a, b = 2 * a % 1, (b + np.floor(2 * a)) / 2
        elif name == "golden rotation":
            a, b = (a + PHI) % 1, (b + PHI) % 1
        else:
            a, b = a[place], b[place]
    a, b = _steps(a), _steps(b)
    for _ in range(times):
        if name == "cat map":
            a, b = (2 * a - b) % 1, (b - a) % 1
        elif name == "baker's map":
            a, b = (a + np.floor(2 * b)) / 2, 2 * b % 1
        elif name == "golden rotation":
            a, b = (a - PHI) % 1, (b - PHI) % 1
        else:
            a, b = a[np.argsort(place)], b[np.argsort(place)]
    error = _around(np.stack([a - x, b - y]))
    plain = _around(np.stack([_steps(x) - x, _steps(y) - y]))
    return float(np.sqrt(np.square(error).mean() / np.square(plain).mean()))


def _steps(values: np.ndarray, count: int = 256) -> np.ndarray:
    return (np.floor(values * count) + 0.5) / count


def _around(difference: np.ndarray) -> np.ndarray:
    """Differences on a circle of circumference 1."""
    return difference - np.rint(difference)
