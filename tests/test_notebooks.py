"""Every notebook is a lesson, a job and a dashboard by the same rules; nbval compares outputs."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PARAMETER = re.compile(r"(\w+): (\w+(?:\[\w+\])?(?: \| None)?) = (.+?)  # (.+)")
TAGS = {"parameters", "keep_output", "nbval-ignore-output", "test"}
PANELS = {"Explorer", "RacePanel", "ComparePanel", "SweepPanel", "ClaimsPanel"}
PANELS |= {"LookupPanel", "RunPanel", "TransformerPanel", "TwinsPanel"}
# one run each with parameters that differ from the committed ones
OTHER_PARAMETERS = {
    "00-start-here": {"tensor": "blk.14.ffn_down.weight"},
    "01-ternary-weights": {"tensor": "blk.14.attn_output.weight", "group": 96},
    "02-ternary-matmul": {"rows": 512, "cols": 576, "tokens": 3},
    "03-compare": {"tensors": "blk.14.attn_k.weight", "techniques": "q4_0,planar-ternary"},
    "04-sweep": {"tensor": "blk.14.attn_k.weight", "technique": "nf4", "workers": 1},
    "09-claims": {"seed": 0, "claim": "lut-zeros-44"},
    "10-lookup-tables": {"tensor": "blk.14.attn_k.weight", "g": 6, "small": 2, "seconds": 1.0},
    "20-run-a-model": {"model": "english-float", "prompt": "Hacker", "tokens": 12, "seed": 1},
    "21-ternary-transformer": {"windows": 1, "rounding": "absmean"},
    "22-train-a-ternary-model": {"windows": 1, "prompt": "Jesus", "tokens": 8, "seed": 1},
}


def read(path):
    return nbformat.read(path, as_version=4)


def tags(cell):
    return set(cell.metadata.get("tags", []))


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in tags(cell)]


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def names(source, context):
    """Names that a cell assigns (ast.Store) or uses (ast.Load)."""
    nodes = ast.walk(ast.parse(source))
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


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
        assert f"> {card['question']}" in read(path).cells[0].source
        assert (path.parent / card["picture"]).is_file()
        assert re.fullmatch(r"\d+ (s|min)", card["run_time"])

    def test_its_parameters_are_typed_literals_with_help(self, path):
        [cell] = tagged(read(path), "parameters")
        for line in cell.source.splitlines():
            matched = PARAMETER.fullmatch(line)
            assert matched, f"not `name: type = literal  # help`: {line}"
            ast.literal_eval(matched[3])

    def test_it_is_small_and_carries_nothing_of_the_run(self, path):
        assert path.stat().st_size < 300_000
        notebook = read(path)
        assert set(notebook.metadata) == {"kernelspec", "language_info", "workbench"}
        assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)

    def test_its_length_is_that_of_a_lesson(self, path):
        notebook = read(path)
        assert 20 <= len(notebook.cells) <= 45
        prose = " ".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        assert 500 <= len(re.findall(r"\w+", prose)) <= 1500
        for cell in code(notebook):
            assert len(cell.source.splitlines()) <= 20, cell.source

    def test_outputs_are_kept_and_compared_or_neither(self, path):
        notebook = read(path)
        for cell in notebook.cells:
            assert tags(cell) <= TAGS
            assert not {"keep_output", "nbval-ignore-output"} <= tags(cell)
        for cell in tagged(notebook, "keep_output"):
            assert cell.outputs, f"nothing to compare, run `make notebooks`: {cell.source}"
            assert cell.execution_count is not None
        for cell in code(notebook):
            assert not cell.outputs or "keep_output" in tags(cell)
        assert len(tagged(notebook, "keep_output")) >= 3, "nbval would compare next to nothing"

    def test_it_checks_refuses_and_ends_in_a_panel(self, path):
        notebook = read(path)
        assert len(tagged(notebook, "test")) >= 3
        used = set().union(*(names(cell.source, ast.Load) for cell in code(notebook)))
        assert "expect_error" in used
        assert len(used & PANELS) == 1

    def test_no_cell_needs_a_check_cell(self, path):
        """Dashboards run without them."""
        cells = code(read(path))
        checks = [cell for cell in cells if "test" in tags(cell)]
        others = [cell for cell in cells if "test" not in tags(cell)]
        made = set().union(*(names(cell.source, ast.Store) for cell in checks))
        made -= set().union(*(names(cell.source, ast.Store) for cell in others))
        assert not made & set().union(*(names(cell.source, ast.Load) for cell in others))

    def test_it_defines_no_function_that_belongs_in_the_library(self, path):
        for cell in code(read(path)):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.FunctionDef):
                    assert node.end_lineno - node.lineno < 10, node.name
                assert not isinstance(node, ast.ClassDef)

    def test_its_links_lead_somewhere(self, path):
        for cell in read(path).cells:
            for target in re.findall(r"\]\((\S+?)\)", cell.source):
                if cell.cell_type == "markdown":
                    assert (path.parent / target).is_file(), target


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


def test_a_changed_output_is_noticed(tmp_path):
    """With the settings of this project, nbval really compares what is kept."""
    cells = [nbformat.v4.new_code_cell(f"print({i})", execution_count=i) for i in (1, 2)]
    for cell in cells:
        cell.metadata["tags"] = ["keep_output"]
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="1\n")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "two.ipynb")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", tmp_path / "two.ipynb"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "1 failed, 1 passed" in ran.stdout, ran.stdout + ran.stderr
