"""Block formats both ways, against gguf-py and against the formulas of docs/formats.md."""

import ctypes
import importlib

import gguf
import numpy as np
import pytest

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.formats import BLOCKS, ENCODABLE, decode_blocks, encode_blocks
from workbench.measure import _ggml, peers

BY_LLAMA_CPP = [
    *("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
    *("TQ1_0", "TQ2_0", "MXFP4"),
]
BY_GGUF_PY = [
    *BY_LLAMA_CPP,
    *("F32", "F16", "BF16", "NVFP4", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S"),
    *("IQ2_S", "IQ4_XS", "IQ1_M"),
]
NUMBERS = {"I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64, "F64": np.float64}
UNSIGNED = {"U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64}
LIBRARY_ENCODES = ("F16", "BF16", "Q4_0", "Q4_1", "Q8_0", "TQ1_0", "TQ2_0")
EXTREME_HALVES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00]
here = pytest.mark.skipif(not peers.available(), reason=peers.unavailable())


def random_raw(name, rows, cols, seed=0):
    size = cols // BLOCKS[name].elements * BLOCKS[name].bytes
    return np.random.default_rng(seed).integers(0, 256, (rows, size), dtype=np.uint8)


def normal(rows, cols, seed=0, scale=0.05):
    return np.random.default_rng(seed).normal(0, scale, (rows, cols)).astype(np.float32)


def trits(rows, cols, seed=0):
    return np.random.default_rng(seed).integers(-1, 2, (rows, cols)).astype(np.float32)


def same(a, b):
    """Equal to the bit, but for the payload of a NaN."""
    nan = np.isnan(a)
    assert np.array_equal(nan, np.isnan(b))
    assert np.array_equal(np.where(nan, 0, a).view(np.uint32), np.where(nan, 0, b).view(np.uint32))


def by_gguf_py(name, raw):
    with np.errstate(all="ignore"):
        return gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[name])


def q1_0(raw):
    d = raw[:, :2].copy().view(np.float16).astype(np.float32)
    bits = np.unpackbits(raw[:, 2:], axis=1, bitorder="little").astype(np.float32)
    return d * (2 * bits - 1)


def q2_0(raw):
    d = raw[:, :2].copy().view(np.float16).astype(np.float32)
    codes = np.stack([raw[:, 2:] >> shift & 3 for shift in (0, 2, 4, 6)], axis=2)
    return d * (codes.reshape(len(raw), -1).astype(np.float32) - 1)


def i2_s(raw, size):
    groups = raw.reshape(-1, 1, size) >> np.array([6, 4, 2, 0], np.uint8)[:, None] & 3
    return (groups.astype(np.float32) - 1).reshape(len(raw), -1)


def test_table_is_that_of_gguf_py():
    known = {kind.name: (kind.value, *size) for kind, size in gguf.GGML_QUANT_SIZES.items()}
    known["Q8_1"] = (9, 32, 36)  # gguf-py has the one of before 2024, with two float32 numbers
    ours = {name: (b.id, b.elements, b.bytes) for name, b in BLOCKS.items() if name in known}
    assert ours == known


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("name", BY_GGUF_PY)
def test_random_bytes_decode_as_in_gguf_py(name, rows):
    cols = 3 * BLOCKS[name].elements
    raw = random_raw(name, rows, cols)
    decoded = decode_blocks(name, raw, cols)
    assert decoded.shape == (rows, cols)
    assert decoded.dtype == np.float32
    same(decoded, by_gguf_py(name, raw))


@pytest.mark.parametrize("half", EXTREME_HALVES, ids=hex)
@pytest.mark.parametrize("name", BY_LLAMA_CPP)
def test_extreme_scales_decode_as_in_gguf_py(name, half):
    """Zeros of both signs, subnormals, the largest, infinities and NaN, wherever a scale is."""
    size = BLOCKS[name].bytes
    raw = random_raw(name, 1, 64 * BLOCKS[name].elements, seed=half).reshape(-1, size)
    for at in range(0, size - 1, 2):
        raw[at % len(raw), at : at + 2] = half & 255, half >> 8
        raw[(at + 7) % len(raw), [0, 1, 2, 3, -2, -1]] = [half & 255, half >> 8] * 3
    raw = raw.reshape(1, -1)
    same(decode_blocks(name, raw, 64 * BLOCKS[name].elements), by_gguf_py(name, raw))


def test_every_half():
    every = np.arange(65536, dtype=np.uint16)
    with np.errstate(invalid="ignore"):
        expected = every.view(np.float16).astype(np.float32)
    same(decode_blocks("F16", every.view(np.uint8)[None], 65536)[0], expected)


@pytest.mark.parametrize("name", NUMBERS | UNSIGNED)
def test_plain_numbers(name):
    dtype = np.dtype((NUMBERS | UNSIGNED)[name])
    raw = random_raw(name, 3, 40)
    if dtype.kind == "f":
        values = normal(3, 40).astype(dtype)
        raw = values.view(np.uint8).reshape(3, -1)
    same(decode_blocks(name, raw, 40), raw.view(dtype).astype(np.float32))


@pytest.mark.parametrize(("name", "formula"), [("Q1_0", q1_0), ("Q2_0", q2_0)])
def test_formats_that_gguf_py_lacks(name, formula):
    raw = random_raw(name, 4, 3 * BLOCKS[name].elements)
    with np.errstate(invalid="ignore"):
        expected = formula(raw.reshape(-1, BLOCKS[name].bytes)).reshape(4, -1)
    same(decode_blocks(name, raw, 3 * BLOCKS[name].elements), expected)


@pytest.mark.parametrize(("name", "size"), [("I2_S", 32), ("I2_S_ARM", 16)])
def test_i2_s(name, size):
    raw = random_raw(name, 3, 384)
    decoded = decode_blocks(name, raw, 384, scale=0.25)
    same(decoded, np.float32(0.25) * i2_s(raw, size).reshape(3, -1))


def test_i2_s_by_hand():
    """The first weight lies in the high bits of the first byte, the second in those of the next."""
    raw = np.full((1, 32), 0b01_01_01_01, np.uint8)
    raw[0, 0] = 0b10_01_01_00
    raw[0, 1] = 0b00_01_01_01
    expected = np.zeros(128)
    expected[[0, 1, 96]] = 1, -1, -1
    np.testing.assert_array_equal(decode_blocks("I2_S", raw, 128)[0], expected)


@pytest.mark.parametrize("name", ["TQ2_0", "I2_S", "I2_S_ARM", "Q2_0"])
def test_code_three_is_plus_two(name):
    """No encoder writes it, but it has a value by the formula, and llama.cpp gives it that."""
    block = BLOCKS[name]
    raw = np.full((1, block.bytes), 255, np.uint8)
    for at in block.scales:
        raw[0, at : at + 2] = np.array([1.0], "<f2").view(np.uint8)
    assert set(decode_blocks(name, raw, block.elements)[0]) == {2.0}


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_change_nothing(threads):
    raw = random_raw("Q6_K", 37, 512)
    same(decode_blocks("Q6_K", raw, 512, threads=threads), by_gguf_py("Q6_K", raw))


@pytest.mark.parametrize("name", [name for name, block in BLOCKS.items() if block.kernels])
def test_plain_python_kernels_agree(name, monkeypatch):
    cols = 2 * BLOCKS[name].elements
    raw = random_raw(name, 2, cols)
    compiled = decode_blocks(name, raw, cols)
    monkeypatch.setattr(
        kernels, "load", lambda module: importlib.import_module(f"pythran_kernels.{module}")
    )
    with np.errstate(all="ignore"):
        same(decode_blocks(name, raw, cols), compiled)


def test_strided_and_unaligned_bytes():
    raw = random_raw("Q4_0", 6, 64)
    wide = np.zeros((12, 80), np.uint8)
    wide[::2, 3 : 3 + 36] = raw
    same(decode_blocks("Q4_0", wide[::2, 3:39], 64), decode_blocks("Q4_0", raw, 64))
    shifted = np.zeros(41, np.uint8)
    shifted[1:] = normal(1, 10).view(np.uint8)
    same(decode_blocks("F32", shifted[1:][None], 10), normal(1, 10))


@pytest.mark.parametrize("rows", [1, 17])
@pytest.mark.parametrize("name", LIBRARY_ENCODES)
@pytest.mark.parametrize("kind", ["normal", "ternary", "ties", "zero block"])
def test_encoding_is_that_of_gguf_py(name, rows, kind):
    w = normal(rows, 768)
    if kind == "ternary":
        w = trits(rows, 768) * np.float32(0.37)
    if kind == "ties":
        w = np.round(w * 100) / np.float32(8)
    if kind == "zero block":
        w[:, 256:512] = 0
    expected = gguf.quants.quantize(w, gguf.GGMLQuantizationType[name]).view(np.uint8)
    np.testing.assert_array_equal(encode_blocks(name, w), expected.reshape(rows, -1))


@pytest.mark.parametrize("name", ["TQ1_0", "TQ2_0", "Q2_0"])
def test_ternary_weights_come_back(name):
    w = trits(9, 512) * np.float32(0.375)
    w[3, :256] = 0
    same(np.abs(decode_blocks(name, encode_blocks(name, w), 512)), np.abs(w))
    np.testing.assert_array_equal(decode_blocks(name, encode_blocks(name, w), 512), w)


@pytest.mark.parametrize("name", [n for n in ENCODABLE if BLOCKS[n].elements > 1])
@pytest.mark.parametrize("tiny", [0, 1e-44, -1e-39, 1e-30])
def test_vanishing_weights_are_encoded_as_zeros(name, tiny):
    """1 / scale would overflow, and what C makes of that depends on the CPU."""
    w = np.zeros((2, 256), np.float32)
    w[:, ::3] = tiny
    raw = encode_blocks(name, w)
    np.testing.assert_array_equal(raw, encode_blocks(name, np.zeros((2, 256), np.float32)))
    assert not decode_blocks(name, raw, 256).any()


@pytest.mark.parametrize("name", [n for n in ENCODABLE if n != "F32"])
def test_error_is_within_half_a_step(name):
    w = normal(8, 512, seed=3)
    if name in ("TQ1_0", "TQ2_0", "Q2_0"):
        w = np.sign(w) * np.abs(w).max()  # what these are for
    blocks = w.reshape(-1, BLOCKS[name].elements)
    spread = np.abs(blocks).max(axis=1, keepdims=True)
    steps = {"F16": 2**-10, "BF16": 2**-7, "Q8_0": 1 / 127, "Q4_0": 1 / 4, "Q4_1": 2 / 15}
    bound = spread * (0.51 * steps.get(name, 0) + 1e-3) + 2**-24
    error = np.abs(decode_blocks(name, encode_blocks(name, w), 512) - w)
    assert (error.reshape(blocks.shape) <= bound).all()


@pytest.mark.parametrize("name", ENCODABLE)
def test_order_and_width_of_the_input_do_not_matter(name):
    w = normal(256, 256)
    expected = encode_blocks(name, w)
    np.testing.assert_array_equal(encode_blocks(name, np.asfortranarray(w)), expected)
    np.testing.assert_array_equal(encode_blocks(name, w.astype(np.float64)), expected)
    wide = np.zeros((512, 512), np.float32)
    wide[::2, ::2] = w
    np.testing.assert_array_equal(encode_blocks(name, wide[::2, ::2]), expected)
    np.testing.assert_array_equal(encode_blocks(name, w.T), encode_blocks(name, w.T.copy()))


@pytest.mark.parametrize("name", [n for n in ENCODABLE if BLOCKS[n].elements > 1])
def test_rows_that_do_not_divide(name):
    elements = BLOCKS[name].elements
    with pytest.raises(WorkbenchError, match=f"rows of {elements + 1} .* {name} .* {elements}"):
        encode_blocks(name, np.ones((2, elements + 1), np.float32))
    with pytest.raises(WorkbenchError, match=f"rows of {elements + 1} .* {name} .* {elements}"):
        decode_blocks(name, np.zeros((1, BLOCKS[name].bytes), np.uint8), elements + 1)


@pytest.mark.parametrize("name", [n for n in ENCODABLE if n != "F32"])
def test_weights_beyond_the_scale(name):
    w = np.full((1, 256), 3.4e38, np.float32)
    w[0, 0] = 3.4028235e38
    w[0, 1] = -w[0, 0]
    with pytest.raises(WorkbenchError, match=f"too large for {name}"):
        encode_blocks(name, w)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(bad):
    w = np.zeros((1, 32), np.float32)
    w[0, 5] = bad
    with pytest.raises(WorkbenchError, match="finite"):
        encode_blocks("Q4_0", w)


def test_refusals():
    raw = np.zeros((1, 18), np.uint8)
    with pytest.raises(WorkbenchError, match="no block format is called 'Q3_7'"):
        decode_blocks("Q3_7", raw, 32)
    with pytest.raises(WorkbenchError, match="'Q6_K' is not written; there are F32, F16"):
        encode_blocks("Q6_K", np.zeros((1, 256), np.float32))
    with pytest.raises(WorkbenchError, match=r"raw has shape \(1, 18\), but .* take \(rows, 36\)"):
        decode_blocks("Q4_0", raw, 64)
    with pytest.raises(TypeError, match="raw is float32, but must be uint8"):
        decode_blocks("Q4_0", raw.astype(np.float32), 32)
    with pytest.raises(WorkbenchError, match="threads is 0, but must be at least 1"):
        decode_blocks("Q4_0", raw, 32, threads=0)
    with pytest.raises(WorkbenchError, match="Q8_K is a format of activations"):
        decode_blocks("Q8_K", np.zeros((1, 292), np.uint8), 256)
    with pytest.raises(TypeError, match="weights are int8"):
        encode_blocks("Q4_0", np.zeros((1, 32), np.int8))


def test_no_rows():
    assert decode_blocks("Q4_0", np.zeros((0, 18), np.uint8), 32).shape == (0, 32)


@pytest.fixture
def ggml():
    return ctypes.CDLL(_ggml._library_file("ggml-base"))


@pytest.mark.peers
@here
@pytest.mark.parametrize("name", [*BY_LLAMA_CPP, "Q1_0", "Q2_0"])
def test_random_bytes_decode_as_in_llama_cpp(ggml, name):
    cols = 4 * BLOCKS[name].elements
    raw = random_raw(name, 1, cols, seed=9)
    expected = np.empty((1, cols), np.float32)
    decode = getattr(ggml, f"dequantize_row_{name.lower().replace('_k', '_K')}")
    decode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    decode.restype = None
    decode(raw.ctypes.data, expected.ctypes.data, cols)
    same(decode_blocks(name, raw, cols), expected)


@pytest.mark.peers
@here
@pytest.mark.parametrize("kind", ["normal", "ternary", "zeros", "ties"])
@pytest.mark.parametrize("name", ["Q4_0", "Q4_1", "Q8_0", "TQ1_0", "TQ2_0", "Q2_0"])
def test_encoding_is_that_of_llama_cpp(ggml, name, kind):
    w = {
        "normal": normal(1, 4096, seed=5),
        "ternary": trits(1, 4096) * np.float32(0.7),
        "zeros": np.zeros((1, 4096), np.float32),
        "ties": (np.arange(4096, dtype=np.float32)[None] % 9 - 4) / 4,
    }[kind]
    expected = np.empty((1, 4096 // BLOCKS[name].elements * BLOCKS[name].bytes), np.uint8)
    encode = getattr(ggml, f"quantize_row_{name.lower()}_ref")
    encode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    encode.restype = None
    encode(w.ctypes.data, expected.ctypes.data, w.size)
    np.testing.assert_array_equal(encode_blocks(name, w), expected)
