"""Parts of a transformer made ternary: which tensors they take, exact bytes, what is refused."""

import numpy as np
import pytest

import workbench as wb
from workbench.lm import make_random_model, open_language_model, perplexity
from workbench.lm.parts import CACHE, NORMS, PARTS, READING, part_of, stored_bytes, switched
from workbench.lm.texts import spread

IDS = np.random.default_rng(1).integers(0, 48, 40)


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "random.gguf"
    return open_language_model(
        make_random_model(
            path, "bitnet", layers=2, width=32, ff=64, heads=4, kv_heads=2, vocab=48, context=32,
            quant="F32", embedding="F32", tied=request.param,
        ),
        activation="silu",
    )  # fmt: skip


def test_every_tensor_belongs_to_one_part(model):
    for part, patterns in PARTS.items():
        if patterns:
            everything = switched(model, [part], IDS)
            own = {name for name in model.tensors if part_of(name) == part}
            changed = {
                name
                for name in model.tensors
                if not np.array_equal(model.tensors[name], everything.model.tensors[name])
            }
            assert changed <= own
            assert {each.tensor for each in everything.replaced} == own or part == NORMS


def test_nothing_switched_is_the_model_itself(model):
    found = switched(model, [], IDS)
    assert found.perplexity.perplexity == perplexity(model, IDS).perplexity
    assert sum(found.nbytes.values()) - found.nbytes[CACHE] == 4 * sum(
        int(np.prod(model.tensors.shape(name))) for name in model.tensors
    )
    assert found.nbytes[CACHE] == 32 * 2 * 2 * 2 * 4 * 8  # tokens, layers, heads, k and v, floats
    assert found.total_bytes == sum(stored_bytes(model).values()) + found.nbytes[CACHE]


def test_each_part_changes_its_own_bytes_and_the_result(model):
    before = switched(model, [], IDS)
    for part in PARTS:
        if part == READING:
            continue
        after = switched(model, [part], IDS)
        changed = {name for name in before.nbytes if before.nbytes[name] != after.nbytes[name]}
        assert changed == {part}
        if part != NORMS:  # 32 numbers take fewer bytes than the header of a file
            assert after.nbytes[part] < before.nbytes[part]
        assert after.perplexity.perplexity != before.perplexity.perplexity


def test_norms_of_one_length_are_one_matrix(model):
    gains = np.random.default_rng(2).uniform(0.5, 2, (2, 64)).astype(np.float32)
    names = [f"blk.{layer}.ffn_sub_norm.weight" for layer in range(2)]
    model = model.with_tensors(dict(zip(names, gains, strict=True)))
    recipe = wb.technique("uniform", bits=2)
    found = switched(model, [NORMS], IDS, recipe)
    encoded = recipe.encode(gains)
    others = [model.tensors[n] for n in model.tensors if part_of(n) == NORMS and n not in names]
    assert [found.model.tensors[n].tolist() for n in names] == encoded.decode().tolist()
    assert found.nbytes[NORMS] == encoded.nbytes + recipe.encode(np.stack(others)).nbytes


def test_attention_from_codes_is_that_of_the_decoded_cache(model):
    plain = switched(model, [CACHE], IDS)
    packed = switched(model, [CACHE, READING], IDS, skip=0.0)
    assert packed.perplexity.loss == pytest.approx(plain.perplexity.loss, rel=1e-4)
    assert packed.nbytes == plain.nbytes


def test_what_cannot_be_is_refused(model):
    with pytest.raises(wb.WorkbenchError, match="no part is called 'wings'; there are attention"):
        switched(model, ["wings"], IDS)
    with pytest.raises(wb.WorkbenchError, match="switch the cache too"):
        switched(model, [READING], IDS)


def test_spread_takes_pieces_from_all_over():
    assert spread(range(10), 2, 3) == [0, 1, 2, 7, 8, 9]
    assert spread(range(10), 1, 3) == [0, 1, 2]
    assert spread(range(10), 4, 3) == list(range(10))
    with pytest.raises(wb.WorkbenchError, match="windows is 0"):
        spread(range(10), 0)
