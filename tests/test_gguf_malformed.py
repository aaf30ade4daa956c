"""Every way a GGUF file can lie gets one error with the position, soon, and in little memory."""

import re
import time
import tracemalloc
from struct import pack

import pytest
from gguf_bytes import (
    ARCHITECTURE,
    ARRAY,
    BOOL,
    INT32,
    Q8_0,
    STRING,
    UINT8,
    UINT32,
    UINT64,
    array,
    entry,
    gguf,
    header,
    info,
    small,
    string,
)

from workbench.errors import FormatError, WorkbenchError
from workbench.formats import open_gguf

MOST_MEMORY = 200_000  # bytes: the error, its traceback and the walk so far; no array of a tensor
KEY = 24  # where the first metadata entry begins
VALUE = KEY + 8 + 1 + 4  # its value, if the key is one byte long
ALIGNMENT_VALUE = KEY + 8 + len("general.alignment") + 4
FOUR = bytes(16)  # the data of a tensor of four F32


def one_entry(key, kind, value):
    return gguf([entry(key, kind, value)])


def one_array(kind, count, data=b""):
    return gguf([array("k", kind, count, data)])


def alignment(kind, value):
    return one_entry("general.alignment", kind, value)


def one_tensor(*args, data=FOUR, **kwargs):
    return gguf([], [info(*args, **kwargs)], data)


def dims_at(name="t"):
    return KEY + 8 + len(name) + 4


def type_at(dims=1):
    return dims_at() + 8 * dims


def two_tensors(offset, data=FOUR + bytes(16) + FOUR):
    return gguf([], [info("a"), info("b", offset=offset)], data)


SECOND_OFFSET = KEY + 33 + 33 - 8
SECOND_DIMS = KEY + 33 + 8 + 1 + 4
DATA = 96  # where the data of two one-letter vectors begins: 24 + 2 * 33 = 90, padded

CASES = {
    # 1, 2: magic and version
    "empty file": (b"", "the file is empty", 0),
    "wrong magic": (header(0, 0, magic=b"GGML"), "not a GGUF file", 0),
    "html": (b"<!DOCTYPE html>" + bytes(99), "not a GGUF file", 0),
    "magic only": (b"GGUF", "ends within the version", 4),
    "version 0": (header(0, 0, version=0), "version 0 is unknown", 4),
    "version 1": (header(0, 0, version=1), "version 1 is obsolete", 4),
    "version 4": (header(0, 0, version=4), "version 4 is unknown", 4),
    "version 2^32-1": (header(0, 0, version=2**32 - 1), "is unknown", 4),
    "byte-swapped": (header(0, 0, version=3 << 24), "big-endian", 4),
    # 3: counts
    "tensors -1": (header(-1, 0), "claims -1 tensors", 8),
    "tensors 2^63-1": (header(2**63 - 1, 0), "at most 0 fit", 8),
    "tensors 2^40": (header(2**40, 0) + bytes(999), "at most 30 fit", 8),
    "tensors just too many": (header(2, 0) + bytes(65), "at most 1 fit", 8),
    "entries -1": (header(0, -1), "claims -1 metadata entries", 16),
    "entries 2^63-1": (header(0, 2**63 - 1), "at most 0 fit", 16),
    "entries just too many": (header(0, 2) + bytes(27), "at most 1 fit", 16),
    "tensors over the limit": (header(16_385, 0) + bytes(33 * 16_385), "at most 16384", 8),
    "no count": (header(0, 0)[:20], "ends within the number of metadata", 16),
    # 5: metadata
    "key longer than the file": (one_entry("k", UINT8, b"\0")[:KEY] + pack("<Q", 99) + bytes(9),
                                 "is 99 bytes long, but at most 9", KEY),
    "key 2^64-1": (header(0, 1) + pack("<Q", 2**64 - 1) + bytes(9), "at most 9 are", KEY),
    "key 2^30+1": (header(0, 1) + pack("<Q", 2**30 + 1) + bytes(9), "at most 9 are", KEY),
    "key over 65535": (one_entry("k" * 65_536, UINT8, b"\0"), "at most 65535", KEY),
    "long key twice": (
        gguf([entry("k" * 999, UINT8, b"\0")] * 2), "key 'kkkk", KEY + 8 + 999 + 5),
    "key empty": (one_entry("", UINT8, b"\0"), "is empty", KEY),
    "key twice": (gguf([entry("k", UINT8, b"\0")] * 2), "'k' occurs twice", KEY + 14),
    "key not UTF-8": (one_entry(b"a\xff", UINT8, b"\0"), "is not UTF-8", KEY + 9),
    "key with NUL": (one_entry("a\0b", UINT8, b"\0"), "cannot be printed", KEY + 8),
    "key with escape": (one_entry("a\x1b[31m", UINT8, b"\0"), "cannot be printed", KEY + 8),
    "value type 13": (one_entry("k", 13, b"\0"), "value of type 13", VALUE - 4),
    "value type -1": (one_entry("k", -1, b"\0"), "value of type -1", VALUE - 4),
    "value cut": (one_entry("k", UINT64, b"")[: VALUE + 7], "takes 8 bytes, but only 7", VALUE),
    "bool 7": (one_entry("k", BOOL, b"\7"), "holds the bool 7", VALUE),
    "bool in an array": (one_array(BOOL, 3, b"\0\1\2"), "holds the bool 2", VALUE + 14),
    "string 2^64-1": (one_entry("k", STRING, pack("<Q", 2**64 - 1)), "is 18446744", VALUE),
    "string too long": (one_entry("k", STRING, string("abc"))[: VALUE + 10], "only 2 bytes", VALUE),
    "array in an array": (one_array(ARRAY, 1, bytes(99)), "arrays of arrays", VALUE),
    "array 10^5 deep": (
        gguf([entry("k", ARRAY, pack("<iQ", ARRAY, 1) * 100_000)]), "arrays of arrays", VALUE),
    "array of type 99": (one_array(99, 1, b"\0"), "elements of type 99", VALUE),
    "array 2^61": (one_array(UINT64, 2**61, bytes(64)), "has 2305843009213693952", VALUE + 4),
    "array 2^64-1": (one_array(UINT8, 2**64 - 1), "elements of at least 1", VALUE + 4),
    "array longer than the file": (
        one_array(INT32, 99, bytes(64)), "99 elements of at least 4 bytes", VALUE + 4),
    "strings longer than the file": (
        one_array(STRING, 99, bytes(64)), "99 elements of at least 8 bytes", VALUE + 4),
    "strings end early": (
        one_array(STRING, 3, string("a" * 8) + bytes(8))[: VALUE + 39],
        "ends within the strings", VALUE + 36),
    "string in an array too long": (
        one_array(STRING, 2, string("a") + pack("<Q", 2**63) + bytes(8)),
        "is 9223372036854775808 bytes long", VALUE + 12 + 9),
    # 6: alignment
    "alignment 0": (alignment(UINT32, pack("<I", 0)), "is 0; it must", ALIGNMENT_VALUE),
    "alignment 1": (alignment(UINT32, pack("<I", 1)), "is 1; it must", ALIGNMENT_VALUE),
    "alignment 3": (alignment(UINT32, pack("<I", 3)), "is 3; it must", ALIGNMENT_VALUE),
    "alignment 2^31": (alignment(UINT32, pack("<I", 2**31)), "it must be", ALIGNMENT_VALUE),
    "alignment u64": (alignment(UINT64, pack("<Q", 32)), "must be a uint32", ALIGNMENT_VALUE),
    "alignment i32": (alignment(INT32, pack("<i", 32)), "must be a uint32", ALIGNMENT_VALUE),
    "alignment string": (alignment(STRING, string("32")), "must be a uint32", ALIGNMENT_VALUE),
    "alignment array": (
        gguf([array("general.alignment", UINT32, 1, pack("<I", 32))]),
        "must be a uint32", ALIGNMENT_VALUE + 12),
    "alignment twice": (
        gguf([entry("general.alignment", UINT32, pack("<I", 32))] * 2), "twice", KEY + 33),
    "data begins behind the end": (
        gguf([entry("general.alignment", UINT32, pack("<I", 2**20))], [info("t")]),
        "the file ends at byte", ALIGNMENT_VALUE + 4 + 8 + 1 + 4),
    # 7: tensor infos
    "name of 64 bytes": (one_tensor("n" * 64), "is 64 bytes long, but at most 63", KEY),
    "name empty": (one_tensor(""), "is empty", KEY),
    "name twice": (gguf([], [info("a"), info("a", offset=32)], bytes(64)), "twice", KEY + 33),
    "name not UTF-8": (one_tensor(b"\xc3("), "is not UTF-8", KEY + 8),
    "name with NUL": (
        gguf([], [info("a"), info("a\0b", offset=32)], bytes(64)), "cannot be", KEY + 33 + 8),
    "no dimension": (one_tensor("t", (), n_dims=0), "has 0 dimensions", dims_at() - 4),
    "5 dimensions": (one_tensor("t", (1,) * 5), "has 5 dimensions", dims_at() - 4),
    "2^32-1 dimensions": (one_tensor("t", n_dims=2**32 - 1), "4294967295 dim", dims_at() - 4),
    "dimension 0": (one_tensor("t", (4, 0)), "dimension 1 of tensor 't' is 0", dims_at() + 8),
    "dimension -1": (one_tensor("t", (-1,)), "is -1; it must", dims_at()),
    "dimension 2^63-1": (one_tensor("t", (2**63 - 1,)), "takes 36893488147419103228", dims_at()),
    "dimension 2^50": (one_tensor("t", (2**50,)), "the file ends at byte", dims_at()),
    "product 2^64": (one_tensor("t", (2**32, 2**32)), "takes 73786976294838206464", dims_at()),
    "product 2^126": (one_tensor("t", (2**62, 2**62, 4, 1)), "the file ends at", dims_at()),
    "stride overflow": (one_tensor("t", (2**22, 2**42 + 1)), "the file ends at", dims_at()),
    "bytes wrap to 16": (one_tensor("t", (2**62 + 4,)), "takes 18446744073709551632", dims_at()),
    "padding wraps": (one_tensor("t", (2**62 - 1,)), "takes 18446744073709551612", dims_at()),
    "sum of sizes wraps": (
        gguf([], [info("a", (2**61,)), info("b", (2**61,), offset=2**63)], FOUR),
        "'a' (2305843009213693952,) takes", dims_at()),
    "half a block": (one_tensor("t", (16,), Q8_0, data=bytes(34)), "blocks of 32", dims_at()),
    "block across rows": (
        one_tensor("t", (16, 2), Q8_0, data=bytes(34)), "rows of 16 weights", dims_at()),
    "type 4": (one_tensor("t", kind=4), "type 4, which stands for Q4_2", type_at()),
    "type 43": (one_tensor("t", kind=43), "type 43, which is unknown", type_at()),
    "type -1": (one_tensor("t", kind=-1), "type -1, which is unknown", type_at()),
    "type 2^31-1": (one_tensor("t", kind=2**31 - 1), "which is unknown", type_at()),
    "type -2^31": (one_tensor("t", kind=-(2**31)), "which is unknown", type_at()),
    # 8: where the data lies
    "first offset not 0": (one_tensor("t", offset=32, data=bytes(64)), "leaves a gap", 49),
    "offset unaligned": (two_tensors(33), "no multiple of the alignment 32", SECOND_OFFSET),
    "offset out of order": (
        gguf([], [info("a", offset=32), info("b")], bytes(64)), "leaves a gap", KEY + 33 - 8),
    "offset overlaps": (two_tensors(0), "overlaps the tensor before it", SECOND_OFFSET),
    "offset leaves a gap": (two_tensors(64, bytes(80)), "leaves a gap", SECOND_OFFSET),
    "offset beyond the file": (two_tensors(2**40), "must be 32", SECOND_OFFSET),
    "offset + size wraps": (two_tensors(2**64 - 32), "must be 32", SECOND_OFFSET),
    "one byte short": (two_tensors(32)[:-1], "the file ends at byte 143", SECOND_DIMS),
    "no data": (two_tensors(32, b""), "the file ends at byte 96", dims_at("a")),
    "bytes behind the padding": (two_tensors(32) + bytes(17), "1 bytes follow", DATA + 64),
    "bytes behind no tensor": (gguf([ARCHITECTURE]) + b"x", "1 bytes follow", 96),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_refusal(tmp_path, case):
    data, fragment, position = CASES[case]
    path = tmp_path / "hostile.gguf"
    path.write_bytes(data)
    tracemalloc.start()
    begin = time.perf_counter()
    try:
        with pytest.raises(FormatError, match=re.escape(fragment)) as caught:
            open_gguf(path)
        took = time.perf_counter() - begin
        memory = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.position == position
    assert caught.value.path == str(path)
    assert str(caught.value) == f"{path}, byte {position}: {caught.value.problem}"
    assert "\n" not in caught.value.problem
    assert len(caught.value.problem) < 250
    assert took < 1
    assert memory < MOST_MEMORY


def test_truncation_at_every_byte(tmp_path):
    whole = small()
    last_byte_used = len(whole) - 28  # the padding behind the last tensor
    path = tmp_path / "cut.gguf"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        if size < last_byte_used:
            with pytest.raises(FormatError) as caught:
                open_gguf(path)
            assert 0 <= caught.value.position <= size
        else:
            assert open_gguf(path)["matrix"].read()[0, 2] == 1.0


def test_cut_in_padding_is_read_without_tensors_too(tmp_path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(gguf([ARCHITECTURE])[:-1])
    assert len(open_gguf(path)) == 0


@pytest.mark.parametrize("value", [b"\xff\xfe", b"ab\x80"])
def test_value_that_is_not_utf8(tmp_path, value):
    """Tensors stay readable; the value is refused when it is asked for."""
    path = tmp_path / "latin.gguf"
    path.write_bytes(gguf([entry("k", STRING, string(value))], [info("t")], FOUR))
    file = open_gguf(path)
    assert file["t"].read().tolist() == [0, 0, 0, 0]
    with pytest.raises(FormatError, match="'k' is not UTF-8") as caught:
        file.metadata["k"]
    assert caught.value.position == VALUE + 8 + (0 if value[0] > 127 else 2)


def test_too_many_strings(tmp_path):
    path = tmp_path / "strings.gguf"
    count = 2_097_153
    path.write_bytes(gguf([array("k", STRING, count, bytes(8 * count))]))
    begin = time.perf_counter()
    with pytest.raises(FormatError, match="holds 2097153 strings; at most 2097152 are read"):
        open_gguf(path)
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize("what", ["missing", "folder", "pipe"])
def test_not_a_file(tmp_path, what):
    path = tmp_path / "thing"
    if what == "folder":
        path.mkdir()
    if what == "pipe":
        import os

        os.mkfifo(path)
    with pytest.raises(WorkbenchError, match="no such file" if what == "missing" else "regular"):
        open_gguf(path)


def test_bad_arm_option(tmp_path):
    with pytest.raises(WorkbenchError, match="i2_s is 'mips', but must be 'x86' or 'arm'"):
        open_gguf(tmp_path / "any.gguf", i2_s="mips")
