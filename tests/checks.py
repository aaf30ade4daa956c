"""What every technique promises, as functions of one technique; and the cases they run on.

A new technique adds its variants to `CASES`, and nothing else here.
"""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import workbench as wb
from workbench.errors import FormatError, WorkbenchError
from workbench.techniques.base import METADATA_KEY, from_config

TERNARY = [
    {},
    {"rounding": "optimal"},
    {"rounding": "absmax", "threshold": 0.2, "refit": True},
    {"rounding": "rms", "scale": "tensor"},
    {"rounding": "absmean", "refit": True, "group": 32, "scale_type": "float16"},
]
UNIFORM = [
    {},
    {"bits": 2, "scale": "tensor"},
    {"bits": 3, "levels": "asymmetric", "group": 16, "scale_type": "float16"},
    {"bits": 5, "levels": "asymmetric", "clip": "max"},
    {"bits": 8, "clip": "max", "group": 32},
]
BLOCK_TERNARY = [{}, {"rounding": "absmean"}, {"rounding": "amax"}]
CASES = {
    "base3-ternary": TERNARY,
    "entropy-ternary": [*TERNARY, {"coder": "zstd"}],
    "entropy-uniform": [*UNIFORM, {"coder": "zstd"}, {"coder": "zstd", "bits": 8}],
    "lloyd-max": [
        {},
        {"levels": 2},
        {"levels": 3, "scale": "row"},
        {"levels": 256, "scale": "row", "scale_type": "float16"},
    ],
    "lut": [
        {},
        {"pattern": 3, "symmetry": True, "index": "zstd", "rounding": "optimal"},
        {"pattern": 7, "index": "range", "rounding": "absmax", "threshold": 0.2},
        {"pattern": 8, "symmetry": True, "index": "zero-run", "scale": "tensor"},
        {"pattern": 10, "index": "sparse", "group": 32, "scale_type": "float16"},
        {"tiers": True, "pattern": 16, "symmetry": True, "hot": 60, "warm": 60, "rounding": "rms"},
        {"tiers": True, "pattern": 8, "hot": 30, "bases": "covering", "radius": 2},
        {"tiers": True, "pattern": 6, "symmetry": True, "index": "range", "warm": 20, "hot": 0},
        {"tiers": True, "pattern": 12, "symmetry": True, "index": "sparse", "radius": 0},
    ],
    "nf4": [{}, {"block": 16, "double_quantization": True}],
    "planar-ternary": TERNARY,
    "q2_0": BLOCK_TERNARY,
    "q4_0": [{}],
    "q4_1": [{}],
    "q8_0": [{}],
    "tq1_0": BLOCK_TERNARY,
    "tq2_0": BLOCK_TERNARY,
    "uniform": UNIFORM,
}
SHAPES = [(1, 1), (1, 17), (17, 1), (3, 5), (4, 256), (5, 300), (33, 64)]


def case_id(name, parameters):
    """A name for tests and files."""
    values = [f"{key}={value}" for key, value in parameters.items()]
    return "--".join([name, *values])


def all_cases():
    """Every technique with every set of parameters, as pytest parameters."""
    return [
        pytest.param(wb.technique(name, **parameters), id=case_id(name, parameters))
        for name, variants in CASES.items()
        for parameters in variants
    ]


def check_names_itself(recipe):
    """Config through JSON and repr both come back as an equal technique."""
    assert from_config(json.loads(json.dumps(recipe.config()))) == recipe
    assert eval(repr(recipe), {"wb": wb}) == recipe


def check_file(recipe, weights, folder):
    """Files are as long as `nbytes` says and give back the same."""
    encoded = recipe.encode(weights)
    path = folder / "encoded.safetensors"
    assert encoded.save(path) == encoded.nbytes == path.stat().st_size
    assert encoded.nbytes > sum(array.nbytes for array in encoded.arrays.values())
    assert [file.name for file in folder.iterdir()] == [path.name]  # no temporary is left
    loaded = wb.load_encoded(path)
    assert loaded.technique == recipe
    assert loaded.shape == weights.shape
    assert loaded.nbytes == encoded.nbytes
    np.testing.assert_array_equal(loaded.decode(), encoded.decode())
    np.testing.assert_array_equal(loaded.codes(), encoded.codes())


def check_decoded(recipe, weights):
    """Decoded weights are finite float32 of the same shape, and codes integers of that shape."""
    encoded = recipe.encode(weights)
    decoded = encoded.decode()
    assert decoded.shape == weights.shape
    assert decoded.dtype == np.float32
    assert np.isfinite(decoded).all()
    assert encoded.codes().shape == weights.shape
    assert encoded.codes().dtype.kind in "iu"
    layout = recipe.layout(weights.shape)
    assert set(layout) == set(encoded.arrays)
    for name, (dtype, _) in layout.items():
        assert encoded.arrays[name].dtype == dtype


def check_input_forms(recipe, weights):
    """Order, stride and float width of the input make no difference."""
    exact = weights.astype(np.float16)  # what float16, float32 and float64 all hold
    expected = recipe.encode(exact.astype(np.float32))._file()
    wide = np.zeros((2 * exact.shape[0], 3 * exact.shape[1]))
    wide[::2, ::3] = exact
    forms = {
        "float16": exact,
        "float64": exact.astype(np.float64),
        "transposed": np.asfortranarray(exact.astype(np.float32)),
        "strided": wide[::2, ::3],
        "big-endian": exact.astype(">f4"),
    }
    for form, array in forms.items():
        assert recipe.encode(array)._file() == expected, form


def check_deterministic(recipe, weights):
    """The same weights give the same bytes, and are left as they were."""
    before = weights.copy()
    assert recipe.encode(weights)._file() == recipe.encode(weights)._file()
    np.testing.assert_array_equal(weights, before)


def check_zeros(recipe, shape):
    """A matrix of zeros comes back as zeros, and so do its products."""
    encoded = recipe.encode(np.zeros(shape))
    np.testing.assert_array_equal(encoded.decode(), 0)
    np.testing.assert_array_equal(encoded.matmul(np.ones(shape[1])), 0)


def check_products(recipe, weights, rng, threads):
    """``matmul(x)`` is ``decode() @ x``: to float32 rounding, or int8 rounding of float x."""
    encoded = recipe.encode(weights)
    decoded = encoded.decode().astype(np.float64)
    cols = weights.shape[1]
    for tokens in (None, 1, 3):
        size = cols if tokens is None else (cols, tokens)
        integers = rng.integers(-128, 128, size, np.int8)
        _check_product(encoded, decoded, integers, threads, rounded=False)
        floats = rng.standard_normal(size, np.float32)
        _check_product(encoded, decoded, floats, threads, rounded=recipe.rounds_activations)
    extreme = np.where(decoded[0] < 0, -128, 127).astype(np.int8)
    _check_product(encoded, decoded, extreme, threads, rounded=False)


def _check_product(encoded, decoded, x, threads, rounded):
    y = encoded.matmul(x, threads)
    exact = np.einsum("rc,c...->r...", decoded, x.astype(np.float64))  # no BLAS, no stray flags
    assert y.dtype == np.float32
    assert y.shape == exact.shape
    # float32 sums lose up to this; a sum of |w x| bounds what each of them can be
    allowed = (
        2e-6 * (np.einsum("rc,c...->r...", np.abs(decoded), np.abs(x.astype(np.float64)))) + 1e-30
    )
    if rounded:
        worst = np.abs(decoded).sum(axis=1) / 254
        allowed = allowed + np.multiply.outer(worst, np.abs(x).max(axis=0))
    assert (np.abs(y - exact) <= allowed).all()


def check_refuses_weights(recipe):
    """What is no finite float matrix is refused by name."""
    holed = np.ones((3, 40), np.float32)
    for bad in (np.nan, np.inf, -np.inf):
        holed[2, 7] = bad
        with pytest.raises(WorkbenchError, match="row 2, column 7"):
            recipe.encode(holed)
    with pytest.raises(WorkbenchError, match=r"weights have shape \(40,\)"):
        recipe.encode(np.ones(40))
    for shape in [(0, 4), (4, 0)]:
        with pytest.raises(WorkbenchError, match="no axis may be empty"):
            recipe.encode(np.ones(shape))
    with pytest.raises(TypeError, match="weights are int64"):
        recipe.encode(np.ones((3, 4), np.int64))


def check_refuses_inputs(recipe, weights):
    """What is no finite vector of the right length is refused by name."""
    encoded = recipe.encode(weights)
    cols = weights.shape[1]
    with pytest.raises(WorkbenchError, match=f"takes \\({cols},\\)"):
        encoded.matmul(np.ones(cols + 1))
    with pytest.raises(WorkbenchError, match="x has shape"):
        encoded.matmul(np.ones((cols, 1, 1)))
    with pytest.raises(WorkbenchError, match="x holds NaN or infinity"):
        encoded.matmul(np.full(cols, np.nan))
    with pytest.raises(TypeError, match="x is int32"):
        encoded.matmul(np.ones(cols, np.int32))


def check_refuses_tampered_files(recipe, weights, folder):
    """Files with an array missing, added, of wrong type or shape, or holding NaN are refused."""
    encoded = recipe.encode(weights)
    path = folder / "tampered.safetensors"
    encoded.save(path)
    with safe_open(path, framework="numpy") as file:
        header = file.metadata()
    assert set(header) == {METADATA_KEY}
    for name, array in encoded.arrays.items():
        _check_refused(path, {**encoded.arrays, name: None}, header, name)
        _check_refused(path, {**encoded.arrays, name: array.astype(np.int16)}, header, name)
        _check_refused(path, {**encoded.arrays, name: array[..., None]}, header, name)
        if recipe.layout(weights.shape)[name][1][0] is not None:
            _check_refused(path, {**encoded.arrays, name: array[:0]}, header, name)
        if array.dtype.kind == "f":
            _check_refused(
                path, {**encoded.arrays, name: np.full_like(array, np.nan)}, header, name
            )
    _check_refused(path, {**encoded.arrays, "surplus": np.zeros(1)}, header, "surplus")


def _check_refused(path, arrays, header, name):
    kept = {key: np.ascontiguousarray(array) for key, array in arrays.items() if array is not None}
    save_file(kept, path, metadata=header)
    with pytest.raises(FormatError, match=name) as caught:
        wb.load_encoded(path)
    check_sentence(caught.value, path)


def check_survives_noise(recipe, weights, rng):
    """Random contents of valid shape decode to a finite matrix or are refused, nothing else."""
    encoded = recipe.encode(weights)
    for _ in range(5):
        noise = {name: _noise(array, rng) for name, array in encoded.arrays.items()}
        noisy = type(encoded)(recipe, encoded.shape, noise)
        try:
            with np.errstate(over="ignore"):
                decoded = noisy.decode()
        except WorkbenchError as error:
            check_sentence(error, "")
        else:
            assert decoded.shape == weights.shape
            assert not np.isnan(decoded).any()


def _noise(array, rng):
    if array.dtype.kind == "f":
        return rng.standard_normal(array.shape).astype(array.dtype)
    return np.frombuffer(rng.bytes(array.nbytes), array.dtype).reshape(array.shape)


def check_sentence(error, path):
    """An error message is one line that names the file, without quoted reprs of exceptions."""
    assert "\n" not in str(error)
    assert str(path) in str(error)


def golden_weights():
    """A small matrix of every magnitude that no random generator has a say in."""
    places = np.arange(6 * 67).reshape(6, 67)
    return ((places * 7919 % 1009 - 504) / 504.0) ** 3
