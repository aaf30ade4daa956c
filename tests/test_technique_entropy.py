"""Entropy-coded codes: as short as their entropy, and nothing else than what they were."""

import numpy as np
import pytest

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.measure.error import entropy_bits
from workbench.techniques._coder import code, decode

CODERS = ["range", "zstd"]
every_coder = pytest.mark.parametrize("coder", CODERS)


@every_coder
@pytest.mark.parametrize("symbols", [3, 4, 7, 15, 16, 17, 127, 255, 256])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (7, 11), (40, 50)], ids=str)
def test_lossless(coder, symbols, shape):
    codes = np.random.default_rng(symbols).integers(0, symbols, shape, np.uint8)
    np.testing.assert_array_equal(decode(code(codes, symbols, coder), symbols, coder, shape), codes)


@every_coder
@pytest.mark.parametrize("symbol", [0, 2])
def test_one_symbol_takes_next_to_nothing(coder, symbol):
    codes = np.full((300, 1000), symbol, np.uint8)
    arrays = code(codes, 3, coder)
    assert arrays["stream"].nbytes < 60
    np.testing.assert_array_equal(decode(arrays, 3, coder, codes.shape), codes)


@pytest.mark.parametrize("zeros", [0.1, 1 / 3, 0.6, 0.9, 0.99])
def test_range_coder_reaches_the_entropy(zeros):
    rest = (1 - zeros) / 2
    codes = np.random.default_rng(0).choice(3, (500, 400), p=[rest, zeros, rest])
    arrays = code(codes.astype(np.uint8), 3, "range")
    bits = codes.size * entropy_bits(codes)
    assert bits - 1 <= 8 * arrays["stream"].nbytes <= bits * 1.0005 + 64


@pytest.mark.parametrize("name", ["uniform", "ternary"])
@every_coder
def test_coded_is_the_plain_technique_in_fewer_bytes(name, coder):
    weights = np.random.default_rng(1).laplace(size=(60, 500))
    plain_name, parameters = {
        "uniform": ("uniform", {"bits": 5, "clip": "max"}),
        "ternary": ("base3-ternary", {"rounding": "absmax"}),
    }[name]
    plain = wb.technique(plain_name, **parameters).encode(weights)
    coded = wb.technique(f"entropy-{name}", coder=coder, **parameters).encode(weights)
    np.testing.assert_array_equal(coded.decode(), plain.decode())
    np.testing.assert_array_equal(coded.codes(), plain.codes())
    assert coded.nbytes < plain.nbytes


@every_coder
def test_damaged_streams_are_refused(coder):
    codes = np.random.default_rng(2).integers(0, 3, (30, 40), np.uint8)
    arrays = code(codes, 3, coder)
    short = {**arrays, "stream": arrays["stream"][:-9]}
    with pytest.raises(WorkbenchError, match="'stream'"):
        decode(short, 3, coder, codes.shape)
    with pytest.raises(WorkbenchError, match=r"sums up to 1200|take 2400"):
        decode(arrays, 3, coder, (300, 40))


def test_a_small_file_cannot_ask_for_endless_zeros():
    arrays = code(np.zeros((100, 100), np.uint8), 3, "zstd")
    with pytest.raises(WorkbenchError, match="take 6"):
        decode(arrays, 3, "zstd", (5, 6))
