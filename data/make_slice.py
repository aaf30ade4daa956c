"""Cut data/smollm2-135m-slice.gguf out of SmolLM2-135M-Instruct.

    python data/make_slice.py

The tensors keep their names and every byte; the metadata is the file's own, without the
vocabulary. Needs the whole model (`workbench models fetch smollm2-135m`). Afterwards the sizes and
hashes in workbench/models/known.py and data/NOTICE must be those that this prints.
"""

import hashlib
from pathlib import Path

from gguf import GGUFReader, GGUFValueType, GGUFWriter

from workbench.models import fetch

HERE = Path(__file__).parent
TARGET = HERE / "smollm2-135m-slice.gguf"

# the middle block whole, the first block's attention, and the last block's ffn_down, whose input
# has the largest outliers (data/record_activations.py)
TENSORS = (
    "blk.0.attn_norm.",
    "blk.0.attn_q.",
    "blk.0.attn_k.",
    "blk.0.attn_v.",
    "blk.0.attn_output.",
    "blk.14.",
    "blk.29.ffn_down.",
)
CONTAINER = "GGUF."  # the reader's own names for the header's counts
DROPPED = "tokenizer."


def main():
    source = GGUFReader(fetch("smollm2-135m"))
    writer = GGUFWriter(TARGET, "llama")  # writes general.architecture itself
    for name, field in source.fields.items():
        if name.startswith((CONTAINER, DROPPED)) or name == "general.architecture":
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, inner)
    for tensor in source.tensors:
        if tensor.name.startswith(TENSORS):
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    content = TARGET.read_bytes()
    print(f"{TARGET.name}: {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
