"""Block formats of GGUF: how many weights share how many bytes, and the codecs both ways.

>>> import numpy as np
>>> raw = encode_blocks("Q8_0", np.linspace(-127, 127, 32, dtype=np.float32)[None])
>>> raw.shape, raw[0, 2:6].view(np.int8)
((1, 34), array([-127, -119, -111, -102], dtype=int8))
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class BlockType:
    """One way to store a run of weights.

    Attributes
    ----------
    id : int
        Type number in a GGUF file.
    elements : int
        Weights in a block; rows hold a whole number of blocks.
    bytes : int
        Bytes of a block.
    """

    id: int
    elements: int
    bytes: int

    def row_bytes(self, cols: int) -> int:
        """Bytes of a row of `cols` weights, which must be a multiple of `elements`."""
        return cols // self.elements * self.bytes


BLOCKS = {
    "F32": BlockType(0, 1, 4),
    "F16": BlockType(1, 1, 2),
    "Q4_0": BlockType(2, 32, 18),
    "Q4_1": BlockType(3, 32, 20),
    "Q5_0": BlockType(6, 32, 22),
    "Q5_1": BlockType(7, 32, 24),
    "Q8_0": BlockType(8, 32, 34),
    "Q8_1": BlockType(9, 32, 36),
    "Q2_K": BlockType(10, 256, 84),
    "Q3_K": BlockType(11, 256, 110),
    "Q4_K": BlockType(12, 256, 144),
    "Q5_K": BlockType(13, 256, 176),
    "Q6_K": BlockType(14, 256, 210),
    "Q8_K": BlockType(15, 256, 292),
    "IQ2_XXS": BlockType(16, 256, 66),
    "IQ2_XS": BlockType(17, 256, 74),
    "IQ3_XXS": BlockType(18, 256, 98),
    "IQ1_S": BlockType(19, 256, 50),
    "IQ4_NL": BlockType(20, 32, 18),
    "IQ3_S": BlockType(21, 256, 110),
    "IQ2_S": BlockType(22, 256, 82),
    "IQ4_XS": BlockType(23, 256, 136),
    "I8": BlockType(24, 1, 1),
    "I16": BlockType(25, 1, 2),
    "I32": BlockType(26, 1, 4),
    "I64": BlockType(27, 1, 8),
    "F64": BlockType(28, 1, 8),
    "IQ1_M": BlockType(29, 256, 56),
    "BF16": BlockType(30, 1, 2),
    "TQ1_0": BlockType(34, 256, 54),
    "TQ2_0": BlockType(35, 256, 66),
    "I2_S": BlockType(36, 128, 32),  # bitnet.cpp on x86; one scale a tensor behind all blocks
    "I2_S_ARM": BlockType(36, 64, 16),  # the same type number, written by an ARM build
    "MXFP4": BlockType(39, 32, 17),
    "NVFP4": BlockType(40, 64, 36),
    "Q1_0": BlockType(41, 128, 18),
    "Q2_0": BlockType(42, 64, 18),
}


def decode_blocks(
    name: str, raw: UInt8[np.ndarray, "rows bytes"], cols: int
) -> Float32[np.ndarray, "rows cols"]:
    """The weights that rows of blocks stand for."""
    import gguf

    return gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[name])


def encode_blocks(
    name: str, weights: Float32[np.ndarray, "rows cols"]
) -> UInt8[np.ndarray, "rows bytes"]:
    """Rows of blocks that stand for `weights`."""
    import gguf

    block = BLOCKS[name]
    if weights.shape[1] % block.elements:
        raise WorkbenchError(
            f"rows of {weights.shape[1]} weights do not divide into {name} blocks of "
            f"{block.elements}; pad them to a multiple"
        )
    return gguf.quants.quantize(weights, gguf.GGMLQuantizationType[name]).view(np.uint8)
