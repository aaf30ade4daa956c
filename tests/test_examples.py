"""The examples in the docstrings of the library run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import workbench

# the user interface's examples need a front end; these two need PyTorch, which is optional
LEFT_OUT = ("workbench.ui", "workbench.lm.training.loop", "workbench.lm.training.network")


def _modules():
    """Names of all modules whose examples can run anywhere."""
    found = pkgutil.walk_packages(workbench.__path__, "workbench.")
    return ["workbench", *(item.name for item in found if not item.name.startswith(LEFT_OUT))]


def _examples(name):
    tests = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
    return [test for test in tests if test.examples]


EXAMPLES = {test.name: test for name in _modules() for test in _examples(name)}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name):
    result = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(EXAMPLES[name])
    assert result.failed == 0


def test_examples_are_really_collected():
    assert "workbench.techniques.uniform.Uniform" in EXAMPLES
    assert len(EXAMPLES) >= 20
