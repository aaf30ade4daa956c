"""The race: our ternary products, NumPy, textbook variants and llama.cpp, in one run, in turn."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product

import numpy as np

from workbench import ternary
from workbench.errors import WorkbenchError
from workbench.measure import peers
from workbench.measure.machine import (
    TILE_OPERATIONS,
    check_threads,
    measured_facts,
    multiply_adds,
    read_gb_s,
)
from workbench.measure.textbook import TEXTBOOK
from workbench.measure.timing import race

OURS = ("planar", "base3")
NUMPY = "numpy float32"
LLAMA = "llama.cpp TQ2_0 vec_dot"
CEILING = "ceiling: u8 x s8 in L1"
PEER_TOLERANCE = 0.02  # llama.cpp rounds the activations again, block by block


@dataclass(frozen=True)
class Runner:
    """One way to make the product of a problem.

    Attributes
    ----------
    call : function without arguments
        Returns (tokens, rows), or None where it only does as much work.
    nbytes : int
        What stands for the weights.
    share : float
        Operations of the problem over those that a call makes: 1 but for the ceiling.
    rounds_to : array (tokens, rows), optional
        The product that llama.cpp should come near: with the weights as its type stores them.
    """

    call: Callable[[], np.ndarray | None]
    nbytes: int
    share: float = 1.0
    rounds_to: np.ndarray | None = None


def bench_matmul(
    shapes: Iterable[tuple[int, int]] = ((2048, 2048),),
    threads: Iterable[int] = (1,),
    tokens: Iterable[int] = (1,),
    *,
    only: str = "*",
    seconds: float = 5.0,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[dict]:
    """Race every kernel on every combination of shape, threads and tokens.

    The weights are those of a seeded Gaussian matrix, rounded as BitNet b1.58 does; the activations
    are int8. Every product is checked against the exact one before it is timed. Only the product
    is timed: packing is not, but the tables that Four Russians builds from the activations are.

    Parameters
    ----------
    shapes : iterable of (rows, cols)
    threads, tokens : iterables of int
    only : str
        Patterns of kernel names, separated by commas; the peers that ratios refer to always run.
    seconds : float
        A problem's time, shared out evenly; a kernel too slow for its share still runs three times.
    progress : function of (done, total, what), optional

    Returns
    -------
    list of dict
        kernel, rows, cols, tokens, threads, median_s, min_s, max_s, gops (10^9 operations a second
        at the median; an addition and a multiplication are two), ratio_to (llama.cpp's TQ2_0 where
        it can be raced, else NumPy), ratio (its time over ours, in pairs: median), ratio_min,
        ratio_max, ratio_numpy (likewise, to NumPy's float32), nbytes (of the weights).

    Raises
    ------
    WorkbenchError
        A number that is not allowed, a pattern that no kernel matches, or a product that is wrong.
    """
    problems = list(product(shapes, threads, tokens))
    for shape, thread_count, token_count in problems:
        check_threads(thread_count)
        if min(*shape, token_count) < 1:
            raise WorkbenchError(
                f"shape {shape[0]}x{shape[1]} with {token_count} tokens is not allowed: each is a "
                "whole number from 1 up"
            )
    rows = []
    for index, (shape, thread_count, token_count) in enumerate(problems):
        label = f"{shape[0]}x{shape[1]}, threads {thread_count}, tokens {token_count}"

        def report(done, total, name, index=index, label=label):
            progress(100 * index + 100 * done // total, 100 * len(problems), f"{label}: {name}")

        rows += _race_one(
            *(shape, thread_count, token_count, only, seconds), report if progress else None
        )
    return rows


def roofline(rows: Sequence[Mapping]) -> dict:
    """What `workbench.ui.figures.roofline` draws, from rows of `bench_matmul` of one thread count.

    Returns
    -------
    dict
        points: (kernel, operations a byte, 10^9 operations a second) each; the bytes are those of
        weights, activations and results, moved once. peaks, bandwidths: the measured ceilings of
        the machine, with the speed at which a buffer as large as the packed matrix is read.
    """
    threads = {row["threads"] for row in rows}
    if len(threads) != 1:
        raise WorkbenchError(f"rows are of {len(threads)} thread counts, but must be of one")
    [threads] = threads
    facts = measured_facts(threads)
    points = [
        (row["kernel"], _operations(row) / _bytes_moved(row), row["gops"])
        for row in rows
        if row["kernel"] != CEILING
    ]
    packed = [row["nbytes"] for row in rows if row["kernel"] in OURS]
    near = {f"{nbytes / 2**20:.3g} MiB": read_gb_s(nbytes, threads, 0.1) for nbytes in packed[:1]}
    return {
        "points": points,
        "peaks": {"u8 x s8 in L1": facts["peak_gops"]},
        "bandwidths": {"memory": facts["read_gb_s"], **near},
    }


def _race_one(shape, threads, tokens, only, seconds, progress):
    runners = _runners(shape, threads, tokens, only)
    peer = LLAMA if LLAMA in runners else NUMPY
    calls = {name: runner.call for name, runner in runners.items()}
    laps = race(calls, to=[peer, NUMPY], threads=threads, seconds=seconds, progress=progress)
    rows = []
    for name, lap in laps.items():
        share = runners[name].share
        seconds_of = {
            f"{which}_s": getattr(lap.timing, f"{which}_s") * share
            for which in ("median", "min", "max")
        }
        ratio = lap.ratios[peer]
        row = {
            "kernel": name,
            **dict(zip(("rows", "cols"), shape, strict=True)),
            "tokens": tokens,
            "threads": threads,
            **seconds_of,
            "gops": 0.0,
            "ratio_to": peer,
            "ratio": ratio.median / share,
            "ratio_min": ratio.min / share,
            "ratio_max": ratio.max / share,
            "ratio_numpy": lap.ratios[NUMPY].median / share,
            "nbytes": runners[name].nbytes,
        }
        row["gops"] = _operations(row) / row["median_s"] / 1e9
        rows.append(row)
    return rows


def _runners(shape, threads, tokens, only) -> dict[str, Runner]:
    """The chosen kernels by name, each found right on this problem."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(shape, dtype=np.float32)
    codes = ternary.quantize(weights, scale="tensor").codes
    x, _ = ternary.quantize_activations(rng.standard_normal((tokens, shape[1]), dtype=np.float32))
    exact = x.astype(np.float32) @ codes.T.astype(np.float32)  # whole numbers below 2^24

    always = {NUMPY, LLAMA}
    makers = dict(_makers(codes, x, threads))
    chosen = [name for name in makers if any(fnmatchcase(name, p) for p in only.split(","))]
    if not chosen:
        raise WorkbenchError(f"only={only!r} matches no kernel; there are {', '.join(makers)}")
    runners = {}
    for name, make in makers.items():
        if name in chosen or name in always:
            runners[name] = runner = make()
            _check(name, runner, exact)
    return runners


def _makers(codes, x, threads) -> Iterator[tuple[str, Callable[[], Runner]]]:
    """Name and maker of every runner that this shape and this machine allow."""
    for layout in OURS:
        yield layout, lambda layout=layout: _ours(codes, x, threads, layout)
    yield NUMPY, lambda: _numpy(codes, x)
    for textbook in TEXTBOOK:
        yield textbook.name, lambda textbook=textbook: _textbook(textbook(codes), x, threads)
    if peers.available():
        for kind, block in (("TQ2_0", 256), ("TQ1_0", 256), ("Q4_0", 32), ("Q8_0", 32)):
            if codes.shape[1] % block == 0:
                for way in peers.ways(kind):
                    name = f"llama.cpp {kind} {way}"
                    yield name, lambda kind=kind, way=way: _peer(codes, x, threads, kind, way)
    yield CEILING, lambda: _ceiling(codes.size * len(x), threads)


def _ours(codes, x, threads, layout):
    packed = ternary.pack(codes, layout)
    return Runner(lambda: ternary.matmul_tokens(packed, x, threads), packed.data.nbytes)


def _numpy(codes, x):
    weights, activations = codes.astype(np.float32), x.astype(np.float32)
    result = np.empty((len(x), len(codes)), np.float32)
    return Runner(lambda: np.matmul(activations, weights.T, out=result), weights.nbytes)


def _textbook(matrix, x, threads):
    return Runner(matrix.product(x, threads), matrix.nbytes)


def _peer(codes, x, threads, kind, way):
    x = x.astype(np.float32)
    matrix = peers.PeerMatrix(kind, codes.astype(np.float32))
    call = matrix.product(x, way, threads)
    return Runner(call, matrix.nbytes, rounds_to=x @ matrix.decode().T)


def _ceiling(multiplications, threads):
    repeats = max(1, round(2 * multiplications / threads / TILE_OPERATIONS))
    work = multiply_adds(repeats, threads)
    share = 2 * multiplications / (repeats * threads * TILE_OPERATIONS)

    def call():
        work()

    return Runner(call, 0, share)


def _check(name, runner, exact):
    """Refuse a kernel whose product is not the exact one (of llama.cpp's: not near its own)."""
    result = runner.call()
    if result is None:
        return
    if runner.rounds_to is None:
        right = np.array_equal(result, exact)
    else:
        off = np.linalg.norm(result - runner.rounds_to)
        right = off <= PEER_TOLERANCE * np.linalg.norm(runner.rounds_to)
    if not right:
        raise WorkbenchError(f"kernel {name!r} gives a wrong product, so it is not raced")


def _operations(row):
    return 2 * row["rows"] * row["cols"] * row["tokens"]


def _bytes_moved(row):
    return row["nbytes"] + row["tokens"] * (row["cols"] + 4 * row["rows"])
