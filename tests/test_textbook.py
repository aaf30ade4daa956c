"""Textbook products: right on every shape, whatever the parameter, as the algorithms promise."""

import importlib

import numpy as np
import pytest

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.lookup.patterns import every
from workbench.measure.textbook import (
    TEXTBOOK,
    DenseFloat,
    FourRussians,
    Rsr,
    RsrPlus,
    SignSelect,
    TritLookup,
    patterns,
)

SHAPES = [(1, 1), (1, 7), (5, 1), (2, 3), (9, 16), (17, 31), (33, 64), (40, 577), (64, 1600)]
NAMES = [kind.name for kind in TEXTBOOK]
KERNELS = ["dense", "signs", "trits", "russians", "rsr"]


def problem(rows, cols, tokens, seed=0):
    rng = np.random.default_rng([seed, rows, cols, tokens])
    codes = rng.integers(-1, 2, (rows, cols)).astype(np.int8)
    x = rng.integers(-128, 128, (tokens, cols)).astype(np.int8)
    return codes, x, x.astype(int) @ codes.T.astype(int)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("tokens", [1, 4])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", TEXTBOOK, ids=NAMES)
def test_exact_on_integers(kind, shape, tokens, threads):
    codes, x, expected = problem(*shape, tokens)
    result = kind(codes).product(x, threads)()
    assert result.dtype in (np.int32, np.float32)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("group", range(1, 11))
def test_four_russians_with_every_group(group):
    codes, x, expected = problem(13, 23, 2)
    np.testing.assert_array_equal(FourRussians(codes, group).product(x)(), expected)


@pytest.mark.parametrize("block", range(1, 9))
@pytest.mark.parametrize("kind", [Rsr, RsrPlus], ids=["RSR", "RSR++"])
def test_rsr_with_every_block(kind, block):
    codes, x, expected = problem(19, 50, 2)
    np.testing.assert_array_equal(kind(codes, block).product(x, 2)(), expected)


@pytest.mark.parametrize("sign", [-1, 0, 1])
@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("kind", TEXTBOOK, ids=NAMES)
def test_extremes(kind, value, sign):
    codes = np.full((6, 4096), sign, np.int8)
    x = np.full((1, 4096), value, np.int8)
    np.testing.assert_array_equal(kind(codes).product(x)(), np.full((1, 6), 4096 * value * sign))


@pytest.mark.parametrize("kind", TEXTBOOK, ids=NAMES)
def test_transposed_and_strided_input(kind):
    codes, x, expected = problem(21, 34, 3)
    strided = np.zeros((3, 68), np.int8)
    strided[:, ::2] = x
    result = kind(np.asfortranarray(codes)).product(strided[:, ::2])()
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("kind", TEXTBOOK, ids=NAMES)
def test_calls_repeat(kind):
    codes, x, expected = problem(8, 40, 2)
    call = kind(codes).product(x)
    call()
    np.testing.assert_array_equal(call(), expected)


@pytest.mark.parametrize(
    ("kind", "bytes_a_weight"), [(DenseFloat, 4), (SignSelect, 1 / 4), (TritLookup, 1 / 5)]
)
def test_sizes(kind, bytes_a_weight):
    overhead = 4 * 5 * 243 if kind is TritLookup else 0
    assert kind(problem(16, 80, 1)[0]).nbytes == 16 * 80 * bytes_a_weight + overhead


def test_patterns_and_their_trits():
    for group in (1, 3, 5):
        found = patterns(every(group), group)[:, 0]
        np.testing.assert_array_equal(found, np.arange(3**group))


@pytest.mark.parametrize("name", KERNELS)
def test_plain_python_agrees_with_the_compiled_kernel(name, monkeypatch):
    kinds = [kind for kind in TEXTBOOK if name in kernel_of(kind)]
    assert kinds
    codes, x, expected = problem(5, 12, 2)
    plain = importlib.import_module(f"pythran_kernels.textbook_{name}")
    monkeypatch.setattr(kernels, "load", lambda asked: plain)
    for kind in kinds:
        np.testing.assert_array_equal(kind(codes).product(x, 2)(), expected)


def kernel_of(kind):
    return {
        DenseFloat: "dense",
        SignSelect: "signs",
        TritLookup: "trits",
        FourRussians: "russians",
    }.get(kind, "rsr")


def test_refusals():
    codes, x, _ = problem(4, 8, 1)
    with pytest.raises(WorkbenchError, match=r"codes have shape \(0, 8\)"):
        DenseFloat(codes[:0])
    with pytest.raises(WorkbenchError, match="codes must be integers"):
        SignSelect(codes * 2 + 1)
    with pytest.raises(WorkbenchError, match="codes must be integers"):
        SignSelect(codes.astype(float))
    with pytest.raises(WorkbenchError, match="group=11 is not allowed"):
        FourRussians(codes, 11)
    with pytest.raises(WorkbenchError, match="block=0 is not allowed"):
        Rsr(codes, 0)
    with pytest.raises(WorkbenchError, match="at most 65,536 columns"):
        RsrPlus(np.zeros((1, 70_000), np.int8))
    with pytest.raises(WorkbenchError, match=r"x is int8 \(1, 7\), but must be int8 \(tokens, 8\)"):
        Rsr(codes).product(x[:, 1:])
    with pytest.raises(WorkbenchError, match="threads=0 is not allowed"):
        Rsr(codes).product(x, 0)
