"""The reference path: llama.cpp's logits, a formula of its own, and everything it refuses."""

import json
import subprocess
import sys
from copy import copy
from pathlib import Path

import numpy as np
import psutil
import pytest
import safetensors.numpy
from golden_logits import GoldenLogits

from workbench.errors import WorkbenchError
from workbench.formats import Tensor, encode_blocks, open_gguf, write_gguf
from workbench.lm import make_random_model, open_language_model
from workbench.lm.cache import new_cache
from workbench.lm.tensors import PROJECTIONS
from workbench.measure import peers
from workbench.models import catalog

needs_smollm2 = pytest.mark.skipif(
    not catalog()["smollm2-135m"].present, reason="run `workbench models fetch smollm2-135m`"
)
needs_llama_cpp = pytest.mark.skipif(not peers.available(), reason=peers.unavailable())
TINY = {"layers": 2, "width": 256, "ff": 512, "heads": 4, "kv_heads": 2, "vocab": 96, "context": 32}
TOKENS = [5, 17, 17, 90, 0, 3, 44, 5, 61]


def make(path, architecture="bitnet", **parameters):
    """A tiny model file; F32 where nothing else is said."""
    settings = TINY | {"quant": "F32", "embedding": "F32"} | parameters
    return make_random_model(path, architecture, **settings)


def rewrite(path, out, tensors=None, metadata=None, without=()):
    """A copy of a model file with tensors and metadata added, changed, or left out."""
    file = open_gguf(path)
    kept = {name: tensor for name, tensor in file.items() if name not in without}
    entries = {key: file.metadata[key] for key in file.metadata if key not in without}
    write_gguf(out, kept | (tensors or {}), entries | (metadata or {}))
    return out


@pytest.fixture(scope="module")
def bitnet(tmp_path_factory):
    return make(tmp_path_factory.mktemp("models") / "bitnet.gguf", quant="TQ2_0")


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return make(tmp_path_factory.mktemp("models") / "llama.gguf", "llama")


def logits_of(model, tokens=TOKENS):
    return model.forward(tokens, model.new_cache())


def cosines(a, b):
    """Of each position's logits."""
    a, b = np.float64(a), np.float64(b)
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


# --- SmolLM2, as llama.cpp computes it


@pytest.fixture(scope="module")
def smollm2():
    return open_language_model("smollm2-135m")


@pytest.mark.model
@needs_smollm2
def test_smollm2_logits(smollm2):
    golden = GoldenLogits.read()
    logits = logits_of(smollm2, golden.tokens)
    assert len(logits) >= 64
    assert golden.cosines(logits).min() >= 0.999999  # 0.9999 is asked for
    np.testing.assert_array_equal(logits.argmax(axis=1)[-len(golden.greedy) :], golden.greedy)


@pytest.mark.model
@needs_smollm2
def test_smollm2_greedy_text(smollm2):
    golden = GoldenLogits.read()
    cache, step, greedy = smollm2.new_cache(128), golden.prompt, []
    for _ in golden.greedy:
        step = smollm2.forward(step, cache, last=True).argmax(axis=1)
        greedy.append(step.item())
    assert greedy == golden.greedy.tolist()


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.5])
def test_golden_cosines_are_nearly_exact(noise):
    rng = np.random.default_rng(0)
    theirs = rng.standard_normal((8, 5000)) + 7
    ours = theirs + noise * rng.standard_normal((8, 5000))
    exact = cosines(*(x - x.mean(axis=1, keepdims=True) for x in (theirs, ours)))
    found = GoldenLogits.of([0], [0], theirs).cosines(ours)
    np.testing.assert_allclose(1 - found, 1 - exact, rtol=0.25)


# --- tiny models in llama.cpp


def llama_cpp_logits(path, tokens=TOKENS):
    script = Path(__file__).with_name("llama_logits.py")
    command = [sys.executable, script, path, *map(str, tokens)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout))


def fused(path):
    """Query, key and value matrices as one."""
    file = open_gguf(path)
    names = [[f"blk.{i}.{name}.weight" for name in PROJECTIONS[:3]] for i in range(2)]
    whole = {
        f"blk.{i}.attn_qkv.weight": np.concatenate([file[name].read() for name in parts])
        for i, parts in enumerate(names)
    }
    return rewrite(path, path.with_name("f.gguf"), whole, without=[*names[0], *names[1]])


def scaled(path):
    scales = {
        f"blk.{i}.{name}.scale": np.array([0.5 + k / 8 + i], np.float32)
        for i in range(2)
        for k, name in enumerate(PROJECTIONS)
    }
    return rewrite(path, path.with_name("s.gguf"), scales)


def stretched(path):
    """Positions stretched by a tensor and, on top of it, by a factor."""
    factors = {"rope_freqs.weight": np.linspace(1, 8, 32, dtype=np.float32)}
    scaling = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 2.0}
    return rewrite(path, path.with_name("r.gguf"), factors, scaling)


def stretched_as(**entries):
    """Positions stretched in words that leave the kind to the reader, or are the older ones."""
    metadata = {
        f"llama.rope.{key.replace('scaling_', 'scaling.')}": entries[key] for key in entries
    }
    return lambda path: rewrite(path, path.with_name("o.gguf"), metadata=metadata)


def narrow_heads(path):
    """Heads of 32 where width / heads is 64."""
    file = open_gguf(path)
    half = {}
    for i in range(2):
        for name in PROJECTIONS[:3]:
            matrix = file[f"blk.{i}.{name}.weight"].read()
            half[f"blk.{i}.{name}.weight"] = matrix[: len(matrix) // 2]
        output = file[f"blk.{i}.attn_output.weight"].read()
        half[f"blk.{i}.attn_output.weight"] = output[:, :128]
    lengths = ("attention.key_length", "attention.value_length", "rope.dimension_count")
    return rewrite(path, path.with_name("n.gguf"), half, {f"llama.{k}": 32 for k in lengths})


def as_it_is(path):
    return path


FLOAT = {
    "bitnet": ({"ternary": True}, as_it_is),
    "bitnet, not ternary": ({}, as_it_is),
    "bitnet, one head for keys": ({"kv_heads": 1}, as_it_is),
    "bitnet, scales": ({"ternary": True}, scaled),
    "bitnet, odd sizes": ({"width": 66, "heads": 3, "kv_heads": 3, "ff": 75}, as_it_is),
    "llama": ({"architecture": "llama"}, as_it_is),
    "llama, untied": ({"architecture": "llama", "tied": False}, as_it_is),
    "llama, one layer": ({"architecture": "llama", "layers": 1, "kv_heads": None}, as_it_is),
    "llama, fused": ({"architecture": "llama"}, fused),
    "llama, scales": ({"architecture": "llama"}, scaled),
    "llama, stretched": ({"architecture": "llama"}, stretched),
    "llama, factor alone": ({"architecture": "llama"}, stretched_as(scaling_factor=4.0)),
    "llama, older key": ({"architecture": "llama"}, stretched_as(scale_linear=4.0)),
    "llama, both keys": (
        {"architecture": "llama"},
        stretched_as(scale_linear=4.0, scaling_factor=2.0),
    ),
    "llama, not stretched": (
        {"architecture": "llama"},
        stretched_as(scale_linear=4.0, scaling_type="none"),
    ),
    "llama, narrow heads": ({"architecture": "llama"}, narrow_heads),
}


@pytest.mark.peers
@needs_llama_cpp
@pytest.mark.parametrize(("parameters", "change"), FLOAT.values(), ids=FLOAT)
def test_llama_cpp_agrees_in_float(tmp_path, parameters, change):
    path = change(make(tmp_path / "m.gguf", **parameters))
    ours = logits_of(open_language_model(path, activations="float"))
    theirs = llama_cpp_logits(path)
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.peers
@needs_llama_cpp
@pytest.mark.parametrize("activations", ["int8", "float"])
@pytest.mark.parametrize("quant", ["TQ1_0", "TQ2_0"])
def test_llama_cpp_agrees_about_ternary_blocks(tmp_path, quant, activations):
    """But for activations: int8 with one step a token, none, or (theirs) one a block of 256."""
    path = make(tmp_path / "m.gguf", quant=quant)
    ours = logits_of(open_language_model(path, activations=activations))
    assert cosines(ours, llama_cpp_logits(path)).min() > 0.999


# --- a formula of its own


@pytest.mark.parametrize("activation", ["silu", "relu2"])
def test_one_token_by_hand(tmp_path, activation):
    """BitNet as its paper has it, in float64 and integers; one token attends to itself alone."""
    path = make(tmp_path / "m.gguf", "bitnet", ternary=True, layers=1, activation=activation)
    w = {name: np.float64(tensor.read()) for name, tensor in open_gguf(path).items()}

    def norm(x, name):
        return x / np.sqrt(np.mean(x**2) + 1e-5) * w[f"{name}.weight"]

    def linear(x, name):
        matrix = w[f"blk.0.{name}.weight"]
        step = np.abs(x).max() / 127
        integers = np.int64(np.rint(x / step))
        scale = np.abs(matrix).max()
        return (np.int64(np.sign(matrix)) @ integers) * scale * step

    def gate(x):
        return np.maximum(x, 0) ** 2 if activation == "relu2" else x / (1 + np.exp(-x))

    x = w["token_embd.weight"][7]
    value = linear(norm(x, "blk.0.attn_norm"), "attn_v").reshape(2, 64)
    seen = np.repeat(value, 2, axis=0).reshape(-1)  # two query heads for each of keys and values
    x = x + linear(norm(seen, "blk.0.attn_sub_norm"), "attn_output")
    n = norm(x, "blk.0.ffn_norm")
    inner = gate(linear(n, "ffn_gate")) * linear(n, "ffn_up")
    x = x + linear(norm(inner, "blk.0.ffn_sub_norm"), "ffn_down")
    expected = w["token_embd.weight"] @ norm(x, "output_norm")

    model = open_language_model(path)
    assert (model.config.activation, model.activations) == (activation, "int8")
    logits = logits_of(model, [7])
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected[None], atol=1e-5 * np.abs(expected).max())


# --- running in parts


@pytest.mark.parametrize("architecture", ["bitnet", "llama"])
@pytest.mark.parametrize("parts", [[1] * 9, [8, 1], [1, 8], [3, 3, 3]], ids=str)
def test_parts_give_the_same(tmp_path, architecture, parts):
    model = open_language_model(make(tmp_path / "m.gguf", architecture))
    cache, logits = model.new_cache(), []
    for part in np.split(np.array(TOKENS), np.cumsum(parts)[:-1]):
        logits.append(model.forward(part, cache))
    assert cache.length == len(TOKENS)
    np.testing.assert_allclose(np.concatenate(logits), logits_of(model), atol=1e-4)


def test_last_is_the_last(bitnet):
    model = open_language_model(bitnet)
    last = model.forward(TOKENS, model.new_cache(), last=True)
    assert last.shape == (1, 96)
    np.testing.assert_allclose(last, logits_of(model)[-1:], atol=1e-5)


# --- what a model knows of its tensors


@pytest.mark.parametrize("quant", ["F16", "BF16", "Q4_0", "Q4_1", "Q8_0"])
def test_any_type(tmp_path, quant):
    path = make(tmp_path / "m.gguf", "llama", quant=quant, embedding="Q8_0")
    decoded = {name: tensor.read() for name, tensor in open_gguf(path).items()}
    plain = rewrite(path, tmp_path / "plain.gguf", decoded)
    ours, expected = (logits_of(open_language_model(p)) for p in (path, plain))
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"quant": "TQ2_0"}, "tensor"),
        ({"quant": "F32", "ternary": True}, "tensor"),
        ({"quant": "F32"}, ""),
        ({"quant": "Q8_0"}, ""),
    ],
    ids=["TQ2_0", "ternary in F32", "F32", "Q8_0"],
)
def test_each_matrix_is_recognised(tmp_path, parameters, expected):
    model = open_language_model(make(tmp_path / "m.gguf", **parameters))
    assert {model.ternary(f"blk.1.{name}") for name in PROJECTIONS} == {expected}


def test_matrices_of_both_kinds(tmp_path, bitnet):
    gaussian = np.random.default_rng(0).standard_normal((256, 256), np.float32)
    path = rewrite(bitnet, tmp_path / "mixed.gguf", {"blk.0.attn_q.weight": gaussian})
    model = open_language_model(path)
    assert (model.ternary("blk.0.attn_q"), model.ternary("blk.0.attn_k")) == ("", "tensor")


def test_int8_is_for_ternary_matrices_alone(tmp_path, bitnet):
    ternary = [logits_of(open_language_model(bitnet, activations=a)) for a in ("int8", "float")]
    assert np.abs(ternary[0] - ternary[1]).max() > 1e-3
    gaussian = make(tmp_path / "m.gguf")
    other = [logits_of(open_language_model(gaussian, activations=a)) for a in ("int8", "float")]
    np.testing.assert_array_equal(*other)


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [("llama", "float"), ("bitnet", "int8"), ("bitnet-25", "int8"), ("bitnet-b1.58", "int8")],
)
def test_default_activations(tmp_path, architecture, expected):
    path = make(tmp_path / "m.gguf", architecture, quant="TQ2_0")
    assert open_language_model(path).activations == expected


WORDS = {
    "llama": ("llama", None, None, "silu"),
    "bitnet-25": ("bitnet-25", None, None, "relu2"),
    "bitnet-b1.58": ("bitnet-b1.58", None, None, "relu2"),
    "the file": ("bitnet", "relu2", None, "relu2"),
    "the file before the name": ("bitnet-25", "silu", None, "silu"),
    "the caller": ("bitnet", None, "relu2", "relu2"),
    "the caller before the file": ("bitnet", "silu", "relu2", "relu2"),
}


@pytest.mark.parametrize(("architecture", "word", "said", "expected"), WORDS.values(), ids=WORDS)
def test_activation(tmp_path, architecture, word, said, expected):
    key = f"{architecture}.hidden_activation"
    path = make(tmp_path / "m.gguf", architecture)
    path = rewrite(path, tmp_path / "w.gguf", metadata={key: word} if word else {}, without=[key])
    if word:
        assert open_gguf(path).metadata[key] == word
    assert open_language_model(path, activation=said).config.activation == expected


def test_configuration(bitnet):
    config = open_language_model(bitnet).config
    assert (config.rope_order, config.sub_norms, config.tied) == ("halves", True, True)
    assert (config.head_dim, config.kv_heads, config.vocab, config.context) == (64, 2, 96, 32)
    assert (config.rope_base, config.rope_factors) == (10_000, None)


FACTORS = {
    "factor alone": ({"scaling_factor": 4.0}, 4),
    "older key": ({"scale_linear": 4.0}, 4),
    "both keys": ({"scale_linear": 4.0, "scaling_factor": 2.0}, 2),
    "none": ({"scale_linear": 4.0, "scaling_type": "none"}, None),
}


@pytest.mark.parametrize(("entries", "factor"), FACTORS.values(), ids=FACTORS)
def test_positions_are_stretched_as_llama_cpp_reads_it(tmp_path, entries, factor):
    path = stretched_as(**entries)(make(tmp_path / "m.gguf", "llama"))
    config = open_language_model(path).config
    assert config.rope_factors == (factor and (factor,) * 32)


def test_nothing_is_read_before_it_is_used(monkeypatch, bitnet):
    read = []
    monkeypatch.setattr(Tensor, "read", lambda self, *args: read.append(self.name))
    open_language_model(bitnet)
    assert read == []


# --- other weights in its place


def test_with_tensors(tmp_path, llama):
    model = open_language_model(llama)
    name = "blk.1.ffn_up.weight"
    other = np.random.default_rng(1).standard_normal((512, 256)) / 16
    changed = model.with_tensors({name: other})
    rebuilt = rewrite(llama, tmp_path / "o.gguf", {name: np.float32(other)})
    np.testing.assert_array_equal(logits_of(changed), logits_of(open_language_model(rebuilt)))
    assert np.abs(logits_of(changed) - logits_of(model)).max() > 1e-3
    assert changed.tensors["blk.0.attn_q.weight"] is model.tensors["blk.0.attn_q.weight"]
    strided = model.with_tensors({name: np.asfortranarray(other[::-1])[::-1]})
    np.testing.assert_array_equal(logits_of(strided), logits_of(changed))
    both = changed.with_tensors({"output_norm.weight": np.ones(256)})
    np.testing.assert_array_equal(both.tensors[name], np.float32(other))
    assert not model.tensors[name].flags.writeable


def test_a_lossless_replacement_changes_nothing(bitnet):
    model = open_language_model(bitnet)
    same = {name: array.copy() for name, array in model.tensors.items()}
    np.testing.assert_array_equal(logits_of(model.with_tensors(same)), logits_of(model))


REPLACEMENTS = {
    "unknown": ({"blk.2.ffn_up.weight": np.ones((512, 256))}, "there is no tensor 'blk.2.ffn_up"),
    "shape": ({"blk.1.ffn_up.weight": np.ones((256, 512))}, r"\(256, 512\), but must .*\(512, 256"),
    "not finite": ({"output_norm.weight": np.full(256, np.inf)}, r"holds inf at \(0,\)"),
}


@pytest.mark.parametrize(("tensors", "message"), REPLACEMENTS.values(), ids=REPLACEMENTS)
def test_refused_replacements(llama, tensors, message):
    with pytest.raises(WorkbenchError, match=message):
        open_language_model(llama).with_tensors(tensors)


def test_replacements_are_floats(llama):
    with pytest.raises(TypeError, match=r"'output_norm.weight' is int64, but must be a float"):
        open_language_model(llama).with_tensors({"output_norm.weight": np.ones(256, int)})


def test_zeros(bitnet):
    """Of a token, and of whole matrices."""
    model = open_language_model(bitnet)
    embedding = model.tensors["token_embd.weight"].copy()
    embedding[17] = 0
    nothing = {f"blk.0.{name}.weight": np.zeros((256, 256)) for name in ("attn_q", "attn_output")}
    logits = logits_of(model.with_tensors({"token_embd.weight": embedding, **nothing}))
    assert np.isfinite(logits).all()
    np.testing.assert_array_equal(logits[:, 17], 0)


# --- refusals: files


ONES = np.ones(4, np.float32)
FILES = {
    "another architecture": ({"metadata": {"general.architecture": "qwen2"}}, "is 'qwen2', but"),
    "no word on the activation": (
        {"without": ["bitnet.hidden_activation"]},
        r"neither its architecture 'bitnet' nor .* pass activation='silu'",
    ),
    "an unknown activation": (
        {"metadata": {"bitnet.hidden_activation": "gelu"}},
        "is 'gelu', but must be 'silu' or 'relu2'",
    ),
    "a missing key": ({"without": ["bitnet.feed_forward_length"]}, "feed_forward_length' is miss"),
    "a number that is text": (
        {"metadata": {"bitnet.block_count": "2"}},
        "'2', but must be a whole",
    ),
    "no layers": ({"metadata": {"bitnet.block_count": 0}}, "is 0, but must be a whole number from"),
    "fewer layers": ({"metadata": {"bitnet.block_count": 1}}, "'blk.1.* does not belong"),
    "more layers": ({"metadata": {"bitnet.block_count": 3}}, "'blk.2.attn_norm.weight' is missing"),
    "millions of layers": (
        {"metadata": {"bitnet.block_count": 2_000_000_000}},
        "speaks of 2000000000 layers, but it has only 24 tensors",
    ),
    "rows": ({"metadata": {"bitnet.vocab_size": 5}}, "5, but must be 96, the embedding's rows"),
    "heads": ({"metadata": {"bitnet.attention.head_count": 6}}, "6, but must be a divisor of the"),
    "key heads": ({"metadata": {"bitnet.attention.head_count_kv": 3}}, "a divisor of the 4 query"),
    "odd heads": ({"metadata": {"bitnet.attention.key_length": 63}}, "63, but must be such that"),
    "endless heads": (
        {
            "metadata": {
                "bitnet.attention.key_length": 2_000_000_000,
                "bitnet.rope.scaling.factor": 2.0,
            }
        },
        "key_length' is 2000000000, but must be what matrices of at most 512 columns can hold",
    ),
    "endless width": (
        {"metadata": {"bitnet.embedding_length": 2_000_000_000, "bitnet.rope.scaling.factor": 2.0}},
        "embedding_length' is 2000000000, but must be what matrices of at most 512",
    ),
    "half rotated": ({"metadata": {"bitnet.rope.dimension_count": 32}}, "32, but must be 64"),
    "experts": ({"metadata": {"bitnet.expert_count": 8}}, "8, but must be 0"),
    "both ways": ({"metadata": {"bitnet.attention.causal": False}}, "False, but must be true"),
    "no epsilon": (
        {"metadata": {"bitnet.attention.layer_norm_rms_epsilon": 0.0}},
        "0.0, but must be a number above 0",
    ),
    "yarn": ({"metadata": {"bitnet.rope.scaling.type": "yarn"}}, "'yarn', but must be 'none' or"),
    "vocabulary": ({"metadata": {"tokenizer.ggml.tokens": ["a", "b"]}}, "has 2 tokens, but .* 96"),
    "no embedding": ({"without": ["token_embd.weight"]}, "'token_embd.weight' is missing"),
    "a missing tensor": ({"without": ["blk.1.ffn_down.weight"]}, "'blk.1.ffn_down.weight' is miss"),
    "no sub-norm": (
        {"without": ["blk.0.attn_sub_norm.weight"]},
        "attn_sub_norm.weight' is missing",
    ),
    "an extra tensor": ({"tensors": {"blk.0.attn_q.bias": ONES}}, "attn_q.bias' does not belong"),
    "fused and not": (
        {"tensors": {"blk.0.attn_qkv.weight": np.ones((512, 256), np.float32)}},
        "'blk.0.attn_q.weight' does not belong",
    ),
    "wrongly fused": (
        {"tensors": {"blk.0.attn_qkv.weight": np.ones((768, 256), np.float32)}},
        r"has shape \(768, 256\), but must have \(512, 256\)",
    ),
    "a wrong shape": (
        {"tensors": {"blk.0.ffn_norm.weight": ONES}},
        r"'blk.0.ffn_norm.weight' has shape \(4,\), but must have \(256,\)",
    ),
    "a wrong scale": (
        {"tensors": {"blk.0.attn_q.scale": ONES}},
        r"'blk.0.attn_q.scale' has shape \(4,\), but must have \(1,\)",
    ),
    "wrong factors": ({"tensors": {"rope_freqs.weight": ONES}}, "must be 32 numbers above 0"),
}


@pytest.mark.parametrize(("change", "message"), FILES.values(), ids=FILES)
def test_refused_files(tmp_path, bitnet, change, message):
    path = rewrite(bitnet, tmp_path / "broken.gguf", **change)
    with pytest.raises(WorkbenchError, match=message) as refusal:
        open_language_model(path)
    assert str(refusal.value).startswith("broken.gguf: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("option", ["activation", "activations"])
def test_refused_options(bitnet, option):
    with pytest.raises(WorkbenchError, match=f"{option} is 'tanh', but must be '"):
        open_language_model(bitnet, **{option: "tanh"})


def test_safetensors_are_not_run(tmp_path):
    safetensors.numpy.save_file({"w": ONES}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(WorkbenchError, match=r"only GGUF models run; .*convert_hf_to_gguf"):
        open_language_model(tmp_path)


# --- refusals: while running; the cache stays as it was


def broken(path, out, name, value):
    """A copy in which one number of a tensor is another."""
    array = open_gguf(path)[name].read().copy()
    array.flat[-1] = value
    return rewrite(path, out, {name: array})


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "name", ["token_embd.weight", "blk.1.ffn_down.weight", "output_norm.weight"]
)
def test_weights_that_are_not_finite(tmp_path, llama, name, value):
    path = broken(llama, tmp_path / "broken.gguf", name, value)
    model = open_language_model(path)
    cache = model.new_cache()
    with pytest.raises(WorkbenchError, match=rf"broken.gguf: tensor '{name}' holds (nan|inf) at "):
        model.forward(TOKENS, cache)
    assert cache.length == 0


def test_a_block_scale_that_is_not_finite(tmp_path, bitnet):
    raw = encode_blocks("TQ2_0", np.ones((256, 256), np.float32))
    raw[3, 64:66] = np.array([np.nan], np.float16).view(np.uint8)
    bad = {"blk.0.attn_output.weight": Tensor.of("w", "TQ2_0", raw, (256, 256))}
    model = open_language_model(rewrite(bitnet, tmp_path / "broken.gguf", bad))
    with pytest.raises(WorkbenchError, match=r"attn_output.weight' holds nan at \(3, 0\)"):
        logits_of(model)


def test_numbers_that_outgrow_float32(llama):
    name = "blk.0.ffn_norm.weight"
    model = open_language_model(llama).with_tensors({name: np.full(256, 1e30)})
    cache = model.new_cache()
    with pytest.raises(WorkbenchError, match="its numbers outgrow float32"):
        model.forward(TOKENS, cache)
    assert cache.length == 0


CACHES = {
    "f32": {},
    "int8": {"store": "int8", "skip": 0.0},
    "ternary": {"store": "ternary", "skip": 0.0},
    "ring": {"layout": "ring", "sinks": 2, "window": 5},
    "ring f16": {"layout": "ring", "sinks": 2, "window": 5, "store": "f16"},
    "ring int8": {"layout": "ring", "sinks": 2, "window": 5, "store": "int8"},
    "ring ternary": {"layout": "ring", "sinks": 2, "window": 5, "store": "ternary"},
}
OUTGROWN = {
    "keys and values": ("blk.0.attn_norm.weight", 3e38),
    "the second layer": ("blk.0.ffn_norm.weight", 1e30),
    "the logits": ("output_norm.weight", 3e38),
}


@pytest.mark.parametrize(("name", "value"), OUTGROWN.values(), ids=OUTGROWN)
@pytest.mark.parametrize("options", CACHES.values(), ids=CACHES)
@pytest.mark.parametrize("tokens", [[5], [5, 9, 7], [3] * 12], ids=len)
def test_a_cache_goes_on_as_if_nothing_had_been_refused(llama, name, value, options, tokens):
    model = open_language_model(llama)
    outgrown = model.with_tensors({name: np.full(256, value)})
    caches = [model.new_cache(**options) for _ in range(2)]
    for cache in caches:
        model.forward(TOKENS, cache)
    with pytest.raises(WorkbenchError, match="outgrow float32"):
        outgrown.forward(tokens, caches[0])
    for following in ([8], [1, 2]):
        again, expected = (model.forward(following, cache) for cache in caches)
        np.testing.assert_array_equal(again, expected)


def test_a_ring_goes_on_after_ctrl_c(llama):
    model = open_language_model(llama)
    caches = [model.new_cache(**CACHES["ring"]) for _ in range(2)]
    for cache in caches:
        model.forward(TOKENS, cache)
    stopped = copy(model)

    def stop(*_):
        raise KeyboardInterrupt

    stopped._logits = stop
    with pytest.raises(KeyboardInterrupt):
        stopped.forward(TOKENS[:2], caches[0])
    again, expected = (model.forward([8], cache) for cache in caches)
    np.testing.assert_array_equal(again, expected)


def test_numbers_too_large_for_a_norm_are_refused(llama):
    """Beyond 1e19 their squares are infinite, and what is divided by infinity is 0."""
    model = open_language_model(llama)
    name = "blk.0.ffn_down.weight"
    large = model.with_tensors({name: model.tensors[name] * np.float32(1e22)})
    with pytest.raises(WorkbenchError, match="its numbers outgrow float32"):
        logits_of(large)


@pytest.mark.parametrize("store", ["f32", "int8", "ternary"])
def test_scores_that_outgrow_float32_are_refused(llama, store):
    model = open_language_model(llama)
    name = "blk.0.attn_q.weight"
    large = model.with_tensors({name: model.tensors[name] * np.float32(3e38)})
    with pytest.raises(WorkbenchError, match="its numbers outgrow float32"):
        large.forward(TOKENS, large.new_cache(store=store))


def test_too_little_memory(monkeypatch, llama):
    model = open_language_model(llama)
    cache = model.new_cache()
    free = psutil.virtual_memory()._replace(available=100_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(
        WorkbenchError, match=r"'blk.0.attn_q.weight' as float32 would take .* are free"
    ):
        model.forward(TOKENS, cache)
    assert cache.length == 0
    free = free._replace(available=1000)
    with pytest.raises(WorkbenchError, match=r"logits of 9 tokens would take .* are free"):
        model.forward(TOKENS, cache)


INPUTS = {
    "none": ([], WorkbenchError, r"tokens have shape \(0,\), but must be a list of at least one"),
    "a table": ([[1, 2]], WorkbenchError, r"tokens have shape \(1, 2\)"),
    "too large": ([1, 96], WorkbenchError, "token 1 is 96, but the vocabulary has the ids 0 to 95"),
    "negative": ([-1], WorkbenchError, "token 0 is -1, but"),
    "wrapping": ([2**32 + 1], WorkbenchError, "token 0 is 4294967297, but"),
    "fractions": ([1.0], TypeError, "tokens are float64, but must be whole numbers"),
    "text": (["a"], TypeError, "must be whole numbers"),
    "truth": ([True], TypeError, "tokens are bool, but must be whole numbers"),
    "too many": ([1] * 30, WorkbenchError, "30 tokens after the 3 seen are more than the context"),
}


@pytest.mark.parametrize(("tokens", "kind", "message"), INPUTS.values(), ids=INPUTS)
def test_refused_tokens(bitnet, tokens, kind, message):
    model = open_language_model(bitnet)
    cache = model.new_cache()
    model.forward(TOKENS[:3], cache)
    with pytest.raises(kind, match=message):
        model.forward(tokens, cache)
    assert cache.length == 3
    after = model.forward(TOKENS[3:], cache)
    np.testing.assert_allclose(after, logits_of(model)[3:], atol=1e-4)


def test_a_whole_context_fits(bitnet):
    model = open_language_model(bitnet)
    assert logits_of(model, [1] * 32).shape == (32, 96)
    with pytest.raises(WorkbenchError, match="33 tokens are more than the context of 32"):
        logits_of(model, [1] * 33)


@pytest.mark.parametrize("cache", [None, {"length": 0}], ids=["none", "a dict"])
def test_what_is_no_cache(bitnet, cache):
    with pytest.raises(WorkbenchError, match=r"cache is of the kind .*, but this runner takes"):
        open_language_model(bitnet).forward(TOKENS, cache)


def test_options_that_no_cache_has(bitnet):
    with pytest.raises(WorkbenchError, match="a cache has no option 'stor'; there are store, "):
        open_language_model(bitnet).new_cache(stor="int8")


def test_the_cache_of_another_model(bitnet, llama):
    other = new_cache(open_language_model(llama).config)
    with pytest.raises(WorkbenchError, match="cache was made for a model with another"):
        open_language_model(bitnet).forward(TOKENS, other)


# --- random models


def test_the_same_ternary_weights_in_every_type(tmp_path):
    files = [
        open_gguf(make(tmp_path / f"{quant}.gguf", quant=quant, ternary=True, seed=4))
        for quant in ("F32", "F16", "TQ1_0", "TQ2_0", "Q2_0")
    ]
    assert files[3]["blk.0.attn_q.weight"].quant == "TQ2_0"
    for file in files[1:]:
        for name, tensor in file.items():
            np.testing.assert_array_equal(tensor.read(), files[0][name].read(), err_msg=name)


def test_a_seed_gives_the_same_file(tmp_path):
    again = [make(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    contents = [path.read_bytes() for path in again]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


@pytest.mark.parametrize("ternary", [True, False])
def test_activations_neither_vanish_nor_explode(tmp_path, ternary):
    sizes = {"width": 64, "ff": 96, "layers": 16}
    path = make(tmp_path / "deep.gguf", ternary=ternary, **sizes)
    assert 0.1 < np.std(logits_of(open_language_model(path))) < 10


PARAMETERS = {
    "architecture": ({"architecture": "gpt2"}, "its architecture is 'gpt2', but"),
    "heads": ({"heads": 6}, "head_count' is 6, but must be a divisor of the width 256"),
    "layers": ({"layers": 0}, "block_count' is 0, but must be a whole number from 1"),
    "vocabulary": ({"vocab": 0}, "vocab_size' is 0, but must be a whole number from 1"),
    "activation": ({"activation": "gelu"}, "is 'gelu', but must be 'silu' or 'relu2'"),
    "type": ({"quant": "Q6_K"}, "quant is 'Q6_K', but must be one of F32"),
    "type of the embedding": ({"embedding": "none"}, "embedding is 'none', but must be one of"),
    "blocks": ({"quant": "TQ2_0", "ff": 300}, "rows of 300 weights do not divide into TQ2_0"),
}


@pytest.mark.parametrize(("parameters", "message"), PARAMETERS.values(), ids=PARAMETERS)
def test_refused_parameters(tmp_path, parameters, message):
    with pytest.raises(WorkbenchError, match=message):
        make(tmp_path / "m.gguf", **parameters)
    assert list(tmp_path.iterdir()) == []
