"""Texts by path, or by their name among the workbench's own."""

import pytest

import workbench as wb
from workbench.lm import read_text, texts


@pytest.fixture
def shipped(monkeypatch, tmp_path):
    (tmp_path / "held-out.txt").write_text("shipped\n", encoding="utf-8")
    monkeypatch.setattr(texts, "data_dir", lambda: tmp_path)
    return tmp_path


def test_a_name_or_a_path(shipped, tmp_path):
    assert read_text("held-out.txt") == "shipped\n"
    own = tmp_path / "own" / "held-out.txt"
    own.parent.mkdir()
    own.write_bytes("é\r\n".encode())
    assert read_text(own) == "é\r\n"  # ends of lines are as they are


def test_a_path_of_ones_own_comes_first(shipped, tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "held-out.txt").write_text("mine")
    monkeypatch.chdir(folder)
    assert read_text("held-out.txt") == "mine"


@pytest.mark.parametrize("name", ["nothing.txt", "some/held-out.txt", "", "."])
def test_what_is_not_there_is_refused(shipped, name):
    with pytest.raises(wb.WorkbenchError, match=r"is neither a text file .* \(held-out.txt\)"):
        read_text(name)


def test_bytes_that_are_no_text_are_refused(shipped):
    path = shipped / "binary"
    path.write_bytes(b"ab\xff")
    with pytest.raises(wb.WorkbenchError, match="byte 2 is not UTF-8"):
        read_text(path)
