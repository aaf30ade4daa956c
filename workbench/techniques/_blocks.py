"""Techniques that are block formats of GGUF: `workbench.formats.blocks` has the bits."""

from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import Field

from workbench.errors import WorkbenchError
from workbench.formats.blocks import BLOCKS, decode_blocks, encode_blocks
from workbench.formats.tensor import Tensor
from workbench.techniques.base import Encoded, Technique, dense_product
from workbench.ternary import quantize


class BlockFormat(Technique):
    """Rows of blocks, byte for byte as a GGUF file has them.

    Rows that do not divide into blocks are filled up with zeros, whose bytes count.
    """

    block: ClassVar[str]
    """Name in `workbench.formats.blocks.BLOCKS`."""
    header: ClassVar[int] = 2
    """Bytes of scales in front of the codes of a block."""

    def layout(self, shape):
        return {"blocks": ("uint8", (shape[0], BLOCKS[self.block].row_bytes(self._width(shape))))}

    def compress(self, weights):
        missing = self._width(weights.shape) - weights.shape[1]
        padded = np.pad(weights, ((0, 0), (0, missing)))
        return {"blocks": encode_blocks(self.block, padded)}

    def restore(self, arrays, shape):
        return self._decoded(arrays, shape)

    def multiply(self, arrays, shape, x, threads=1):
        # as in the base class, but decoding takes no more threads than the product may
        return dense_product(x, self._decoded(arrays, shape, threads))

    def _decoded(self, arrays, shape, threads=None):
        width = self._width(shape)
        decoded = decode_blocks(self.block, arrays["blocks"], width, threads=threads)
        if not np.isfinite(decoded).all():
            raise WorkbenchError("array 'blocks' holds scales that are NaN or infinite")
        return np.ascontiguousarray(decoded[:, : shape[1]])

    def _width(self, shape):
        """Columns up to the next whole block."""
        elements = BLOCKS[self.block].elements
        return -(-shape[1] // elements) * elements

    def _payload(self, arrays):
        """The bytes of codes, (blocks, bytes)."""
        return arrays["blocks"].reshape(-1, BLOCKS[self.block].bytes)[:, self.header :]


class NibbleFormat(BlockFormat):
    """Blocks of 32, two codes a byte: low nibbles are weights 0 to 15, high ones 16 to 31."""

    def codes(self, arrays, shape):
        payload = self._payload(arrays)
        codes = np.concatenate([payload & 15, payload >> 4], axis=1)
        return codes.reshape(shape[0], -1)[:, : shape[1]]


class TernaryFormat(BlockFormat):
    """Blocks of trits and a float16 scale; what rounds other weights to trits is a choice."""

    rounding: Literal["optimal", "absmean", "amax"] = Field(
        "optimal",
        description="how a block becomes ternary: least squared error, BitNet's rule, or "
        "llama.cpp's (scale: the largest magnitude; meant for weights that are ternary already)",
    )

    def compress(self, weights):
        if self.rounding == "amax":
            return super().compress(weights)
        trits = quantize(weights, self.rounding, group=BLOCKS[self.block].elements)
        return super().compress(trits.dequantize())

    def codes(self, arrays, shape):
        return np.sign(self.restore(arrays, shape)).astype(np.int8)


def gguf_tensor(name: str, encoded: Encoded) -> Tensor | Float32[np.ndarray, "rows cols"]:
    """A matrix as a GGUF model can hold it: in its blocks, or decoded where it has none."""
    block = encoded.technique.block if isinstance(encoded.technique, BlockFormat) else None
    if block is None or encoded.shape[1] % BLOCKS[block].elements:
        return encoded.decode()
    return Tensor.of(name, block, encoded.arrays["blocks"], encoded.shape)
