"""Our own language model in data/: what the notice says, ternary, trained, and llama.cpp's too."""

import csv
import hashlib
import json
import re

import numpy as np
import pytest
from write_golden_greedy import PATH, PROMPTS, TOKENS

from workbench.formats import open_gguf
from workbench.lm import evaluate, greedy_match, open_language_model, perplexity
from workbench.lm.training import Plan
from workbench.measure import peers
from workbench.models import catalog, ternary_scale
from workbench.paths import data_dir

FILES = (
    "english-ternary.gguf",
    "english-float.gguf",
    "english-held-out.txt",
    "english-ternary-log.csv",
    "english-float-log.csv",
)
NAMES = ("english-ternary", "english-float")
SOME = 8_000  # characters of the held-out text, which the tests with a model read
GREEDY = json.loads(PATH.read_text())

needs_llama_cpp = pytest.mark.skipif(not peers.available(), reason=peers.unavailable())


@pytest.fixture(scope="module")
def held_out():
    return (data_dir() / "english-held-out.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def some(held_out):
    """A piece of the Bible's chapters and one of the Jargon File's entries."""
    return held_out[: SOME // 2] + held_out[-SOME // 2 :]


@pytest.fixture(scope="module", params=NAMES)
def model(request):
    return open_language_model(request.param)


def logged(name):
    with (data_dir() / f"{name}-log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# the files


@pytest.mark.parametrize("name", FILES)
def test_hash_is_the_one_in_the_notice(name):
    notice = (data_dir() / "NOTICE").read_text()
    (there,) = re.findall(rf"{re.escape(name)}\n(?:    .*\n)*?    SHA-256 (\w+)", notice)
    assert hashlib.sha256((data_dir() / name).read_bytes()).hexdigest() == there


def test_all_together_are_small():
    assert sum((data_dir() / name).stat().st_size for name in FILES) < 6_000_000


@pytest.mark.parametrize("name", NAMES)
def test_the_catalog_knows_them(name):
    entry = catalog()[name]
    assert entry.bundled
    assert entry.nbytes == entry.path.stat().st_size
    assert entry.sha256 == hashlib.sha256(entry.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_it_was_trained_by_the_default_plan(name):
    weights = "ternary" if name == "english-ternary" else "float"
    assert open_language_model(name).config == Plan(weights=weights).config
    rows, plan = logged(name), Plan()
    assert int(rows[-1]["step"]) == plan.steps
    assert int(rows[-1]["tokens"]) == plan.steps * plan.batch * plan.context


def test_its_matrices_are_ternary_by_nature():
    tensors = open_gguf(catalog()["english-ternary"].path)
    matrices = [name for name in tensors if name.startswith("blk.") and "norm" not in name]
    assert len(matrices) == 6 * 7
    for name in matrices:
        assert tensors[name].quant == "TQ2_0"
        matrix = tensors[name].read()
        assert ternary_scale(matrix) == "tensor"
        assert 0.2 < (matrix == 0).mean() < 0.6, name


def test_the_held_out_text_is_whole(held_out):
    lines = held_out.splitlines()
    assert len(held_out.encode()) == 148_332
    assert len(lines) > 900
    assert held_out.startswith("And")


# what it learned


def test_perplexity_is_the_one_in_the_log(model, some):
    found = perplexity(model, some).perplexity
    logged_at_the_end = float(logged(model.weights.name)[-1]["held_out_perplexity"])
    assert 0.5 * logged_at_the_end < found < 1.5 * logged_at_the_end


@pytest.mark.slow
def test_perplexity_of_the_whole_text(model, held_out):
    found = perplexity(model, held_out)
    expected = float(logged(model.weights.name)[-1]["held_out_perplexity"])
    assert found.perplexity == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("recipe", "worse"),
    [
        ("planar-ternary:scale=tensor", 3),
        ("planar-ternary", 2),
        ("planar-ternary:rounding=optimal,group=64", 1.2),
    ],
)
def test_rounding_the_twin_is_no_match_for_training(some, recipe, worse):
    ternary = perplexity(open_language_model("english-ternary"), some).perplexity
    rounded = evaluate("english-float", {"blk.*": recipe}, some).perplexity.perplexity
    assert rounded > worse * ternary


# llama.cpp


@pytest.mark.parametrize("recorded", GREEDY, ids=lambda recorded: recorded["prompt"])
def test_greedy_text_is_that_of_llama_cpp(recorded):
    model = open_language_model("english-ternary")
    prompt = model.tokenizer.encode(recorded["prompt"])
    tokens = np.array(prompt + recorded["tokens"], np.int32)
    logits = model.forward(tokens[:-1], model.new_cache())[len(prompt) - 1 :]
    assert logits.argmax(axis=1).tolist() == recorded["tokens"]


def test_every_prompt_is_recorded():
    assert [recorded["prompt"] for recorded in GREEDY] == list(PROMPTS)
    assert {len(recorded["tokens"]) for recorded in GREEDY} == {TOKENS}


def test_a_model_goes_on_like_itself():
    model = open_language_model("english-ternary")
    assert greedy_match(model, model, PROMPTS[0], 8) == 8


@pytest.mark.peers
@needs_llama_cpp
@pytest.mark.parametrize("recorded", GREEDY[:2], ids=lambda recorded: recorded["prompt"])
def test_the_recording_is_llama_cpp_s(recorded):
    from write_golden_greedy import greedy

    tokens, _ = greedy(catalog()["english-ternary"].path, recorded["prompt"], TOKENS)
    assert tokens == recorded["tokens"]


@pytest.mark.peers
@needs_llama_cpp
def test_llama_cpp_cuts_the_held_out_text_alike(held_out):
    import llama_cpp

    theirs = llama_cpp.Llama(str(catalog()["english-ternary"].path), vocab_only=True, verbose=False)
    ours = open_language_model("english-ternary").tokenizer
    assert ours.encode(held_out) == theirs.tokenize(held_out.encode(), add_bos=False)
