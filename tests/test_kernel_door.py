"""The door loads compiled kernels, and says loudly when it cannot."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from workbench import kernels

ROOT = Path(__file__).parents[1]


@pytest.fixture
def fresh_door():
    """No module is cached from before, and none stays cached after."""
    kernels.load.cache_clear()
    yield
    kernels.load.cache_clear()


def test_every_kernel_is_compiled_here():
    assert [kernels.status(name) for name in kernels.names()] == [
        kernels.Kernel(name, True, "") for name in kernels.names()
    ]
    assert len(kernels.names()) >= 5


def test_a_stale_kernel_is_refused_loudly(monkeypatch, fresh_door):
    facts = {**kernels.build_facts(), "sources": {"packing": "0" * 64}}
    monkeypatch.setattr(kernels, "build_facts", lambda: facts)
    with pytest.warns(kernels.KernelWarning, match="'packing' IS NOT COMPILED: its source has"):
        module = kernels.load("packing")
    assert module.__file__.endswith("packing.py")


def test_a_missing_compiler_is_said_at_import(monkeypatch, fresh_door):
    monkeypatch.setattr(kernels, "build_facts", dict)
    with pytest.warns(kernels.KernelWarning, match="no C\\+\\+ compiler at installation"):
        module = kernels.load("activations")
    assert module.__file__.endswith("activations.py")


def test_plain_python_on_request_is_silent(monkeypatch, fresh_door):
    monkeypatch.setenv("WORKBENCH_KERNELS", "python")
    assert kernels.load("packing").__file__.endswith("packing.py")


def test_unknown_kernel():
    with pytest.raises(KeyError, match="no kernel module 'nope'; there are"):
        kernels.load("nope")


def test_no_compiled_file_lies_beside_the_sources():
    assert not list((ROOT / "pythran_kernels").glob("*.so"))


@pytest.fixture
def hook(tmp_path):
    """The build hook on a project with one small kernel, with a recorder for its warnings."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path / "pythran_kernels"
    folder.mkdir()
    (folder / "tiny.py").write_text(
        "# pythran export double(int)\ndef double(n):\n    return 2 * n\n"
    )
    warned = []
    hook = object.__new__(module.PythranHook)
    hook._BuildHookInterface__root = str(tmp_path)
    hook._BuildHookInterface__app = SimpleNamespace(display_warning=warned.append)
    hook.warned = warned
    return hook


def test_without_a_compiler_the_build_warns_and_goes_on(hook, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    data = {"force_include_editable": {}}
    hook.initialize("editable", data)
    assert data["force_include_editable"] == {}
    assert len(hook.warned) == 1
    assert hook.warned[0].startswith("NO C++ COMPILER: no-such-compiler not on PATH")


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine")
def test_a_portable_build_has_no_flag_for_this_cpu(hook, monkeypatch):
    monkeypatch.setenv("WORKBENCH_PORTABLE", "1")
    data = {"force_include_editable": {}}
    hook.initialize("editable", data)
    [built] = [path for path in data["force_include_editable"] if path.endswith(".so")]
    manifest = Path(built).with_name("manifest.json").read_text()
    assert "march" not in manifest
    assert "-O3" in manifest
    code = "import tiny; print(tiny.double(21), tiny.__pythran__[0])"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(built).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.startswith("42 0.19")


def test_a_kernel_that_does_not_compile_names_its_file(hook, tmp_path):
    (tmp_path / "pythran_kernels" / "tiny.py").write_text(
        "# pythran export f(int)\ndef f(n):\n    return open(n)\n"
    )
    with pytest.raises(SystemExit, match=r"tiny\.py did not compile"):
        hook.initialize("editable", {"force_include_editable": {}})
