"""Every notebook is a lesson, a job and a dashboard by the same rules; nbval compares outputs."""

import ast
import json
import re
from pathlib import Path

import nbformat
import papermill
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
PARAMETER = re.compile(r"(\w+): (\w+(?:\[\w+\])?(?: \| None)?) = (.+?)  # (.+)")
TAGS = {"parameters", "keep_output", "nbval-ignore-output", "test"}
# one run each with parameters that differ from the committed ones
OTHER_PARAMETERS = {
    "00-start-here": {"tensor": "blk.14.ffn_down.weight"},
    "01-ternary-weights": {"tensor": "blk.14.attn_output.weight", "group": 64},
    "02-ternary-matmul": {"rows": 512, "cols": 576, "tokens": 3},
    "03-compare": {"tensors": "blk.14.attn_k.weight", "techniques": "q4_0,planar-ternary"},
}


def read(path):
    return nbformat.read(path, as_version=4)


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def test_the_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == list(OTHER_PARAMETERS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
class TestForm:
    def test_it_opens_with_a_title_and_a_question(self, path):
        first = read(path).cells[0]
        assert first.cell_type == "markdown"
        title, question = [line for line in first.source.splitlines() if line][:2]
        assert title.startswith("# ")
        assert question.startswith("> ")
        assert question.endswith("?")

    def test_its_card_is_complete(self, path):
        card = read(path).metadata["workbench"]
        assert card["question"].endswith("?")
        assert (path.parent / card["picture"]).is_file()
        assert re.fullmatch(r"\d+ (s|min)", card["run_time"])

    def test_its_parameters_are_typed_literals_with_help(self, path):
        [cell] = tagged(read(path), "parameters")
        for line in cell.source.splitlines():
            matched = PARAMETER.fullmatch(line)
            assert matched, f"not `name: type = literal  # help`: {line}"
            ast.literal_eval(matched[3])

    def test_it_is_small_and_has_no_widget_state(self, path):
        assert path.stat().st_size < 300_000
        notebook = read(path)
        assert "widgets" not in notebook.metadata
        assert 20 <= len(notebook.cells) <= 45

    def test_tags_are_known_and_outputs_are_compared_or_ignored(self, path):
        notebook = read(path)
        for cell in notebook.cells:
            assert set(cell.metadata.get("tags", [])) <= TAGS
        kept = tagged(notebook, "keep_output")
        assert sum(bool(cell.outputs) for cell in kept) >= 2, "nbval would compare nothing"
        for cell in notebook.cells:
            if cell.get("outputs"):
                assert cell.execution_count is not None
                assert cell in kept

    def test_cells_are_short(self, path):
        for cell in read(path).cells:
            if cell.cell_type == "code":
                assert len(cell.source.splitlines()) <= 20, cell.source

    def test_it_defines_no_function_that_belongs_in_the_library(self, path):
        for cell in read(path).cells:
            if cell.cell_type == "code":
                for node in ast.walk(ast.parse(cell.source)):
                    if isinstance(node, ast.FunctionDef):
                        assert node.end_lineno - node.lineno < 10, node.name
                    assert not isinstance(node, ast.ClassDef)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs_as_a_job_with_other_parameters(path, tmp_path):
    parameters = OTHER_PARAMETERS[path.stem]
    known = papermill.inspect_notebook(str(path))
    assert set(parameters) <= set(known)
    out = tmp_path / path.name
    papermill.execute_notebook(
        str(path), str(out), parameters, execution_timeout=300, progress_bar=False, cwd=tmp_path
    )
    ran = json.loads(out.read_text())
    assert all(
        output["output_type"] != "error"
        for cell in ran["cells"]
        for output in cell.get("outputs", [])
    )
