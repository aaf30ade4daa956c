"""`workbench generate` and `workbench perplexity`: what scripts rely on, and one line an error."""

import json
import os
import subprocess
import sys

import pytest
from vocabularies import write_tiny_model

from workbench.lm import (
    Engine,
    divergence,
    evaluate,
    generate,
    greedy_match,
    open_language_model,
    perplexity,
)
from workbench.lm.evaluation import apply_policy

TEXT = "In the beginning was a word, and the word was short. " * 6
WORDS = ["--prompt", "word", "--max-tokens", 8]
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}?"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A tiny random model with a real vocabulary."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    return write_tiny_model(path, TEXT, **{"tokenizer.chat_template": TEMPLATE})


@pytest.fixture(scope="module")
def textfile(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text(TEXT, encoding="utf-8")
    return file


def test_generate_prints_the_text_and_nothing_else_on_standard_output(run, path):
    status, out, err = run("generate", path, *WORDS, "--weights", "reference")
    found = generate(open_language_model(path), "word", 8)
    assert (status, out) == (0, found.text + "\n")
    assert len(err.splitlines()) == 1
    assert "8 written at" in err


def test_generate_with_another_cache_and_other_matrices(run, path):
    policy, options = {"blk.*": "planar-ternary", "token_embd.weight": "q8_0"}, {"store": "int8"}
    words = ["generate", path, *WORDS, "--weights", "reference", "--cache", "store=int8"]
    words += [f"--replace={pattern}={technique}" for pattern, technique in policy.items()]
    changed, _ = apply_policy(open_language_model(path), policy)
    found = generate(changed, "word", 8, cache=changed.new_cache(32, **options))
    assert run(*words)[:2] == (0, found.text + "\n")
    compiled = generate(Engine(changed, threads=1), "word", 8)
    assert run("generate", path, *WORDS, *words[-2:])[1] == compiled.text + "\n"


def test_generate_in_a_ring_goes_on_beyond_the_context(run, path):
    words = ["--prompt", "word", "--max-tokens", 80, "--weights", "reference", "--json"]
    status, out, _ = run("generate", path, *words, "--cache", "layout=ring,sinks=2,window=14")
    [row] = json.loads(out)
    model = open_language_model(path)
    cache = model.new_cache(layout="ring", sinks=2, window=14)
    assert (status, row["text"]) == (0, generate(model, "word", 80, cache=cache).text)


def test_a_reader_that_stops_early_is_no_fault(path):
    code = "from workbench.cli import main; main()"
    words = ["generate", str(path), "--prompt", "word", "--max-tokens", "60"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.read(1)
    process.stdout.close()
    assert (process.stderr.read(), process.wait(60)) == (b"", 0)
    process.stderr.close()


def test_what_the_terminal_cannot_show_is_written_otherwise(path):
    code = "from workbench.cli import main; main()"
    words = ["perplexity", str(path), "nothing-like-\u00e9.txt"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, env=environment, check=False
    )
    assert done.returncode == 1
    assert b"nothing-like-\\xe9.txt" in done.stderr


def test_generate_keys(run, path):
    words = ["--prompt", "word", "--max-tokens", 5, "--temperature", 1, "--seed", 3, "--top-k", 9]
    status, out, _ = run("generate", path, *words, "--json")
    [row] = json.loads(out)
    assert status == 0
    assert list(row) == [
        "model", "prompt_tokens", "tokens", "stopped", "prefill_tokens_per_s",
        "decode_tokens_per_s", "threads", "settings", "text",
    ]  # fmt: skip
    assert (row["tokens"], row["stopped"]) == (5, "length")
    assert row["settings"] == "weights=file,temperature=1.0,top_k=9,top_p=1.0,seed=3,max_tokens=5"
    assert json.loads(run("generate", path, *words, "--json")[1])[0]["text"] == row["text"]


@pytest.mark.parametrize("weights", ["file", "int8", "int4"])
def test_the_fast_path_says_the_same_on_any_number_of_threads(run, path, weights):
    texts = [
        run("generate", path, *WORDS, "--weights", weights, "--temperature", 1, "--threads", n)
        for n in (1, 2)
    ]
    assert texts[0][0] == 0
    assert texts[0][1] == texts[1][1]


def test_perplexity_of_the_fast_path_is_near_the_reference(run, path, textfile):
    found = []
    for weights in ("reference", "file"):
        _, out, _ = run("perplexity", path, textfile, "--weights", weights, "--json")
        found += json.loads(out)
    assert found[0]["tokens"] == found[1]["tokens"]
    assert found[1]["perplexity"] == pytest.approx(found[0]["perplexity"], rel=0.02)


def test_generate_answers_a_message(run, path):
    tokenizer = open_language_model(path).tokenizer
    _, out, _ = run("generate", path, "--prompt", "word", "--chat", "--max-tokens", 2, "--json")
    assert json.loads(out)[0]["prompt_tokens"] == len(tokenizer.encode("word?"))


def test_perplexity_keys(run, path, textfile):
    status, out, err = run("perplexity", path, textfile, "--json", "--window", 32)
    [row] = json.loads(out)
    assert (status, err) == (0, "")
    assert list(row)[:6] == [
        "model", "tokens", "perplexity", "tokens_per_s", "threads", "settings",
    ]  # fmt: skip
    found = perplexity(open_language_model(path), TEXT, window=32)
    assert (row["tokens"], row["perplexity"]) == (found.tokens, found.perplexity)
    assert (row["replaced"], row["nbytes"], row["bits_per_weight"]) == (0, 0, None)
    assert row["settings"] == "weights=reference,window=32,stride=none,convention=all"


def test_perplexity_with_techniques(run, path, textfile):
    policy = {"blk.*.ffn_*": "uniform:bits=3", "blk.*": "q8_0"}
    words = [f"--replace={pattern}={technique}" for pattern, technique in policy.items()]
    options = ["--max-tokens", 60, "--window", 16, "--stride", 4, "--json"]
    status, out, err = run("perplexity", path, textfile, *words, *options)
    assert (status, err) == (0, "")
    [row] = json.loads(out)
    model = open_language_model(path)
    found = evaluate(model, policy, model.tokenizer.encode(TEXT)[:60], window=16, stride=4)
    assert row["perplexity"] == found.perplexity.perplexity
    assert (row["replaced"], row["nbytes"]) == (14, found.nbytes)
    assert row["bits_per_weight"] == found.bits_per_weight


def test_perplexity_with_techniques_compiled(run, path, textfile):
    words = ["perplexity", path, textfile, "--replace", "blk.*=planar-ternary", "--json"]
    rounded = [json.loads(run(*words, "--weights", w)[1])[0] for w in ("reference", "file")]
    assert rounded[1]["perplexity"] == pytest.approx(rounded[0]["perplexity"], rel=0.02)
    assert rounded[1]["nbytes"] == rounded[0]["nbytes"] > 0


def test_perplexity_with_another_cache(run, path, textfile):
    words = ["perplexity", path, textfile, "--max-tokens", 40, "--json"]
    [row] = json.loads(run(*words, "--cache", "store=ternary,mode=rms")[1])
    model = open_language_model(path)
    ids = model.tokenizer.encode(TEXT)[:40]
    found = perplexity(model, ids, cache={"store": "ternary", "mode": "rms"})
    assert row["perplexity"] == found.perplexity != perplexity(model, ids).perplexity


def test_perplexity_with_agreement(run, path, textfile):
    words = ["perplexity", path, textfile, "--max-tokens", 40, "--agreement", "--json"]
    [same] = json.loads(run(*words)[1])
    assert (same["kl_max"], same["top1"]) == (0, 1)
    assert same["reference_perplexity"] == same["perplexity"]
    [changed] = json.loads(run(*words, "--replace", "blk.*=planar-ternary")[1])
    model = open_language_model(path)
    ids = model.tokenizer.encode(TEXT)[:40]
    rounded, _ = apply_policy(model, {"blk.*": "planar-ternary"})
    found = divergence(rounded, model, ids)
    assert changed["kl_mean"] == found.kl_mean > 0
    assert changed["top1"] == found.top1 < 1
    assert changed["greedy_match"] == greedy_match(rounded, model, ids[:16], 64)
    assert changed["reference_perplexity"] == same["perplexity"]


def test_perplexity_as_a_table(run, path, textfile):
    status, out, _ = run("perplexity", path, textfile, "--max-tokens", 20)
    assert status == 0
    assert "19" in out.split()


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["generate", "{model}", "--prompt", ""], "prompt is empty"),
        (["generate", "{model}", "--prompt", "x" * 65], "65 tokens, but the model's context is 64"),
        (["generate", "{model}", "--prompt", "x", "--top-p", "0"], "top_p is 0.0"),
        (["generate", "{model}", "--prompt", "x", "--stop", ""], "stop string is empty"),
        (["generate", "{model}", "--prompt", "[image]<|im_end|>", "--chat"], "message 0 holds"),
        (["generate", "smollm2-slice", "--prompt", "x"], "is missing"),
        (
            ["perplexity", "{model}", "nothing.txt"],
            "'nothing.txt' is neither a text file nor one of",
        ),
        (["perplexity", "{model}", "{model}"], "is not UTF-8 text"),
        (["perplexity", "{model}", "{text}", "--window", "65"], "window is 65"),
        (["perplexity", "{model}", "{text}", "--convention", "x"], "convention is 'x'"),
        (["perplexity", "{model}", "{text}", "--replace", "blk.*"], "not of the form PATTERN="),
        (["perplexity", "{model}", "{text}", "--replace", "x=q8_0"], "no matrix is called 'x'"),
        (["perplexity", "{model}", "{text}", "--cache", "store=f8"], "store='f8' is not allowed"),
        (
            ["perplexity", "{model}", "{text}", "--cache", "f16"],
            "--cache: 'f16' is not of",
        ),
        (
            ["perplexity", "{model}", "{text}", "--agreement", "--cache", "store=f16"],
            "--agreement is of weights",
        ),
        (
            ["generate", "english-ternary", "--prompt", "word", "--chat", "--template", "chatml"],
            "none of the control tokens of the template 'chatml'",
        ),
        (
            ["generate", "{model}", "--prompt", "word", "--template", "chatml"],
            "a meaning with --chat alone",
        ),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_errors_are_one_line(run, path, textfile, words, match):
    words = [word.format(model=path, text=textfile) for word in words]
    status, out, err = run(*words)
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert match in err
