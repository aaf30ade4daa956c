"""environment.yml gives conda users what pyproject.toml gives everyone else."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
CONDA_ONLY = {"python", "pip", "cxx-compiler", "make"}
PYPI_ONLY = {"constriction"}  # not on conda-forge under a name we know; `pip: -e .` brings it

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())


def pypi_side():
    requirements = map(Requirement, PROJECT["dependencies"])
    return {canonicalize_name(r.name): r.specifier for r in requirements}


def conda_side():
    sides = {}
    for line in ENVIRONMENT["dependencies"]:
        if isinstance(line, str):
            name, bounds = re.fullmatch(r"([A-Za-z0-9._-]+)\s*(.*)", line).groups()
            sides[canonicalize_name(name)] = SpecifierSet(bounds)
    return sides


def test_same_packages():
    assert set(pypi_side()) - PYPI_ONLY == set(conda_side()) - CONDA_ONLY


@pytest.mark.parametrize("name", sorted(set(pypi_side()) - PYPI_ONLY))
def test_same_bounds(name):
    assert conda_side()[name] == pypi_side()[name]


def test_same_python():
    assert conda_side()["python"] == SpecifierSet(PROJECT["requires-python"])


def test_conda_installs_the_project_itself():
    assert ENVIRONMENT["channels"] == ["conda-forge"]
    assert {"pip": ["-e ."]} in ENVIRONMENT["dependencies"]


@pytest.mark.parametrize("name", sorted(pypi_side()))
def test_the_version_under_test_is_allowed(name):
    assert pypi_side()[name].contains(version(name), prereleases=True)


@pytest.mark.parametrize(
    "entry",
    ["notebooks", "workbench", "pythran_kernels", "data", "tests", "environment.yml", "README.md"],
)
def test_top_level(entry):
    assert (ROOT / entry).exists()
