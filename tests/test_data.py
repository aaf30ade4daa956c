"""The bundled data are what data/NOTICE says, and the activations belong to the weights."""

import hashlib
import importlib.util
import json
import re
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors import safe_open

from workbench.models import activations, catalog, open_model, recording

DATA = Path(__file__).parents[1] / "data"
SLICE = DATA / "smollm2-135m-slice.gguf"
ACTIVATIONS = DATA / "smollm2-135m-activations.safetensors"
MATRICES = sorted(recording()["inputs"])

whole_model = pytest.mark.skipif(
    not catalog()["smollm2-135m"].present, reason="run `workbench models fetch smollm2-135m`"
)


@pytest.fixture(scope="module")
def weights():
    return open_model("smollm2-slice")


@pytest.mark.parametrize("path", [SLICE, ACTIVATIONS], ids=lambda path: path.name)
def test_hash_is_the_one_in_the_notice(path):
    notice = (DATA / "NOTICE").read_text()
    (hash_there,) = re.findall(rf"{re.escape(path.name)}\n(?:    .*\n)*?    SHA-256 (\w+)", notice)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == hash_there


def test_the_catalog_knows_the_slice():
    entry = catalog()["smollm2-slice"]
    assert entry.bundled
    assert entry.nbytes == SLICE.stat().st_size < 4_000_000
    assert entry.sha256 == hashlib.sha256(SLICE.read_bytes()).hexdigest()


def test_activations_are_small():
    assert ACTIVATIONS.stat().st_size < 1_000_000


def test_the_reference_reader_takes_the_slice(weights):
    reader = gguf.GGUFReader(SLICE)
    assert [tensor.name for tensor in reader.tensors] == list(weights)
    assert reader.fields["llama.embedding_length"].contents() == 576
    assert not [key for key in reader.fields if key.startswith("tokenizer.")]
    for tensor in reader.tensors:
        expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        np.testing.assert_array_equal(weights[tensor.name].read(), expected)


def test_a_whole_block_and_a_source_for_every_matrix(weights):
    attention = {f"attn_{kind}" for kind in ("norm", "q", "k", "v", "output")}
    feed_forward = {f"ffn_{kind}" for kind in ("norm", "gate", "up", "down")}
    assert {f"blk.14.{kind}.weight" for kind in attention | feed_forward} <= set(weights)
    assert {name for name in weights if len(weights[name].shape) == 2} == set(MATRICES)


@pytest.mark.model
@whole_model
def test_every_byte_is_that_of_the_whole_model(weights):
    whole = open_model("smollm2-135m")
    for name, tensor in weights.items():
        np.testing.assert_array_equal(tensor.raw(), whole[name].raw())


@pytest.mark.parametrize("name", MATRICES)
def test_activations_fit_their_matrix(weights, name):
    x = activations(weights, name)
    assert x.dtype == np.float32
    assert x.shape == (recording()["tokens"], weights[name].shape[1])
    assert np.isfinite(x).all()


def test_activations_are_stored_in_half_precision():
    with safe_open(ACTIVATIONS, framework="numpy") as file:
        sites = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        assert json.loads(file.metadata()["recording"])["text"].startswith("Call me Ishmael.")
    assert {values.dtype for values in sites.values()} == {np.dtype(np.float16)}
    assert set(sites) == set(recording()["inputs"].values())


def relative_error(y, reference):
    return np.linalg.norm(y - reference) / np.linalg.norm(reference)


def product(weights, block, kind):
    """Recorded input times matrix, with the input rounded to 8 bits a block of 32, as llama.cpp
    does before it multiplies with Q4_1."""
    name = f"blk.{block}.{kind}.weight"
    x = activations(weights, name)
    blocks = x.reshape(len(x), -1, 32)
    step = np.abs(blocks).max(axis=2, keepdims=True) / 127
    rounded = np.rint(blocks / step) * step.astype(np.float16)
    return rounded.reshape(x.shape) @ weights[name].read().T


def test_ffn_down_sees_what_gate_and_up_make(weights):
    gate, up = product(weights, 14, "ffn_gate"), product(weights, 14, "ffn_up")
    made = gate / (1 + np.exp(-gate)) * up
    recorded = activations(weights, "blk.14.ffn_down.weight")
    assert relative_error(made, recorded) < 0.005
    # one token off, as a measure of what "near" means
    assert relative_error(np.roll(made, 1, axis=0), recorded) > 0.9


def rotate(x, base):
    """Rotary embedding of (tokens, heads, size), interleaved pairs, as llama.cpp's llama has it."""
    tokens, _, size = x.shape
    angle = np.outer(np.arange(tokens), base ** (-np.arange(0, size, 2) / size))[:, None, :]
    even, odd = x[..., ::2], x[..., 1::2]
    turned = (
        even * np.cos(angle) - odd * np.sin(angle),
        even * np.sin(angle) + odd * np.cos(angle),
    )
    return np.stack(turned, axis=-1).reshape(x.shape)


@pytest.mark.parametrize("block", [0, 14])
def test_attn_output_sees_what_attention_makes(weights, block):
    meta = weights.metadata
    heads, shared = meta["llama.attention.head_count"], meta["llama.attention.head_count_kv"]
    size, base = meta["llama.rope.dimension_count"], meta["llama.rope.freq_base"]
    q = rotate(product(weights, block, "attn_q").reshape(-1, heads, size), base)
    k = rotate(product(weights, block, "attn_k").reshape(-1, shared, size), base)
    v = product(weights, block, "attn_v").reshape(-1, shared, size)
    k, v = (np.repeat(each, heads // shared, axis=1) for each in (k, v))
    scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(size)
    scores[:, *np.triu_indices(len(q), 1)] = -np.inf  # no look ahead
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    made = np.einsum("hqk,khd->qhd", shares, v).reshape(len(q), -1)
    recorded = activations(weights, f"blk.{block}.attn_output.weight")
    assert relative_error(made, recorded) < 0.005
    assert relative_error(np.roll(made, 1, axis=0), recorded) > 0.3


def script(name):
    spec = importlib.util.spec_from_file_location(name, DATA / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.model
@whole_model
def test_the_script_cuts_the_same_slice(monkeypatch, tmp_path, capsys):
    make_slice = script("make_slice")
    monkeypatch.setattr(make_slice, "TARGET", tmp_path / SLICE.name)
    make_slice.main()
    assert (tmp_path / SLICE.name).read_bytes() == SLICE.read_bytes()
    assert catalog()["smollm2-slice"].sha256 in capsys.readouterr().out


@pytest.mark.model
@pytest.mark.peers
@whole_model
def test_the_script_records_the_same_activations(monkeypatch, tmp_path):
    pytest.importorskip("llama_cpp")
    record = script("record_activations")
    monkeypatch.setattr(record, "TARGET", tmp_path / ACTIVATIONS.name)
    record.main()
    with (
        safe_open(tmp_path / ACTIVATIONS.name, framework="numpy") as fresh,
        safe_open(ACTIVATIONS, framework="numpy") as kept,
    ):
        for site in kept.keys():  # noqa: SIM118
            ours, theirs = (file.get_tensor(site).astype(np.float32) for file in (fresh, kept))
            # another CPU adds in another order
            assert relative_error(ours, theirs) < 0.01
