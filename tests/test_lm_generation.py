"""Generation: every way to stop, text that streams whole, and what cannot be generated."""

import numpy as np
import pytest
from runners import TableRunner, chain
from vocabularies import byte_level

import workbench as wb
from workbench.lm import open_language_model
from workbench.lm.generation import Piece, generate, stream
from workbench.lm.sampling import Sampler
from workbench.lm.tokenizer import Tokenizer

TOKENIZER = Tokenizer.of(byte_level(["hello there"], merges=4))
VOCAB = TOKENIZER.size


def saying(text, end=True, **options):
    """A runner that says `text` after "!", byte by byte, so no byte may come twice."""
    ids = [by_byte(byte) for byte in text.encode()]
    assert len(set(ids)) == len(ids)
    last = [TOKENIZER.eos] if end else [ids[0]]
    return TableRunner(chain(VOCAB, *TOKENIZER.encode("!"), *ids, *last), TOKENIZER, **options)


def by_byte(byte):
    return next(token for token in range(VOCAB) if TOKENIZER.piece(token) == bytes([byte]))


def test_the_model_ends_the_text():
    found = generate(saying("abc"), "!")
    assert (found.text, found.stopped, found.prompt_tokens) == ("abc", "eos", 1)
    assert found.tokens[-1] == TOKENIZER.eos
    assert len(found.tokens) == 4
    assert found.prefill_tokens_per_s > 0
    assert found.decode_tokens_per_s == pytest.approx(3 / found.decode_s)


def test_length():
    found = generate(saying("abc"), "!", max_tokens=2)
    assert (found.text, found.stopped, len(found.tokens)) == ("ab", "length", 2)


def test_one_token_has_no_decode_speed():
    found = generate(saying("abc"), "!", max_tokens=1)
    assert (found.text, found.decode_tokens_per_s) == ("a", None)


@pytest.mark.parametrize(("context", "text"), [(1, "a"), (2, "ab"), (3, "abc")])
def test_context(context, text):
    runner = saying("abc", end=False, context=context)
    found = generate(runner, "!", max_tokens=50)
    assert (found.text, found.stopped) == (text, "context")


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        ("d", "abc"),
        ("cd", "ab"),
        (["xyz", "de"], "abc"),
        (["bcdefg", "ef", "cdef", "fgh"], "ab"),  # the first to be complete, from where it begins
        (["cdx", "bcd"], "a"),
        ("a", ""),
        ("abcdefgh", ""),
    ],
    ids=str,
)
def test_stop_strings_end_the_text_before_them(stop, text):
    pieces = []
    found = generate(saying("abcdefgh"), "!", stop=stop, on_token=pieces.append)
    assert (found.text, found.stopped) == (text, "stop")
    assert "".join(piece.text for piece in pieces) == text
    assert tuple(piece.token for piece in pieces) == found.tokens


def test_a_stop_string_within_a_token_ends_the_text_as_between_tokens():
    tokenizer = Tokenizer.of(byte_level(["abcdef abcdef"], merges=8))
    bang, word = tokenizer.encode("!"), tokenizer.encode("abcdef")
    assert len(word) == 1
    runner = TableRunner(chain(tokenizer.size, *bang, *word, tokenizer.eos), tokenizer)
    assert generate(runner, "!").text == "abcdef"
    assert generate(runner, "!", stop=["bcde", "c"]).text == "ab"


@pytest.mark.parametrize("stop", ["cdx", "hx", ["gz", "abcdefghi"]], ids=str)
def test_what_only_begins_like_a_stop_string_comes_in_the_end(stop):
    pieces = []
    found = generate(saying("abcdefgh"), "!", stop=stop, on_token=pieces.append)
    assert (found.text, found.stopped) == ("abcdefgh", "eos")
    assert "".join(piece.text for piece in pieces) == "abcdefgh"


def test_what_may_become_a_stop_string_is_held_back():
    pieces = stream(saying("abcdefgh"), "!", stop="cdx")
    assert [next(pieces).text for _ in range(5)] == ["a", "b", "", "", "cde"]


def test_characters_stream_whole():
    pieces = []
    found = generate(saying("é😀x"), "!", on_token=pieces.append)
    assert found.text == "é😀x"
    assert [piece.text for piece in pieces] == ["", "é", "", "", "", "😀", "x", ""]


def test_half_a_character_in_the_end_is_left_away():
    assert generate(saying("a😀"), "!", max_tokens=3).text == "a"


def test_the_model_runs_once_for_the_prompt_and_once_a_token():
    runner = saying("abc")
    cache = runner.new_cache(context=10)
    found = generate(runner, TOKENIZER.encode("a!"), cache=cache)
    assert runner.calls == [2, 1, 1, 1]
    assert cache.seen == (*TOKENIZER.encode("a!"), *found.tokens[:-1])


def test_a_cache_goes_on_where_it_was():
    runner = saying("abcdef")
    cache = runner.new_cache(context=20)
    first = generate(runner, "!", max_tokens=2, cache=cache)
    second = generate(runner, first.tokens[-1:], cache=cache)
    assert first.text + second.text == "abcdef"


def test_nothing_runs_before_a_piece_is_asked_for():
    runner = saying("abc")
    pieces = stream(runner, "!")
    assert runner.calls == []
    assert next(pieces) == Piece(by_byte(ord("a")), "a")
    pieces.close()
    assert runner.calls == [1]


@pytest.mark.parametrize("filters", [{}, {"top_k": 20}, {"top_p": 0.9}], ids=str)
def test_the_same_seed_gives_the_same_text(filters):
    runner = TableRunner(np.random.default_rng(0).normal(size=(VOCAB, VOCAB)), TOKENIZER)
    texts = [
        generate(runner, "!", 30, Sampler(temperature=1, seed=seed, **filters)).tokens
        for seed in (5, 5, 6)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_ids_are_enough_for_a_model_without_a_vocabulary():
    found = generate(TableRunner(chain(4, 0, 1, 2, 3)), [0], max_tokens=3)
    assert (found.tokens, found.text, found.stopped) == ((1, 2, 3), "", "length")


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda r: generate(r, ""), wb.WorkbenchError, "prompt is empty"),
        (lambda r: generate(r, []), wb.WorkbenchError, "prompt is empty"),
        (lambda r: generate(r, "!" * 65), wb.WorkbenchError, "65 tokens, but .* context is 64"),
        (
            lambda r: generate(r, "!!!", cache=r.new_cache(2)),
            wb.WorkbenchError,
            "3 tokens are more",
        ),
        (lambda r: generate(r, [VOCAB]), wb.WorkbenchError, f"token 0 is {VOCAB}"),
        (lambda r: generate(r, "!", 0), wb.WorkbenchError, "max_tokens is 0"),
        (
            lambda r: generate(r, "!", 2.5, cache=r.new_cache(20)),
            wb.WorkbenchError,
            "max_tokens is 2.5, but must be a whole number",
        ),
        (lambda r: generate(r, "!", stop=""), wb.WorkbenchError, "stop string is empty"),
        (lambda r: generate(r, "!", stop=[1]), TypeError, "stop holds 1"),
        (lambda r: generate(r, [0.5]), TypeError, "whole numbers"),
    ],
    ids=["text", "ids", "context", "cache", "id", "length", "half", "stop", "stops", "fraction"],
)
def test_refusals(call, error, match):
    with pytest.raises(error, match=match) as refusal:
        call(saying("abc"))
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("prompt", ["text", [0]])
def test_text_needs_a_vocabulary(prompt):
    with pytest.raises(wb.WorkbenchError, match="vocabulary"):
        generate(TableRunner(np.zeros((4, 4))), prompt, stop="x")


def test_options_of_a_cache_stand_for_a_new_one():
    model = open_language_model("english-ternary")
    options = {"layout": "ring", "sinks": 2, "window": 10}
    found = generate(model, [5] * 20, 8, cache=options)
    assert found.tokens == generate(model, [5] * 20, 8, cache=model.new_cache(**options)).tokens
    with pytest.raises(wb.WorkbenchError, match="no option 'colour'"):
        generate(model, [5], 8, cache={"colour": 1})
    with pytest.raises(wb.WorkbenchError, match="that follows from the text"):
        generate(model, [5], 8, cache={"context": 9})
