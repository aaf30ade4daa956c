"""Covering codes: few patterns, such that every pattern differs from one of them in few trits.

Products of perfect and of trivial linear codes over three symbols; a word is decoded block by
block, by the syndrome.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations, product

import numpy as np
from jaxtyping import Int8

from workbench.errors import WorkbenchError

# parity checks of the perfect Golay code, cyclic with x^5 + x^4 + 2 x^3 + x^2 + 2
_GOLAY = ["12221010000", "01222101000", "21201200100", "11011100010", "22210100001"]


@dataclass(frozen=True, eq=False)
class Block:
    """A linear code: the words with parity @ word = 0 (mod 3).

    Attributes
    ----------
    name : str
    parity : int8 array (checks, length)
    radius : int
        The most places in which a word differs from its nearest codeword.
    """

    name: str
    parity: Int8[np.ndarray, "checks length"]
    radius: int

    @property
    def length(self) -> int:
        return self.parity.shape[1]

    @property
    def dimension(self) -> int:
        """log3 of the codewords."""
        return self.length - len(self.parity)

    def leaders(self) -> Int8[np.ndarray, "syndromes length"]:
        """For each syndrome, as a number in base 3, the lightest word that has it.

        The leader of a negated syndrome is the negated leader, so that codewords of w and -w are
        negatives.
        """
        checks = len(self.parity)
        found = np.zeros((3**checks, self.length), np.int8)
        known = np.zeros(3**checks, bool)
        known[0] = True
        for weight in range(1, self.length + 1):
            for places in combinations(range(self.length), weight):
                for signs in product((1, -1), repeat=weight):
                    word = np.zeros(self.length, np.int8)
                    word[list(places)] = signs
                    for sign in (1, -1):
                        syndrome = self.syndromes(sign * word[None])[0]
                        if not known[syndrome]:
                            found[syndrome], known[syndrome] = sign * word, True
            if known.all():
                return found
        raise AssertionError(f"{self.name} has dependent checks")

    def syndromes(self, words: np.ndarray) -> np.ndarray:
        """Each word's parity as a number in base 3."""
        parity = words.astype(np.int64) @ self.parity.T.astype(np.int64) % 3
        return parity @ 3 ** np.arange(len(self.parity))


def _block(name, rows, radius):
    parity = np.array([[int(digit) for digit in row] for row in rows], np.int8)
    return Block(name, parity, radius)


BLOCKS = (
    Block("every word", np.zeros((0, 1), np.int8), 0),
    _block("zero", ["1"], 1),
    _block("pair", ["12"], 1),
    _block("tetracode", ["1110", "1201"], 1),
    _block("Golay", _GOLAY, 2),
    _block("Hamming", ["1111111110000", "0011122201110", "1201201201201"], 1),
)


@dataclass(frozen=True, eq=False)
class CoveringCode:
    """Blocks side by side; `nearest` finds a codeword within `radius` of any pattern.

    Attributes
    ----------
    blocks : tuple of Block
    """

    blocks: tuple[Block, ...]

    @property
    def length(self) -> int:
        return sum(block.length for block in self.blocks)

    @property
    def radius(self) -> int:
        return sum(block.radius for block in self.blocks)

    @property
    def size(self) -> int:
        """Codewords, both signs counted."""
        return 3 ** sum(block.dimension for block in self.blocks)

    def nearest(self, words: Int8[np.ndarray, "words length"]) -> Int8[np.ndarray, "words length"]:
        """A codeword near each word: that of -w is minus that of w."""
        result = np.empty_like(words)
        begin = 0
        for block in self.blocks:
            part = words[:, begin : begin + block.length]
            if len(block.parity):
                error = _leaders(block)[block.syndromes(part)]
                part = (part - error + 1) % 3 - 1
            result[:, begin : begin + block.length] = part
            begin += block.length
        return result


@cache
def covering_code(g: int, radius: int) -> CoveringCode:
    """The product of these blocks with the fewest codewords for g trits and this radius.

    Raises
    ------
    WorkbenchError
        g is not from 1 to 16 or radius is not from 0 to 3.
    """
    if not 1 <= g <= 16 or not 0 <= radius <= 3:
        raise WorkbenchError(
            f"no code of length {g} and radius {radius}: lengths are 1 to 16, radii 0 to 3"
        )
    best: dict[tuple[int, int], tuple[int, tuple[Block, ...]]] = {(0, 0): (0, ())}
    for length in range(1, g + 1):
        for used in range(radius + 1):
            options = [
                (best[before][0] + block.dimension, (*best[before][1], block))
                for block in BLOCKS
                if (before := (length - block.length, used - block.radius)) in best
            ]
            if options:
                best[length, used] = min(options, key=lambda option: option[0])
    found = [best[g, used] for used in range(radius + 1) if (g, used) in best]
    return CoveringCode(min(found, key=lambda option: option[0])[1])


@cache
def _leaders(block):
    return block.leaders()
