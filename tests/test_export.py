"""`export_model` and `workbench export`: a model under a policy, as a file that llama.cpp loads."""

import numpy as np
import pytest
import safetensors.numpy

import workbench as wb
from workbench.lm import generate, make_random_model, open_language_model
from workbench.lm.evaluation import apply_policy

MATRIX = "blk.0.ffn_up.weight"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "random.gguf"
    return make_random_model(
        path, "llama", layers=2, width=64, ff=96, heads=2, vocab=48, context=64, quant="F32",
        embedding="F32",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("technique", "stored"),
    [("q8_0", "Q8_0"), ("q4_0", "Q4_0"), ("nf4", "F32"), ("tq2_0", "F32")],
    ids=["q8_0", "q4_0", "no blocks of its own", "columns that are no whole blocks"],
)
def test_what_is_exported_is_what_evaluate_runs(path, tmp_path, technique, stored):
    policy = {"blk.1.*": None, "blk.*.ffn_*": technique}
    rows = wb.export_model(path, policy, tmp_path / "copy.gguf")
    before, after = wb.open_model(path), wb.open_model(tmp_path / "copy.gguf")
    changed, _ = apply_policy(open_language_model(path), policy)
    assert [row["tensor"] for row in rows] == [
        f"blk.0.ffn_{name}.weight" for name in ("gate", "up", "down")
    ]
    for row in rows:
        assert row["stored"] == after[row["tensor"]].quant == stored
        assert row["stored_nbytes"] == after[row["tensor"]].nbytes
        assert np.array_equal(after[row["tensor"]].read(), changed.tensors[row["tensor"]])
    for name in set(before) - {row["tensor"] for row in rows}:
        assert np.array_equal(after[name].raw(), before[name].raw())
    ids = np.arange(9)
    logits = [
        model.forward(ids, model.new_cache(16))
        for model in (changed, open_language_model(tmp_path / "copy.gguf"))
    ]
    assert np.array_equal(*logits)


@pytest.mark.peers
def test_llama_cpp_continues_an_exported_model(tmp_path):
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    copy = tmp_path / "copy.gguf"
    wb.export_model("english-ternary", {"token_embd.weight": "q4_0"}, copy)
    llama = llama_cpp.Llama(str(copy), n_ctx=64, verbose=False, type_k=0, type_v=0)
    ids = llama.tokenize(b"In the beginning", add_bos=False)
    theirs = llama.create_completion(ids, max_tokens=12, temperature=0.0)["choices"][0]["text"]
    assert generate(open_language_model(copy), "In the beginning", 12).text == theirs


def test_progress_counts_the_matrices_and_the_file(path, tmp_path):
    seen = []
    wb.export_model(
        path, {MATRIX: "q8_0"}, tmp_path / "copy.gguf", progress=lambda *step: seen.append(step)
    )
    assert seen == [(0, 2, f"q8_0 on {MATRIX}"), (1, 2, "writing copy.gguf")]


@pytest.mark.parametrize(
    ("policy", "match"),
    [
        ({"*_norm.weight": "q8_0"}, r"'blk\.0\.attn_norm\.weight' is no matrix"),
        ({"blk.7.*": "q8_0"}, r"no matrix is called 'blk\.7\.\*'"),
        ({"*": "q8_0", "blk.0.*": "nf4"}, r"'blk\.0\.\*' never counts"),
        ({"*": "q9"}, r"q9"),
    ],
    ids=["vectors", "no such matrix", "hidden pattern", "unknown technique"],
)
def test_a_refused_policy_writes_nothing(path, tmp_path, policy, match):
    with pytest.raises(wb.WorkbenchError, match=match):
        wb.export_model(path, policy, tmp_path / "copy.gguf")
    assert not list(tmp_path.iterdir())


def test_only_gguf_models_are_copied(tmp_path):
    file = tmp_path / "k.safetensors"
    safetensors.numpy.save_file({"w": np.ones((4, 4), np.float32)}, file)
    with pytest.raises(wb.WorkbenchError, match=r"k\.safetensors is not a GGUF model"):
        wb.export_model(file, {"*": "nf4"}, tmp_path / "k.gguf")


# --- the verb ---


def test_the_verb_says_what_it_stored(run, path, tmp_path):
    copy = tmp_path / "copy.gguf"
    status, out, _ = run("export", path, copy, "--replace", "blk.0.*=q8_0")
    assert status == 0
    assert f"{copy}: {copy.stat().st_size:,} bytes" in out
    assert wb.open_model(copy)["blk.0.attn_q.weight"].quant == "Q8_0"


def test_the_verb_replaces_nothing_without_force(run, path, tmp_path):
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(b"precious")
    words = ["export", path, copy, "--replace", "blk.0.*=q8_0"]
    status, _, err = run(*words)
    assert (status, copy.read_bytes()) == (1, b"precious")
    assert "is there already; --force replaces it" in err
    assert run(*words, "--force")[0] == 0
    assert "blk.0.attn_q.weight" in wb.open_model(copy)


def test_the_verb_writes_down_the_activation(run, tmp_path):
    source, copy = tmp_path / "bitnet.gguf", tmp_path / "copy.gguf"
    make_random_model(source, "bitnet", layers=1, width=64, ff=64, heads=2, vocab=48, quant="F32")
    assert run("export", source, copy, "--activation", "relu2")[0] == 0
    assert open_language_model(copy).config.activation == "relu2"
    status, _, err = run("export", source, tmp_path / "k.gguf", "--activation", "gelu")
    assert (status, err) == (1, "error: --activation is 'gelu', but must be silu or relu2\n")
