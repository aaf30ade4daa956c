"""Opening models by name and by path, looking into them, and finding recorded activations."""

import json
import shutil

import gguf
import numpy as np
import pytest
import safetensors.numpy

from workbench.errors import FormatError, WorkbenchError
from workbench.models import activations, catalog, inspect, open_model, ternary_scale
from workbench.paths import cache_dir, data_dir, notebooks_dir

SLICE = data_dir() / "smollm2-135m-slice.gguf"


def trits(rows, cols, seed=0):
    """float32 (rows, cols) in {-1, 0, 1}."""
    return np.random.default_rng(seed).integers(-1, 2, (rows, cols)).astype(np.float32)


def save(path, tensors, metadata=None):
    safetensors.numpy.save_file(tensors, path, metadata)
    return path


def write_gguf(path, tensors):
    """A GGUF file of float32 matrices, by the reference writer."""
    writer = gguf.GGUFWriter(path, "llama")
    for name, array in tensors.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def shards(tmp_path):
    """A folder as Hugging Face lays it out: two shards, an index and a configuration."""
    save(tmp_path / "model-00001-of-00002.safetensors", {"a": trits(4, 8)})
    save(tmp_path / "model-00002-of-00002.safetensors", {"b": trits(3, 8)})
    places = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bitnet", "hidden_size": 8}))
    return tmp_path


def test_by_name():
    weights = open_model("smollm2-slice")
    assert weights.name == "smollm2-slice"
    assert weights.path == SLICE
    assert weights.architecture == "llama"
    assert weights.metadata["llama.embedding_length"] == 576
    tensor = weights["blk.14.ffn_down.weight"]
    assert (tensor.shape, tensor.quant, tensor.nbytes) == ((576, 1536), "Q4_1", 552_960)
    assert tensor.read().dtype == np.float32


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["text", "path"])
def test_by_path(kind):
    weights = open_model(kind(SLICE))
    assert weights.name == SLICE.name
    assert list(weights) == list(open_model("smollm2-slice"))


def test_safetensors_file_alone(tmp_path):
    weights = open_model(save(tmp_path / "mine.safetensors", {"w": trits(4, 8)}, {"made": "by me"}))
    assert weights.architecture == "unknown"
    assert weights.metadata["made"] == "by me"
    np.testing.assert_array_equal(weights["w"].read(), trits(4, 8))


def test_folder_with_an_index(shards):
    weights = open_model(shards)
    assert weights.architecture == "bitnet"
    assert weights.metadata["hidden_size"] == 8
    assert sorted(weights) == ["a", "b"]
    np.testing.assert_array_equal(weights["b"].read(), trits(3, 8))


def test_folder_with_one_file(tmp_path):
    save(tmp_path / "mine.safetensors", {"w": trits(4, 8)})
    assert list(open_model(tmp_path)) == ["w"]


def test_split_gguf(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama", split_max_tensors=1)
    writer.add_tensor("a", trits(4, 8))
    writer.add_tensor("b", trits(3, 8))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parts = sorted(tmp_path.glob("*.gguf"))
    assert len(parts) == 2
    for path in (*parts, tmp_path):
        assert sorted(open_model(path)) == ["a", "b"]
    parts[1].unlink()
    with pytest.raises(WorkbenchError, match="missing"):
        open_model(tmp_path)


LAYERS = {
    "BitLinear": ({"linear_class": "bitlinear"}, 0.5),
    "AutoBitLinear": ({"linear_class": "autobitlinear"}, 2.0),
    "before there was a choice": ({}, 0.5),
}


@pytest.mark.parametrize(("said", "factor"), LAYERS.values(), ids=LAYERS)
def test_packed_bitnet_weights(tmp_path, said, factor):
    packed = np.array([[0b10_01_00_10]], np.uint8)  # rows 1, -1, 0, 1, the first in the low bits
    scale = np.array([2.0], np.float32)
    save(tmp_path / "model.safetensors", {"w.weight": packed, "w.weight_scale": scale})
    config = {"quantization_config": {"quant_method": "bitnet", **said}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = open_model(tmp_path)
    assert list(weights) == ["w.weight"]
    expected = factor * np.array([[1], [-1], [0], [1]], np.float32)
    np.testing.assert_array_equal(weights["w.weight"].read(), expected)


def test_a_gguf_by_its_first_bytes(tmp_path):
    shutil.copy(SLICE, tmp_path / "no-suffix")
    assert open_model(tmp_path / "no-suffix").architecture == "llama"


REFUSALS = {
    "no such thing": (lambda d: "smollm3", r"'smollm3' is neither a file .*smollm2-slice"),
    "empty folder": (lambda d: d, r"holds no \.safetensors and no \.gguf"),
    "two models": (
        lambda d: [save(d / f"{n}.safetensors", {"w": trits(2, 2)}) for n in "ab"][-1].parent,
        r"several models \(a\.safetensors, b\.safetensors\)",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSALS.values(), ids=REFUSALS)
def test_refusals(tmp_path, make, message):
    with pytest.raises(WorkbenchError, match=message):
        open_model(make(tmp_path))


def test_an_index_whose_shard_is_missing(shards):
    (shards / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(FormatError, match="missing"):
        open_model(shards)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_configuration_that_is_no_json_object(shards, content):
    (shards / "config.json").write_bytes(content)
    with pytest.raises(FormatError, match=r"config\.json.* not (a )?JSON"):
        open_model(shards)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all"])
@pytest.mark.parametrize("suffix", [".gguf", ".safetensors", ""])
def test_files_that_are_no_models(tmp_path, content, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=path.name):
        open_model(path)


@pytest.mark.parametrize(("content", "state"), [(None, "not on this machine"), (b"", "damaged")])
def test_a_model_that_was_not_fetched(monkeypatch, tmp_path, content, state):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    if content is not None:
        catalog()["smollm2-135m"].path.write_bytes(content)
    with pytest.raises(WorkbenchError, match=rf"{state}.*`workbench models fetch smollm2-135m`"):
        open_model("smollm2-135m")


def scaled(scales, rows=6, cols=256):
    """Trits, none of whose rows or groups is all zero, times scales that broadcast."""
    codes = trits(rows, cols)
    codes[:, ::32] = 1
    return (codes.reshape(rows, -1, 32) * np.float32(scales)).reshape(rows, cols)


UP = np.arange(1, 49, dtype=np.float32).reshape(6, 8, 1)
TERNARY = {
    "one scale": (scaled(0.1), "tensor"),
    "a scale a row": (scaled(UP[:, :1]), "row"),
    "a scale a group": (scaled(UP), "group of 32"),
    "signs only": (np.sign(np.random.default_rng(0).standard_normal((8, 8))) * 0.5, "tensor"),
    "ordinary": (np.random.default_rng(0).standard_normal((8, 256)), ""),
    "a scale two groups": (scaled(np.repeat(UP[:, ::2], 2, axis=1)), "group of 64"),
    "one outlier": (scaled(1.0) * np.where(np.arange(256) == 32, 2, 1), ""),
    "nothing but zeros": (np.zeros((8, 8)), ""),
    "too narrow to tell": (UP.reshape(48, 1), ""),
    "a vector": (np.ones(64), ""),
    "not a number": (scaled(1.0) * np.where(np.arange(256) == 32, np.nan, 1), ""),
}


@pytest.mark.parametrize(("matrix", "expected"), TERNARY.values(), ids=TERNARY)
def test_natively_ternary(tmp_path, matrix, expected):
    path = save(tmp_path / "m.safetensors", {"w": np.ascontiguousarray(matrix, np.float32)})
    (facts,) = inspect(open_model(path)).tensors
    assert facts.ternary == expected
    assert ternary_scale(np.float32(matrix)) == expected
    assert facts.zeros == pytest.approx(np.mean(matrix == 0))


def test_a_ternary_gguf_is_recognised(tmp_path):
    codes = trits(8, 512)
    writer = gguf.GGUFWriter(tmp_path / "t.gguf", "bitnet")
    kind = gguf.GGMLQuantizationType.TQ2_0
    writer.add_tensor("w", gguf.quants.quantize(codes * np.float32(0.5), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = inspect(open_model(tmp_path / "t.gguf"))
    assert found.tensors[0].ternary == "tensor"
    assert found.ternary_share == 1
    assert found.zeros == np.mean(codes == 0)


def test_chunks_do_not_change_the_answer(monkeypatch, tmp_path):
    path = save(tmp_path / "m.safetensors", {"w": scaled(UP[:, :1]), "v": scaled(0.1)})
    whole = inspect(open_model(path))
    monkeypatch.setattr("workbench.models.inspection.CHUNK", 300)  # a row at a time
    assert inspect(open_model(path)) == whole
    assert {facts.tensor: facts.ternary for facts in whole.tensors} == {"w": "row", "v": "tensor"}


def test_inspection_of_the_slice():
    seen = []
    found = inspect(open_model("smollm2-slice"), lambda *report: seen.append(report))
    assert found.architecture == "llama"
    assert len(found.tensors) == 15
    assert found.weights == 5_310_144
    assert found.nbytes == 3_324_672
    assert found.ternary_share == 0
    assert seen[-1] == (found.nbytes, found.nbytes, "inspecting")


def test_inspection_of_the_header_alone():
    found = inspect(open_model("smollm2-slice"), values=False)
    assert {facts.zeros for facts in found.tensors} == {None}
    assert found.nbytes == 3_324_672


def test_activations_by_any_path(tmp_path):
    shutil.copy(SLICE, tmp_path / "copy.gguf")
    name = "blk.14.attn_q.weight"
    expected = activations(open_model("smollm2-slice"), name)
    np.testing.assert_array_equal(activations(open_model(tmp_path / "copy.gguf"), name), expected)


def test_no_activations_for_other_weights(tmp_path):
    name = "blk.14.attn_q.weight"
    other = open_model(write_gguf(tmp_path / "other.gguf", {name: trits(576, 576)}))
    assert activations(other, name) is None


@pytest.mark.parametrize("name", ["blk.14.attn_norm.weight", "blk.1.attn_q.weight", "nonsense"])
def test_no_activations_for_other_tensors(name):
    assert activations(open_model("smollm2-slice"), name) is None


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("WORKBENCH_CACHE")
    assert cache_dir().is_absolute()
    assert cache_dir().name == "ternary-workbench"


def test_shipped_folders():
    assert (data_dir() / "NOTICE").is_file()
    assert notebooks_dir().is_dir()
