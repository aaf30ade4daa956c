"""Perplexity: exact counts, every convention by hand, and agreement with a reference."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runners import TableRunner, chain
from vocabularies import byte_level, named, write_tiny_model

import workbench as wb
from workbench.lm import open_language_model, scoring
from workbench.lm.scoring import divergence, greedy_match, perplexity, plan_windows
from workbench.lm.tokenizer import Tokenizer

SCRIPT = Path(__file__).parent / "llama_perplexity.py"
TEXT = "And the evening and the morning were the first day. " * 6
VOCAB = 7
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(VOCAB, VOCAB)).astype(np.float32) * 3
IDS = RNG.integers(0, VOCAB, 50)
LOSSES = np.log(np.exp(TABLE.astype(np.float64)).sum(axis=1))[IDS[:-1]] - TABLE[IDS[:-1], IDS[1:]]


def runner(table=TABLE, **options):
    return TableRunner(table, **options)


@given(tokens=st.integers(2, 300), window=st.integers(2, 90), data=st.data())
def test_side_by_side_windows_score_all_but_their_first_token(tokens, window, data):
    plan = plan_windows(tokens, window)
    assert sum(each.scored for each in plan) == tokens - -(-tokens // window)
    assert all(each.first == each.begin + 1 and each.end - each.begin <= window for each in plan)


@given(tokens=st.integers(2, 300), window=st.integers(2, 90), data=st.data())
def test_strided_windows_score_all_tokens_but_the_first_once(tokens, window, data):
    stride = data.draw(st.integers(1, window - 1))
    plan = plan_windows(tokens, window, stride)
    scored = [token for each in plan for token in range(each.first, each.end)]
    assert scored == list(range(1, tokens))
    for each in plan[1:]:
        assert each.first - each.begin >= min(window - stride, each.first)
        assert each.end - each.begin <= window


@given(tokens=st.integers(3, 300), window=st.integers(3, 90))
def test_llama_perplexity_scores_second_halves_of_whole_windows(tokens, window):
    if tokens < window:
        return
    plan = plan_windows(tokens, window, convention="llama-perplexity")
    assert len(plan) == tokens // window
    assert {each.scored for each in plan} == {window - window // 2 - 1}


@pytest.mark.parametrize("chunk", [1, 3, 128])
@pytest.mark.parametrize(
    ("settings", "positions"),
    [
        ({"window": 64}, range(49)),
        ({"window": 50}, range(49)),
        ({"window": 20}, [*range(19), *range(20, 39), *range(40, 49)]),
        ({"window": 7, "stride": 3}, range(49)),
        ({"window": 2, "stride": 1}, range(49)),
        ({"window": 16, "convention": "llama-perplexity"},
         [*range(8, 15), *range(24, 31), *range(40, 47)]),
    ],
    ids=str,
)  # fmt: skip
def test_perplexity_by_hand(settings, positions, chunk, monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK", chunk)
    steps = []
    found = perplexity(runner(), IDS, progress=lambda *step: steps.append(step), **settings)
    losses = LOSSES[list(positions)]
    assert found.tokens == len(losses)
    assert found.text_tokens == 50
    assert found.loss == pytest.approx(losses.mean(), rel=1e-6)
    assert found.perplexity == pytest.approx(np.exp(losses.mean()), rel=1e-6)
    error = losses.std(ddof=1) / np.sqrt(len(losses)) * found.perplexity
    assert found.standard_error == pytest.approx(error, rel=1e-5)
    assert steps[0] == (0, len(losses), "tokens scored")
    assert steps[-1][:2] == (len(losses), len(losses))
    assert found.tokens_per_s > 0


def test_a_certain_model_has_perplexity_one_and_an_ignorant_one_the_vocabulary():
    ids = [0, 1, 2, 3] * 5
    assert perplexity(runner(chain(4, 0, 1, 2, 3, 0) * 10), ids).perplexity == pytest.approx(1)
    assert perplexity(runner(np.zeros((4, 4))), ids).perplexity == pytest.approx(4)


def test_a_surprise_beyond_float64_is_infinite():
    found = perplexity(runner([[0, 1e4], [0, 0]]), [0, 0])
    assert (found.perplexity, found.standard_error, found.tokens) == (np.inf, None, 1)


def test_text_is_encoded_and_windows_begin_anew():
    tokenizer = Tokenizer.of(byte_level(["abc"], merges=1))
    table = np.zeros((tokenizer.size, tokenizer.size), np.float32)
    model = TableRunner(table, tokenizer)
    found = perplexity(model, "some text here", window=6)
    ids = tokenizer.encode("some text here")
    assert (found.text_tokens, found.windows) == (len(ids), 3)
    assert model.calls == [5, 5, len(ids) - 13]


def test_llama_perplexity_begins_each_window_with_the_beginning():
    tokenizer = Tokenizer.of(byte_level(["abc"], merges=1, add_bos_token=True))
    seen = []

    class Watched(TableRunner):
        def forward(self, tokens, cache, last=False):
            seen.append(int(tokens[0]))
            return super().forward(tokens, cache, last)

    table = np.zeros((tokenizer.size, tokenizer.size), np.float32)
    perplexity(Watched(table, tokenizer), "abcdefghi", window=4, convention="llama-perplexity")
    assert seen == [tokenizer.bos] * 2


def test_cache_options_reach_the_runner():
    class Optional(TableRunner):
        def new_cache(self, context=None, store="f32"):
            self.store = store
            return super().new_cache(context)

    model = Optional(TABLE)
    perplexity(model, IDS, cache={"store": "int8"})
    assert model.store == "int8"


def test_a_ring_of_any_size_goes(tmp_path):
    path = tmp_path / "tiny.gguf"
    write_tiny_model(path, TEXT)
    model = open_language_model(path)
    whole = perplexity(model, TEXT, window=32).perplexity
    options = {"layout": "ring", "sinks": 2}
    for window, expected in (
        (40, pytest.approx(whole, rel=1e-5)),
        (8, pytest.approx(whole, rel=1)),
    ):
        found = perplexity(model, TEXT, window=32, cache={**options, "window": window})
        assert found.perplexity == expected
    with pytest.raises(wb.WorkbenchError, match="a cache has no option 'windows'"):
        perplexity(model, TEXT, window=32, cache={**options, "windows": 8})


@pytest.mark.peers
@pytest.mark.parametrize("add_bos", [False, True], ids=["plain", "beginning"])
def test_llama_perplexity_is_llama_cpps(tmp_path, add_bos):
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    path, textfile = tmp_path / "tiny.gguf", tmp_path / "text.txt"
    textfile.write_text(TEXT)
    write_tiny_model(path, TEXT, **named(add_bos_token=add_bos))
    command = [sys.executable, SCRIPT, path, "32", textfile]
    theirs = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    found = perplexity(open_language_model(path), TEXT, window=32, convention="llama-perplexity")
    assert found.tokens == theirs["tokens"]
    assert found.perplexity == pytest.approx(theirs["perplexity"], rel=1e-5)


# --- agreement ---


def test_a_model_agrees_with_itself():
    found = divergence(runner(), runner(), IDS, window=20)
    assert (found.kl_mean, found.kl_max, found.top1) == (0, 0, 1)
    assert found.perplexity == found.reference_perplexity
    assert found.tokens == perplexity(runner(), IDS, window=20).tokens


def test_divergence_by_hand():
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.2, 0.2, 0.6])
    reference, ours = runner(np.log([p] * 3)), runner(np.log([q] * 3))
    found = divergence(ours, reference, [0, 1, 2, 0])
    assert found.kl_mean == pytest.approx((p * np.log(p / q)).sum(), rel=1e-6)
    assert found.top1 == 0
    assert found.reference_perplexity == pytest.approx((0.25 * 0.25 * 0.5) ** (-1 / 3), rel=1e-6)


def test_greedy_match():
    one, other = runner(chain(6, 0, 1, 2, 3, 4, 5)), runner(chain(6, 0, 1, 2, 5))
    assert greedy_match(one, one, [0], 5) == 5
    assert greedy_match(one, other, [0], 5) == 2


# --- refusals ---


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: perplexity(runner(), IDS, window=0), "window is 0|at least 2"),
        (lambda: perplexity(runner(), [1]), "the text has 1 tokens, but at least 2"),
        (lambda: perplexity(runner(), []), "the text has 0 tokens"),
        (lambda: perplexity(runner(), IDS, window=65), "window is 65, but the .* context is 64"),
        (lambda: perplexity(runner(), IDS, window=1), "window is 1, but must .* at least 2"),
        (
            lambda: perplexity(runner(), IDS, window=4.0),
            "window is 4.0, but must be a whole number",
        ),
        (
            lambda: perplexity(runner(), IDS, window="4"),
            "window is '4', but must be a whole number",
        ),
        (lambda: perplexity(runner(), IDS, window=8, stride=2.0), "stride is 2.0, but must be a"),
        (lambda: perplexity(runner(), IDS, window=8, stride=8), "stride is 8, but must .* 1 to 7"),
        (lambda: perplexity(runner(), IDS, window=8, stride=0), "stride is 0"),
        (lambda: perplexity(runner(), IDS, convention="x"), "convention is 'x', but must be all"),
        (
            lambda: perplexity(runner(), IDS, window=8, stride=2, convention="llama-perplexity"),
            "stride does not go with",
        ),
        (
            lambda: perplexity(runner(), IDS, window=60, convention="llama-perplexity"),
            "50 tokens, but at least 60",
        ),
        (
            lambda: perplexity(runner(), IDS, cache={"store": "int8"}),
            "cache has the option 'store', but this runner has none",
        ),
        (
            lambda: perplexity(runner(), IDS, cache={"context": 3}),
            "cache has 'context', but that follows from the text",
        ),
        (lambda: perplexity(runner(), "text"), "no vocabulary"),
        (lambda: perplexity(runner(), [0, VOCAB, 1]), f"token 1 of the text is {VOCAB}"),
        (lambda: perplexity(runner(), [0, 1, VOCAB]), f"token 2 of the text is {VOCAB}"),
        (lambda: perplexity(runner(TABLE * np.nan), IDS), "logits after token 0 of the text"),
        (lambda: divergence(runner(), runner(np.eye(3)), IDS), "vocabularies have 7 and 3 tokens"),
    ],
)
def test_refusals(call, match):
    with pytest.raises(wb.WorkbenchError, match=match) as refusal:
        call()
    assert len(str(refusal.value).splitlines()) == 1
