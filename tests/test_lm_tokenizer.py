"""Tokenizers: llama.cpp's ids, text that comes back, and vocabularies that cannot be right."""

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabularies import CASES, GOLDEN, PRES, TEXTS, byte_level, case, named, sentence_piece
from write_golden_tokens import both_ways, llama_tokens

import workbench as wb
from workbench.formats import open_gguf, write_gguf
from workbench.lm.byte_level import letters as byte_letters
from workbench.lm.tokenizer import Tokenizer
from workbench.models import catalog

SMOLLM2 = catalog()["smollm2-135m"]
RECORDED = json.loads((GOLDEN / "tokens.json").read_text())
needs_model = pytest.mark.skipif(
    not SMOLLM2.present, reason=f"{SMOLLM2.path} is missing: workbench models fetch smollm2-135m"
)


@cache
def of_case(name):
    return Tokenizer.of(case(name))


def our_tokens(tokenizer, texts):
    return [
        tokenizer.encode(text, special=special, add_bos=None if edges else False)
        for text, edges, special in texts
    ]


@pytest.fixture(scope="module")
def smollm2():
    return Tokenizer.of(wb.open_model("smollm2-135m").metadata)


@pytest.fixture(scope="module")
def letters():
    return of_case("smollm")


# --- the same ids as llama.cpp ---


@pytest.mark.parametrize("name", CASES)
def test_ids_are_those_that_llama_cpp_recorded(name):
    assert our_tokens(of_case(name), both_ways(TEXTS)) == RECORDED[name]


@pytest.mark.model
@needs_model
def test_ids_of_smollm2_are_those_that_llama_cpp_recorded(smollm2):
    assert our_tokens(smollm2, both_ways(TEXTS)) == RECORDED["smollm2-135m"]


@pytest.fixture(scope="module")
def mixed():
    """Random texts of everything that occurs, so that boundaries fall everywhere."""
    rng = np.random.default_rng(3)
    letters = list("".join(TEXTS))
    return both_ways("".join(rng.choice(letters, rng.integers(1, 40))) for _ in range(150))


@pytest.fixture(scope="module")
def llama_cpp_ids(mixed, tmp_path_factory):
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    return llama_tokens(list(CASES), mixed, tmp_path_factory.mktemp("vocabularies"))


@pytest.mark.peers
@pytest.mark.parametrize("name", CASES)
def test_ids_are_llama_cpps(name, mixed, llama_cpp_ids):
    assert our_tokens(of_case(name), mixed) == llama_cpp_ids[name]


def test_metadata_of_a_file_is_read(tmp_path):
    path = tmp_path / "vocabulary.gguf"
    write_gguf(path, {}, case("sentence-piece"))
    tokenizer = Tokenizer.of(open_gguf(path).metadata)
    assert our_tokens(tokenizer, both_ways(TEXTS)) == RECORDED["sentence-piece"]


def test_every_recorded_vocabulary_is_tested():
    assert set(RECORDED) == {*CASES, "smollm2-135m"}


# --- there and back ---


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@pytest.mark.parametrize("name", PRES)
def test_any_text_comes_back(name, text):
    tokenizer = of_case(name)
    assert tokenizer.decode(tokenizer.encode(text, add_bos=False)) == text


@pytest.mark.parametrize("text", [t for t in TEXTS if "[image]" not in t])
def test_sentence_piece_text_comes_back(text):
    tokenizer = of_case("sentence-piece")
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("name", ["smollm", "sentence-piece-no-space"])
@pytest.mark.parametrize("text", TEXTS)
def test_streamed_text_comes_back_in_whole_characters(name, text):
    tokenizer = of_case(name)
    stream = tokenizer.stream()
    parts = [stream.feed(token) for token in tokenizer.encode(text)]
    assert "".join(parts) == text
    assert not any("\N{REPLACEMENT CHARACTER}" in part for part in parts)


def test_half_a_character_waits(letters):
    ids = letters.encode("😀")
    assert len(ids) > 1
    stream = letters.stream()
    assert [stream.feed(token) for token in ids] == [""] * (len(ids) - 1) + ["😀"]
    assert letters.decode(ids[:1]) == "\N{REPLACEMENT CHARACTER}"


# --- special tokens ---


def test_control_tokens_count_only_where_asked(letters):
    text = "<|im_start|>hi<|im_end|>"
    plain, special = letters.encode(text), letters.encode(text, special=True)
    assert special[0] == letters.bos
    assert special[-1] == letters.eos
    assert not {letters.bos, letters.eos} & set(plain)
    assert letters.decode(plain) == text
    assert letters.decode(special) == "hi"
    assert letters.decode(special, special=True) == text
    assert letters.control_text(text) == "<|im_start|>"
    assert letters.control_text("hi [image]") is None


def test_ends_are_found_by_key_and_by_text(letters):
    texts = {letters.decode([token], special=True) for token in letters.ends}
    assert texts == {"<|im_end|>", "<|endoftext|>"}


def test_beginning_and_end_by_file_or_by_word():
    tokenizer = of_case("gpt-2-with-ends")
    middle = tokenizer.encode("hi", add_bos=False)
    assert tokenizer.encode("hi") == [tokenizer.bos, *middle, tokenizer.eos]
    plain = of_case("gpt-2")
    assert plain.encode("hi") == middle
    assert plain.encode("hi", add_bos=True) == [plain.bos, *middle]


@pytest.mark.model
@needs_model
def test_smollm2(smollm2):
    assert (smollm2.size, smollm2.bos, smollm2.eos) == (49152, 1, 2)
    assert smollm2.ends == {0, 2}
    assert "<|im_start|>" in smollm2.chat_template
    # the vocabulary has no token for byte 4, so neither program can tell it
    assert smollm2.encode("a\x04b") == smollm2.encode("a") + smollm2.encode("b")
    assert len(smollm2.encode("--")) == 1
    assert smollm2.encode("-\x04-") == 2 * smollm2.encode("-")


def without_a_byte(byte):
    """A vocabulary like many: it has no token for a byte, and merges its neighbours."""
    metadata = byte_level(["--a--b--c"], "smollm", merges=1)
    key = "tokenizer.ggml.tokens"
    letter = byte_letters()[byte]
    tokens = ["\u2603" if token == letter else token for token in metadata[key]]
    return metadata | {key: tokens}


@pytest.mark.parametrize(
    "text", ["-\x04-", "\x04", "--\x04--", "--h\x04--\x04", "\x04\x04-"], ids=ascii
)
def test_a_byte_without_a_token_keeps_its_neighbours_apart(text):
    tokenizer = Tokenizer.of(without_a_byte(4))
    assert len(tokenizer.encode("--")) == 1
    parts = [token for part in text.split("\x04") for token in tokenizer.encode(part)]
    assert tokenizer.encode(text) == parts


# --- what cannot be ---

GOOD = byte_level(["hello"], merges=3)
TOKENS = GOOD["tokenizer.ggml.tokens"]
PIECES = sentence_piece(["hello"], merges=3)


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        ({}, r"model is missing"),
        (GOOD | named(model="rwkv"), r"'rwkv', but .* gpt2, llama"),
        (GOOD | named(model=3), r"model is 3, but must be a string"),
        (GOOD | named(pre="klingon"), r"'klingon', but .* default, .*smollm"),
        (named(model="gpt2", pre="gpt-2", merges=[]), r"tokens is missing"),
        (GOOD | named(merges=None), r"merges is missing"),
        (GOOD | named(tokens=[]), r"tokens is empty"),
        (GOOD | named(tokens="abc"), r"not a list of strings"),
        (GOOD | named(tokens=[*TOKENS[:-1], 5]), r"has 5 at \d+, but must hold strings"),
        (GOOD | named(tokens=[*TOKENS[:-1], "a"]), r"has 'a' twice, as ids 97 and"),
        (GOOD | named(merges=["h q"]), r"'h q' at 0, but must name two tokens"),
        (GOOD | named(merges=["hello"]), r"'hello' at 0, but must name two tokens"),
        (GOOD | named(merges=["h e", "z zz"]), r"'z zz' at 1"),
        (GOOD | named(bos_token_id=len(TOKENS)), r"bos_token_id is \d+, but .* 0 to"),
        (GOOD | named(eos_token_id=-1), r"eos_token_id is -1"),
        (GOOD | named(eos_token_id="x"), r"eos_token_id is 'x'"),
        (GOOD | named(token_type=[1, 1]), r"token_type must be \d+ numbers"),
        (GOOD | named(token_type=[6] * len(TOKENS)), r"token 0 is said to be a byte"),
        (GOOD | named(add_bos_token="yes"), r"add_bos_token is 'yes'"),
        (GOOD | {"tokenizer.chat_template": 1}, r"chat_template is 1, but must be a string"),
        (PIECES | named(scores=[0.0]), r"scores must be \d+ numbers"),
        (PIECES | named(scores=[np.nan] * 2000), r"scores holds NaN or infinity"),
        (
            PIECES | named(tokens=["<unk>", "a"], token_type=[2, 1], scores=[0, 0]),
            r"lacks .*<0x00>",
        ),
    ],
)
def test_vocabularies_that_cannot_be_right(metadata, match):
    with pytest.raises(wb.WorkbenchError, match=match) as refusal:
        Tokenizer.of(metadata)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("model", ["none", "no_vocab"])
def test_a_model_without_a_vocabulary_has_no_tokenizer(model):
    assert Tokenizer.of(named(model=model)) is None


def test_a_splitting_that_the_file_does_not_name_is_said():
    unnamed = {key: value for key, value in GOOD.items() if key != "tokenizer.ggml.pre"}
    with pytest.warns(UserWarning, match=r"does not say how its tokenizer splits"):
        tokenizer = Tokenizer.of(unnamed)
    assert tokenizer.decode(tokenizer.encode("hello")) == "hello"


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda t: t.encode(b"hi"), TypeError, r"text is a bytes, but must be a string"),
        (lambda t: t.encode("a\ud800"), wb.WorkbenchError, r"character 1 is half a surrogate"),
        (lambda t: t.decode([10**6]), wb.WorkbenchError, r"no token 1000000: .* 0 to"),
        (lambda t: t.decode([-1]), wb.WorkbenchError, r"no token -1"),
        (lambda t: t.decode([1.5]), TypeError, r"token id 1.5 is not a whole number"),
    ],
    ids=["bytes", "surrogate", "large", "negative", "fraction"],
)
def test_refusals(letters, call, error, match):
    with pytest.raises(error, match=match):
        call(letters)


def test_a_beginning_that_is_not_there_is_refused():
    without = {k: v for k, v in GOOD.items() if k != "tokenizer.ggml.bos_token_id"}
    with pytest.raises(wb.WorkbenchError, match="no token for the beginning"):
        Tokenizer.of(without).encode("hi", add_bos=True)
