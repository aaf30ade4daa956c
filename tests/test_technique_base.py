"""The registry, and files that `load_encoded` must refuse whatever the technique."""

import json
import sys
import warnings
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from checks import check_sentence
from pydantic import Field
from safetensors.numpy import save_file

import workbench as wb
from workbench.errors import FormatError, UnknownTechniqueError, WorkbenchError
from workbench.techniques import base
from workbench.techniques.base import METADATA_KEY, Technique

WEIGHTS = np.linspace(-1, 1, 24).reshape(3, 8)


@pytest.fixture
def registry(monkeypatch):
    """A copy of the registry that the test may add to."""
    monkeypatch.setattr(base, "_registry", dict(base._registry))
    return base._registry


def make(name, module=__name__):
    class Made(Technique, id=name):
        """Made for a test."""

        __module__ = module
        half: bool = Field(False, description="")

        def layout(self, shape):
            return {"weights": ("float32", shape)}

        def compress(self, weights):
            return {"weights": np.asfortranarray(weights)}  # which safetensors would scramble

        def restore(self, arrays, shape):
            return arrays["weights"]

    return Made


def test_a_new_technique_is_known_at_once_and_complete(registry, tmp_path):
    make("made")
    assert "made" in wb.techniques()
    encoded = wb.technique("made").encode(WEIGHTS)
    encoded.save(tmp_path / "made")
    np.testing.assert_allclose(wb.load_encoded(tmp_path / "made").decode(), WEIGHTS, rtol=1e-6)
    np.testing.assert_allclose(encoded.matmul(np.ones(8)), WEIGHTS.sum(axis=1), atol=1e-5)
    assert len(np.unique(encoded.codes())) == 24


def test_an_id_is_taken_once(registry):
    make("made")
    make("made")  # the same class of the same module: a notebook cell run again
    with pytest.raises(TypeError, match=f"technique id 'made' is taken by {__name__}"):
        make("made", module="elsewhere")


def test_a_technique_is_complete_or_abstract(registry):
    class Half(Technique, id="half"):
        """Cannot restore."""

        def layout(self, shape):
            return {}

        def compress(self, weights):
            return {}

    with pytest.raises(TypeError, match="restore"):
        Half()


def test_techniques_of_other_packages(registry, monkeypatch):
    entries = [
        EntryPoint("theirs", "their_techniques:Theirs", "workbench.techniques"),
        EntryPoint("broken", "no_such_module:Nothing", "workbench.techniques"),
    ]
    module = type(sys)("their_techniques")
    monkeypatch.setitem(sys.modules, "their_techniques", module)
    module.Theirs = make("theirs", "their_techniques")
    monkeypatch.setattr(base, "entry_points", lambda group: entries)
    base._import_all.cache_clear()
    with pytest.warns(UserWarning, match="plug-in 'broken'.*is left out: No module named"):
        assert "theirs" in wb.techniques()
    with warnings.catch_warnings():  # said once
        warnings.simplefilter("error")
        wb.techniques()


def test_unknown_names_list_the_known():
    with pytest.raises(UnknownTechniqueError, match="called 'tritplanes'; there are base3-ternary"):
        wb.technique("tritplanes")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bits": 9}, "bits=9 is not allowed: input should be less than or equal to 8"),
        ({"bits": "few"}, "bits='few' is not allowed: input should be a valid integer"),
        ({"bit": 4}, r"it has no parameter 'bit' \(it has: bits, levels"),
        ({"levels": "odd"}, "levels='odd' is not allowed: input should be 'symmetric' or"),
        ({"group": 32, "scale": "tensor"}, "group=32 is not allowed with scale='tensor'"),
    ],
    ids=str,
)
def test_refuses_parameters(parameters, message):
    with pytest.raises(WorkbenchError, match=f"technique 'uniform': .*{message}") as caught:
        wb.technique("uniform", **parameters)
    check_sentence(caught.value, "")


def test_parameters_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        wb.technique("uniform").bits = 3


def header(**changes):
    config = {"technique": wb.technique("uniform").config(), "shape": [3, 8]}
    return {METADATA_KEY: json.dumps(config | changes)}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "lacks 'workbench'"),
        ({"other": "1"}, "lacks 'workbench'"),
        ({METADATA_KEY: "{"}, "not a readable safetensors file"),
        ({METADATA_KEY: "[]"}, "is not a technique and a shape"),
        ({METADATA_KEY: "7"}, "is not a technique and a shape"),
        (header(shape=[3]), "not two positive integers"),
        (header(shape=7), "'shape' is 7, not two positive integers"),
        (header(shape=[3, -8]), "not two positive integers"),
        (header(shape=[3, 8.0]), "not two positive integers"),
        (header(shape=[2**62, 2**62]), "array 'codes' is uint8"),
        (header(technique=[]), "names its 'id'"),
        (header(technique={}), "names its 'id'"),
        (header(technique={"id": "tritplanes"}), "no technique is called 'tritplanes'"),
        (header(technique={"id": "uniform", "bits": 77}), "bits=77 is not allowed"),
    ],
    ids=str,
)
def test_refuses_files(tmp_path, metadata, message):
    encoded = wb.technique("uniform").encode(WEIGHTS)
    path = tmp_path / "file"
    save_file(encoded.arrays, path, metadata=metadata)
    with pytest.raises(FormatError, match=message) as caught:
        wb.load_encoded(path)
    check_sentence(caught.value, path)


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 100, -1])
def test_refuses_truncated_files(tmp_path, kept):
    path = tmp_path / "file"
    wb.technique("uniform").encode(WEIGHTS).save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FormatError, match="not a readable safetensors file") as caught:
        wb.load_encoded(path)
    check_sentence(caught.value, path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        wb.load_encoded(tmp_path / "nowhere")


def test_saving_replaces_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "file"
    wb.technique("uniform").encode(WEIGHTS).save(path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        wb.technique("uniform", bits=8).encode(WEIGHTS).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WorkbenchError, match=r"nowhere.* cannot be written"):
        wb.technique("uniform").encode(WEIGHTS).save(tmp_path / "nowhere" / "file")
