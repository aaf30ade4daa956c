"""Training: where the text comes from, the vocabulary, a course that can be cut, and its model."""

import gzip
import hashlib
import os
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.formats import open_gguf, open_safetensors, write_safetensors
from workbench.lm import open_language_model
from workbench.lm.tokenizer import Tokenizer
from workbench.lm.training import Plan, debian_corpus, files_corpus, train
from workbench.lm.training.corpus import JARGON
from workbench.lm.training.vocabulary import (
    END,
    encode_documents,
    gguf_vocabulary,
    learn_vocabulary,
)

WORDS = ["beginning", "heaven", "earth", "void", "darkness", "deep", "waters", "light", "day"]
TINY = Plan(steps=6, batch=2, context=16, vocab=300, width=256, ff=256, layers=1, warm_up=2, seed=7)
JARGON_TEXT = """
   Table of Contents

   abbrev

Chapter 1. Hacker Slang

   This document is a collection of slang terms used by various
   subcultures of computer hackers.

   abbrev

  A

   :abbrev: /@\u00b7breev'/, n.

   Common abbreviation for \u2018abbreviation\u2019, and a short one as
   abbreviations go.

   \u2500\u2500\u2500 a drawn table of ten words which no one should ever read

     while (true)
          a listing of several lines, some of which are indented deeper than paragraphs;
"""


def verses(rng, count):
    return [" ".join(rng.choice(WORDS, rng.integers(5, 15))) + "." for _ in range(count)]


@pytest.fixture
def packages(tmp_path):
    """What `dpkg-deb -x` makes of the three packages, in miniature: 45 chapters, two sections."""
    root = tmp_path / "packages"
    lines = verses(np.random.default_rng(0), 90)
    printed = "\n".join(f"Ge{at // 2 + 1}:{at % 2 + 1} {line}" for at, line in enumerate(lines))
    for folder in ("usr/bin", "usr/lib", os.path.dirname(JARGON)):
        (root / folder).mkdir(parents=True)
    (root / "usr/lib/bible.data").write_text(printed)
    program = root / "usr/bin/bible"
    program.write_text('#!/bin/sh\n[ "$1 $2" = "-f gen1:1-rev22:21" ] && cat bible.data\n')
    program.chmod(0o755)
    (root / JARGON).write_bytes(gzip.compress(JARGON_TEXT.replace(". H", ".\xa0H").encode()))
    return root


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(verses(np.random.default_rng(1), 120)))
    return path


# corpus


def test_a_document_is_a_chapter_or_an_entry(packages):
    corpus = debian_corpus(packages)
    documents = [*corpus.training[:20], *corpus.held_out, *corpus.training[20:]]
    assert len(corpus.held_out) == 1
    printed = (packages / "usr/lib/bible.data").read_text().splitlines()
    lines = [line.partition(" ")[2] for line in printed]
    assert documents[:45] == ["\n".join(lines[at : at + 2]) for at in range(0, 90, 2)]
    assert documents[45:] == [
        "Chapter 1. Hacker Slang\nThis document is a collection of slang terms used by various "
        "subcultures of computer hackers.",
        ":abbrev: /@\u00b7breev'/, n.\nCommon abbreviation for \u2018abbreviation\u2019, and a "
        "short one as abbreviations go.",
    ]


def test_sources_are_told_by_their_bytes(packages):
    bible, jargon = debian_corpus(packages).sources
    content = (packages / "usr/lib/bible.data").read_bytes()
    assert (bible.nbytes, bible.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert jargon.nbytes == len(JARGON_TEXT.encode()) + 1  # the space that does not break


def test_every_fortieth_document_is_held_out(text):
    corpus = files_corpus([text])
    everything = text.read_text().split("\n\n")
    assert list(corpus.held_out) == everything[20::40]
    assert corpus.held_out_text == "\n".join(everything[20::40]) + "\n"
    assert sorted(corpus.training + corpus.held_out) == sorted(everything)


@pytest.mark.parametrize("missing", ["usr/bin/bible", "usr/lib/bible.data", JARGON])
def test_a_missing_text_says_how_to_get_it(packages, missing):
    (packages / missing).unlink()
    with pytest.raises(WorkbenchError, match=rf"{missing}.* is missing; run `apt-get download"):
        debian_corpus(packages)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(WorkbenchError, match=r"--packages .*nowhere is no folder"):
        debian_corpus(tmp_path / "nowhere")


def test_a_program_that_fails(packages):
    (packages / "usr/bin/bible").write_text("#!/bin/sh\necho no data >&2; exit 3\n")
    with pytest.raises(WorkbenchError, match=r"bible failed \(no data\)"):
        debian_corpus(packages)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"\xff", "byte 0 is not UTF-8"), (b"short", "has 1 documents")],
    ids=["missing", "not-utf-8", "short"],
)
def test_text_files_that_cannot_be_learned(tmp_path, content, said):
    path = tmp_path / "own.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WorkbenchError, match=said):
        files_corpus([path])


# plan


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", "binary"),
        ("steps", 0),
        ("batch", 2.5),
        ("seed", -1),
        ("vocab", 256),
        ("vocab", 65_537),
        ("width", 128),
        ("ff", 500),
        ("heads", 3),
        ("kv_heads", 3),
        ("rate", float("nan")),
        ("decay", -0.1),
    ],
)
def test_a_plan_refuses(name, value):
    with pytest.raises(WorkbenchError, match=f"^{name} is .*, but must be "):
        replace(TINY, **{name: value})


def test_the_rate_rises_straight_and_falls_to_a_twentieth():
    plan = Plan(steps=1000, warm_up=100, rate=1e-2)
    rates = np.array([plan.rate_at(step) for step in range(1001)])
    np.testing.assert_allclose(rates[:100], 1e-2 * np.arange(1, 101) / 100)
    assert (np.diff(rates[100:]) < 0).all()
    assert rates[-1] == pytest.approx(5e-4)
    assert [plan.decay_at(step) for step in (0, 499, 500, 999)] == [0.1, 0.1, 0, 0]


# vocabulary


@pytest.fixture(scope="module")
def vocabulary():
    return learn_vocabulary(verses(np.random.default_rng(2), 200), 300)


def test_documents_stand_between_ends(vocabulary):
    ids = encode_documents(vocabulary, ["light", "", "good day"])
    end = vocabulary.token_to_id(END)
    assert ids.dtype == np.uint16
    assert vocabulary.decode(ids.tolist(), skip_special_tokens=False) == (
        f"{END}light{END}{END}good day{END}"
    )
    assert (ids == end).sum() == 4


@pytest.mark.parametrize(
    "sample",
    ["In the beginning\n\n  was  the Wörd…\t42 it's", "x\n", " ", "日本 🙂", END, "y   \n z"],
)
def test_the_file_s_tokenizer_gives_the_same_ids(vocabulary, sample):
    ours = Tokenizer.of(gguf_vocabulary(vocabulary))
    ids = ours.encode(sample, special=True)
    assert ids == vocabulary.encode(sample).ids
    assert ours.decode(ids, special=True) == sample
    assert (ours.bos, ours.eos, ours.add_bos) == (0, 0, False)
    assert ours.size == vocabulary.get_vocab_size() == 300


# a course


def arrays(folder):
    return {name: tensor.read() for name, tensor in open_gguf(folder / "model.gguf").items()}


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed (the extra `train`)")


@pytest.fixture
def course(torch, text, tmp_path):
    """Trains in a folder of this name; returns log and folder."""

    def run(name, plan=TINY):
        folder = tmp_path / name
        return train(folder, plan, texts=[text]), folder

    return run


@pytest.mark.parametrize("weights", ["ternary", "float"])
def test_the_same_plan_gives_the_same_model(course, weights):
    plan = replace(TINY, weights=weights)
    (log, one), (again, two) = course("one", plan), course("two", plan)
    assert [{**row, "cpu_s": 0} for row in log] == [{**row, "cpu_s": 0} for row in again]
    assert (one / "model.gguf").read_bytes() == (two / "model.gguf").read_bytes()
    other = course("other", replace(plan, seed=8))[1]
    assert (one / "model.gguf").read_bytes() != (other / "model.gguf").read_bytes()


def test_a_course_that_was_cut_gives_the_same_weights(course, monkeypatch, torch):
    from workbench.lm.training import course as module
    from workbench.lm.training.loop import Run

    monkeypatch.setattr(module, "EVALUATE_EVERY", 2)
    whole_log, whole = course("whole")
    monkeypatch.setattr(module, "CHECKPOINT_S", 0)
    advance = Run.advance

    def cut(run):
        if run.step == 3:
            raise KeyboardInterrupt
        advance(run)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", cut)
        with pytest.raises(KeyboardInterrupt):
            course("cut")
    log, folder = course("cut")
    assert (folder / "model.gguf").read_bytes() == (whole / "model.gguf").read_bytes()
    assert [row["step"] for row in log] == [2, 4, 6]
    assert [{**row, "cpu_s": 0} for row in log] == [{**row, "cpu_s": 0} for row in whole_log]
    lines = (folder / "log.csv").read_text().splitlines()
    assert lines[0].split(",") == list(log[0])
    assert lines[-1].split(",") == [str(value) for value in log[-1].values()]


def test_a_finished_course_is_only_exported_again(course):
    log, folder = course("done")
    before = (folder / "model.gguf").read_bytes()
    (folder / "model.gguf").unlink()
    again, _ = course("done")
    assert again == log
    assert (folder / "model.gguf").read_bytes() == before


@pytest.mark.parametrize("change", [{"seed": 8}, {"weights": "float"}, {"layers": 2}])
def test_a_folder_belongs_to_one_plan(course, change):
    course("folder")
    (name, value), before = next(iter(change.items())), asdict(TINY)
    said = f"trained with {name}={before[name]!r}, not {value!r}"
    with pytest.raises(WorkbenchError, match=said):
        course("folder", replace(TINY, **change))


def test_a_folder_belongs_to_one_text(course, text):
    course("folder")
    text.write_text(text.read_text().replace("heaven", "sky"))
    with pytest.raises(WorkbenchError, match="was trained on another text"):
        course("folder")


def test_a_folder_belongs_to_one_vocabulary(course):
    _, folder = course("folder")
    (folder / "checkpoint.safetensors").unlink()
    with pytest.raises(WorkbenchError, match=r"vocabulary\.json has 300 tokens, not 290"):
        course("folder", replace(TINY, vocab=290))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vocabulary.json", "is no vocabulary"),
        ("checkpoint.safetensors", "is no checkpoint of a training course"),
    ],
)
def test_a_folder_with_other_files(course, tmp_path, name, said):
    (tmp_path / "folder").mkdir()
    if name.endswith(".json"):
        (tmp_path / "folder" / name).write_text("[]")
    else:
        write_safetensors(tmp_path / "folder" / name, {"x": np.zeros(3, np.float32)})
    with pytest.raises(WorkbenchError, match=said):
        course("folder")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"vocab": 5000}, "vocab is 5000, but the text"), ({"context": 4000}, "an update takes")],
    ids=["vocabulary", "context"],
)
def test_a_text_that_is_too_short(course, change, said):
    with pytest.raises(WorkbenchError, match=said):
        course("short", replace(TINY, **change))


def test_it_learns(course):
    log, _ = course("learn", replace(TINY, steps=60, warm_up=10))
    assert log[-1]["held_out_perplexity"] < 60  # of 300 tokens, where chance is 300


def test_an_epoch_takes_every_window_once(torch):
    from workbench.lm.training.loop import Run

    tokens = np.arange(16 * 10 + 5, dtype=np.uint16)
    run = Run(replace(TINY, vocab=300), tokens, tokens[:20])
    seen = []
    for run.step in range(8):  # 10 windows of 16 make 4 updates of 2 in each of two epochs
        batch = run._batch().numpy()
        assert batch.shape == (2, 17)
        assert (np.diff(batch, axis=1) == 1).all()
        seen += batch[:, 0].tolist()
    assert len(set(seen[:8])) == len(set(seen[8:])) == 8
    assert len({start % 16 for start in seen[:8]}) == 1
    assert seen[:8] != seen[8:]


def test_every_held_out_token_is_judged_once(torch):
    from workbench.lm.training.loop import Run

    tokens = np.arange(40, dtype=np.uint16)
    run = Run(TINY, np.zeros(100, np.uint16), tokens)
    targets = np.concatenate([batch[:, 1:].numpy().ravel() for batch in run._held_out_batches()])
    assert targets.tolist() == list(range(1, 40))


# what is rounded


def test_gradients_pass_straight_through(torch):
    from workbench.lm.training.network import Int8, Trits

    for function in (Trits, Int8):
        x = torch.tensor(
            np.random.default_rng(3).standard_normal((4, 8)).astype(np.float32), requires_grad=True
        )
        weight = torch.arange(32.0).reshape(4, 8)
        (function.apply(x) * weight).sum().backward()
        assert torch.equal(x.grad, weight)


def test_int8_has_a_step_a_token_and_zeros_stay_zero(torch):
    from workbench.lm.training.network import Int8

    x = np.random.default_rng(4).standard_normal((5, 64)).astype(np.float32)
    x[2] = 0
    rounded = Int8.apply(torch.from_numpy(x)).numpy()
    step = np.maximum(np.abs(x).max(axis=1, keepdims=True), 1e-5) / 127
    assert (np.abs(rounded - x) <= step * 0.5001).all()
    np.testing.assert_allclose(rounded / step, np.rint(rounded / step), atol=1e-3)
    assert (rounded[2] == 0).all()


@pytest.mark.parametrize("weights", ["ternary", "float"])
def test_the_model_is_the_one_that_was_trained(course, torch, weights):
    from workbench.lm.training.network import Trits, forward

    plan = replace(TINY, weights=weights)
    _, folder = course("folder", plan)
    model = open_language_model(folder / "model.gguf")
    assert model.config == plan.config
    assert (model.activations, model.ternary("blk.0.attn_q")) == (
        "int8",
        "tensor" if weights == "ternary" else "",
    )

    exported, kept = arrays(folder), open_safetensors(folder / "checkpoint.safetensors")
    trained = {name: torch.from_numpy(kept[name].read()) for name in exported}
    matrices = [name for name in exported if name.startswith("blk.") and exported[name].ndim == 2]
    assert len(matrices) == 7
    for name in matrices:
        if weights == "ternary":  # to the last bit what training computed with
            np.testing.assert_array_equal(exported[name], Trits.apply(trained[name]).numpy())
        else:  # Q8_0: half a step of the largest in a block
            np.testing.assert_allclose(exported[name], trained[name], atol=2e-3)
            trained[name] = torch.from_numpy(exported[name])
    trained["token_embd.weight"] = torch.from_numpy(exported["token_embd.weight"])

    tokens = np.array(model.tokenizer.encode("the light of heaven and"), np.int32)
    with torch.no_grad():
        batch = torch.from_numpy(tokens.astype(np.int64))[None]
        expected = forward(trained, batch, plan.config, weights == "ternary")[0].numpy()
    logits = model.forward(tokens, model.new_cache())
    np.testing.assert_allclose(logits, expected, atol=5e-3 * np.abs(expected).max())


# the command line, and where PyTorch is missing


def test_without_pytorch_one_sentence(text, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "workbench.lm.training.loop", raising=False)
    with pytest.raises(WorkbenchError, match=r"training needs PyTorch.*pip install torch=="):
        train(tmp_path / "folder", TINY, texts=[text])
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("threads", [0, 1.5])
def test_threads_are_counted(text, tmp_path, threads):
    with pytest.raises(WorkbenchError, match="threads is"):
        train(tmp_path / "folder", TINY, texts=[text], threads=threads)


def test_the_verb(torch, text, tmp_path, monkeypatch, capsys):
    from workbench.cli import main

    words = ["train", "-o", str(tmp_path / "out"), "--text", str(text), "--steps", "1", "--json"]
    monkeypatch.setattr(sys, "argv", ["workbench", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    # the whole plan wants more text than this: a sentence, before anything is trained
    captured = capsys.readouterr()
    assert captured.err.startswith("error: vocab is 2048, but the text has pairs for no more than")
    assert captured.out == ""
    assert not (tmp_path / "out" / "model.gguf").exists()
