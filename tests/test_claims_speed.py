"""What the checks on running models use: the toy, tokens a second, flipped trits."""

import numpy as np
import pytest

from workbench import kernels
from workbench.claims.seed001_vectors import flipped
from workbench.claims.speed import RUNS, beside_llama_cpp, decode_speeds, toy
from workbench.lm import make_random_model, open_language_model
from workbench.measure import peers


def test_the_toy_is_ternary_and_counted(tmp_path):
    path, parameters = toy(tmp_path)
    model = open_language_model(path)
    assert model.ternary("blk.1.ffn_down") == "tensor"
    layer = 4 * 64 * 64 + 3 * 64 * 256 + 2 * 64
    assert parameters == 32 * 64 + 2 * layer + 64


@pytest.mark.parametrize(
    "way",
    [
        "reference path",
        pytest.param(
            "engine, 128 tokens a call",
            marks=pytest.mark.skipif(
                not kernels.status("decoder").compiled, reason="the kernels are not compiled"
            ),
        ),
    ],
)
def test_speeds_of_several_runs(tmp_path, way):
    speeds = decode_speeds(toy(tmp_path)[0], (way,))
    assert len(speeds[way]) == RUNS
    assert min(speeds[way]) > 1


@pytest.mark.parametrize("kind", ["resampled", "another value", "negated"])
def test_flipped_trits_stay_trits(tmp_path, kind):
    path = make_random_model(
        tmp_path / "model.gguf", layers=1, width=256, ff=256, heads=4, vocab=40
    )
    model = open_language_model(path)
    before = model.tensors["blk.0.ffn_up.weight"]
    after = flipped(model, 0.3, kind, np.random.default_rng(0)).tensors["blk.0.ffn_up.weight"]
    assert np.array_equal(np.unique(after), np.unique(before))
    expected = {"resampled": 0.2, "another value": 0.3, "negated": 0.2}[kind]  # of 1/3 zeros
    assert (after != before).mean() == pytest.approx(expected, abs=0.01)


@pytest.mark.peers
@pytest.mark.skipif(not peers.available(), reason=peers.unavailable())
@pytest.mark.skipif(not kernels.status("decoder").compiled, reason="kernels are not compiled")
def test_a_model_runs_beside_llama_cpp(tmp_path):
    path = make_random_model(
        tmp_path / "model.gguf", "llama", layers=1, width=64, ff=64, heads=2, vocab=40,
        quant="Q8_0", embedding="Q8_0",
    )  # fmt: skip
    found = {name: value for name, value, _ in beside_llama_cpp(path, rounds=1)}
    first = [value for name, value in found.items() if name.startswith("to the first token")]
    assert len(first) == 2
    assert all(0.01 < value < 60 for value in first)
    assert len(found) == 4
