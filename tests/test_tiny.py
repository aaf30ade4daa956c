"""The spine in seconds: real weights, a technique, an exact product, a file, a command."""

import json
import subprocess
import sys

import numpy as np
import pytest

import workbench as wb
from workbench import kernels
from workbench.models import activations

MATRIX = "blk.14.ffn_down.weight"


@pytest.fixture(scope="module")
def weights():
    return wb.open_model("smollm2-slice")


def test_every_kernel_is_compiled():
    assert [name for name in kernels.names() if not kernels.status(name).compiled] == []


def test_real_weights_open(weights):
    matrix = weights[MATRIX].read()
    assert (matrix.shape, matrix.dtype) == ((576, 1536), np.float32)
    assert 0.01 < matrix.std() < 1


@pytest.mark.parametrize("name", ["planar-ternary", "uniform", "q4_1"])
def test_a_technique_comes_back_from_its_file(weights, tmp_path, name):
    matrix = weights[MATRIX].read()
    encoded = wb.technique(name).encode(matrix)
    path = tmp_path / "matrix.safetensors"
    assert encoded.save(path) == encoded.nbytes == path.stat().st_size
    again = wb.load_encoded(path)
    assert again.technique == encoded.technique
    np.testing.assert_array_equal(again.decode(), encoded.decode())
    error = ((encoded.decode() - matrix) ** 2).sum() / (matrix**2).sum()
    assert error < 0.5


@pytest.mark.parametrize("threads", [1, 2])
def test_the_ternary_product_is_exact(weights, threads):
    trits = wb.ternary.quantize(weights[MATRIX].read())
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (1536, 5), dtype=np.int8)
    product = wb.ternary.matmul(wb.ternary.pack(trits.codes), x, threads=threads)
    np.testing.assert_array_equal(product, trits.codes.astype(np.int32) @ x.astype(np.int32))


def test_real_activations_go_through(weights):
    x = activations(weights, MATRIX)
    encoded = wb.technique("q8_0").encode(weights[MATRIX].read())
    exact = weights[MATRIX].read() @ x.T
    assert np.linalg.norm(encoded.matmul(x.T) - exact) < 0.02 * np.linalg.norm(exact)


def test_the_command_line_answers():
    command = [sys.executable, "-c", "from workbench.cli import main; main()"]
    command += ["compare", "smollm2-slice", "--tensors", MATRIX, "--technique", "planar-ternary"]
    command += ["--no-nulls", "--no-plain", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    (row,) = json.loads(result.stdout)
    assert row["bits_per_weight"] < 2.1
    assert row["matmul_s"] > 0
