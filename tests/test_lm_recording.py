"""What enters a model's matrices is kept, and the model is left as it was."""

import numpy as np

from workbench.lm import open_language_model
from workbench.lm.recording import record_inputs

TOKENS = [5, 17, 300, 2, 2]


def test_inputs_are_those_of_the_forward_pass():
    model = open_language_model("english-ternary")
    found = record_inputs(model, TOKENS)
    assert list(found) == [name for name in found if name in model.weights]
    assert len(found) == 7 * model.config.layers
    embedded = model.tensors["token_embd.weight"][TOKENS]
    np.testing.assert_array_equal(
        found["blk.0.attn_q.weight"], model._norm("blk.0.attn_norm", embedded)
    )
    for block in range(model.config.layers):
        same = [found[f"blk.{block}.ffn_{name}.weight"] for name in ("gate", "up")]
        np.testing.assert_array_equal(*same)
        assert found[f"blk.{block}.ffn_down.weight"].shape == (5, model.config.ff)


def test_the_model_itself_does_not_listen():
    model = open_language_model("english-ternary")
    record_inputs(model, TOKENS)
    assert "_project" not in vars(model)
    first, again = (record_inputs(model, TOKENS) for _ in range(2))
    assert first.keys() == again.keys()
