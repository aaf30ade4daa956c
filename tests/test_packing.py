"""Packing is exact, writes what its drawing says, and unpacking refuses every other byte."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.ternary import Packed, pack, unpack

LAYOUTS = ["planar", "base3"]
ROWS = {"planar": 4, "base3": 5}


def trits(rows, cols, seed=0):
    return np.random.default_rng(seed).integers(-1, 2, (rows, cols)).astype(np.int8)


def drawn(codes, layout):
    """The bytes as the docstring of Packed draws them, one at a time."""
    rows, cols = codes.shape
    n = ROWS[layout]
    data = np.zeros((-(-rows // n), cols), np.uint8)
    for g in range(len(data)):
        for j in range(cols):
            u = [int(codes[r, j]) + 1 if r < rows else 1 for r in range(n * g, n * g + n)]
            if layout == "planar":
                data[g, j] = sum(digit << 2 * p for p, digit in enumerate(u))
            else:
                number = sum(digit * 3 ** (4 - p) for p, digit in enumerate(u))
                data[g, j] = -(-number * 256 // 243)
    return data


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 8, 10, 11, 17])
@pytest.mark.parametrize("cols", [1, 2, 7, 64, 65])
def test_bytes_are_as_drawn(layout, rows, cols):
    codes = trits(rows, cols)
    packed = pack(codes, layout)
    np.testing.assert_array_equal(packed.data, drawn(codes, layout))
    np.testing.assert_array_equal(unpack(packed), codes)


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(deadline=None)
@given(data=st.data())
def test_round_trip(layout, data):
    shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 200)))
    codes = data.draw(arrays(np.int8, shape, elements=st.integers(-1, 1)))
    packed = pack(codes, layout)
    assert packed.nbytes == -(-shape[0] // ROWS[layout]) * shape[1]
    np.testing.assert_array_equal(unpack(packed), codes)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_column_of_trits_has_a_byte_of_its_own(layout):
    n = ROWS[layout]
    every = np.stack(np.meshgrid(*[[-1, 0, 1]] * n, indexing="ij")).reshape(n, -1)
    packed = pack(every, layout)
    assert len(np.unique(packed.data)) == 3**n
    np.testing.assert_array_equal(unpack(packed), every)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_unpack_refuses_every_other_byte(layout):
    n = ROWS[layout]
    every = np.stack(np.meshgrid(*[[-1, 0, 1]] * n, indexing="ij")).reshape(n, -1)
    written = set(pack(every, layout).data.ravel().tolist())
    for byte in range(256):
        packed = Packed(np.full((1, 1), byte, np.uint8), (n, 1), layout)
        if byte in written:
            assert unpack(packed).shape == (n, 1)
        else:
            with pytest.raises(WorkbenchError, match=f"1 bytes that are no {layout} codes"):
                unpack(packed)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.astype(np.int64),
        lambda c: np.asfortranarray(c),
        lambda c: np.repeat(c, 2, axis=1)[:, ::2],
        lambda c: c[::-1][::-1],
        lambda c: c.tolist(),
    ],
    ids=["int64", "fortran", "strided", "reversed", "list"],
)
def test_any_integers_in_any_order(layout, change):
    codes = trits(9, 12)
    np.testing.assert_array_equal(pack(change(codes), layout).data, pack(codes, layout).data)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_data_start_on_a_cache_line(layout):
    assert all(pack(trits(n, 70), layout).data.ctypes.data % 64 == 0 for n in range(1, 20))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (11, 5), (20, 9)])
def test_plain_python_agrees(layout, shape):
    plain = importlib.import_module("pythran_kernels.packing")
    compiled = kernels.load("packing")
    codes = trits(*shape)
    data = [np.empty((-(-shape[0] // ROWS[layout]), shape[1]), np.uint8) for _ in range(2)]
    back = [np.empty(shape, np.int8) for _ in range(2)]
    for kernel, packed, codes_back in zip([plain, compiled], data, back, strict=True):
        getattr(kernel, f"pack_{layout}")(codes, packed)
        assert getattr(kernel, f"unpack_{layout}")(packed, codes_back) == 0
    np.testing.assert_array_equal(*data)
    np.testing.assert_array_equal(*back)


@pytest.mark.parametrize(
    ("codes", "error", "message"),
    [
        (np.zeros((2, 2)), TypeError, "codes are float64"),
        (np.zeros(3, np.int8), WorkbenchError, r"codes have shape \(3,\), but must have two axes"),
        (np.zeros((0, 3), np.int8), WorkbenchError, "no axis may be empty"),
        (np.array([[0, 1], [1, 2]]), WorkbenchError, "codes hold 2 at row 1, column 1"),
        (np.array([[0, -2]]), WorkbenchError, "codes hold -2 at row 0, column 1"),
    ],
    ids=["float", "one axis", "empty", "too large", "too small"],
)
def test_refused_codes(codes, error, message):
    with pytest.raises(error, match=message):
        pack(codes)


def test_refused_layout():
    with pytest.raises(WorkbenchError, match="layout='5bit' is not allowed: it is one of planar"):
        pack(trits(2, 2), "5bit")


@pytest.mark.parametrize(
    ("data", "shape", "layout", "message"),
    [
        (np.zeros((2, 3), np.uint8), (4, 3), "planar", r"are uint8 \(1, 3\)"),
        (np.zeros((1, 3), np.int8), (4, 3), "planar", "data are int8"),
        (np.zeros((1, 3), np.uint8), (6, 3), "base3", r"are uint8 \(2, 3\)"),
        (np.zeros((1, 3), np.uint8), (0, 3), "base3", "no axis may be empty"),
        (np.zeros((1, 3), np.uint8), (4, 3), "flat", "layout='flat' is not allowed"),
    ],
    ids=["too many rows", "wrong type", "too few rows", "empty", "unknown layout"],
)
def test_refused_data(data, shape, layout, message):
    with pytest.raises(WorkbenchError, match=message):
        Packed(data, shape, layout)
