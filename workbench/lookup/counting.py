"""What groups of trits look like: how often patterns occur, how near they are, how zeros run.

Every function takes a ternary matrix (rows, cols) or several; groups are neighbours along the
rows, and columns left over are dropped. `nulls` makes the matrices to hold the numbers against.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64, Int8, Int32, Int64

from workbench.errors import WorkbenchError
from workbench.lookup import independent, patterns
from workbench.lookup.tiers import CHANGES, TIERS, nearest_stored

RUN_BITS = 2 + 4  # of the document's run-length code: a trit and a length up to 16
SAMPLE = 4000  # patterns whose nearest base is looked for


def canonical_numbers(
    matrices: np.ndarray | Iterable[np.ndarray], g: int = 16
) -> Int32[np.ndarray, " groups"]:
    """Canonical number of every whole group of g trits."""
    found = [np.abs(patterns.numbers(_whole(matrix, g))).ravel() for matrix in _each(matrices)]
    return np.concatenate(found)


def ranked(numbers: np.ndarray) -> tuple[Int32[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Patterns that occur and how often, most frequent first; of equal ones the lower number."""
    found, times = np.unique(numbers, return_counts=True)
    order = np.argsort(-times, kind="stable")
    return found[order].astype(np.int32), times[order]


def coverage(numbers: np.ndarray) -> Float64[np.ndarray, " n"]:
    """Share of all groups that the most frequent pattern, the first two, the first three … are."""
    _, times = ranked(numbers)
    return np.cumsum(times) / times.sum()


def halves(numbers: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The groups split in two at random: one half to rank patterns on, the other to look up."""
    mixed = rng.permutation(numbers)
    return mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]


def hit_rate(seen: np.ndarray, tested: np.ndarray, top: int, rng: np.random.Generator) -> float:
    """Share of `tested` among the `top` most frequent of `seen`, equal ones at random."""
    found, times = np.unique(seen, return_counts=True)
    order = np.argsort(-(times + rng.random(len(times))))
    return float(np.isin(tested, found[order[:top]]).mean())


def tier_shares(
    numbers: np.ndarray,
    rng: np.random.Generator,
    *,
    g: int = 16,
    hot: int = 10_000,
    warm: int = 100_000,
    radius: int = CHANGES,
    sample: int = SAMPLE,
) -> dict[str, float]:
    """Shares of lookups that four tiers answer, ranked on half of the groups, tested on the other.

    Parameters
    ----------
    numbers : int32 array
        Canonical patterns of g trits.
    hot, warm : int
        Patterns in tier 1, and in tiers 1 and 2 together (the document's 10,000 and 100,000).
    radius : int
        Trits in which a pattern of tier 3 may differ from one of tiers 1 and 2, of either sign.
    sample : int
        Tested patterns whose distance is found.
    """
    seen, tested = halves(numbers, rng)
    found, times = np.unique(seen, return_counts=True)
    order = np.argsort(-(times + rng.random(len(times))))
    kept = found[order[:warm]].astype(np.int32)
    first = float(np.isin(tested, kept[:hot]).mean())
    both = float(np.isin(tested, kept).mean())
    outside = tested[~np.isin(tested, kept)]
    near = 0.0
    if len(outside):
        drawn = rng.choice(outside, min(sample, len(outside)), replace=False).astype(np.int32)
        _, distance = nearest_stored(drawn, kept, g)
        near = float((distance <= radius).mean()) * (1 - both)
    return dict(zip(TIERS, (first, both - first, near, 1 - both - near), strict=True))


def neighbour_distances(
    matrices: np.ndarray | Iterable[np.ndarray], g: int = 16
) -> dict[str, Float64[np.ndarray, " distances"]]:
    """Share of groups that differ in 0, 1, ... g trits from that beside them and that below."""
    beside, below = np.zeros(g + 1), np.zeros(g + 1)
    for matrix in _each(matrices):
        groups = _whole(matrix, g)
        for counts, apart in (
            (beside, (groups[:, 1:] != groups[:, :-1]).sum(axis=2)),
            (below, (groups[1:] != groups[:-1]).sum(axis=2)),
        ):
            counts += np.bincount(apart.ravel(), minlength=g + 1)
    return {
        name: counts / max(counts.sum(), 1)
        for name, counts in (("beside", beside), ("below", below))
    }


def pair_distances(
    numbers: np.ndarray, rng: np.random.Generator, g: int = 16, pairs: int = 1_000_000
) -> Float64[np.ndarray, " distances"]:
    """Share of random pairs of groups that differ in 0, 1, ... g trits (of canonical signs)."""
    chosen = patterns.trits(rng.choice(numbers, (2, pairs)), g)
    apart = (chosen[0] != chosen[1]).sum(axis=1)
    return np.bincount(apart, minlength=g + 1) / pairs


def distances_to(
    numbers: np.ndarray,
    bases: np.ndarray,
    rng: np.random.Generator,
    g: int = 16,
    sample: int = SAMPLE,
) -> Float64[np.ndarray, " distances"]:
    """Share of groups whose nearest base, of either sign, differs in 0, 1, ... g trits."""
    drawn = rng.choice(numbers, min(sample, len(numbers)), replace=False).astype(np.int32)
    _, distance = nearest_stored(drawn, np.asarray(bases, np.int32), g)
    return np.bincount(distance, minlength=g + 1) / len(drawn)


def zero_runs(matrices: np.ndarray | Iterable[np.ndarray]) -> Int64[np.ndarray, " lengths"]:
    """How many runs of 0, 1, 2, ... zeros there are; a run ends with its row (0: none of those)."""
    found = []
    for matrix in _each(matrices):
        zero = np.pad(matrix == 0, ((0, 0), (1, 1))).astype(np.int8)
        step = np.diff(zero, axis=1)
        found.append(np.nonzero(step == -1)[1] - np.nonzero(step == 1)[1])
    lengths = np.concatenate(found)
    return np.bincount(lengths, minlength=1)


def run_length_bits(matrices: np.ndarray | Iterable[np.ndarray], g: int = 16) -> float:
    """Bits of a group as the document's run lengths, 2 + 4 a run; runs end with their group."""
    runs, groups = 0, 0
    for matrix in _each(matrices):
        kept = _whole(matrix, g)
        runs += kept[..., 0].size + np.count_nonzero(np.diff(kept, axis=2))
        groups += kept[..., 0].size
    return RUN_BITS * runs / groups


def magnitudes(x: np.ndarray) -> Float64[np.ndarray, " 129"]:
    """Share of int8 activations of magnitude at most 0, 1, ... 128."""
    counts = np.bincount(np.abs(x.astype(np.int16)).ravel(), minlength=129)
    return np.cumsum(counts) / counts.sum()


def partial_sums(
    codes: Int8[np.ndarray, "rows cols"], x: Int8[np.ndarray, "tokens cols"], g: int = 16
) -> Int64[np.ndarray, " magnitudes"]:
    """How many sums of a group's activations are of magnitude 0, 1, ... 128 g: what entries hold.

    Parameters
    ----------
    codes : int8 array (rows, cols)
    x : int8 array (tokens, cols)
        A million sums take a second; give few rows and tokens.
    """
    if x.dtype != np.int8 or x.ndim != 2 or x.shape[1] != codes.shape[1]:
        raise WorkbenchError(
            f"x is {x.dtype} {x.shape}, but must be int8 (tokens, {codes.shape[1]})"
        )
    w = _whole(codes, g)
    tokens = x[:, : w.shape[1] * g].reshape(len(x), -1, g)
    counts = np.zeros(128 * g + 1, np.int64)
    for column in range(w.shape[1]):
        sums = w[:, column].astype(np.int32) @ tokens[:, column].T.astype(np.int32)
        counts += np.bincount(np.abs(sums).ravel(), minlength=len(counts))
    return counts


def nulls(
    matrices: np.ndarray | Iterable[np.ndarray], rng: np.random.Generator
) -> dict[str, np.ndarray | list[np.ndarray]]:
    """Matrices of the same shapes without any order: their rows shuffled, and independent trits."""
    each = _each(matrices)
    found = {
        "shuffled rows": [rng.permuted(matrix, axis=1) for matrix in each],
        "independent 28/44/28": [independent.draw(matrix.shape, rng) for matrix in each],
    }
    if isinstance(matrices, np.ndarray):
        return {name: only for name, (only,) in found.items()}
    return found


def summary(
    matrices: np.ndarray | Iterable[np.ndarray], rng: np.random.Generator, g: int = 16
) -> list[dict]:
    """The numbers of this module on matrices and on their nulls, a row each.

    Returns
    -------
    list of dict
        of, groups, zeros, distinct (patterns), entropy_bits (of patterns as they occur here, a
        trit), top_1, top_100, top_10000 (share of all groups), repeats (share of the groups of one
        half that occur in the other), zero_run (mean), longest_run, run_length_bits (a trit),
        below_1, below_2 (share of groups that differ from the one below in 1 and in 2 trits).
    """
    matrices = _each(matrices)
    rows = []
    for name, each in {"matrix": matrices, **nulls(matrices, rng)}.items():
        numbers = canonical_numbers(each, g)
        _, times = ranked(numbers)
        share = times / times.sum()
        first, second = halves(numbers, rng)
        runs = zero_runs(each)
        below = neighbour_distances(each, g)["below"]
        zeros = sum(np.count_nonzero(matrix == 0) for matrix in each)
        row = {"of": name, "groups": len(numbers), "zeros": zeros / sum(m.size for m in each)}
        bits = -(share * np.log2(share)).sum() + (numbers != 0).mean()  # the latter for signs
        row |= {"distinct": len(times), "entropy_bits": float(bits / g)}
        row |= {f"top_{top}": float(share[:top].sum()) for top in (1, 100, 10_000)}
        row["repeats"] = float(np.isin(second, first).mean())
        row["zero_run"] = float((runs * np.arange(len(runs))).sum() / max(runs.sum(), 1))
        row["longest_run"] = len(runs) - 1
        row["run_length_bits"] = run_length_bits(each, g) / g
        row |= {f"below_{k}": float(below[k]) for k in (1, 2)}
        rows.append(row)
    return rows


def _each(matrices):
    return [matrices] if isinstance(matrices, np.ndarray) else list(matrices)


def _whole(matrix, g):
    """Whole groups (rows, groups, g)."""
    kept = matrix.shape[1] // g * g
    if kept == 0:
        raise WorkbenchError(f"a matrix of {matrix.shape[1]} columns has no group of {g} trits")
    return patterns.group(matrix[:, :kept], g)[0]
