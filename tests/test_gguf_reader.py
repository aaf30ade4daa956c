"""Valid GGUF files: every kind of value, every type, lazily and quickly."""

import os
import shutil
import time
from struct import pack

import gguf
import numpy as np
import pytest
from gguf_bytes import ARCHITECTURE, STRING, UINT32, array, entry, info, small, string
from gguf_bytes import gguf as gguf_bytes

from workbench.formats import BLOCKS, open_gguf

GGUF_PY_WRITES = "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 TQ1_0 TQ2_0".split()  # noqa: SIM905

NUMBERED = [n for n, b in BLOCKS.items() if b.id is not None and n != "I2_S_ARM"]


@pytest.fixture
def small_file(tmp_path):
    path = tmp_path / "small.gguf"
    path.write_bytes(small())
    return path


def test_metadata_and_tensors(small_file):
    file = open_gguf(small_file)
    assert (file.version, file.alignment, file.path) == (3, 32, small_file)
    assert list(file.metadata) == [
        *("general.architecture", "a.uint8", "a.bool", "a.strings", "a.floats", "a.bools")
    ]
    assert file.metadata["general.architecture"] == "llama"
    assert file.metadata["a.uint8"] == 7
    assert file.metadata["a.bool"] is True
    assert file.metadata["a.strings"] == ["ab", ""]
    assert file.metadata["a.floats"].tolist() == [1, 2, 3]
    assert file.metadata["a.bools"].tolist() == [False, True]
    assert list(file) == ["vector", "matrix"]
    assert file["vector"].shape == (3,)
    assert file["vector"].read().tolist() == [1, -2, 3]
    matrix = file["matrix"]
    assert (matrix.shape, matrix.quant, matrix.nbytes, matrix.dtype) == ((2, 32), "Q8_0", 68, "f4")
    assert matrix.read()[0].tolist() == [value / 2 for value in range(32)]
    assert repr(matrix) == "Tensor('matrix', (2, 32), Q8_0, 68 bytes)"


def test_unknown_names(small_file):
    file = open_gguf(small_file)
    with pytest.raises(KeyError, match="absent"):
        file["absent"]
    with pytest.raises(KeyError, match="absent"):
        file.metadata["absent"]
    assert file.get("absent") is None
    assert file.metadata.get("absent", 5) == 5


NUMBERS = {
    0: ("<B", 255),
    1: ("<b", -128),
    2: ("<H", 65535),
    3: ("<h", -32768),
    4: ("<I", 2**32 - 1),
    5: ("<i", -(2**31)),
    6: ("<f", 0.5),
    10: ("<Q", 2**64 - 1),
    11: ("<q", -(2**63)),
    12: ("<d", 0.1),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers(tmp_path, kind):
    code, value = NUMBERS[kind]
    path = tmp_path / "numbers.gguf"
    entries = [
        entry("one", kind, pack(code, value)),
        array("some", kind, 3, pack(f"<3{code[1]}", value, 0, value)),
        array("none", kind, 0),
    ]
    path.write_bytes(gguf_bytes(entries))
    metadata = open_gguf(path).metadata
    assert metadata["one"] == value
    assert type(metadata["one"]) is type(value)
    assert metadata["some"].tolist() == [value, 0, value]
    assert metadata["some"].flags.owndata
    assert len(metadata["none"]) == 0


def test_strings(tmp_path):
    path = tmp_path / "strings.gguf"
    entries = [
        entry("empty", STRING, string("")),
        entry("text", STRING, string("Größe\n\0 ▁")),
        array("none", STRING, 0),
    ]
    path.write_bytes(gguf_bytes(entries))
    metadata = open_gguf(path).metadata
    assert dict(metadata) == {"empty": "", "text": "Größe\n\0 ▁", "none": []}


@pytest.mark.parametrize("alignment", [8, 64, 4096])
@pytest.mark.parametrize("version", [2, 3])
def test_versions_and_alignments(tmp_path, version, alignment):
    path = tmp_path / "aligned.gguf"
    data = pack("<2f", 1, 2) + bytes(alignment - 8) + pack("<f", 3)
    infos = [info("a", (2,)), info("b", (1, 1, 1, 1), offset=alignment)]
    entries = [entry("general.alignment", UINT32, pack("<I", alignment))]
    path.write_bytes(gguf_bytes(entries, infos, data, alignment, version=version))
    file = open_gguf(path)
    assert (file.version, file.alignment) == (version, alignment)
    assert file["b"].read().tolist() == [[[[3]]]]


def test_nothing_at_all(tmp_path):
    path = tmp_path / "nothing.gguf"
    path.write_bytes(gguf_bytes()[:24])
    file = open_gguf(path)
    assert (len(file), len(file.metadata)) == (0, 0)


def test_longest_names(tmp_path):
    path = tmp_path / "long.gguf"
    name, key = "ü" * 31 + "n", "k" * 65_535
    path.write_bytes(gguf_bytes([entry(key, 0, b"\1")], [info(name, (1,))], bytes(4)))
    file = open_gguf(path)
    assert list(file) == [name]
    assert file.metadata[key] == 1


@pytest.mark.parametrize("name", GGUF_PY_WRITES)
def test_files_of_gguf_py(tmp_path, name):
    path = tmp_path / "theirs.gguf"
    kind = gguf.GGMLQuantizationType[name]
    w = np.random.default_rng(0).normal(size=(3, 5, 512)).astype(np.float32)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("list", [1, 2, 3])
    writer.add_tensor("w", gguf.quants.quantize(w, kind), raw_dtype=kind)
    writer.add_tensor("norm", w[0, 0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    theirs = gguf.GGUFReader(path).tensors[0]
    ours = open_gguf(path)["w"]
    assert (ours.quant, ours.shape) == (name, (3, 5, 512))
    expected = gguf.quants.dequantize(theirs.data, kind).reshape(3, 5, 512)
    np.testing.assert_array_equal(ours.read(), expected)
    np.testing.assert_array_equal(ours.read(slice(4, 11, 2)), expected.reshape(15, 512)[4:11:2])
    np.testing.assert_array_equal(ours.raw(), theirs.data.view(np.uint8).reshape(15, -1))
    np.testing.assert_array_equal(open_gguf(path)["norm"].read(), w[0, 0])


def test_raw_is_a_read_only_view_of_the_file(small_file):
    raw = open_gguf(small_file)["matrix"].raw()
    assert raw.shape == (2, 34)
    assert raw.dtype == np.uint8
    assert not raw.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        raw[0, 0] = 1


def test_empty_slice_and_wrong_rows(small_file):
    matrix = open_gguf(small_file)["matrix"]
    assert matrix.read(slice(0, 0)).shape == (0, 32)
    with pytest.raises(TypeError, match="rows is 3, but must be a slice"):
        matrix.read(3)


def test_file_survives_its_deletion_and_replacement(small_file, tmp_path):
    matrix = open_gguf(small_file)["matrix"]
    before = matrix.read()
    shutil.move(small_file, tmp_path / "elsewhere")
    os.unlink(tmp_path / "elsewhere")
    np.testing.assert_array_equal(matrix.read(), before)


def test_large_vocabulary_opens_at_once(tmp_path):
    tokens = b"".join(string(f"token {number}") for number in range(49_152))
    merges = b"".join(string(f"{number} {number}") for number in range(48_900))
    entries = [
        ARCHITECTURE,
        array("tokens", STRING, 49_152, tokens),
        array("merges", STRING, 48_900, merges),
    ]
    path = tmp_path / "vocabulary.gguf"
    path.write_bytes(gguf_bytes(entries))
    begin = time.perf_counter()
    file = open_gguf(path)
    assert time.perf_counter() - begin < 0.5
    assert file.metadata["tokens"][49_151] == "token 49151"


def test_opening_reads_no_tensor(tmp_path):
    """A sparse file of 8 GB opens at once; only the header is looked at."""
    path = tmp_path / "sparse.gguf"
    path.write_bytes(gguf_bytes([], [info("w", (2**20, 2**11))]))
    os.truncate(path, path.stat().st_size + 2**33)
    begin = time.perf_counter()
    tensor = open_gguf(path)["w"]
    rows = tensor.read(slice(0, 2))
    assert time.perf_counter() - begin < 0.5
    assert tensor.nbytes == 2**33
    assert rows.shape == (2, 2**20)
    assert not rows.any()


@pytest.mark.parametrize("name", NUMBERED)
def test_every_type_is_found_by_its_number(tmp_path, name):
    block = BLOCKS[name]
    cols, rows = 8 * block.elements, 64
    size = rows * 8 * block.bytes + 32 * (name == "I2_S")
    path = tmp_path / "one.gguf"
    path.write_bytes(gguf_bytes([], [info("w", (cols, rows), block.id)], bytes(size)))
    tensor = open_gguf(path)["w"]
    assert (tensor.quant, tensor.shape, tensor.nbytes) == (name, (rows, cols), size)
    assert tensor.raw().shape == (rows, 8 * block.bytes)
