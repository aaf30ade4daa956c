"""Embeddings and norm weights as trits: exact bytes, look-ups, models that use them."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.lm.model import open_language_model
from workbench.lm.synthetic import make_random_model
from workbench.lm.ternary_parts import ternary_gains, ternary_table, with_ternary_parts

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


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    make_random_model(path, "llama", layers=1, width=256, ff=256, heads=4, vocab=32, quant="F32")
    return open_language_model(path)


def test_a_model_computes_with_its_ternary_parts(model):
    parts = with_ternary_parts(model, embedding="optimal", norms="rms")
    assert set(parts.nbytes) == {
        "token_embd.weight",
        "blk.0.attn_norm.weight",
        "blk.0.ffn_norm.weight",
        "output_norm.weight",
    }
    assert parts.nbytes["token_embd.weight"] == 32 * 256 // 4 + 32 * 4
    assert parts.replaced_nbytes["token_embd.weight"] == model.weights["token_embd.weight"].nbytes
    for name in parts.nbytes:
        decoded = parts.model.tensors[name]
        assert len(np.unique(np.abs(decoded[decoded != 0]))) <= len(np.atleast_2d(decoded))
    logits = [m.forward([1, 2], m.new_cache(4)) for m in (model, parts.model)]
    assert np.abs(logits[0] - logits[1]).max() > 0
    nothing = with_ternary_parts(model)
    assert nothing.nbytes == {}


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
