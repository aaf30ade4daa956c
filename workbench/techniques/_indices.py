"""How indices of patterns are stored: as they are, by the zeros between trits, by entropy."""

from typing import Literal

import numpy as np
from jaxtyping import Int8, UInt8

from workbench.errors import WorkbenchError
from workbench.techniques._arrays import pack_bits, packed_bytes, unpack_bits
from workbench.techniques._coder import Coder, code, decode

Coding = Literal["plain", "zero-run", "sparse", "range", "zstd"]
TRIT_CODINGS = ("zero-run", "sparse")  # they hold the trits; the indices follow from those
LONGEST_RUN = 7  # of zeros in one nibble
PAIR_BITS = 5  # place in a group of up to 16, and a sign


def coding_layout(coding: Coding) -> dict:
    """Layout of what `store_index` or `store_trits` returns."""
    if coding == "range":
        return {"stream": ("uint32", (None,)), "counts": ("uint32", (None,))}
    if coding == "sparse":
        return {"lengths": ("uint8", (None,)), "pairs": ("uint8", (None,))}
    return {{"plain": "index", "zero-run": "runs", "zstd": "stream"}[coding]: ("uint8", (None,))}


def store_index(index: np.ndarray, symbols: int, coding: Coder | Literal["plain"]) -> dict:
    """Arrays that hold indices below `symbols`."""
    if coding == "plain":
        return {"index": index.view(np.uint8)}
    return code(index, symbols, coding)


def load_index(
    arrays: dict, symbols: int, coding: Coder | Literal["plain"], count: int, dtype: type
) -> np.ndarray:
    """Undo `store_index`; nothing is copied of a plain one."""
    if coding == "plain":
        data = arrays["index"]
        if data.size != count * np.dtype(dtype).itemsize:
            raise WorkbenchError(
                f"array 'index' holds {data.size} bytes, but {count} indices take "
                f"{count * np.dtype(dtype).itemsize}"
            )
        return data.view(dtype)
    if coding == "range" and arrays["counts"].size != symbols:
        raise WorkbenchError(
            f"array 'counts' holds {arrays['counts'].size} numbers, but there are {symbols} symbols"
        )
    return decode(arrays, symbols, coding, (count,)).astype(dtype, copy=False)


def store_trits(codes: Int8[np.ndarray, "rows cols"], g: int, coding: str) -> dict:
    """A ternary matrix by its trits that are not 0.

    zero-run: a nibble for each, the run of zeros before it (up to 6) twice, plus 1 where it is
    negative; 14 stands for seven zeros. Runs go on from row to row.
    sparse: for each group of g how many there are, and for each its place in the group twice, plus
    1 where it is negative; five bits each.
    """
    if coding == "zero-run":
        return {"runs": _runs(codes.ravel())}
    padded = np.pad(codes, ((0, 0), (0, -codes.shape[1] % g))).reshape(-1, g)
    places = np.broadcast_to(np.arange(g, dtype=np.uint8), padded.shape)
    pairs = (2 * places + (padded < 0))[padded != 0].astype(np.uint8)
    lengths = (padded != 0).sum(axis=1).astype(np.uint8)
    return {"lengths": pack_bits(lengths, PAIR_BITS), "pairs": pack_bits(pairs, PAIR_BITS)}


def load_trits(
    arrays: dict, g: int, coding: str, shape: tuple[int, int]
) -> Int8[np.ndarray, "rows cols"]:
    """Undo `store_trits`; refuses what it cannot have written."""
    if coding == "zero-run":
        return _from_runs(arrays["runs"], shape)
    rows, groups = shape[0], -(-shape[1] // g)
    count = rows * groups
    if arrays["lengths"].size != packed_bytes(count, PAIR_BITS):
        raise WorkbenchError(f"array 'lengths' does not hold the lengths of {count} groups")
    lengths = unpack_bits(arrays["lengths"], PAIR_BITS, (1, count))[0].astype(np.int64)
    total = int(lengths.sum())
    if lengths.max(initial=0) > g or arrays["pairs"].size != packed_bytes(total, PAIR_BITS):
        raise WorkbenchError("array 'pairs' does not hold what array 'lengths' says")
    pairs = unpack_bits(arrays["pairs"], PAIR_BITS, (1, total))[0]
    if pairs.max(initial=0) >= 2 * g:
        raise WorkbenchError(f"array 'pairs' holds a place beyond a group of {g}")
    codes = np.zeros((count, g), np.int8)
    codes[np.repeat(np.arange(count), lengths), pairs >> 1] = 1 - 2 * (pairs & 1).astype(np.int8)
    return codes.reshape(rows, -1)[:, : shape[1]]


def _runs(trits) -> UInt8[np.ndarray, " bytes"]:
    """Two nibbles a byte, the first low."""
    places = np.flatnonzero(trits)
    gaps = np.diff(places, prepend=-1) - 1
    sevens, left = np.divmod(gaps, LONGEST_RUN)
    ends = np.cumsum(sevens + 1)
    count = ends[-1] if len(ends) else 0
    nibbles = np.full(count + count % 2, 2 * LONGEST_RUN, np.uint8)  # zeros fill up a byte
    nibbles[ends - 1] = 2 * left + (trits[places] < 0)
    return pack_bits(nibbles, 4)


def _from_runs(data, shape):
    nibbles = unpack_bits(data, 4, (1, 2 * data.size))[0].astype(np.int64)
    if nibbles.max(initial=0) > 2 * LONGEST_RUN:
        raise WorkbenchError("array 'runs' holds a nibble of 15, which is never written")
    size = shape[0] * shape[1]
    long = nibbles == 2 * LONGEST_RUN
    ends = np.cumsum(np.where(long, LONGEST_RUN, (nibbles >> 1) + 1))
    ends = ends[~long]
    if ends.size and ends[-1] > size:
        raise WorkbenchError(f"array 'runs' goes past the last of {size} trits")
    codes = np.zeros(size, np.int8)
    codes[ends - 1] = 1 - 2 * (nibbles[~long] & 1).astype(np.int8)
    return codes.reshape(shape)
