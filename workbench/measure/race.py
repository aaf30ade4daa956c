"""The race: our ternary products, NumPy, textbook variants and llama.cpp, in one run, in turn."""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from workbench import kernels, ternary
from workbench.errors import WorkbenchError
from workbench.measure import machine, peers
from workbench.measure.textbook import TEXTBOOK
from workbench.measure.timing import race

OURS = ("planar", "base3")
NUMPY = "numpy float32"
LLAMA = "llama.cpp TQ2_0 vec_dot"
CEILING = "ceiling: u8 x s8 in L1"
READING = "ceiling: reading 2 bits a weight"
PEER_TOLERANCE = 1e-3  # of the largest result: llama.cpp sums in float32, with float16 scales
MAX_COLS = 65_536  # what every kernel takes
MEMORY_A_WEIGHT = 20  # bytes, with every kernel's copy and the checks


@dataclass(frozen=True)
class Stored:
    """A matrix as one kernel wants it.

    Attributes
    ----------
    nbytes : int
        What stands for the weights.
    bind : function of x int8 (tokens, cols) and threads
        Returns the call that is timed, whose result is (tokens, rows).
    decode : function without arguments, optional
        The weights as they were stored, for kernels that round them.
    """

    nbytes: int
    bind: Callable[[np.ndarray, int], Callable[[], np.ndarray]]
    decode: Callable[[], np.ndarray] | None = None


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
        ratio_max, ratio_numpy (likewise, to NumPy's float32), nbytes (of the weights), machine
        (the facts that these numbers hold for).

    Raises
    ------
    WorkbenchError
        A number that is not allowed, a pattern that no kernel matches, kernels that are not
        compiled, or a product that is wrong.
    """
    counts = list(itertools.product(threads, tokens))
    shapes = list(shapes)
    for shape in shapes:
        for thread_count, token_count in counts:
            _check_problem(shape, thread_count, token_count)
    plain = [name for name in (*OURS, "peak") if not kernels.status(name).compiled]
    if plain:
        raise WorkbenchError(
            f"a race needs compiled kernels, but {', '.join(plain)} are not: run `make kernels`"
        )
    rows = []
    for index, shape in enumerate(shapes):
        codes = ternary.quantize(
            np.random.default_rng(0).standard_normal(shape, dtype=np.float32), scale="tensor"
        ).codes
        stored = _store(codes, only)
        for turn, (thread_count, token_count) in enumerate(counts):
            done = 100 * (index * len(counts) + turn)
            label = f"{shape[0]}x{shape[1]}, threads {thread_count}, tokens {token_count}"

            def report(part, whole, name, done=done, label=label):
                total = 100 * len(shapes) * len(counts)
                progress(done + 100 * part // whole, total, f"{label}: {name}")

            rows += _race_one(
                *(codes, stored, thread_count, token_count, only, seconds),
                report if progress else None,
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
    facts = machine.measured_facts(threads)
    points = [
        (row["kernel"], _operations(row) / _bytes_moved(row), row["gops"])
        for row in rows
        if row["kernel"] not in (CEILING, READING)
    ]
    packed = [row["nbytes"] for row in rows if row["kernel"] in OURS]
    near = {
        f"{nbytes / 2**20:.3g} MiB": machine.read_gb_s(nbytes, threads, 0.1)
        for nbytes in packed[:1]
    }
    return {
        "points": points,
        "peaks": {"u8 x s8 in L1": facts["peak_gops"]},
        "bandwidths": {"memory": facts["read_gb_s"], **near},
    }


def _check_problem(shape, threads, tokens):
    machine.check_threads(threads)
    rows, cols = shape
    if min(rows, cols, tokens) < 1 or cols > MAX_COLS:
        raise WorkbenchError(
            f"shape {rows}x{cols} with {tokens} tokens is not allowed: each is a whole number "
            f"from 1 up, and columns are at most {MAX_COLS}"
        )
    need, free = MEMORY_A_WEIGHT * rows * cols, psutil.virtual_memory().available
    if need > free:
        raise WorkbenchError(
            f"shape {rows}x{cols} is not allowed: its race takes {need / 1e9:.1f} GB of memory, "
            f"and {free / 1e9:.1f} GB are free"
        )


def _race_one(codes, stored, threads, tokens, only, seconds, progress):
    x = _activations(tokens, codes.shape[1])
    calls = {name: matrix.bind(x, threads) for name, matrix in stored.items()}
    _check_products(codes, stored, calls, x, threads)
    nbytes = {name: matrix.nbytes for name, matrix in stored.items()}
    nbytes |= {READING: max(codes.size // 4, 8), CEILING: 0}
    if _wanted(READING, only):
        calls[READING] = machine.reads(nbytes[READING], threads)
    share = 1.0
    if _wanted(CEILING, only):
        calls[CEILING], share = _ceiling(codes.size * tokens, threads)

    peer = LLAMA if LLAMA in calls else NUMPY
    laps = race(calls, to=[peer, NUMPY], threads=threads, seconds=seconds, progress=progress)
    rows = []
    for name, lap in laps.items():
        scale = share if name == CEILING else 1.0
        ratio = lap.ratios[peer]
        row = {
            "kernel": name,
            "rows": codes.shape[0],
            "cols": codes.shape[1],
            "tokens": tokens,
            "threads": threads,
            "median_s": lap.timing.median_s * scale,
            "min_s": lap.timing.min_s * scale,
            "max_s": lap.timing.max_s * scale,
            "gops": 0.0,
            "ratio_to": peer,
            "ratio": ratio.median / scale,
            "ratio_min": ratio.min / scale,
            "ratio_max": ratio.max / scale,
            "ratio_numpy": lap.ratios[NUMPY].median / scale,
            "nbytes": nbytes[name],
            "machine": machine.summary(),
        }
        row["gops"] = _operations(row) / row["median_s"] / 1e9
        rows.append(row)
    return rows


def _activations(tokens, cols):
    """int8 activations with 127 in every block of 32.

    llama.cpp scales each block to a largest magnitude of 127, and so takes these as they are.
    """
    x = np.random.default_rng(tokens).standard_normal((tokens, cols), dtype=np.float32)
    x, _ = ternary.quantize_activations(x)
    x[:, ::32] = 127
    return x


def _store(codes, only) -> dict[str, Stored]:
    """The matrix in every form that is to race, by the kernel's name, and those of the peers."""
    makers = dict(_makers(codes))
    known = [*makers, READING, CEILING]
    if not any(_wanted(name, only) for name in known):
        raise WorkbenchError(f"only={only!r} matches no kernel; there are {', '.join(known)}")
    return {
        name: make()
        for name, make in makers.items()
        if name in (NUMPY, LLAMA) or _wanted(name, only)
    }


def _wanted(name, only):
    return any(fnmatchcase(name, pattern) for pattern in only.split(","))


def _makers(codes) -> Iterator[tuple[str, Callable[[], Stored]]]:
    """Name and maker of every form that this shape and this machine allow."""
    for layout in OURS:
        yield layout, functools.partial(_ours, codes, layout)
    yield NUMPY, functools.partial(_numpy, codes)
    for textbook in TEXTBOOK:
        yield textbook.name, functools.partial(_textbook, codes, textbook)
    if peers.available():
        peer_matrix = functools.cache(lambda kind: peers.PeerMatrix(kind, codes.astype(np.float32)))
        for kind, peer_type in peers.TYPES.items():
            if codes.shape[1] % peer_type.block == 0:
                for way in peers.ways(kind):
                    make = functools.partial(_peer, peer_matrix, kind, way)
                    yield f"llama.cpp {kind} {way}", make


def _ours(codes, layout):
    packed = ternary.pack(codes, layout)
    return Stored(
        packed.nbytes, lambda x, threads: lambda: ternary.matmul_tokens(packed, x, threads)
    )


def _numpy(codes):
    weights = codes.astype(np.float32)

    def bind(x, threads):
        activations = np.ascontiguousarray(x.T, dtype=np.float32)  # BLAS is faster this way round
        result = np.empty((len(weights), len(x)), np.float32)
        return lambda: np.matmul(weights, activations, out=result).T

    return Stored(weights.nbytes, bind)


def _textbook(codes, textbook):
    matrix = textbook(codes)
    return Stored(matrix.nbytes, matrix.product)


def _peer(peer_matrix, kind, way):
    matrix = peer_matrix(kind)
    return Stored(
        matrix.nbytes,
        lambda x, threads: matrix.product(x.astype(np.float32), way, threads),
        matrix.decode,
    )


def _ceiling(multiplications, threads):
    """A call of about so much work in L1, and what share of it the problem is."""
    repeats = max(1, round(2 * multiplications / threads / machine.TILE_OPERATIONS))
    share = 2 * multiplications / (repeats * threads * machine.TILE_OPERATIONS)
    return machine.multiply_adds(repeats, threads), share


def _check_products(codes, stored, calls, x, threads):
    """Refuse a kernel whose product is not the exact one (of llama.cpp's: not near its own)."""
    floats = x.astype(np.float32)
    some = slice(None, None, max(1, len(codes) // 8))
    with threadpool_limits(limits=threads):
        exact = floats @ codes.T.astype(np.float32)  # whole numbers below 2^24
        if not np.array_equal(exact[:, some], x.astype(int) @ codes[some].T.astype(int)):
            raise WorkbenchError("NumPy's float32 product of small integers is not exact here")
        for name, call in calls.items():
            decode, expected, tolerance = stored[name].decode, exact, 0.0
            if decode is not None:
                expected, tolerance = floats @ decode().T, PEER_TOLERANCE * np.abs(exact).max()
            if not np.abs(call() - expected).max() <= tolerance:
                raise WorkbenchError(f"kernel {name!r} gives a wrong product, so it is not raced")


def _operations(row):
    return 2 * row["rows"] * row["cols"] * row["tokens"]


def _bytes_moved(row):
    return row["nbytes"] + row["tokens"] * (row["cols"] + 4 * row["rows"])
