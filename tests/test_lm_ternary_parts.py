"""Embeddings and norm weights as trits: exact bytes and look-ups."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.lm.ternary_parts import ternary_gains, ternary_table

MODES = ["fixed", "none", "rms", "optimal"]


@pytest.fixture
def rng():
    return np.random.default_rng(15)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (32, 64)], ids=str)
def test_look_ups_are_rows_of_the_decoded_table(rng, mode, shape):
    matrix = rng.normal(size=shape).astype(np.float32)
    table = ternary_table(matrix, mode)
    decoded = table.decode()
    rows = rng.integers(0, shape[0], 9)
    np.testing.assert_array_equal(table.lookup(rows), decoded[rows])
    assert table.nbytes == -(-shape[0] // 4) * shape[1] + 4 * shape[0]
    for row in decoded:
        assert len(np.unique(np.abs(row[row != 0]))) <= 1


def test_bytes_of_seed_001(rng):
    assert ternary_table(rng.normal(size=(32, 64))).nbytes == 640
    assert ternary_gains(rng.normal(size=2048)).nbytes == 2048 // 4 + 4


@pytest.mark.parametrize("channels", [1, 4, 10, 33])
def test_gains_by_half_the_largest(rng, channels):
    gains = rng.normal(size=channels).astype(np.float32)
    largest = np.abs(gains).max()
    expected = np.sign(gains) * (np.abs(gains) > largest / 2) * largest
    stored = ternary_gains(gains)
    np.testing.assert_allclose(stored.decode(), expected)
    assert stored.nbytes == -(-channels // 4) + 4


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ternary_table(np.ones((2, 2)), "half"), "mode='half' is not allowed"),
        (lambda: ternary_gains(np.ones(2), "best"), "mode='best' is not allowed: .* half, fixed"),
        (lambda: ternary_gains(np.ones((2, 2))), "gains have shape"),
        (lambda: ternary_gains(np.array([1.0, np.nan])), "nan"),
    ],
    ids=["table", "gains", "axes", "nan"],
)
def test_refusals(call, match):
    with pytest.raises(WorkbenchError, match=match):
        call()
