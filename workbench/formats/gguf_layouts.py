"""Which block layout a type number means in one GGUF file: some numbers were given out twice."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from workbench.formats.blocks import BLOCKS


@dataclass(frozen=True)
class Layout:
    """One meaning of a type number.

    Attributes
    ----------
    quant : str
        Name in `BLOCKS`, or, where `refusal` is set, a name for the message.
    elements, bytes : int
        Of a block.
    tail : int
        Bytes behind all blocks of a tensor.
    refusal : str
        Why it is not read; empty where it is.
    """

    quant: str
    elements: int
    bytes: int
    tail: int = 0
    refusal: str = ""

    def nbytes(self, shape: tuple[int, ...]) -> int | None:
        """Bytes of a tensor of this shape; None where its rows are no whole number of blocks."""
        if shape[-1] % self.elements:
            return None
        return prod(shape) // self.elements * self.bytes + self.tail


@dataclass(frozen=True)
class TileLayout:
    """bitnet.cpp's TL2, which shares number 39 with MXFP4: sized by a formula of its own."""

    quant: str = "TL2 of bitnet.cpp"
    elements: int = 256
    refusal: str = "its tiles depend on the kernel configuration of the build that wrote it"

    def nbytes(self, shape: tuple[int, ...]) -> int | None:
        cols, rows = shape[-1], prod(shape[:-1])
        if cols < 256:
            return None
        size = (cols - 256) * rows // 3 * 5 // 8 + 256 * rows // 2 * 4 // 8
        return -(-size // 32) * 32 + 32


Q2_0_KEY = "workbench.q2_0.block_size"
"""Metadata by which our own files say whose Q2_0 they hold."""


def layouts(metadata: Mapping, i2_s: str) -> dict[int, tuple[Layout | TileLayout, ...]]:
    """All meanings of each type number that is in use.

    Parameters
    ----------
    metadata : mapping
        The file's; `Q2_0_KEY` is looked for.
    i2_s : "x86" or "arm"
        The build that packed the tensors of type I2_S.
    """
    known = {
        block.id: (Layout(quant, block.elements, block.bytes),)
        for quant, block in BLOCKS.items()
        if not quant.startswith("I2_S")
    }
    ternary = "I2_S" if i2_s == "x86" else "I2_S_ARM"
    known[36] = (
        Layout(ternary, BLOCKS[ternary].elements, BLOCKS[ternary].bytes, tail=32),
        Layout("IQ4_NL_4_4", 32, 18, refusal="llama.cpp has removed it"),
    )
    known[39] += (TileLayout(),)
    said = metadata.get(Q2_0_KEY)
    if not isinstance(said, int) or said != BLOCKS["Q2_0"].elements:
        prism = "PrismML's Q2_0 of 128 weights"
        known[42] += (Layout(prism, 128, 34, refusal="its bit order is not published"),)
    return known


_REMOVED = "{}, which llama.cpp has removed"
UNREAD = {
    4: _REMOVED.format("Q4_2"),
    5: _REMOVED.format("Q4_3"),
    31: _REMOVED.format("Q4_0_4_4"),
    32: _REMOVED.format("Q4_0_4_8"),
    33: _REMOVED.format("Q4_0_8_8"),
    37: _REMOVED.format("IQ4_NL_4_8"),
    38: "TL1 of bitnet.cpp, tiled for one CPU, or IQ4_NL_8_8, which llama.cpp has removed",
    142: "IQ2_TN of ik_llama.cpp in two row formats, or PQ2_0 of PrismML, with nothing to tell "
    "them apart",
    143: "IQ1_TN of ik_llama.cpp in two row formats, or PTQ1_0 of PrismML, with nothing to tell "
    "them apart",
}
"""Type numbers that are refused, and what they stand for."""
