"""Imports point one way, and only workbench/ui knows widgets and figures."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# each layer may import those to its left
LAYERS = [
    {"errors", "groups", "paths", "validation"},
    {"kernels"},
    {"ternary"},
    {"formats"},
    {"models"},
    {"lookup"},
    {"techniques"},
    {"measure"},
    {"lm"},
    {"claims"},
    {"ui", "sweep"},
    {"cli"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
WIDGETS = {"ipywidgets", "plotly", "itables", "IPython", "anywidget", "voila"}
MODULES = sorted((ROOT / "workbench").rglob("*.py"))


def imported(path):
    """Dotted names of everything that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            if node.module == "workbench":
                yield from (f"workbench.{alias.name}" for alias in node.names)


def layer(dotted):
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "workbench" else None


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    own = path.relative_to(ROOT / "workbench").parts[0].removesuffix(".py")
    if own.startswith("__"):  # the package itself re-exports from everywhere
        return
    for name in imported(path):
        other = layer(name)
        if other is not None:
            assert RANK[other] <= RANK[own], f"{path.name} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_ui_imports_widgets(path):
    if "ui" in path.relative_to(ROOT / "workbench").parts:
        return
    assert not {name.split(".")[0] for name in imported(path)} & WIDGETS


@pytest.mark.parametrize(
    "path", sorted((ROOT / "pythran_kernels").glob("*.py")), ids=lambda path: path.name
)
def test_kernels_import_numpy_and_their_siblings(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert [alias.name for alias in node.names] == ["numpy"]
        elif isinstance(node, ast.ImportFrom):  # written so that the build finds it, one a line
            assert node.level == 1
            assert path.with_name(f"{node.module}.py").exists()


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_public_names_are_documented(path):
    tree = ast.parse(path.read_text())
    if path.stat().st_size:
        assert ast.get_docstring(tree), f"{path} has no docstring"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path}: {node.name} has no docstring"
