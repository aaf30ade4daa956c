"""Controls come from a technique's fields, follow them both ways, and explain what is refused."""

from typing import Literal

import ipywidgets
import numpy as np
import pytest
from pydantic import BaseModel, Field

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.ui.controls import (
    OTHER_FILE,
    Control,
    ModelPicker,
    TechniqueControls,
    TechniquePicker,
    TensorPicker,
    bounds,
)


class Fields(BaseModel):
    choice: Literal["first", "second"] = Field("second", description="one of two")
    whole: int = Field(4, ge=2, le=8, description="a small range")
    wide: int = Field(64, ge=8, description="no upper bound")
    between: float = Field(0.5, gt=0, lt=1, description="an open range")
    decades: float = Field(0.1, ge=1e-4, le=10, description="several powers of ten")
    unbounded: float = Field(1.0, description="no bounds")
    switch: bool = Field(True, description="yes or no")
    group: int | None = Field(None, ge=8, description="how many; None: the whole row")
    words: str = Field("a", description="any text")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("choice", ipywidgets.Dropdown),
        ("whole", ipywidgets.IntSlider),
        ("wide", ipywidgets.SelectionSlider),
        ("between", ipywidgets.FloatSlider),
        ("decades", ipywidgets.FloatLogSlider),
        ("unbounded", ipywidgets.FloatText),
        ("switch", ipywidgets.Checkbox),
        ("group", ipywidgets.SelectionSlider),
        ("words", ipywidgets.Text),
    ],
)
def test_each_kind_of_field_gets_its_input_and_starts_at_its_default(name, kind):
    field = Fields.model_fields[name]
    control = Control(name, field)
    assert type(control.input) is kind
    assert control.value == field.default
    assert field.description.split(";")[0] in control.children[-1].value


@pytest.mark.parametrize(
    ("name", "value"), [("choice", "first"), ("whole", 8), ("between", 0.25), ("switch", False)]
)
def test_value_and_input_follow_each_other(name, value):
    control = Control(name, Fields.model_fields[name])
    control.value = value
    assert control.input.value == value
    other = Control(name, Fields.model_fields[name])
    other.input.value = value
    assert other.value == value


def test_a_slider_of_powers_takes_any_value_that_code_sets():
    control = Control("wide", Fields.model_fields["wide"])
    assert control.input.options == (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
    control.value = 96
    assert control.input.value == 96


def test_none_is_a_box_with_the_meaning_that_the_field_gives_it():
    control = Control("group", Fields.model_fields["group"])
    assert control.none.description == "the whole row"
    assert control.input.disabled
    control.none.value = False
    assert control.value == control.input.value
    assert not control.input.disabled
    control.value = None
    assert control.none.value


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("whole", int, (2, 8)),
        ("wide", int, (8, None)),
        ("between", float, (0.01, 0.99)),
        ("unbounded", float, (None, None)),
    ],
)
def test_bounds_of_fields(name, kind, expected):
    assert bounds(Fields.model_fields[name], kind) == expected


def test_exclusive_bounds_of_whole_numbers_move_by_one():
    class Open(BaseModel):
        n: int = Field(3, gt=2, lt=9)

    assert bounds(Open.model_fields["n"], int) == (3, 8)


def test_a_field_without_an_input_is_refused():
    class Odd(BaseModel):
        table: dict = Field({})

    with pytest.raises(TypeError, match="'table'"):
        Control("table", Odd.model_fields["table"])


@pytest.mark.parametrize("name", wb.techniques())
def test_every_technique_has_controls_that_start_at_its_parameters(name):
    technique = wb.technique(name)
    controls = TechniqueControls(technique)
    assert list(controls.controls) == list(type(technique).model_fields)
    assert {key: c.value for key, c in controls.controls.items()} == technique.model_dump()


def test_a_control_makes_a_new_technique():
    controls = TechniqueControls(wb.technique("uniform"))
    controls.controls["bits"].input.value = 3
    assert controls.technique == wb.technique("uniform", bits=3)


def test_what_is_not_allowed_is_explained_and_changes_nothing():
    controls = TechniqueControls(wb.technique("uniform", group=64))
    controls.controls["scale"].value = "tensor"
    assert "group" in controls.problem.message
    assert controls.technique.scale == "row"
    controls.controls["group"].value = None
    assert controls.problem.message == ""
    assert controls.technique.scale == "tensor"


def test_picking_another_technique_swaps_the_controls():
    picker = TechniquePicker("uniform")
    picker.name.value = "planar-ternary"
    assert picker.technique == wb.technique("planar-ternary")
    assert "rounding" in picker.controls
    assert "{-1, 0, +1}" in picker.about.value


def test_a_technique_that_code_sets_shows_in_the_controls():
    picker = TechniquePicker("uniform")
    picker.technique = wb.technique("uniform", bits=6)
    assert picker.controls["bits"].input.value == 6


def test_one_choice_is_no_choice():
    assert TechniquePicker("uniform", ["uniform"]).name.layout.display == "none"
    assert TechniquePicker("uniform", []).name.options == ("uniform",)


def test_models_come_from_the_catalog_or_a_path(tmp_path):
    picker = ModelPicker()
    assert picker.weights.name == "smollm2-slice"
    assert picker.path.layout.display == "none"
    picker.name.value = OTHER_FILE
    picker.path.value = str(tmp_path / "nothing.gguf")
    assert "nothing.gguf" in picker.problem.message
    assert picker.weights.name == "smollm2-slice"
    picker.path.value = str(wb.open_model("smollm2-slice").path)
    assert picker.problem.message == ""
    assert picker.weights.name.endswith(".gguf")


def test_a_model_that_is_not_here_can_be_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    picker = ModelPicker()
    picker.name.value = "smollm2-135m"
    assert "not on this machine" in picker.problem.message
    assert picker.fetch.layout.display == ""
    fetched = []

    def fetch(name, progress):
        progress("downloading", 1, 2)
        fetched.append(name)

    monkeypatch.setattr("workbench.ui.controls.fetch", fetch)
    monkeypatch.setattr("workbench.ui.controls.open_model", lambda name: {"w": np.ones((2, 2))})
    picker.fetch.click()
    picker.job.wait(10)
    assert fetched == ["smollm2-135m"]
    assert list(picker.weights) == ["w"]


WEIGHTS = {"a": np.ones((2, 3), np.float32), "vector": np.ones(3), "b": np.ones((4, 5))}


def test_only_matrices_can_be_chosen_and_each_shows_its_shape():
    picker = TensorPicker(WEIGHTS)
    assert picker.tensors == ("a",)
    assert [label for label, _ in picker.list.options] == ["a  2 × 3  float32", "b  4 × 5  float64"]


def test_several_matrices():
    picker = TensorPicker(WEIGHTS, ["a", "b"], several=True)
    assert picker.tensors == ("a", "b")
    picker.tensors = ("b",)
    assert picker.list.value == ("b",)


def test_a_new_model_keeps_the_choice_where_it_can():
    picker = TensorPicker(WEIGHTS, ["b"])
    picker.weights = {"c": np.ones((1, 1)), "b": np.ones((2, 2))}
    assert picker.tensors == ("b",)
    picker.weights = {"c": np.ones((1, 1))}
    assert picker.tensors == ("c",)


def test_tensors_that_are_not_there_are_refused():
    with pytest.raises(WorkbenchError, match=r"'nope'.*a, b"):
        TensorPicker(WEIGHTS, ["nope"])
    picker = TensorPicker(WEIGHTS)
    with pytest.raises(WorkbenchError, match="'vector'"):
        picker.tensors = ("vector",)
    with pytest.raises(WorkbenchError, match="no matrix"):
        picker.weights = {"vector": np.ones(3)}
