"""The contract of tests/checks.py on every technique and every set of parameters."""

import importlib
import inspect
from pathlib import Path

import checks
import numpy as np
import pytest

import workbench as wb

ROOT = Path(__file__).parents[1]
OURS = {
    name: cls for name, cls in wb.techniques().items() if cls.__module__.startswith("workbench.")
}
every_case = pytest.mark.parametrize("recipe", checks.all_cases())


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def weights(rng):
    return rng.standard_normal((7, 70), np.float32) * 0.1


@every_case
def test_names_itself(recipe):
    checks.check_names_itself(recipe)


@every_case
def test_file(recipe, weights, tmp_path):
    checks.check_file(recipe, weights, tmp_path)


@every_case
@pytest.mark.parametrize("shape", checks.SHAPES, ids=str)
def test_decoded(recipe, shape, rng):
    checks.check_decoded(recipe, rng.standard_normal(shape))


@every_case
@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1e-4, 1e3], ids=str)
def test_decoded_of_any_scale(recipe, scale, weights):
    checks.check_decoded(recipe, weights * np.float32(scale))


@every_case
def test_input_forms(recipe, weights):
    checks.check_input_forms(recipe, weights)


@every_case
def test_deterministic(recipe, weights):
    checks.check_deterministic(recipe, weights)


@every_case
@pytest.mark.parametrize("shape", [(1, 1), (5, 40)], ids=str)
def test_zeros(recipe, shape):
    checks.check_zeros(recipe, shape)


@every_case
@pytest.mark.parametrize("shape", checks.SHAPES, ids=str)
def test_products(recipe, shape, rng):
    checks.check_products(recipe, rng.standard_normal(shape), rng, threads=1)


@every_case
def test_products_on_two_threads(recipe, rng):
    checks.check_products(recipe, rng.standard_normal((300, 500)), rng, threads=2)


@every_case
def test_refuses_weights(recipe):
    checks.check_refuses_weights(recipe)


@every_case
def test_refuses_inputs(recipe, weights):
    checks.check_refuses_inputs(recipe, weights)


@every_case
def test_refuses_tampered_files(recipe, weights, tmp_path):
    checks.check_refuses_tampered_files(recipe, weights, tmp_path)


@every_case
def test_survives_noise(recipe, weights, rng):
    checks.check_survives_noise(recipe, weights, rng)


@every_case
def test_golden(recipe, request):
    path = ROOT / "tests" / "golden" / f"{request.node.callspec.id}.safetensors"
    assert path.exists(), "missing golden file: tests/write_golden.py writes it for a new technique"
    kept = wb.load_encoded(path)
    assert kept.technique == recipe
    np.testing.assert_array_equal(kept.decode(), np.load(path.with_suffix(".npy")))
    encoded = recipe.encode(checks.golden_weights())
    np.testing.assert_array_equal(encoded.decode(), kept.decode())
    if getattr(recipe, "coder", None) != "zstd":  # whose releases may compress better
        assert encoded._file() == path.read_bytes()


def test_golden_files_have_cases():
    files = {path.stem for path in (ROOT / "tests" / "golden").glob("*.safetensors")}
    assert files == {case.id for case in checks.all_cases()}


@pytest.mark.parametrize("name", OURS)
def test_has_cases_module_and_documentation(name):
    cls = OURS[name]
    assert checks.CASES[name], "no case in tests/checks.py"
    module = importlib.import_module(f"workbench.techniques.{name.replace('-', '_')}")
    assert cls.__module__ == module.__name__
    assert f"## `{name}`\n" in (ROOT / "docs" / "techniques.md").read_text()
    text = inspect.getdoc(cls)
    sections = ["Notes", "Examples", *(["Parameters"] if cls.model_fields else [])]
    for section in sections:
        assert f"\n{section}\n---" in text
    for field, info in cls.model_fields.items():
        assert info.description, f"{field} has no description"
        assert f"\n{field} : " in text


@pytest.mark.parametrize("name", OURS)
def test_every_value_of_a_choice_has_a_case(name):
    for field, schema in OURS[name].model_json_schema().get("properties", {}).items():
        default = OURS[name].model_fields[field].default
        used = {variant.get(field, default) for variant in checks.CASES[name]}
        missing = set(schema.get("enum", [])) - used
        assert not missing, f"no case of {name} has {field} in {missing}"
