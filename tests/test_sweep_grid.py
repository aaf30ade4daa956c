"""Parameters are checked before anything starts, against the notebook's own cell."""

import json

import numpy as np
import pytest
from sweep_clusters import write_sweep_notebook

from workbench import WorkbenchError, sweep
from workbench.sweep.parameters import UNKNOWN, read_parameters
from workbench.sweep.recording import VARIABLE, read_recorded

CELL = """\
bits: int = 3  # a weight; 2 to 8
scale: float = 1.0  # above 0 and at most 4
rounding: str = "absmean"  # one of absmean, absmax or rms
group: int | None = None  # weights that share a scale; at least 1
flag: bool = False  # any
names: list[str] = ["a"]  # any
kind: Literal["x", "y"] = "x"  # which
free = 2.5
text: str = "a = b  # c"  # a string with an equals sign
path: str = str(1)  # no literal"""


@pytest.fixture
def notebook(tmp_path):
    return sweep.open_notebook(write_sweep_notebook(tmp_path / "typed.ipynb", CELL))


def test_the_cell_is_read_and_not_run():
    found = read_parameters(CELL)
    assert list(found) == [line.partition(":")[0].partition(" ")[0] for line in CELL.splitlines()]
    assert found["text"].default == "a = b  # c"
    assert found["text"].help == "a string with an equals sign"
    assert found["path"].default is UNKNOWN
    assert found["group"].kinds == ("int", "None")
    assert found["free"].kinds == ("float",)


GOOD = {
    "bits": [2, 8, np.int64(3)],
    "scale": [0.5, 4],
    "rounding": ["rms", "absmax"],
    "group": [None, 64],
    "flag": [True, False],
    "names": [["a", "b"], []],
    "kind": ["y"],
    "free": [1, 2.5],
    "text": ["it's", 'a "b"\n\\'],
}


@pytest.mark.parametrize("name", GOOD)
def test_allowed_values(notebook, name):
    found = sweep.expand(notebook, {name: GOOD[name]})
    values = [combination[name] for combination in found]
    assert values == GOOD[name]
    assert all(type(value).__module__ == "builtins" for value in values)
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("bits", 1, "bits=1 is not allowed: it must be at least 2 and at most 8"),
        ("bits", 9, "at most 8"),
        ("bits", 3.0, "it must be int"),
        ("bits", True, "it must be int"),
        ("bits", "3", "it must be int"),
        ("scale", 0, "it must be at most 4 and above 0"),
        ("scale", float("nan"), "a finite number"),
        ("rounding", "median", "one of absmean, absmax, rms"),
        ("group", 0, "at least 1"),
        ("group", "none", "int or None"),
        ("flag", 1, "it must be bool"),
        ("names", [["a"], [1]], r"list\[str\]"),
        ("kind", "z", "one of x, y"),
        ("free", "a", "it must be float"),
        ("text", None, "it must be str"),
        ("nosuch", 1, "typed has no parameter 'nosuch'; there are bits, scale"),
        ("import os; x", 1, "no parameter 'import os; x'"),
        ("bits", [], "bits has no values"),
        ("bits", sweep.Tensors("*"), "needs a parameter 'model'"),
    ],
)
def test_refused_values(notebook, name, value, said):
    with pytest.raises(WorkbenchError, match=said):
        sweep.expand(notebook, {name: value})


def test_every_combination_once(notebook):
    grid = [{"bits": [2, 3], "flag": [True, False]}, {"bits": 3, "flag": True}]
    found = sweep.expand(notebook, grid)
    assert len(found) == 4
    assert found[0]["rounding"] == "absmean"  # defaults are part of the job
    assert "path" not in found[0]


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("bits", "2,3, 4", [2, 3, 4]),
        ("bits", "2..4", [2, 3, 4]),
        ("bits", "2..8..3", [2, 5, 8]),
        ("scale", "0..1..0.25", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("scale", "1e-1..0.3..0.1", [0.1, 0.2, pytest.approx(0.3)]),
        ("group", "none,64", [None, 64]),
        ("flag", "true,false", [True, False]),
        ("rounding", "rms,absmax", ["rms", "absmax"]),
        ("text", "2..4", ["2..4"]),
        ("text", '["a,b", "none"]', ["a,b", "none"]),
        ("names", '[["a", "b"]]', [["a", "b"]]),
        ("free", "1,2", [1, 2]),
    ],
)
def test_values_as_text(notebook, name, text, values):
    assert sweep.read_values(text, notebook.parameter(name)) == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4..2", "is not a range"),
        ("1..9..0", "is not a range"),
        ("0..9999999", "10,000,000 values"),
        ("[1,", "is not a JSON list"),
    ],
)
def test_text_that_is_no_value(notebook, text, said):
    with pytest.raises(WorkbenchError, match=said):
        sweep.read_values(text, notebook.parameter("bits"))


def test_tensors_stand_for_the_matrices_of_each_model():
    jobs = sweep.plan("compare", {"tensor": sweep.Tensors("blk.0.attn_[qk]*, blk.14.ffn_up*")})
    found = [job.parameters["tensor"] for job in jobs]
    assert found == ["blk.0.attn_k.weight", "blk.0.attn_q.weight", "blk.14.ffn_up.weight"]
    with pytest.raises(WorkbenchError, match=r"no matrix is called 'blk.99.\*'"):
        sweep.plan("compare", {"tensor": sweep.Tensors("blk.99.*")})


def test_patterns_as_text():
    known = sweep.open_notebook("compare").parameters
    assert sweep.read_values("q4_?, nf4", known["technique"]) == ["q4_0", "q4_1", "nf4"]
    assert sweep.read_values("blk.*", known["tensor"]) == sweep.Tensors("blk.*")
    assert sweep.read_values('["a"]', known["tensor"]) == ["a"]


def test_compare_knows_its_techniques():
    with pytest.raises(WorkbenchError, match="no technique is called 'q9'"):
        sweep.plan("compare", {"technique": "q9"})
    with pytest.raises(WorkbenchError, match="bits=99 is not allowed"):
        sweep.plan("compare", {"technique": "uniform", "settings": [{"bits": 99}]})


def test_the_same_job_has_the_same_id(tmp_path):
    path = write_sweep_notebook(tmp_path / "one.ipynb")
    [job] = sweep.plan(path, {"x": 3})
    content = json.loads(path.read_text())
    content["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
    path.write_text(json.dumps(content))
    assert sweep.plan(path, {"x": 3})[0].id == job.id  # outputs do not count
    assert sweep.plan(path, {"x": 4})[0].id != job.id
    content["cells"][1]["source"] += "\nx += 1"
    path.write_text(json.dumps(content))
    assert sweep.plan(path, {"x": 3})[0].id != job.id  # code does


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no notebook .*; give the path of an .ipynb file, or one of compare, sens"),
        ("{", "is not a notebook of format 4"),
        ("[1]", "is not a notebook of format 4"),
        ('{"cells": []}', "has no cell tagged 'parameters'; tag the cell"),
        ('{"cells": [], "metadata": {"kernelspec": {"language": "R"}}}', "is written in R"),
        (
            '{"cells": [{"source": "a = (", "metadata": {"tags": ["parameters"]}}]}',
            "the parameters cell is not Python",
        ),
    ],
    ids=["missing", "broken", "list", "no parameters", "other language", "no Python"],
)
def test_no_such_notebook(tmp_path, content, said):
    path = tmp_path / "some.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(WorkbenchError, match=said):
        sweep.open_notebook(path)


def test_the_workbench_s_own_notebooks_can_be_swept():
    for name in sweep.notebook_names():
        book = sweep.open_notebook(name)
        defaults = {p.name: p.default for p in book.parameters.values()}
        assert sweep.expand(book, {}) == [defaults]
        assert sweep.expand(book, {name: [value] for name, value in defaults.items()}) == [defaults]


class TestRecord:
    def test_outside_a_sweep_it_only_remembers(self, capsys, monkeypatch):
        monkeypatch.delenv(VARIABLE, raising=False)
        assert sweep.record("b", np.float32(0.5)) is None
        assert sweep.recorded()["b"] == 0.5
        assert capsys.readouterr() == ("", "")

    def test_in_a_job_it_writes(self, tmp_path, monkeypatch):
        monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
        values = {"a b": 1, "c": "é\n", "d": None, "e": True, "f": float("inf"), "g": 1 << 70}
        for name, value in values.items():
            sweep.record(name, value)
        sweep.record("a b", 2)
        text = (tmp_path / "file").read_text()
        assert read_recorded(text) == values | {"a b": 2, "g": float(1 << 70)}
        assert read_recorded(text + '["h", 1') == read_recorded(text)  # the kernel was killed

    @pytest.mark.parametrize("name", ["", " a", "a\nb", "a" * 101, 3, None])
    def test_names_that_are_refused(self, name):
        with pytest.raises(WorkbenchError, match="needs a name of 1 to 100 characters"):
            sweep.record(name, 1)

    @pytest.mark.parametrize("value", [np.ones(2), [1], {}, 1j, object()], ids=str)
    def test_values_that_are_refused(self, value):
        with pytest.raises(WorkbenchError, match=r"x: a value of type .* cannot be recorded"):
            sweep.record("x", value)
