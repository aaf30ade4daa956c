"""safetensors in and out: every type, shards, hostile files, strided arrays."""

import json
import time
import tracemalloc
from struct import pack

import numpy as np
import pytest
import safetensors.numpy

from workbench.errors import FormatError, WorkbenchError
from workbench.formats import open_safetensors, write_safetensors

ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
DTYPES = "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 ?".split()  # noqa: SIM905


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def file_of(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return pack("<Q", len(text) if length is None else length) + text + data


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("code", DTYPES)
def test_types_come_back(path, code):
    values = (normal(3, 8) * 9).astype(code)
    write_safetensors(path, {"w": values}, {"made": "here"})
    file = open_safetensors(path)
    tensor = file["w"]
    assert (tensor.shape, tensor.nbytes, tensor.dtype) == ((3, 8), values.nbytes, "f4")
    assert file.metadata == {"made": "here"}
    np.testing.assert_array_equal(tensor.read(), values.astype(np.float32))
    np.testing.assert_array_equal(tensor.read(slice(1, 3)), values[1:3].astype(np.float32))
    np.testing.assert_array_equal(tensor.raw(), values.view(np.uint8).reshape(3, -1))
    np.testing.assert_array_equal(safetensors.numpy.load_file(path)["w"], values)


def test_bfloat16(path):
    bits = np.array([[0x3F80, 0xC000, 0x7F80]], np.uint16)
    header = {"w": {"dtype": "BF16", "shape": [1, 3], "data_offsets": [0, 6]}}
    path.write_bytes(file_of(header, bits.tobytes()))
    assert open_safetensors(path)["w"].read().tolist() == [[1.0, -2.0, np.inf]]


def test_types_without_a_decoder_can_be_listed(path):
    header = {"w": {"dtype": "F8_E4M3", "shape": [2, 2], "data_offsets": [0, 4]}}
    path.write_bytes(file_of(header, bytes(4)))
    tensor = open_safetensors(path)["w"]
    assert (tensor.quant, tensor.raw().shape) == ("F8_E4M3", (2, 2))
    with pytest.raises(WorkbenchError, match="no block format is called 'F8_E4M3'"):
        tensor.read()


@pytest.mark.parametrize(
    "view",
    [
        lambda w: w.T,
        lambda w: w[::2, ::3],
        lambda w: w[::-1],
        lambda w: np.asfortranarray(w),
        lambda w: w.astype(">f4"),
        lambda w: np.broadcast_to(w[0], w.shape),
    ],
    ids=["transposed", "strided", "reversed", "Fortran", "big-endian", "broadcast"],
)
def test_strides_do_not_scramble(path, view):
    w = view(normal(6, 9))
    write_safetensors(path, {"w": w, "other": normal(4)})
    np.testing.assert_array_equal(open_safetensors(path)["w"].read(), w)
    np.testing.assert_array_equal(safetensors.numpy.load_file(path)["w"], w)


def test_scalars_and_empty_tensors(path):
    write_safetensors(path, {"scalar": np.float32(3), "empty": np.zeros((2, 0, 3), np.float32)})
    file = open_safetensors(path)
    assert file["scalar"].shape == ()
    assert file["scalar"].read().shape == ()
    assert file["scalar"].read() == 3
    assert file["empty"].read().shape == (2, 0, 3)
    assert file["empty"].raw().size == 0


def test_unaligned_data(path):
    """Old files do not pad the header, so numbers begin anywhere."""
    values = normal(5)
    header = json.dumps({"w": {"dtype": "F32", "shape": [5], "data_offsets": [0, 20]}}).encode()
    for spaces in range(1, 9):
        path.write_bytes(file_of(header + b" " * spaces, values.tobytes()))
        np.testing.assert_array_equal(open_safetensors(path)["w"].read(), values)


def test_opening_is_lazy_and_read_only(path):
    write_safetensors(path, {"w": normal(4, 4)})
    raw = open_safetensors(path)["w"].raw()
    assert not raw.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        raw[0, 0] = 1


HOSTILE = {
    "empty": (b"", "the file is empty", 0),
    "seven bytes": (b"1234567", "ends within the length of the header", 0),
    "header longer than the file": (file_of(b"{}", length=99), "claims 99 bytes", 0),
    "header of 2^64-1 bytes": (file_of(b"{}", length=2**64 - 1), "at most 2 are left", 0),
    "header over the limit": (
        file_of(b"{}", bytes(5 << 20), length=5 << 20), "at most 4194304 are", 0),
    "not JSON": (file_of(b"[[[["), "not a valid safetensors header", 8),
    "a list": (file_of([1, 2]), "not a valid safetensors header", 8),
    "not UTF-8": (file_of(b'{"\xff": 1}'), "not a valid safetensors header", 8),
    "10000 deep": (file_of(b'{"a":' * 10_000), "not a valid safetensors header", 8),
    "overlap": (
        file_of({"a": ONE, "b": ONE | {"data_offsets": [4, 12]}}, bytes(12)), "invalid offset", 8),
    "gap": (
        file_of({"a": ONE, "b": ONE | {"data_offsets": [12, 20]}}, bytes(20)), "invalid off", 8),
    "size": (file_of({"a": ONE | {"shape": [3]}}, bytes(8)), "invalid shape", 8),
    "negative": (file_of({"a": ONE | {"shape": [-2]}}, bytes(8)), "invalid", 8),
    "overflow": (file_of({"a": ONE | {"shape": [2**62, 2**62]}}, bytes(8)), "overflow", 8),
    "backwards": (file_of({"a": ONE | {"data_offsets": [8, 0]}}, bytes(8)), "invalid offset", 8),
    "cut": (file_of({"a": ONE}, bytes(7)), "not fully covered", 8),
    "bytes behind": (file_of({"a": ONE}, bytes(9)), "not fully covered", 8),
    "unknown type": (file_of({"a": ONE | {"dtype": "F99"}}, bytes(8)), "unknown variant", 8),
    "no type": (file_of({"a": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)), "dtype", 8),
    "metadata of numbers": (file_of({"__metadata__": {"a": 1}}), "expected a string", 8),
    "name twice": (
        file_of(b'{"a":%b,"a":%b}' % (json.dumps(ONE).encode(), json.dumps(ONE).encode()),
                bytes(8)), "'a' occurs twice", 8),
    "name with NUL": (file_of({"a\0b": ONE}, bytes(8)), "cannot be printed", 8),
    "name with escape": (file_of({"\x1b[2J": ONE}, bytes(8)), "cannot be printed", 8),
    "name empty": (file_of({"": ONE}, bytes(8)), "is empty or cannot", 8),
    "a GGUF file": (b"GGUF" + bytes(99), "the header claims", 0),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_refusal(path, case):
    data, problem, position = HOSTILE[case]
    path.write_bytes(data)
    tracemalloc.start()
    begin = time.perf_counter()
    try:
        with pytest.raises(FormatError, match=problem) as caught:
            open_safetensors(path)
        assert time.perf_counter() - begin < 1
        assert tracemalloc.get_traced_memory()[1] < len(data) + 200_000
    finally:
        tracemalloc.stop()
    assert caught.value.position == position


def test_truncation_at_every_byte(path):
    write_safetensors(path, {"a": normal(3), "b": normal(2, 2)})
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(FormatError):
            open_safetensors(path)


def test_no_file(path):
    with pytest.raises(WorkbenchError, match="there is no such file"):
        open_safetensors(path)


@pytest.fixture
def shards(tmp_path):
    write_safetensors(tmp_path / "one.safetensors", {"a": normal(2, 2)})
    write_safetensors(tmp_path / "two.safetensors", {"b": normal(3, 3), "c": normal(1)})
    index = tmp_path / "model.safetensors.index.json"
    names = {"c": "two.safetensors", "a": "one.safetensors", "b": "two.safetensors"}
    index.write_text(json.dumps({"metadata": {"total_size": 56}, "weight_map": names}))
    return index


def test_shards(shards):
    file = open_safetensors(shards)
    assert list(file) == ["c", "a", "b"]
    assert file.metadata == {"total_size": 56}
    np.testing.assert_array_equal(file["b"].read(), normal(3, 3))


@pytest.mark.parametrize(
    ("index", "problem"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON that can be read"),
        (b"[" * 100_000, "not JSON that can be read"),
        (b'{"weight_map": {"a": 1' + b"0" * 5000 + b"}}", "not JSON that can be read"),
        (b"[]", "has no 'weight_map'"),
        (b'{"weight_map": {"a": 3}}', "has no 'weight_map'"),
        (b'{"weight_map": {"a": "absent.safetensors"}}', "'absent.safetensors', which is missing"),
        (b'{"weight_map": {"a": "../one.safetensors"}}', "is not a file name"),
        (b'{"weight_map": {"a": "/etc/passwd"}}', "is not a file name"),
        (b'{"weight_map": {"a": ""}}', "is not a file name"),
        (b'{"weight_map": {"b": "one.safetensors"}}', "'b' in 'one.safetensors', which lacks it"),
        (b'{"weight_map": {"a": "one.safetensors", "a": "two.safetensors"}}', "'a' occurs twice"),
    ],
)
def test_broken_index(shards, index, problem):
    shards.write_bytes(index)
    with pytest.raises(FormatError, match=problem):
        open_safetensors(shards)


@pytest.mark.parametrize("values", [np.array(["a"]), np.array([1j]), np.array([None])])
def test_types_that_are_not_written(path, values):
    with pytest.raises(TypeError, match="tensor 'w' is"):
        write_safetensors(path, {"w": values})
    assert not path.exists()


def test_metadata_must_be_text(path):
    with pytest.raises(TypeError, match="metadata must map strings to strings"):
        write_safetensors(path, {"w": normal(2)}, {"bits": 2})


def test_nothing_half_written(path, monkeypatch):
    path.write_bytes(b"precious")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    with pytest.raises(WorkbenchError, match="No space left"):
        write_safetensors(path, {"w": normal(2)})
    assert [p.read_bytes() for p in path.parent.iterdir()] == [b"precious"]
