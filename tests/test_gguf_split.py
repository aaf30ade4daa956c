"""Models in several GGUF files: any part opens all of them, and none may be missing."""

from struct import pack

import pytest
from gguf_bytes import ARCHITECTURE, INT32, STRING, UINT32, entry, gguf, info, string

from workbench.errors import FormatError
from workbench.formats import open_gguf

UINT16 = 2
NAMES = [f"model-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]


def part(number, count=3, total=3, name=None, more=()):
    entries = [
        *([ARCHITECTURE] if number == 0 else []),
        entry("split.no", UINT16, pack("<H", number)),
        entry("split.count", UINT16, pack("<H", count)),
        entry("split.tensors.count", INT32, pack("<i", total)),
        *more,
    ]
    return gguf(entries, [info(name or f"t{number}", (1,))], pack("<f", number))


@pytest.fixture
def parts(tmp_path):
    for number, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(part(number))
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_any_part_opens_all(parts, name):
    file = open_gguf(parts / name)
    assert {key: tensor.read().tolist() for key, tensor in file.items()} == {
        "t0": [0],
        "t1": [1],
        "t2": [2],
    }
    assert file.path == parts / NAMES[0]
    assert file.metadata["general.architecture"] == "llama"


def test_one_part_of_one(tmp_path):
    path = tmp_path / "any-name.gguf"
    path.write_bytes(part(0, count=1, total=1))
    assert list(open_gguf(path)) == ["t0"]


def break_missing(folder):
    (folder / NAMES[1]).unlink()


def break_broken(folder):
    (folder / NAMES[2]).write_bytes(part(2)[:-1])


def break_twice(folder):
    (folder / NAMES[2]).write_bytes(part(2, name="t0"))


def break_order(folder):
    (folder / NAMES[2]).write_bytes(part(1))


def break_count(folder):
    (folder / NAMES[2]).write_bytes(part(2, count=4))


def break_total(folder):
    (folder / NAMES[0]).write_bytes(part(0, total=4))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (break_missing, "split into 3 files, but model-00002-of-00003.gguf is missing"),
        (break_broken, "the file ends"),
        (break_twice, "'t0' is in an earlier part"),
        (break_order, r"split.no and split.count are \[1, 3\], not \[2, 3\]"),
        (break_count, r"split.no and split.count are \[2, 4\], not \[2, 3\]"),
        (break_total, "split.tensors.count is 4, but the parts hold 3 tensors"),
    ],
)
def test_spoiled_sets(parts, spoil, problem):
    spoil(parts)
    with pytest.raises(FormatError, match=problem):
        open_gguf(parts / NAMES[0])


def test_part_of_another_name(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(part(0))
    with pytest.raises(FormatError, match=r"must end in -00001-of-00003\.gguf"):
        open_gguf(path)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (entry("split.count", STRING, string("3")), "split.count must be a number"),
        (entry("split.count", INT32, pack("<i", -3)), "split.count must be a number"),
        (entry("split.count", UINT32, pack("<I", 2**31)), "at most 10000"),
    ],
    ids=["text", "negative", "huge"],
)
def test_counts_that_cannot_be(tmp_path, value, problem):
    path = tmp_path / "model-00001-of-00003.gguf"
    path.write_bytes(gguf([value], [info("t", (1,))], bytes(4)))
    with pytest.raises(FormatError, match=problem):
        open_gguf(path)
