"""`import workbench as wb`: the promised names, and nothing heavy before they are used."""

import subprocess
import sys

import pytest

import workbench as wb


@pytest.mark.parametrize("name", wb.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(wb, name).__doc__
    assert name in dir(wb)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'tritplanes'"):
        _ = wb.tritplanes
    assert not hasattr(wb, "__wrapped__")


def test_packages_that_are_functions_stay_packages():
    import workbench.measure.nulls as nulls
    import workbench.techniques.base as base

    assert wb.measure.nulls is nulls
    assert wb.techniques.base is base
    assert wb.techniques() == base.techniques()


def test_importing_is_light():
    code = (
        "import sys, time; start = time.perf_counter(); import workbench; "
        "took = time.perf_counter() - start; "
        "heavy = {'numpy', 'pydantic', 'plotly', 'ipywidgets', 'workbench_kernels'}; "
        "print(took < 0.5, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True []\n"


def test_measuring_needs_neither_widgets_nor_kernels_before_it_measures():
    code = (
        "import sys, workbench as wb; wb.measure, wb.techniques(), wb.open_model; "
        "heavy = {'plotly', 'ipywidgets', 'pandas', 'workbench_kernels'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
