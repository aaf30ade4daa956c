"""Trits as the numbers of patterns, multiplied by looking up sums of activations."""

from collections.abc import Iterator
from typing import ClassVar
from zlib import crc32

import numpy as np
from pydantic import Field, model_validator

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.lookup import patterns
from workbench.lookup.product import (
    WholeTables,
    arrange,
    check_index,
    check_whole,
    disarrange,
    entries,
    index_type,
)
from workbench.lookup.tiers import ENTRY_BYTES, Bases, Dictionary, TieredTables, build
from workbench.techniques._indices import (
    TRIT_CODINGS,
    Coding,
    coding_layout,
    load_index,
    load_trits,
    store_index,
    store_trits,
)
from workbench.techniques._ternary import TernaryRounding
from workbench.ternary import quantize_activations

BLOCK = 1 << 16  # bytes of an array that share a checksum


class Lut(TernaryRounding, id="lut"):
    """Trits as the numbers of patterns, multiplied by looking up sums of activations.

    Parameters
    ----------
    rounding : {"absmean", "absmax", "rms", "optimal"}
    threshold : float or None
    scale : {"row", "tensor"}
    group : int or None
    refit : bool
    scale_type : {"float32", "float16"}
        As in `planar-ternary`.
    pattern : int
        Columns that share a table: trits of a pattern. Columns are filled up to whole groups.
    symmetry : bool
        One table entry for a pattern and its negative, and a sign in each index.
    tiers : bool
        Without tiers a table holds every pattern, at most of 10 trits. With tiers a dictionary
        holds those that occur.
    hot : int
    warm : int
        With tiers: bytes of table for the most frequent patterns (to fit the first cache), and
        for those that follow (to fit the second), at 2 an entry.
    radius : int
        With tiers: trits in which a pattern outside the tables may differ from one inside.
    bases : {"frequent", "covering"}
        With tiers: whether tier 2 holds frequent patterns or words of a covering code.
    index : {"plain", "zero-run", "sparse", "range", "zstd"}
        How the indices are stored; all but plain are decoded at every product.

    Notes
    -----
    For a group of columns and a token, a table holds the sums of all its g activations under each
    pattern of signs and zeros; a row then takes one lookup a group instead of g products. Tables
    are filled by block adds or from two half tables, one addition an entry. A sum is at most
    128 g: 16 bits hold it. Without tiers an index is the pattern's number in balanced ternary::

        n = 3^(g-1) w0 + ... + 3 w(g-2) + w(g-1)
        index = n + (3^g - 1) / 2            symmetry: 2 abs(n), plus 1 where n < 0

    `index` has the indices of `WholeTables` in 1 or 2 bytes each, or those of `TieredTables` in 1,
    2 or 4, beside its dictionary in `stored`, `bases`, `changes` and `computed`. zero-run and
    sparse store the trits that are not 0 instead. `checksums` has the CRC-32 of every 65,536 bytes
    of each other array, in the order of their names, and last that of the numbers before it.

    `matmul` is exact in integers for int8 activations, and rounds floats to int8 first, as
    `planar-ternary` does; with groups of weights that share a scale it multiplies what it decodes.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> weights = np.array([[0.9, -0.1, -1.1, 0.4]])
    >>> encoded = wb.technique("lut", rounding="optimal", pattern=2).encode(weights)
    >>> encoded.arrays["index"]
    array([7, 1], dtype=uint8)
    >>> encoded.matmul(np.array([1, 2, 3, 4], np.int8))
    array([-2.], dtype=float32)
    """

    rounds_activations: ClassVar[bool] = True

    pattern: int = Field(5, ge=2, le=16, description="columns that share a table")
    symmetry: bool = Field(False, description="one entry for a pattern and its negative")
    tiers: bool = Field(False, description="a dictionary of the patterns that occur, in tiers")
    hot: int = Field(
        24_576, ge=0, le=1 << 25, description="bytes of table for the most frequent patterns"
    )
    warm: int = Field(1 << 20, ge=0, le=1 << 25, description="bytes of table for those that follow")
    radius: int = Field(3, ge=0, le=3, description="trits changed in a pattern of the third tier")
    bases: Bases = Field("frequent", description="what the second tier holds")
    index: Coding = Field("plain", description="how indices are stored")

    @model_validator(mode="after")
    def _tables_fit(self):
        if not self.tiers:
            check_whole(self.pattern, "pattern")
        return self

    def layout(self, shape):
        found = coding_layout(self.index) | {"checksums": ("uint32", (None,))}
        if self.tiers:
            found |= {"stored": ("int32", (None,)), "bases": ("int32", (None,))}
            found |= {"changes": ("uint8", (None, 3)), "computed": ("int32", (None,))}
        return found | self.scale_layout(shape)

    def compress(self, weights):
        trits, arrays = self.round(weights)
        groups, _ = patterns.group(trits, self.pattern)
        if self.tiers:
            dictionary, index = build(patterns.numbers(groups), self.pattern, **self._sizes())
            index = np.ascontiguousarray(index.T).reshape(-1)
            arrays |= {"stored": dictionary.stored, "bases": dictionary.bases}
            arrays |= {"changes": dictionary.changes, "computed": dictionary.computed}
            symbols = dictionary.entries << self.symmetry
        else:
            index = arrange(groups, self.symmetry)
            symbols = entries(self.pattern, self.symmetry) << self.symmetry
        if self.index in TRIT_CODINGS:
            arrays |= store_trits(trits, self.pattern, self.index)
        else:
            arrays |= store_index(index, symbols, self.index)
        return arrays | {"checksums": _checksums(arrays)}

    def codes(self, arrays, shape):
        damage = self.damage(arrays)
        if damage:
            raise WorkbenchError(
                f"array {damage[0]!r} is damaged from byte {damage[1]} on: its checksum fails"
            )
        if self.index in TRIT_CODINGS:
            return load_trits(arrays, self.pattern, self.index, shape)
        tables = self.tables(arrays, shape)
        if self.tiers:
            return tables.decode()
        check_index(tables.index, tables.entries << self.symmetry)
        return disarrange(tables.index, shape, self.pattern, self.symmetry)

    def restore(self, arrays, shape):
        return self.unround(self.codes(arrays, shape), arrays)

    def multiply(self, arrays, shape, x, threads=1):
        if self.group is not None:
            return super().multiply(arrays, shape, x, threads)
        q, step = (x, None) if x.dtype == np.int8 else quantize_activations(x)
        sums = self.tables(arrays, shape).matmul(q, threads)
        scales = np.broadcast_to(arrays["scales"].astype(np.float32).reshape(-1), shape[0])
        if step is None:
            step = np.ones(len(q), np.float32)
        y = np.empty(sums.shape, np.float32)
        kernels.load("activations").rescale(
            np.ascontiguousarray(sums), step, np.ascontiguousarray(scales), y
        )
        return y

    def tables(self, arrays: dict, shape: tuple[int, int]) -> WholeTables | TieredTables:
        """The indices, decoded, with their `matmul` of int8 activations in exact integers."""
        g, rows = self.pattern, shape[0]
        count = rows * -(-shape[1] // g)
        dictionary = self._dictionary(arrays) if self.tiers else None
        if self.tiers:
            symbols = dictionary.entries << self.symmetry
        else:
            symbols = entries(g, self.symmetry) << self.symmetry
        if self.index in TRIT_CODINGS:
            groups, _ = patterns.group(load_trits(arrays, g, self.index, shape), g)
            if not self.tiers:
                return WholeTables(arrange(groups, self.symmetry), shape, g, self.symmetry)
            index = dictionary.index_of(patterns.numbers(groups).T).reshape(-1)
            return TieredTables(index, shape, dictionary)
        index = load_index(arrays, symbols, self.index, count, index_type(symbols))
        if self.tiers:
            return TieredTables(index, shape, dictionary)
        return WholeTables(index, shape, g, self.symmetry)

    def damage(self, arrays):
        stored, place = arrays["checksums"], 0
        if len(stored) == 0 or stored[-1] != crc32(stored[:-1].tobytes()):
            return "checksums", 0
        for name in _covered(arrays):
            for offset, found in _block_checksums(arrays[name]):
                if place == len(stored) - 1 or found != stored[place]:
                    return name, offset
                place += 1
        return None if place == len(stored) - 1 else ("checksums", 0)

    def _dictionary(self, arrays) -> Dictionary:
        stored = arrays["stored"]
        hot = min(self.hot // ENTRY_BYTES, len(stored))
        parts = (arrays[name] for name in ("bases", "changes", "computed"))
        return Dictionary(self.pattern, self.symmetry, stored, hot, *parts)

    def _sizes(self):
        names = ("hot", "warm", "radius", "bases", "symmetry")
        return {name: getattr(self, name) for name in names}


def _covered(arrays):
    """Names of the arrays that checksums cover, in their order."""
    return sorted(name for name in arrays if name != "checksums")


def _checksums(arrays) -> np.ndarray:
    """Those of the blocks of all other arrays, and one of themselves."""
    found = [value for name in _covered(arrays) for _, value in _block_checksums(arrays[name])]
    blocks = np.array(found, np.uint32)
    return np.append(blocks, np.uint32(crc32(blocks.tobytes())))


def _block_checksums(array) -> Iterator[tuple[int, int]]:
    """Offset and CRC-32 of every 64 KiB of an array."""
    data = memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    for offset in range(0, len(data), BLOCK):
        yield offset, crc32(data[offset : offset + BLOCK])
