"""What must hold of any bytes given to the GGUF reader, for the property tests and the fuzzer."""

from math import prod

import gguf
import numpy as np

from workbench.errors import WorkbenchError
from workbench.formats import BLOCKS, open_gguf

READ_AT_MOST = 1 << 16  # weights of one tensor: damage can make a header claim many
THEIRS = {kind.name for kind in gguf.GGML_QUANT_SIZES} - {"Q8_1"}  # gguf-py has an old Q8_1


def accepted(path) -> bool:
    """Open the file and look at everything in it; False if it was refused.

    Refused: by one FormatError with a position in the file. Accepted: every tensor has the bytes
    that its type and shape call for, decodes, and is the one that gguf-py finds.
    """
    size = path.stat().st_size
    file, error = attempt(lambda: open_gguf(path))
    if error:
        assert 0 <= error.position <= size
        assert "\n" not in error.problem
        return False
    for tensor in file.values():
        block = BLOCKS[tensor.quant]
        assert len(tensor.payload) == prod(tensor.shape) // block.elements * block.bytes
        assert tensor.raw().shape[0] == prod(tensor.shape[:-1])
        if prod(tensor.shape) <= READ_AT_MOST:
            check_decoding(tensor)
    assert sum(tensor.nbytes for tensor in file.values()) <= size
    for key in file.metadata:
        _, error = attempt(lambda key=key: file.metadata[key])
        assert error is None or 0 <= error.position <= size  # a string that is not UTF-8
    if {tensor.quant for tensor in file.values()} <= THEIRS:
        compare_with_gguf_py(path, file)
    return True


def attempt(action):
    """(result, None) or (None, the error)."""
    try:
        return action(), None
    except WorkbenchError as error:
        return None, error


def check_decoding(tensor):
    weights, error = attempt(lambda: tensor.read(threads=1))
    if error:
        assert "format of activations" in str(error)
        return
    assert weights.shape == tensor.shape
    assert weights.dtype == np.float32


def compare_with_gguf_py(path, file):
    theirs = gguf.GGUFReader(path)
    assert [tensor.name for tensor in theirs.tensors] == list(file)
    for tensor in theirs.tensors:
        ours = file[tensor.name]
        assert tensor.tensor_type.name == ours.quant
        assert tuple(reversed(tensor.shape.tolist())) == ours.shape
        assert tensor.data.tobytes() == ours.payload.tobytes()
