"""How fast block formats decode to float32: by type and threads, beside gguf-py.

>>> from workbench.measure.decoding import bench_decoding
>>> bench_decoding(["Q4_1", "Q8_0"], threads=[1, 2])  # doctest: +SKIP
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import UInt8

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.formats import BLOCKS, decode_blocks
from workbench.measure.machine import check_threads
from workbench.measure.timing import race

COLS = 4096
PEER = "gguf-py"
DECODED = tuple(
    name for name, block in BLOCKS.items() if block.kernels and block.id is not None
)  # types of GGUF that have a kernel


def bench_decoding(
    types: Sequence[str] = DECODED,
    threads: Sequence[int] = (1,),
    *,
    weights: int = 2048 * COLS,
    seconds: float = 1.5,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[dict]:
    """Decode random blocks of each type.

    The array that is written is new each time, as `Tensor.read` makes it, so its pages are touched
    for the first time.

    Parameters
    ----------
    types : sequence of str
        Names in `DECODED`.
    threads : sequence of int
    weights : int
        How many to decode, up to a whole number of rows of 4096; few are decoded on one thread.
    seconds : float
        For each type.
    progress : callable (done, total, what), optional

    Returns
    -------
    list of dict
        type, threads, weights, nbytes (of the blocks), median_s, min_s, max_s, weights_per_s,
        gb_per_s (of float32 written), ratio_one (its speed over that of one thread in the same
        run; None where one thread did not run), ratio_to ("gguf-py"), ratio, ratio_min, ratio_max
        (the same; None where gguf-py has no decoder).

    Raises
    ------
    WorkbenchError
        An unknown type, or a number that is not allowed.
    """
    for name in types:
        if name not in DECODED:
            raise WorkbenchError(f"type {name!r} is not allowed: it is one of {', '.join(DECODED)}")
    for count in threads:
        check_threads(count)
    if weights < 1:
        raise WorkbenchError(f"weights={weights} is not allowed: it is a whole number from 1 up")
    rows = []
    for done, name in enumerate(types):
        if progress is not None:
            progress(done, len(types), name)
        rows += _race(name, -(-weights // COLS), threads, seconds)
    if progress is not None:
        progress(len(types), len(types), "")
    return rows


def random_blocks(name: str, rows: int, cols: int = COLS) -> UInt8[np.ndarray, "rows bytes"]:
    """Blocks of random codes, whose scales are like those of real weights."""
    block = BLOCKS[name]
    raw = np.random.default_rng(0).integers(0, 256, (rows, block.row_bytes(cols)), np.uint8)
    if block.elements > 1:  # not NaN, and not denormal, which is ten times slower
        for at in block.scales:
            raw.reshape(-1, block.bytes)[:, at : at + 2] = 0, 0x2C
    return raw


def _race(name, rows, threads, seconds):
    import gguf

    raw = random_blocks(name, rows)
    calls = {
        str(count): lambda count=count: decode_blocks(name, raw, COLS, threads=count)
        for count in threads
    }
    kind = getattr(gguf.GGMLQuantizationType, name, None)
    if kind in gguf.quants._type_traits.keys() | {gguf.GGMLQuantizationType.F16}:
        calls[PEER] = lambda: gguf.quants.dequantize(raw, kind)
    kernels.load(BLOCKS[name].kernels)  # its warning, where it is not compiled, once
    with np.errstate(all="ignore"):
        peers = [peer for peer in ("1", PEER) if peer in calls]
        laps = race(calls, to=peers, threads=max(threads), seconds=seconds)
    return [_row(name, int(who), raw, lap) for who, lap in laps.items() if who != PEER]


def _row(name, threads, raw, lap):
    timing, weights = lap.timing, len(raw) * COLS
    one, peer = lap.ratios.get("1"), lap.ratios.get(PEER)
    return {
        "type": name,
        "threads": threads,
        "weights": weights,
        "nbytes": raw.nbytes,
        "median_s": timing.median_s,
        "min_s": timing.min_s,
        "max_s": timing.max_s,
        "weights_per_s": weights / timing.median_s,
        "gb_per_s": 4 * weights / timing.median_s / 1e9,
        "ratio_one": one and one.median,
        "ratio_to": PEER,
        "ratio": peer and peer.median,
        "ratio_min": peer and peer.min,
        "ratio_max": peer and peer.max,
    }
