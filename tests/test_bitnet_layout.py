"""Hugging Face's packed BitNet weights: four rows a byte, and a scale that must be explained."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.formats import open_safetensors, unpack_bitnet, write_safetensors


def pack(codes):
    """As transformers packs: row r of the packed array holds rows r, r + M/4, r + M/2, r + 3M/4."""
    quarter = len(codes) // 4
    packed = np.zeros((quarter, codes.shape[1]), np.uint8)
    for i in range(4):
        packed |= (codes[i * quarter : (i + 1) * quarter] + 1).astype(np.uint8) << 2 * i
    return packed


def random_codes(rows, cols):
    return np.random.default_rng(0).integers(-1, 2, (rows, cols)).astype(np.int8)


def write(path, codes, scale=4.0):
    write_safetensors(
        path,
        {
            "mlp.weight": pack(codes),
            "mlp.weight_scale": np.array([scale], np.float32),
            "norm.weight": np.ones(3, np.float32),
            "mask": np.ones((2, 2), np.uint8),
        },
    )
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("cols", [1, 3, 64])
@pytest.mark.parametrize("rows", [4, 8, 100])
def test_codes_come_back(rows, cols):
    codes = random_codes(rows, cols)
    unpacked = unpack_bitnet(pack(codes), rows)
    assert unpacked.dtype == np.int8
    np.testing.assert_array_equal(unpacked, codes)


def test_layout_by_hand():
    """0b10_01_00_10: rows 0 to 3 are +1, -1, 0, +1."""
    assert unpack_bitnet(np.array([[0b10_01_00_10]], np.uint8)).ravel().tolist() == [1, -1, 0, 1]


@pytest.mark.parametrize(("meaning", "factor"), [("divide", 0.25), ("multiply", 4.0)])
def test_scale(path, meaning, factor):
    codes = random_codes(8, 5)
    file = open_safetensors(write(path, codes), weight_scale=meaning)
    assert set(file) == {"mlp.weight", "norm.weight", "mask"}
    tensor = file["mlp.weight"]
    assert (tensor.shape, tensor.quant, tensor.nbytes) == ((8, 5), "HF_BITNET", 14)
    assert tensor.name == "mlp.weight"
    assert tensor.raw().shape == (2, 5)
    expected = codes * np.float32(factor)
    np.testing.assert_array_equal(tensor.read(), expected)
    np.testing.assert_array_equal(tensor.read(slice(3, 6)), expected[3:6])
    assert tensor.read().dtype == tensor.dtype == np.float32
    assert file["mask"].quant == "U8"


def test_untold_it_lists_but_does_not_read(path):
    file = open_safetensors(write(path, random_codes(8, 5)))
    assert file["mlp.weight"].shape == (8, 5)
    with pytest.raises(WorkbenchError, match=r"weight_scale='divide' .* or 'multiply'"):
        file["mlp.weight"].read()
    assert file["norm.weight"].read().tolist() == [1, 1, 1]


def test_unknown_meaning(path):
    with pytest.raises(WorkbenchError, match="weight_scale is 'add', but must be 'divide'"):
        open_safetensors(path, weight_scale="add")


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_scale_that_cannot_be(path, scale):
    file = open_safetensors(write(path, random_codes(4, 4), scale), weight_scale="divide")
    with pytest.raises(WorkbenchError, match=r"weight_scale of 'mlp\.weight' is"):
        file["mlp.weight"].read()


def test_rows_that_four_does_not_divide():
    with pytest.raises(WorkbenchError, match=r"2 packed rows hold 8 rows, not 7; .* multiple of 4"):
        unpack_bitnet(np.zeros((2, 3), np.uint8), rows=7)


def test_code_three():
    packed = np.zeros((2, 3), np.uint8)
    packed[1, 2] = 0b00_11_00_00
    with pytest.raises(WorkbenchError, match="row 5, column 2 is 3"):
        unpack_bitnet(packed)


def test_refusals():
    with pytest.raises(TypeError, match="packed is int8"):
        unpack_bitnet(np.zeros((1, 1), np.int8))
    with pytest.raises(WorkbenchError, match="must have two axes"):
        unpack_bitnet(np.zeros(4, np.uint8))
    with pytest.raises(WorkbenchError, match="none empty"):
        unpack_bitnet(np.zeros((0, 4), np.uint8))
