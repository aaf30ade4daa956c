"""A dictionary of the patterns that occur, in tiers, and exact products by it.

Tier 1 (hot) and tier 2 (warm) are patterns whose sums are in a table that is filled anew for every
group of columns: the most frequent, as many as the given bytes hold. A pattern of tier 3 is an
entry of those tables with at most three trits changed; one of tier 4 is computed. A sum's
magnitude is at most 128 g and each change's at most 256: 16 bits hold both, and nothing is stored
in fewer.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int8, Int32, UInt8

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.lookup import patterns
from workbench.lookup.codes import covering_code
from workbench.lookup.product import SPARE, check_activations, check_index, index_type

Bases = Literal["frequent", "covering"]
NOWHERE = 1 << 10  # the distance from a pattern to no pattern
CHANGES = 3  # at most, and columns of the array of changes
ENTRY_BYTES = 2
LARGEST_TIERED = 16
LARGEST_TABLE = 1 << 26  # bytes; the (3^16 + 1) / 2 canonical patterns take 43 MB
TIERS = ("hot", "warm", "near", "computed")
# how often an activation is added: by the trit's new value minus the old one
_TIMES = {1: 0, -1: 1, 2: 2, -2: 3}


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Patterns of g trits, tier by tier; entries are numbered through all of them.

    Attributes
    ----------
    g : int
    symmetry : bool
        Whether an entry stands for its negative too; all numbers are then canonical.
    stored : int32 array (n,)
        Numbers of the patterns in the tables, the most frequent first.
    hot : int
        So many of them are tier 1; the rest is tier 2.
    bases : int32 array (m,)
        Tier 3, in the order of first use: index of the stored entry that a pattern is near to
        (with a sign, as `index`).
    changes : uint8 array (m, 3)
        Trits changed: 0 for none, else 1 + 4 * trit + (0, 1, 2, 3), by which the trit
        grows by (1, -1, 2, -2).
    computed : int32 array (k,)
        Tier 4, in the order of first use: numbers of the patterns.
    """

    g: int
    symmetry: bool
    stored: Int32[np.ndarray, " n"]
    hot: int
    bases: Int32[np.ndarray, " m"]
    changes: UInt8[np.ndarray, "m 3"]
    computed: Int32[np.ndarray, " k"]

    def __post_init__(self):
        largest = 3**self.g // 2
        for name, found in (("stored", self.stored), ("computed", self.computed)):
            lowest = 0 if self.symmetry else -largest
            if found.size and not lowest <= found.min() <= found.max() <= largest:
                place = int(np.argmax((found < lowest) | (found > largest)))
                raise WorkbenchError(
                    f"pattern {place} of array {name!r} is {found[place]}, but must be from "
                    f"{lowest} to {largest}: the data are damaged"
                )
        if self.bases.size and self.bases.min() < 0:
            raise WorkbenchError("array 'bases' holds a negative index: the data are damaged")
        check_index(self.bases, len(self.stored) << self.symmetry)
        check_index(self.changes, 4 * self.g + 1)

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Patterns in each tier."""
        return self.hot, len(self.stored) - self.hot, len(self.bases), len(self.computed)

    @property
    def entries(self) -> int:
        """Patterns in all tiers."""
        return sum(self.sizes)

    def numbers(self) -> Int32[np.ndarray, " entries"]:
        """The pattern of every entry, as its number."""
        near = self.stored[self.bases >> self.symmetry].astype(np.int64)
        if self.symmetry:
            near = np.where(self.bases & 1, -near, near)
        steps = np.array([1, -1, 2, -2])
        place = patterns.places(self.g)
        for column in self.changes.T.astype(int):
            trit, times = divmod(np.maximum(column - 1, 0), 4)
            near += np.where(column > 0, steps[times] * place[trit], 0)
        return np.concatenate([self.stored, near, self.computed]).astype(np.int32)

    def index_of(self, numbers: np.ndarray) -> np.ndarray:
        """The index of each pattern, given as its number.

        Raises
        ------
        WorkbenchError
            A pattern is not in the dictionary.
        """
        key = np.abs(numbers) if self.symmetry else numbers
        everything = self.numbers()
        order = np.argsort(everything, kind="stable")
        place = np.searchsorted(everything, key, sorter=order)
        entry = order[np.minimum(place, len(order) - 1)] if len(order) else place
        if len(order) == 0 or not np.array_equal(everything[entry], key):
            raise WorkbenchError("a pattern is not in the dictionary: the data are damaged")
        index = 2 * entry + (numbers < 0) if self.symmetry else entry
        return index.astype(index_type(self.entries << self.symmetry))

    def tier_of(self, entry: np.ndarray) -> np.ndarray:
        """0 hot, 1 warm, 2 near, 3 computed."""
        return np.searchsorted(np.cumsum(self.sizes[:3]), entry, side="right")


def build(
    numbers: Int32[np.ndarray, "..."],
    g: int,
    *,
    hot: int = 24_576,
    warm: int = 1_048_576,
    radius: int = 3,
    bases: Bases = "frequent",
    symmetry: bool = True,
) -> tuple[Dictionary, np.ndarray]:
    """Sort the patterns that occur into tiers.

    Parameters
    ----------
    numbers : int32 array
        The pattern of each group (`patterns.numbers`).
    g : int
        From 2 to 16.
    hot, warm : int
        Bytes that the tables of tiers 1 and 2 may take, at 2 an entry.
    radius : int
        Trits, 0 to 3, that a pattern of tier 3 may differ from its base; 0 leaves tier 3 empty.
    bases : {"frequent", "covering"}
        What tier 2 holds: the patterns that follow in frequency, or codewords of a covering code,
        those needed most, each within `radius` of a pattern that occurs.
    symmetry : bool

    Returns
    -------
    Dictionary, and the index of each group, shaped like `numbers`: with symmetry twice the entry,
    plus 1 for its negative; without, the entry.

    Raises
    ------
    WorkbenchError
        A parameter that is not allowed.
    """
    _check(g, hot, warm, radius, bases)
    key = np.abs(numbers) if symmetry else numbers
    # in the order in which products meet them: group after group
    found, met, times = np.unique(key.T, return_index=True, return_counts=True)
    order = np.argsort(-times, kind="stable")
    ranked, times = found[order].astype(np.int32), times[order]

    first, room = hot // ENTRY_BYTES, warm // ENTRY_BYTES
    if bases == "frequent":
        stored = ranked[: first + room]
        nearest, distance = nearest_stored(ranked[len(stored) :], stored, g, symmetry)
    else:
        stored, nearest, distance = _with_codewords(
            ranked, times, first, room, covering_code(g, radius), symmetry
        )
    outside = ~np.isin(ranked, stored)
    # by first use, so that a product reads what stands for them from front to back
    by_use = np.argsort(met[order][outside], kind="stable")
    rest, nearest, distance = ranked[outside][by_use], nearest[by_use], distance[by_use]
    near = (distance <= radius) & (radius > 0)
    chosen = nearest[near].astype(np.int32)
    dictionary = Dictionary(
        g,
        symmetry,
        stored,
        min(first, len(stored)),
        chosen,
        _changes(rest[near], stored, chosen, g, symmetry),
        rest[~near],
    )

    return dictionary, dictionary.index_of(numbers)


def nearest_stored(
    numbers: Int32[np.ndarray, " n"], stored: Int32[np.ndarray, " m"], g: int, symmetry: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """For each pattern the nearest stored one (with symmetry: of either sign) and its distance.

    Returns
    -------
    index : int64 array (n,)
        As in `Dictionary.bases`; of equally near ones the first.
    distance : int64 array (n,)
        Trits that differ; NOWHERE where nothing is stored.
    """
    if len(stored) == 0 or len(numbers) == 0:
        return np.zeros(len(numbers), np.int64), np.full(len(numbers), NOWHERE)
    key = np.empty(len(numbers), np.int32)
    kernels.load("lut_nearest").nearest(
        *masks(numbers, g), *masks(stored, g), np.int32(symmetry), key
    )
    distance, place = np.divmod(key.astype(np.int64), 2 * len(stored))
    return (place if symmetry else place >> 1), distance


def masks(numbers: np.ndarray, g: int) -> tuple[Int32[np.ndarray, " n"], Int32[np.ndarray, " n"]]:
    """Where patterns are +1 and where -1, as bits; the last trit is the lowest bit."""
    left = np.asarray(numbers, np.int64) + 3**g // 2
    plus = np.zeros(len(left), np.int32)
    minus = np.zeros(len(left), np.int32)
    for bit in range(g):
        left, digit = np.divmod(left, 3)
        plus |= (digit == 2).astype(np.int32) << bit
        minus |= (digit == 0).astype(np.int32) << bit
    return plus, minus


@dataclass(frozen=True, eq=False)
class TieredTables:
    """A ternary matrix as indices into a dictionary.

    Attributes
    ----------
    index : uint8, uint16 or uint32 array (groups * rows,)
        Group after group.
    shape : (rows, cols)
    dictionary : Dictionary
    """

    index: np.ndarray
    shape: tuple[int, int]
    dictionary: Dictionary

    @classmethod
    def of(cls, codes: np.ndarray, g: int, **options) -> "TieredTables":
        """From a ternary matrix (rows, cols), with the options of `build`."""
        groups, _ = patterns.group(codes, g)
        dictionary, index = build(patterns.numbers(groups), g, **options)
        return cls(np.ascontiguousarray(index.T).reshape(-1), np.shape(codes), dictionary)

    def decode(self) -> Int8[np.ndarray, "rows cols"]:
        """The ternary matrix."""
        symmetry, g = self.dictionary.symmetry, self.dictionary.g
        check_index(self.index, self.dictionary.entries << symmetry)
        number = self.dictionary.numbers()[self.index >> symmetry]
        if symmetry:
            number = np.where(self.index & 1, -number, number)
        rows, cols = self.shape
        return patterns.trits(number.reshape(-1, rows).T, g).reshape(rows, -1)[:, :cols]

    @property
    def nbytes(self) -> int:
        """Bytes of indices and dictionary."""
        kept = self.dictionary
        arrays = (self.index, kept.stored, kept.bases, kept.changes, kept.computed)
        return sum(array.nbytes for array in arrays)

    def hits(self) -> dict[str, float]:
        """Share of all lookups that each tier answers."""
        tier = self.dictionary.tier_of(self.index >> self.dictionary.symmetry)
        counts = np.bincount(tier, minlength=4)
        return dict(zip(TIERS, (counts / counts.sum()).tolist(), strict=True))

    def matmul(
        self, x: Int8[np.ndarray, "tokens cols"], threads: int = 1
    ) -> Int32[np.ndarray, "tokens rows"]:
        """``x @ decode().T``, exact."""
        return self.bind(x, threads)()

    def bind(self, x: Int8[np.ndarray, "tokens cols"], threads: int = 1):
        """A function that multiplies with x, tables included, each time it is called."""
        check_activations(x, self.shape, threads)
        kept = self.dictionary
        g, signed = kept.g, int(kept.symmetry)
        check_index(self.index, kept.entries << signed)
        low = 3 ** (g - g // 2)
        high = 3 ** (g // 2)
        wide = np.zeros((len(x), len(self.index) // self.shape[0] * g), np.int16)
        wide[:, : x.shape[1]] = x
        room = high + low + 4 * g + 1 + len(kept.stored) + SPARE
        table = np.empty(threads * room, np.int16)
        y = np.empty((len(x), self.shape[0]), np.int32)
        stored, computed = (_halves(part, high, low) for part in (kept.stored, kept.computed))
        kernel = kernels.load("lut_tiers").matmul
        changes = np.ascontiguousarray(kept.changes)

        def call():
            kernel(
                *(self.index, wide, stored, kept.bases, changes, computed, table, y),
                *(g, high, low, signed, threads),
            )
            return y

        return call


def _halves(numbers, high, low):
    """Where the halves of patterns lie in the tables of halves."""
    first, second = np.divmod(numbers.astype(np.int64) + low // 2, low)
    places = np.stack([first + high // 2, high + second], axis=1)
    return np.ascontiguousarray(places, dtype=np.int32)


def _with_codewords(ranked, times, first, room, code, symmetry):
    """Hot patterns and then codewords by how often they are needed; nearest and distance of the
    patterns that are not among them."""
    g = code.length
    hot, rest, often = ranked[:first], ranked[first:], times[first:]
    words = patterns.trits(rest, g)
    target = patterns.numbers(code.nearest(words))
    key = np.abs(target) if symmetry else target
    found, inverse = np.unique(key, return_inverse=True)
    need = np.bincount(inverse.ravel(), weights=often, minlength=len(found))
    by_need = found[np.argsort(-need, kind="stable")].astype(np.int32)
    words_kept = by_need[~np.isin(by_need, hot)][:room]
    stored = np.concatenate([hot, words_kept])

    outside = ~np.isin(rest, stored)
    if len(stored) == 0:
        return stored, *nearest_stored(rest, stored, g, symmetry)
    key, target, words = key[outside], target[outside], words[outside]
    order = np.argsort(stored, kind="stable")
    place = order[np.minimum(np.searchsorted(stored[order], key), len(stored) - 1)]
    there = stored[place] == key
    near = patterns.trits(target, g)
    distance = np.where(there, (near != words).sum(axis=1), NOWHERE)
    nearest = (2 * place + (target < 0)) if symmetry else place
    return stored, nearest, distance


def _changes(numbers, stored, bases, g, symmetry):
    """What turns bases into these patterns, at most three trits each."""
    wanted = patterns.trits(numbers, g).astype(int)
    base = stored[bases >> symmetry].astype(np.int64)
    have = patterns.trits(np.where(bases & symmetry, -base, base), g).astype(int)
    difference = wanted - have
    times = np.zeros(5, np.uint8)
    for value, place in _TIMES.items():
        times[value + 2] = place
    code = np.where(difference != 0, 1 + 4 * np.arange(g) + times[difference + 2], 0)
    # those that differ first; at most CHANGES of them
    order = np.argsort(difference == 0, axis=1, kind="stable")[:, :CHANGES]
    changes = np.zeros((len(numbers), CHANGES), np.uint8)
    changes[:, : order.shape[1]] = np.take_along_axis(code, order, axis=1)
    return changes


def _check(g, hot, warm, radius, bases):
    if not isinstance(g, int | np.integer) or not 2 <= g <= LARGEST_TIERED:
        raise WorkbenchError(
            f"g={g!r} is not allowed: it is a whole number from 2 to {LARGEST_TIERED}"
        )
    if bases not in get_args(Bases):
        raise WorkbenchError(
            f"bases={bases!r} is not allowed: it is one of {', '.join(get_args(Bases))}"
        )
    if not 0 <= radius <= CHANGES:
        raise WorkbenchError(f"radius={radius!r} is not allowed: it is from 0 to {CHANGES}")
    if min(hot, warm) < 0:
        raise WorkbenchError(f"hot={hot} and warm={warm} must not be negative")
    if hot + warm > LARGEST_TABLE:
        raise WorkbenchError(
            f"hot={hot} and warm={warm} are {hot + warm:,} bytes of tables together, but at most "
            f"{LARGEST_TABLE:,} are filled for every group of columns"
        )
