"""Properties of the GGUF reader and writer over random files and random damage."""

import ctypes

import numpy as np
import pytest
from gguf_bytes import header, samples
from gguf_oracle import accepted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.formats import Tensor, encode_blocks, open_gguf, write_gguf
from workbench.measure import _ggml, peers

thorough = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
VALID = samples()
INTERESTING = [0, 1, 31, 33, 127, 255, 2**16, 2**31, 2**32 - 1, 2**61, 2**62, 2**63, 2**64 - 1]


@st.composite
def damaged(draw):
    """A valid file with a few bytes changed, numbers planted, or pieces cut, copied or added."""
    data = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, min(len(data), 700) - 1)))
        match draw(st.sampled_from(["byte", "number", "cut", "end", "copy", "insert"])):
            case "byte":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "number":
                width = draw(st.sampled_from([4, 8]))
                value = draw(st.sampled_from(INTERESTING)) + draw(st.integers(-2, 2))
                data[at : at + width] = (value % 256**width).to_bytes(width, "little")
            case "cut":
                del data[at : at + draw(st.integers(1, 64))]
            case "end":
                del data[at:]
            case "copy":
                data[at:at] = data[at : at + draw(st.integers(1, 64))]
            case "insert":
                data[at:at] = draw(st.binary(max_size=40))
    return bytes(data) or b"\0"


def test_samples_are_valid(tmp_path):
    for number, data in enumerate(VALID):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(data)
        assert accepted(path)


@thorough
@given(data=damaged())
def test_damage_is_refused_or_harmless(tmp_path, data):
    path = tmp_path / "damaged.gguf"
    path.write_bytes(data)
    accepted(path)


@thorough
@given(entries=st.integers(0, 3), tensors=st.integers(0, 3), data=st.binary(max_size=300))
def test_noise_behind_a_header(tmp_path, entries, tensors, data):
    path = tmp_path / "noise.gguf"
    path.write_bytes(header(tensors, entries) + data)
    accepted(path)


@pytest.mark.peers
@pytest.mark.skipif(not peers.available(), reason=peers.unavailable())
@thorough
@given(data=damaged())
def test_what_we_accept_llama_cpp_accepts(tmp_path, data):
    path = tmp_path / "damaged.gguf"
    path.write_bytes(data)
    if not accepted(path) or "I2_S" in {tensor.quant for tensor in open_gguf(path).values()}:
        return
    ggml = ctypes.CDLL(_ggml._library_file("ggml-base"))
    ggml.gguf_init_from_file.restype = ctypes.c_void_p
    ggml.gguf_init_from_file.argtypes = [ctypes.c_char_p, InitParameters]
    ggml.gguf_free.argtypes = [ctypes.c_void_p]
    context = ggml.gguf_init_from_file(str(path).encode(), InitParameters(True, None))
    assert context
    ggml.gguf_free(context)


class InitParameters(ctypes.Structure):
    """struct gguf_init_params."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p))


names = st.text(st.characters(codec="utf-8").filter(str.isprintable), min_size=1, max_size=15)
values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(width=32, allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=5), min_size=1, max_size=5),
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=5),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=5),
)


@st.composite
def tensors(draw):
    quant = draw(st.sampled_from(["F32", "F16", "Q4_0", "Q8_0", "TQ1_0", "TQ2_0", "Q2_0"]))
    shape = (*draw(st.lists(st.integers(1, 3), max_size=3)), 256 * draw(st.integers(1, 2)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    weights = rng.integers(-1, 2, shape).astype(np.float32)
    return Tensor.of("any", quant, encode_blocks(quant, weights.reshape(-1, shape[-1])), shape)


@settings(thorough, max_examples=100)
@given(
    metadata=st.dictionaries(names, values, max_size=5),
    content=st.dictionaries(names, tensors(), max_size=4),
)
def test_what_is_written_comes_back(tmp_path, metadata, content):
    path = tmp_path / "written.gguf"
    write_gguf(path, content, metadata)
    assert accepted(path)
    file = open_gguf(path)
    for key, value in metadata.items():
        read = file.metadata[key]
        assert (read.tolist() if isinstance(read, np.ndarray) else read) == value
    assert list(file) == list(content)
    for name, tensor in content.items():
        assert (file[name].quant, file[name].shape) == (tensor.quant, tensor.shape)
        np.testing.assert_array_equal(file[name].raw(), tensor.raw())


def test_oracle_can_fail(tmp_path, monkeypatch):
    """A reader that swaps two tensors does not get past the comparison with gguf-py."""
    path = tmp_path / "small.gguf"
    path.write_bytes(VALID[0])
    file = open_gguf(path)
    swapped = {"vector": file["matrix"], "matrix": file["vector"]}
    monkeypatch.setattr(file, "_tensors", swapped)
    monkeypatch.setattr("gguf_oracle.open_gguf", lambda path: file)
    with pytest.raises(AssertionError):
        accepted(path)
