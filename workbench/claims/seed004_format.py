"""Seed 004: the grid as a number format, its energy, bits and ratio."""

from contextlib import suppress
from math import sqrt

import numpy as np
from scipy.stats import beta

from workbench.claims.checks import check, null, says, shows
from workbench.claims.grids import (
    EULER,
    PHI,
    draw,
    indices,
    levels,
    rounded,
    snr,
    uniform_levels,
    uniform_steps,
    with_deviation,
)
from workbench.claims.material import matrices, recorded_inputs, shuffled_rows
from workbench.errors import WorkbenchError

GRID = levels(PHI, 32)
SOME = 600_000  # weights of a model that are enough for a mean over all of them


@check("phi-energy-53-35")
def energy_shares():
    """The shares' sum, and the cross term that it leaves out."""
    truth, deviation = 0.535, 0.348
    yield says("sum of the shares of energy", 1.0, truth + deviation, tolerance=0.01)
    cross = 1 - truth - deviation
    yield shows("cross term 2 t.d", cross)
    yield shows("correlation of t and d", cross / 2 / sqrt(truth * deviation))
    with_weights = (truth + cross / 2) / sqrt(truth)
    yield shows("correlation of t and the weights", with_weights)
    yield shows("energy left by the best multiple of t", 1 - with_weights**2)


@check("phi-energy-is-1-bit")
def energy_of_nearest(weights, rng):
    """Energy of grid part and deviation when weights go to the nearest of 32 levels."""
    found = [_energies(matrix) for matrix in matrices(weights, SOME).values()]
    truth, deviation, cross = np.mean(found, axis=0)
    yield says("energy of the grid part", "0.535", truth)
    yield says("energy of the deviation", "0.348", deviation)
    yield shows("cross term", cross)
    for kind in ("Gaussian", "Laplace"):
        names = ("grid part", "deviation", "cross term")
        yield null(kind, dict(zip(names, _energies(draw(kind, rng)), strict=True)))
    w = draw("Gaussian", rng)
    sign = np.sign(w) * np.abs(w).mean(axis=1, keepdims=True)
    left = np.square(w - sign).sum() / np.square(w).sum()
    numbers = {"deviation": left, "correlation": np.corrcoef(w.ravel(), sign.ravel())[0, 1]}
    yield null("Gaussian, one sign a weight", numbers)


@check("phi-half-free")
def index_entropy(weights, rng):
    """Entropy of the 5-bit index: what must be stored for the "free" part."""
    found = np.mean([_entropy(matrix) for matrix in matrices(weights, SOME).values()])
    yield says("bits of the index a weight", 0.0, found)
    yield null("Gaussian", {"bits of the index a weight": _entropy(draw("Gaussian", rng))})


@check("phi-13-14-bits")
def bits_and_ratio():
    """32 bits over index and deviation."""
    yield says("13 bits", "2.46", 32 / 13)
    yield says("14 bits", "2.3", 32 / 14)
    yield shows("13 bits, from 16", 16 / 13)


@check("phi-format-quality")
def format_quality(weights, rng):
    """Signal to noise of the format at 13 bits and of plain rounding at 13 bits."""
    sources = {"the model": list(matrices(weights, SOME).values())}
    sources["Gaussian"] = [draw("Gaussian", rng)]
    for name, found in sources.items():
        plain = np.mean([snr(m, uniform_steps(m, 2**13)) for m in found])
        phi = np.mean([snr(m, with_deviation(m, GRID)) for m in found])
        euler = np.mean([snr(m, with_deviation(m, levels(EULER, 32))) for m in found])
        yield says(
            "phi grid at least as good as plain rounding",
            plain,
            phi,
            unit="dB",
            relation=">=",
            under=name,
        )
        yield shows("grid e/sqrt 5", euler, unit="dB", under=name)
        yield shows(
            "plain 8 bits",
            np.mean([snr(m, uniform_steps(m, 2**8)) for m in found]),
            unit="dB",
            under=name,
        )
        yield shows(
            "bfloat16 (16 bits)",
            np.mean([snr(m, _bfloat16(m)) for m in found]),
            unit="dB",
            under=name,
        )


@check("phi-sixth-bit")
def sixth_bit(weights):
    """What 64 levels add to 32 with the 8-bit deviation, for both ratios."""
    found = list(matrices(weights, SOME).values())
    for name, ratio in (("ratio phi", PHI), ("ratio e/sqrt 5", EULER)):
        five, six = (
            np.mean([snr(m, with_deviation(m, levels(ratio, count))) for m in found])
            for count in (32, 64)
        )
        yield says("gain of a sixth bit", 1.0, six - five, unit="dB", relation=">=", under=name)
        yield shows("with 32 levels", five, unit="dB", under=name)


@check("phi-special-ratio")
def best_ratio(weights, rng):
    """The ratio of least squared error among 1.05 to 2.5, at 32 levels."""
    ratios = [*np.arange(1.05, 2.501, 0.05), PHI, EULER]
    found = list(matrices(weights, SOME).values())
    errors = {ratio: np.mean([_relative(m, ratio) for m in found]) for ratio in ratios}
    yield says("best ratio", 1.618, min(errors, key=errors.get), tolerance=0.05)
    yield shows("relative squared error at the best", min(errors.values()))
    yield shows("at phi", errors[PHI])
    yield shows("at e/sqrt 5", errors[EULER])
    yield shows("uniform 5 bits", np.mean([_left(m, uniform_levels(32)) for m in found]))
    for kind in ("Gaussian", "Laplace"):
        w = draw(kind, rng)
        errors = {ratio: _relative(w, ratio) for ratio in ratios}
        numbers = {"best ratio": min(errors, key=errors.get), "error there": min(errors.values())}
        numbers |= {"error at phi": errors[PHI], "error at e/sqrt 5": errors[EULER]}
        yield null(kind, numbers | {"uniform 5 bits": _left(w, uniform_levels(32))})
    fibonacci = [1, 1]
    while len(fibonacci) < 40:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    limit = fibonacci[-1] / fibonacci[-2]
    yield says("limit of Fibonacci ratios", PHI, limit, tolerance=1e-12)


@check("phi-two-thirds-exact")
def two_of_three():
    """The interval of a rate of which 2 of 3 were seen."""
    low, high = beta.ppf(0.025, 2, 2), beta.ppf(0.975, 3, 1)
    yield shows("95% interval of the rate", [float(low), float(high)])


@check("phi-5bit-goal")
def index_only(weights, rng):
    """Bits, and the share of the deviation that row, column and index predict, held out."""
    yield says("32 bits over 5", "6.4", 32 / 5, under="size of the index")
    found = list(matrices(weights, SOME).values())
    share = np.mean([_predicted(m, rng) for m in found])
    label = "share of the deviation's energy predicted"
    by = "prediction from row, column and index"
    yield says(label, 0.9, share, relation=">=", under=by)
    sample = [np.mean([_predicted(shuffled_rows(m, rng), rng) for m in found]) for _ in range(5)]
    yield null("the same rows shuffled", of=f"{label} ({by})", sample=sample)
    for name, grid in (
        ("phi", GRID),
        ("e/sqrt 5", levels(EULER, 32)),
        ("uniform", uniform_levels(32)),
    ):
        quality = np.mean([snr(m, rounded(m, grid)) for m in found])
        yield shows(f"index alone, {name}", quality, unit="dB")


@check("phi-model-is-deviation")
def which_part_is_the_model(weights):
    """Energy of the deviation, and the outputs' error without deviation and without grid part."""
    shares = [_energies(matrix)[1] for matrix in matrices(weights, SOME).values()]
    yield says("share of energy in the deviation", 0.5, np.mean(shares), relation=">=")
    with suppress(WorkbenchError):  # only the bundled model has recorded inputs
        without_deviation, without_grid = [], []
        for _, matrix, x in recorded_inputs(weights):
            y = x @ matrix.T
            grid = x @ rounded(matrix, GRID).T.astype(np.float32)
            energy = np.square(y).sum()
            without_deviation.append(np.square(y - grid).sum() / energy)
            without_grid.append(np.square(grid).sum() / energy)
        yield shows("error of outputs without the deviation", np.mean(without_deviation))
        yield shows("error of outputs without the grid part", np.mean(without_grid))


def _energies(matrix: np.ndarray) -> tuple[float, float, float]:
    """Shares of the grid part, of the deviation, and twice their product."""
    grid = rounded(matrix, GRID)
    deviation = matrix - grid
    energy = np.square(matrix).sum()
    parts = np.square(grid).sum(), np.square(deviation).sum(), 2 * (grid * deviation).sum()
    return tuple(float(part / energy) for part in parts)


def _entropy(matrix: np.ndarray) -> float:
    counts = np.bincount(indices(matrix, GRID).ravel(), minlength=len(GRID))
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())


def _left(matrix: np.ndarray, grid: np.ndarray) -> float:
    """Relative squared error of rounding."""
    return float(np.square(matrix - rounded(matrix, grid)).sum() / np.square(matrix).sum())


def _relative(matrix: np.ndarray, ratio: float) -> float:
    return _left(matrix, levels(ratio, 32))


def _bfloat16(matrix: np.ndarray) -> np.ndarray:
    """Rounded to 8 significant bits, half to even."""
    bits = matrix.astype(np.float32).view(np.uint32)
    bits = bits + 0x7FFF + (bits >> 16 & 1) & np.uint32(0xFFFF0000)
    return bits.view(np.float32)


def _predicted(matrix: np.ndarray, rng: np.random.Generator) -> float:
    """Share of the deviation's energy on half of the weights that means of the other half predict.

    Means by index, then by row, then by column.
    """
    level = indices(matrix, GRID)
    left = matrix - rounded(matrix, GRID)
    known = rng.random(matrix.shape) < 0.5
    energy = np.square(left[~known]).sum()
    rows, cols = np.indices(matrix.shape)
    for group, count in ((level, len(GRID)), (rows, len(matrix)), (cols, matrix.shape[1])):
        total = np.bincount(group[known], left[known], count)
        mean = total / np.maximum(np.bincount(group[known], minlength=count), 1)
        left = left - mean[group]
    return float(1 - np.square(left[~known]).sum() / energy)
