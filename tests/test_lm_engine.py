"""The fast path: held against the reference path, and against itself."""

import importlib
import os
import shutil

import numpy as np
import pytest

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.formats import Tensor, open_gguf, write_gguf
from workbench.lm import make_random_model, open_language_model
from workbench.lm.engine import CHUNK, Engine, EngineCache
from workbench.lm.packed_files import packed_path
from workbench.lm.packing import pack_model
from workbench.lm.scoring import perplexity
from workbench.models import catalog
from workbench.paths import data_dir
from workbench.ternary.packing import aligned_bytes

needs_smollm2 = pytest.mark.skipif(
    not catalog()["smollm2-135m"].present, reason="run `workbench models fetch smollm2-135m`"
)
compiled = pytest.mark.skipif(
    not kernels.status("decoder").compiled, reason="the kernels are not compiled"
)
TINY = {"layers": 2, "width": 256, "ff": 512, "heads": 4, "kv_heads": 2, "vocab": 96}
TOKENS = np.random.default_rng(0).integers(0, 96, 11)
# 1 - cosine of the logits of a random model, whose every layer adds the full error of int8
INT8, INT4 = 2e-3, 1e-1
CASES = {
    "F32": ("F32", "file", ("int8",), INT8),
    "F16 as int4": ("F16", "int4", ("int4 offset", "int8"), INT4),
    "Q4_0": ("Q4_0", "file", ("int4", "int8"), INT8),
    "Q4_1": ("Q4_1", "file", ("int4 offset", "int8"), INT8),
    "Q8_0": ("Q8_0", "file", ("int8",), INT8),
    "Q4_1 as int8": ("Q4_1", "int8", ("int8",), INT8),
    "TQ2_0": ("TQ2_0", "file", ("int8", "planar"), INT8),
    "TQ1_0 as base3": ("TQ1_0", "base3", ("int8", "base3"), INT8),
    "TQ2_0 as int8": ("TQ2_0", "int8", ("int8",), INT8),
}
SHAPES = {
    "llama": ("llama", {}),
    "llama, untied": ("llama", {"tied": False}),
    "bitnet": ("bitnet", {}),
    "bitnet-b1.58, no groups of heads": ("bitnet-b1.58", {"kv_heads": 4}),
}
ODD = {"layers": 1, "width": 20, "ff": 36, "heads": 2, "kv_heads": 1, "vocab": 33}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    if not catalog()["smollm2-135m"].present:
        monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Makes a tiny model, once for all tests that want the same one."""
    folder, known = tmp_path_factory.mktemp("models"), {}

    def make(architecture, quant, **parameters):
        key = repr((architecture, quant, sorted(parameters.items())))
        if key not in known:
            settings = TINY | {"embedding": "F16", "context": 512} | parameters
            path = folder / f"{len(known)}.gguf"
            known[key] = make_random_model(path, architecture, quant=quant, **settings)
        return open_language_model(known[key])

    return make


def engine_of(model, form="file", threads=1):
    return Engine(model, form, threads, save=False)


def logits_of(runner, tokens=TOKENS):
    return runner.forward(tokens, runner.new_cache(512))


def distance(a, b):
    """1 - cosine of each position's logits."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return 1 - (a * b).sum(axis=1) / lengths


@compiled
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference(case, shape, made):
    quant, form, kinds, bound = CASES[case]
    architecture, parameters = SHAPES[shape]
    model = made(architecture, quant, **parameters)
    engine = engine_of(model, form)
    assert engine.packed.kinds == kinds
    assert distance(logits_of(engine), logits_of(model)).max() < bound


@compiled
@pytest.mark.parametrize("quant", ["F32", "ternary"])
@pytest.mark.parametrize("heads", [1, 2, 10])
def test_odd_sizes(quant, heads, made):
    parameters = ODD | {"heads": heads, "kv_heads": 1, "ternary": quant == "ternary"}
    model = made("bitnet", "F32", **parameters)
    got = logits_of(engine_of(model), TOKENS % 33)
    assert distance(got, logits_of(model, TOKENS % 33)).max() < 5e-3


@compiled
@pytest.mark.parametrize("quant", ["Q4_1", "Q8_0", "TQ2_0"])
def test_same_bits_with_any_threads_and_any_chunks(quant, made):
    model = made("llama", quant)
    tokens = np.random.default_rng(1).integers(0, 96, CHUNK + 9)
    whole = logits_of(engine_of(model), tokens)
    assert np.array_equal(whole, logits_of(engine_of(model, threads=2), tokens))
    assert np.array_equal(whole, logits_of(engine_of(model, threads=3), tokens))

    engine = engine_of(model)
    cache = engine.new_cache(512)
    parts = np.split(tokens, [1, 2, 5, 30, 31, CHUNK])
    assert np.array_equal(whole, np.concatenate([engine.forward(part, cache) for part in parts]))
    assert cache.length == len(tokens)
    cache.truncate(40)
    again = engine.forward(tokens[40:], cache, last=True)
    assert np.array_equal(whole[-1:], again)


@compiled
@pytest.mark.parametrize("heads", [1, 2, 10])
def test_int8_cache(heads, made):
    model = made("bitnet", "F32", **ODD | {"heads": heads, "ternary": True})
    tokens, engine = np.random.default_rng(2).integers(0, 33, 150), engine_of(model)
    expected = logits_of(engine, tokens)
    cache = engine.new_cache(150, "int8")
    got = engine.forward(tokens, cache)
    assert 0 < distance(got, expected).max() < 1e-3

    # the codes are those of the reference's int8 cache, but for where it rounds otherwise
    dims = model.config.head_dim
    vectors = 150 + -150 % 64
    assert cache.nbytes == vectors * cache.bytes_per_token
    assert cache.bytes_per_token == dims + -dims % 8 + dims + 8
    largest = np.abs(cache.codes[1][0, 0, :150]).max(axis=1)
    assert np.array_equal(largest, np.full(150, 127))
    assert not cache.codes[1][0, 0, 150:].any()

    # any threads, any chunks, and after a cut: the same bits
    other, again = engine_of(model, threads=2), engine.new_cache(200, "int8")
    parts = [other.forward(part, again) for part in np.split(tokens, [1, 2, 70, 140])]
    assert np.array_equal(np.concatenate(parts), got)
    again.truncate(65)
    assert np.array_equal(other.forward(tokens[65:], again, last=True), got[-1:])


@compiled
@pytest.mark.parametrize("quant", ["Q4_0", "Q4_1", "Q8_0"])
def test_packing_loses_nothing_of_the_file(quant, made):
    model = made("llama", quant, tied=False)
    packed = pack_model(model)
    words, floats = packed.arena.view(np.uint16), packed.arena.view(np.float32)
    kind, rows, _, start, stop, scale, true_rows, cols = packed.matrices[3].tolist()
    # a product with each column's unit vector is the matrix itself
    x = np.eye(cols, dtype=np.int16)
    step = np.ones((cols, cols // 32), np.float32)
    total = x.reshape(cols, -1, 32).sum(axis=2).astype(np.float32)
    y = np.empty((cols, rows), np.float32)
    room = aligned_bytes((1, 64 * cols), np.int8).view(np.int16)
    words, units = words[start:stop], floats[scale : scale + rows]
    signed = words.view(np.int16)
    if quant == "Q8_0":
        kernels.load("int8_rows").multiply(signed, units, x, step, y, room, 1)
    else:
        kernel = kernels.load("int4_rows")
        kernel.multiply(words, signed, units, x, step, total, y, room, kind, 1)
    expected = model.weights["blk.0.ffn_down.weight"].read()
    assert np.abs(y[:, :true_rows].T - expected).max() <= 2**-16 * np.abs(expected).max()


@compiled
def test_a_replaced_tensor_is_what_runs(made):
    model = made("llama", "Q8_0")
    name = "blk.1.ffn_down.weight"
    changed = model.with_tensors({name: -model.tensors[name]})
    got = logits_of(Engine(changed, threads=1))
    assert distance(got, logits_of(changed)).max() < INT8
    assert distance(got, logits_of(model)).max() > 0.1


@compiled
def test_packed_weights_are_kept_shared_and_made_anew(tmp_path, monkeypatch, made):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "packed-here"))
    source = shutil.copy(made("bitnet", "TQ2_0").weights.path, tmp_path / "model.gguf")
    model = open_language_model(source)
    expected = logits_of(engine_of(model))
    path = packed_path(model, "file")
    assert np.array_equal(logits_of(Engine(model, threads=1)), expected)
    first = path.stat().st_mtime_ns

    engine = Engine(model, threads=1)
    assert path.stat().st_mtime_ns == first
    assert not engine.packed.arena.flags.writeable
    assert engine.packed.arena.ctypes.data % 64 == 0

    damaged = bytearray(path.read_bytes())
    damaged[-9] ^= 1
    path.write_bytes(damaged)
    assert np.array_equal(logits_of(Engine(model, threads=1)), expected)
    assert path.read_bytes() != damaged
    path.write_bytes(b"no safetensors")
    assert np.array_equal(logits_of(Engine(model, threads=1)), expected)

    os.utime(source, ns=(0, 0))
    assert packed_path(open_language_model(source), "file") != path


@compiled
def test_without_a_place_for_packed_weights(tmp_path, monkeypatch, made):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file"))
    model = made("llama", "Q4_0")
    assert np.isfinite(logits_of(Engine(model, threads=1))).all()


@compiled
def test_refusals(made, tmp_path):
    model = made("llama", "Q4_0")
    with pytest.raises(WorkbenchError, match="weights='int5' is not allowed"):
        engine_of(model, "int5")
    with pytest.raises(WorkbenchError, match="weights='planar' is not allowed, since none"):
        engine_of(model, "planar")
    with pytest.raises(WorkbenchError, match="threads=0 is not allowed"):
        engine_of(model, threads=0)
    engine = engine_of(model)
    with pytest.raises(WorkbenchError, match="context=0 is not allowed"):
        engine.new_cache(0)
    with pytest.raises(WorkbenchError, match=r"would take \d+ MB, but only"):
        EngineCache(model.config, 1 << 40)
    cache = engine.new_cache(4)
    with pytest.raises(WorkbenchError, match="5 tokens are more than the context of 4"):
        engine.forward([1] * 5, cache)
    with pytest.raises(WorkbenchError, match="token 1 is 96, but the vocabulary"):
        engine.forward([1, 96], cache)
    with pytest.raises(WorkbenchError, match="can be cut to 0 to 0"):
        cache.truncate(1)
    with pytest.raises(WorkbenchError, match="store='f16' is not allowed: the fast path has f32"):
        engine.new_cache(4, "f16")
    assert cache.length == 0


def edited(model, name, change, out):
    """A copy of a model file with one tensor's values changed."""
    file = open_gguf(model.weights.path)
    values = file[name].read().copy()
    change(values)
    raw = values.reshape(-1, values.shape[-1]).view(np.uint8)
    metadata = {key: file.metadata[key] for key in file.metadata}
    write_gguf(out, dict(file) | {name: Tensor.of(name, "F32", raw, values.shape)}, metadata)
    return open_language_model(out)


@compiled
def test_weights_that_are_not_finite_are_refused(made, tmp_path):
    def spoil(values):
        values[3, 4] = np.nan

    model = edited(made("llama", "F32"), "blk.1.ffn_up.weight", spoil, tmp_path / "nan.gguf")
    with pytest.raises(WorkbenchError, match=r"blk.1.ffn_up.weight' holds nan at \(3, 4\)"):
        engine_of(model)


@compiled
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("blk.0.ffn_norm.weight", 3e38),
        ("blk.1.attn_norm.weight", 3e38),
        ("token_embd.weight", 1e25),  # finite, but its squares are not
    ],
    ids=["gate", "keys", "squares"],
)
@pytest.mark.parametrize("store", ["f32", "int8"])
def test_numbers_that_outgrow_float32_leave_no_trace(name, value, store, made, tmp_path):
    def enlarge(values):
        values[:] = value

    model = edited(made("llama", "F32"), name, enlarge, tmp_path / "large.gguf")
    engine = engine_of(model)
    cache = engine.new_cache(64, store)
    with pytest.raises(WorkbenchError, match="its numbers outgrow float32"):
        engine.forward(TOKENS, cache)
    assert cache.length == 0
    assert not any(array.any() for array in cache.arrays)


def plain(name):
    """The kernel module in plain Python, whatever is compiled."""
    return importlib.import_module(f"pythran_kernels.{name}")


@compiled
@pytest.mark.parametrize("tokens", [1, 5])
@pytest.mark.parametrize("quant", ["Q4_1", "Q8_0", "ternary"])
def test_compiled_and_plain_python_are_the_same(quant, tokens, made, monkeypatch):
    sizes = {"layers": 1, "width": 32, "ff": 32, "heads": 2, "kv_heads": 1, "vocab": 12}
    sizes["ternary"] = quant == "ternary"
    model = made("bitnet", "F32" if quant == "ternary" else quant, **sizes)
    ids = TOKENS[:tokens] % 12
    expected = logits_of(engine_of(model, threads=2), ids)
    load = kernels.load
    monkeypatch.setattr(kernels, "load", lambda n: plain(n) if n == "decoder" else load(n))
    # compiled code contracts a * b + c, so the last bits may differ
    assert np.allclose(logits_of(engine_of(model, threads=2), ids), expected, rtol=0, atol=2e-4)


@needs_smollm2
@compiled
@pytest.mark.slow
@pytest.mark.model
def test_perplexity_of_smollm2():
    model = open_language_model("smollm2-135m")
    text = (data_dir() / "english-held-out.txt").read_text()[:3000]
    reference = perplexity(model, text, window=256).perplexity
    # docs/engine.md has what a longer text gives
    for form, most in {"file": 0.0075, "int8": 0.005}.items():
        found = perplexity(Engine(model, form), text, window=256).perplexity
        assert abs(found / reference - 1) < most
