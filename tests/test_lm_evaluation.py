"""Policies: which matrices they take, exact bytes, and what a technique costs in perplexity."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import workbench as wb
from workbench.lm import (
    make_random_model,
    open_language_model,
    open_runner,
    perplexity,
    read_text,
    sensitivity,
)
from workbench.lm.evaluation import apply_policy, tensor_shapes
from workbench.lm.parts import stored_bytes
from workbench.techniques.policy import chosen_techniques

IDS = np.random.default_rng(1).integers(0, 48, 60)
KEYS = ["layer", "perplexity", "base", "ratio", "tokens", "nbytes", "bits_per_weight", "rel_mse"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "random.gguf"
    return make_random_model(
        path, "llama", layers=3, width=32, ff=64, heads=2, vocab=48, context=64, quant="F32",
        embedding="F32",
    )  # fmt: skip


@pytest.fixture(scope="module")
def model(path):
    return open_language_model(path)


def taken(model, policy):
    chosen = chosen_techniques(tensor_shapes(model), policy)
    return {name: technique.id for name, technique in chosen.items()}


# --- policies ---


def test_the_first_pattern_that_fits_counts(model):
    policy = {
        "blk.0.ffn_up.weight": "nf4:block=16",
        "blk.1.*": None,
        "blk.*.ffn_*": "planar-ternary",
    }
    assert taken(model, policy) == {
        "blk.0.ffn_up.weight": "nf4",
        **{f"blk.{layer}.ffn_{name}.weight": "planar-ternary"
           for layer, name in [(0, "gate"), (0, "down"), (2, "gate"), (2, "up"), (2, "down")]},
    }  # fmt: skip


def test_patterns_that_fit_matrices_take_no_vectors(model):
    assert not [name for name in taken(model, {"*": "q8_0"}) if "norm" in name]
    assert "token_embd.weight" in taken(model, {"*": "q8_0"})
    both = taken(model, {"blk.0.attn_*": "q8_0", "blk.*_norm.weight": "planar-ternary"})
    assert both.pop("blk.0.attn_norm.weight") == "planar-ternary"
    assert len([name for name, technique in both.items() if technique == "q8_0"]) == 4


def test_vectors_are_matrices_of_one_row(model):
    name = "blk.1.ffn_norm.weight"
    vector = np.random.default_rng(0).standard_normal(32).astype(np.float32)
    recipe = wb.technique("planar-ternary", rounding="optimal")
    changed, [replaced] = apply_policy(model.with_tensors({name: vector}), {name: recipe})
    encoded = recipe.encode(vector[None])
    assert np.array_equal(changed.tensors[name], encoded.decode()[0])
    assert (replaced.nbytes, replaced.weights) == (encoded.nbytes, 32)
    assert len(np.unique(changed.tensors[name])) == 3


def test_techniques_come_as_text_or_as_they_are(model):
    recipe = wb.technique("uniform", bits=3)
    by_text = chosen_techniques(tensor_shapes(model), {"blk.*": "uniform:bits=3"})
    assert by_text == chosen_techniques(tensor_shapes(model), {"blk.*": recipe})
    assert set(by_text.values()) == {recipe}


@pytest.mark.parametrize(
    ("policy", "error", "match"),
    [
        (
            {"blk.9.*": "q8_0"},
            wb.WorkbenchError,
            r"no matrix is called 'blk.9.\*'; there are token",
        ),
        ({"*.ffn_norm": "q8_0"}, wb.WorkbenchError, "no matrix is called"),
        ({"blk.*": "q8_0", "blk.0.*": "nf4"}, wb.WorkbenchError, r"'blk.0.\*' never counts"),
        ({"blk.*": "q9"}, wb.WorkbenchError, "no technique is called 'q9'"),
        ({"blk.*": "uniform:bits"}, wb.WorkbenchError, "'bits' is not of the form key=value"),
        ({"blk.*": 3}, TypeError, "the policy says 3 of"),
    ],
    ids=str,
)
def test_policies_that_cannot_be(model, policy, error, match):
    with pytest.raises(error, match=match) as refusal:
        wb.evaluate(model, policy, IDS)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_matrix_that_a_technique_cannot_store_is_named(model):
    name = "blk.0.ffn_up.weight"
    huge = model.with_tensors({name: model.tensors[name] * np.float32(1e9)})
    with pytest.raises(
        wb.WorkbenchError, match=f"q8_0 cannot store '{name}': weights are too large"
    ):
        wb.evaluate(huge, {"blk.0.ffn_*": "q8_0"}, IDS)


# --- evaluation ---


def test_nothing_replaced_is_the_model_itself(model):
    found = wb.evaluate(model, {}, IDS)
    assert found.perplexity.perplexity == perplexity(model, IDS).perplexity
    assert (found.tensors, found.nbytes, found.bits_per_weight) == ((), 0, None)


def test_bytes_are_those_of_the_files(model, tmp_path):
    policy = {"blk.*.attn_q*": "uniform:bits=3", "blk.*.ffn_*": "planar-ternary"}
    found = wb.evaluate(model, policy, IDS, window=16)
    sizes = []
    for each in found.tensors:
        encoded = each.technique.encode(model.tensors[each.tensor])
        sizes.append(encoded.save(tmp_path / "matrix.safetensors"))
        assert each.weights == np.prod(encoded.shape)
    assert [each.nbytes for each in found.tensors] == sizes
    assert found.nbytes == sum(sizes)
    assert found.weights == 3 * (32 * 32 + 3 * 32 * 64)
    assert found.bits_per_weight == 8 * sum(sizes) / found.weights
    assert found.perplexity.tokens == 60 - 4


def test_the_decoded_matrices_are_what_runs(model):
    name = "blk.1.ffn_down.weight"
    recipe = wb.technique("planar-ternary", group=32)
    found = wb.evaluate(model, {name: recipe}, IDS)
    decoded = recipe.encode(model.tensors[name]).decode()
    by_hand = perplexity(model.with_tensors({name: decoded}), IDS)
    assert found.perplexity.perplexity == by_hand.perplexity
    assert found.perplexity.perplexity != perplexity(model, IDS).perplexity
    assert 0 < found.tensors[0].rel_mse < 1


def test_an_evaluation_says_what_it_found(model):
    found = wb.evaluate(model, {"blk.*.ffn_up.weight": "q8_0"}, IDS)
    assert str(found) == (
        f"perplexity {found.perplexity.perplexity:.2f} on 59 tokens, 3 tensors stored in "
        f"{found.nbytes:,} bytes, {found.bits_per_weight:.2f} bits a weight"
    )
    assert str(wb.evaluate(model, {}, IDS)).endswith("59 tokens, nothing replaced")


def test_models_by_path_and_options_of_perplexity(path, model):
    options = {"window": 32, "convention": "llama-perplexity"}
    found = wb.evaluate(path, {"blk.*": "q8_0"}, IDS, **options)
    assert found.perplexity.tokens == 15
    exact = perplexity(model, IDS, **options).perplexity
    assert found.perplexity.perplexity == pytest.approx(exact, rel=0.02)


def test_progress_tells_of_matrices_and_tokens(model):
    steps = []
    wb.evaluate(model, {"blk.*.attn_k*": "q8_0"}, IDS, progress=lambda *step: steps.append(step))
    assert steps[:3] == [(i, 3, f"q8_0 on blk.{i}.attn_k.weight") for i in range(3)]
    assert steps[-1] == (59, 59, "tokens scored")


# --- one layer at a time ---


def test_sensitivity(model):
    steps = []
    costs = list(
        sensitivity(model, "planar-ternary", IDS, progress=lambda *step: steps.append(step))
    )
    assert [cost.layer for cost in costs] == [0, 1, 2]
    assert steps[0] == (0, 3, "as it is")
    assert steps[-1] == (3, 3, "")
    base = perplexity(model, IDS).perplexity
    for cost in costs:
        assert list(cost.row()) == KEYS
        found = wb.evaluate(model, {f"blk.{cost.layer}.*": "planar-ternary"}, IDS)
        assert cost.perplexity == found.perplexity.perplexity
        assert (cost.base, cost.ratio) == (base, cost.perplexity / base)
        assert (cost.nbytes, cost.bits_per_weight) == (found.nbytes, found.bits_per_weight)
        assert 0 < cost.rel_mse < 1


def test_sensitivity_of_chosen_layers_and_matrices(model):
    [cost] = sensitivity(model, "q8_0", IDS, layers=[2], tensors="ffn_*", base=40.0, window=20)
    assert (cost.layer, cost.base, cost.tokens) == (2, 40.0, 57)
    assert cost.nbytes == wb.evaluate(model, {"blk.2.ffn_*": "q8_0"}, IDS).nbytes


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"layers": [3]}, "layer 3 is not there: the model has the layers 0 to 2"),
        ({"tensors": "moe_*"}, r"no matrix is called 'blk.0.moe_\*'"),
        ({"technique": "q9"}, "no technique is called 'q9'"),
    ],
    ids=str,
)
def test_sensitivity_refuses_before_it_runs(model, options, match):
    with pytest.raises(wb.WorkbenchError, match=match):
        next(sensitivity(model, **{"technique": "q8_0", "text": IDS} | options))


# --- threads ---


def test_the_reference_path_keeps_to_its_threads_each_time(path):
    def blas():
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    before = blas()
    _, limit = open_runner(path, "reference", 1)
    assert blas() == before
    for _ in range(2):
        with limit:
            assert blas() == {1}
        assert blas() == before


def test_the_text_of_an_evaluation_is_english_where_none_is_given():
    model = open_language_model("english-ternary")
    ids = model.tokenizer.encode(read_text("english-held-out.txt"))
    with pytest.raises(wb.WorkbenchError, match="window is 9999"):
        wb.evaluate(model, {}, window=9999)
    assert len(ids) > 45_000


def test_a_replaced_matrix_counts_as_floats(model):
    name = "blk.0.ffn_up.weight"
    changed = model.with_tensors({name: model.tensors[name]})
    assert stored_bytes(changed)[name] == 4 * 64 * 32
