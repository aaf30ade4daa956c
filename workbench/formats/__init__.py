"""Weight files to named tensors and back."""

from workbench.formats.bitnet import BitNetTensor, unpack_bitnet
from workbench.formats.blocks import (
    BLOCKS,
    ENCODABLE,
    BlockType,
    decode_blocks,
    encode_blocks,
    row_bytes,
)
from workbench.formats.gguf_file import GGUFFile, open_gguf
from workbench.formats.gguf_writer import Deferred, export_gguf, write_gguf
from workbench.formats.safetensors_files import (
    SafetensorsFile,
    open_safetensors,
    write_safetensors,
)
from workbench.formats.tensor import Tensor

__all__ = [
    "BLOCKS",
    "ENCODABLE",
    "BitNetTensor",
    "BlockType",
    "Deferred",
    "GGUFFile",
    "SafetensorsFile",
    "Tensor",
    "decode_blocks",
    "encode_blocks",
    "export_gguf",
    "open_gguf",
    "open_safetensors",
    "row_bytes",
    "unpack_bitnet",
    "write_gguf",
    "write_safetensors",
]
