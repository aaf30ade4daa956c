"""Weight files to named tensors and back."""

from workbench.formats.blocks import BLOCKS, BlockType, decode_blocks, encode_blocks
from workbench.formats.gguf_file import GGUFFile, open_gguf
from workbench.formats.tensor import Tensor

__all__ = [
    "BLOCKS",
    "BlockType",
    "GGUFFile",
    "Tensor",
    "decode_blocks",
    "encode_blocks",
    "open_gguf",
]
