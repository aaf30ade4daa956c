"""GGUF files written here: read back by us, by gguf-py and (with the peers) run by llama.cpp."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from struct import pack

import gguf
import numpy as np
import pytest
from gguf_bytes import ARCHITECTURE, STRING, UINT8, array, entry, info, small, string
from gguf_bytes import gguf as gguf_bytes

from workbench.errors import WorkbenchError
from workbench.formats import (
    Deferred,
    Tensor,
    decode_blocks,
    encode_blocks,
    export_gguf,
    open_gguf,
    write_gguf,
)
from workbench.measure import peers

ENCODED = ("F16", "BF16", "Q4_0", "Q4_1", "Q8_0", "TQ1_0", "TQ2_0", "Q2_0")
here = pytest.mark.skipif(not peers.available(), reason=peers.unavailable())


def trits(rows, cols, seed=0):
    return np.random.default_rng(seed).integers(-1, 2, (rows, cols)).astype(np.float32)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def encoded(name, quant, weights):
    return Tensor.of(name, quant, encode_blocks(quant, weights), weights.shape)


METADATA = {
    "general.architecture": "llama",
    "general.alignment": 64,
    "an.int": 7,
    "a.negative.int": -7,
    "a.large.int": 2**40,
    "the.largest.int": 2**64 - 1,
    "a.float": 0.1,
    "a.large.float": 1e300,
    "no.number": float("-inf"),
    "a.bool": True,
    "a.text": "Größe",
    "no.text": "",
    "ints": [1, 2, 3],
    "large.ints": [2**40, -1],
    "floats": [0.5, 1],
    "bools": [True, False],
    "texts": ["a", "", "ü"],
    "a.typed.int": np.int64(3),
    "a.typed.array": np.array([1, 2], np.uint16),
    "no.numbers": np.array([], np.float32),
}
KINDS = {
    "an.int": 4,
    "a.negative.int": 5,
    "a.large.int": 11,
    "the.largest.int": 10,
    "a.float": 6,
    "a.large.float": 12,
    "no.number": 6,
    "a.bool": 7,
    "ints": 5,
    "large.ints": 11,
    "floats": 6,
    "a.typed.int": 11,
    "a.typed.array": 2,
    "no.numbers": 6,
}


def as_lists(metadata):
    return {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in metadata.items()
    }


def test_metadata_comes_back(tmp_path):
    path = tmp_path / "ours.gguf"
    write_gguf(path, {}, METADATA)
    file = open_gguf(path)
    assert as_lists(file.metadata) == as_lists(METADATA) | {"a.float": np.float32(0.1).item()}
    assert {key: file.metadata.entries[key].kind for key in KINDS} == KINDS
    assert file.alignment == 64


def test_arrays_come_back(tmp_path):
    path = tmp_path / "ours.gguf"
    w = normal(6, 8)
    arrays = {
        "f16": w.astype(np.float16),
        "f32": w,
        "f64": w.astype(np.float64),
        "transposed": w.T,
        "strided": w[::2, ::3],
        "big-endian": w.astype(">f4"),
        "3d": normal(2, 3, 4),
        "vector": w[0],
        "i8": np.arange(-4, 4, dtype=np.int8),
        "i16": np.arange(3, dtype=np.int16),
        "i32": np.arange(3, dtype=np.int32),
        "i64": np.arange(3),
    }
    write_gguf(path, arrays, {"general.architecture": "llama"})
    file = open_gguf(path)
    assert list(file) == list(arrays)
    assert file["transposed"].shape == (8, 6)
    for name, values in arrays.items():
        np.testing.assert_array_equal(file[name].read(), values.astype(np.float32), err_msg=name)


@pytest.mark.parametrize("quant", ENCODED)
def test_encoded_tensors_come_back(tmp_path, quant):
    path = tmp_path / "ours.gguf"
    w = trits(4, 512)
    raw = encode_blocks(quant, w)
    stacked = Tensor.of("e", quant, raw, (2, 2, 512))
    write_gguf(path, {"w": encoded("w", quant, w), "norm": normal(512), "e": stacked}, METADATA)
    file = open_gguf(path)
    assert (file["w"].quant, file["w"].shape, file["e"].shape) == (quant, (4, 512), (2, 2, 512))
    expected = decode_blocks(quant, raw, 512)
    np.testing.assert_array_equal(file["w"].raw(), raw)
    np.testing.assert_array_equal(file["w"].read(), expected)
    np.testing.assert_array_equal(file["e"].read(), expected.reshape(2, 2, 512))
    if quant != "Q2_0":  # gguf-py does not know it
        theirs = gguf.GGUFReader(path).tensors[0]
        assert theirs.tensor_type.name == quant
        decoded = gguf.quants.dequantize(theirs.data, theirs.tensor_type)
        np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize(
    ("tensors", "metadata", "problem"),
    [
        ({"n" * 64: normal(4)}, {}, "must be text of 1 to 63 bytes"),
        ({"": normal(4)}, {}, "must be text of 1 to 63 bytes"),
        ({"a\0": normal(4)}, {}, "all printable"),
        ({"\ud800": normal(4)}, {}, "all printable"),
        ({3: normal(4)}, {}, "must be text"),
        ({"w": normal(2, 1, 1, 1, 1)}, {}, "must have 1 to 4 axes"),
        ({"w": np.zeros((3, 0), np.float32)}, {}, "none empty"),
        ({"w": np.float32(3)}, {}, "has no axis"),
        ({}, {"": 1}, "must be text of 1 to 65535 bytes"),
        ({}, {"k" * 65_536: 1}, "must be text of 1 to 65535 bytes"),
        ({}, {"\ud800": 1}, "all printable"),
        ({}, {3: 1}, "must be text"),
        ({}, {"k": "\ud800"}, "is not valid Unicode"),
        ({}, {"k": ["a", "\ud800"]}, "is not valid Unicode"),
        ({}, {"general.alignment": 24}, "'general.alignment' is 24, but must be"),
        ({}, {"general.alignment": "32"}, "'general.alignment' is '32', but must be"),
    ],
)
def test_refused_values(tmp_path, tensors, metadata, problem):
    with pytest.raises(WorkbenchError, match=problem):
        write_gguf(tmp_path / "ours.gguf", tensors, metadata)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("tensors", "metadata", "problem"),
    [
        ({"w": np.zeros(3, np.uint8)}, {}, "tensor 'w' is uint8; GGUF holds F16, F32"),
        ({"w": np.zeros(3, complex)}, {}, "tensor 'w' is complex128"),
        ({}, {"k": None}, "metadata 'k' is None"),
        ({}, {"k": {"a": 1}}, "metadata 'k' is"),
        ({}, {"k": [[1], [2]]}, "metadata 'k' is"),
        ({}, {"k": ["a", 1]}, "metadata 'k' is"),
        ({}, {"k": []}, "metadata 'k' is"),
        ({}, {"k": 2**64}, "metadata 'k' is"),
        ({}, {"k": [2**63, -1]}, "metadata 'k' is"),
        ({}, {"k": [True, 2]}, "metadata 'k' is"),
        ({}, {"k": [[1], [2, 3]]}, "metadata 'k' is"),
        ({}, {"k": np.zeros((2, 2))}, "metadata 'k' is"),
        ({}, {"k": np.array(["a"])}, "metadata 'k' is"),
    ],
)
def test_refused_types(tmp_path, tensors, metadata, problem):
    with pytest.raises(TypeError, match=problem):
        write_gguf(tmp_path / "ours.gguf", tensors, metadata)


def test_tensor_of_refuses_other_bytes():
    raw = np.zeros((2, 18), np.uint8)
    with pytest.raises(WorkbenchError, match=r"in Q4_0 takes uint8 \(2, 36\)"):
        Tensor.of("w", "Q4_0", raw, (2, 64))
    with pytest.raises(WorkbenchError, match="rows of 33 weights do not divide into Q4_0"):
        Tensor.of("w", "Q4_0", raw, (2, 33))


def test_deferred_tensors_are_made_one_at_a_time(tmp_path):
    made = []

    def make(name, seed):
        made.append((name, (tmp_path / "ours.gguf").exists()))
        return trits(4, 256, seed=seed)

    tensors = {
        name: Deferred("TQ2_0", (4, 256), partial(make, name, seed))
        for seed, name in enumerate("ab")
    }
    write_gguf(tmp_path / "ours.gguf", {**tensors, "c": normal(4)}, {})
    assert made == [("a", False), ("b", False)]
    file = open_gguf(tmp_path / "ours.gguf")
    np.testing.assert_array_equal(file["b"].read(), trits(4, 256, seed=1))
    write_gguf(tmp_path / "plain.gguf", {**{n: file[n] for n in "ab"}, "c": normal(4)}, {})
    assert (tmp_path / "plain.gguf").read_bytes() == (tmp_path / "ours.gguf").read_bytes()


def test_failure_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "ours.gguf"
    path.write_bytes(b"precious")

    def fail(self, tensor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensor_data", fail)
    with pytest.raises(WorkbenchError, match="No space left on device"):
        write_gguf(path, {"w": normal(4)}, {})
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"precious"]


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(WorkbenchError, match=r"absent.* cannot be written"):
        write_gguf(tmp_path / "absent" / "ours.gguf", {}, {})


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.gguf"
    entries = [
        ARCHITECTURE,
        array("list.empty", STRING, 0),
        entry("latin", STRING, string(b"\xff")),
        array("latins", STRING, 2, string(b"\xfe") + string("a")),
        entry("a.uint8", UINT8, b"\7"),
        entry("split.note", STRING, string("kept")),
    ]
    w = trits(2, 256)
    infos = [
        info("w", (256, 2), 0, 0),
        info("norm", (256,), 0, 2048),
        info("bitnet", (128, 2), 36, 3072),
    ]
    bitnet = bytes(range(64)) + pack("<f", 0.5) + bytes(28)
    path.write_bytes(gguf_bytes(entries, infos, w.tobytes() + normal(256).tobytes() + bitnet))
    return path


def test_export_without_changes_is_the_same_file(source, tmp_path):
    export_gguf(source, tmp_path / "copy.gguf", {})
    assert (tmp_path / "copy.gguf").read_bytes() == source.read_bytes()


def test_export_over_itself(source):
    before = source.read_bytes()
    export_gguf(source, source, {})
    assert source.read_bytes() == before


@pytest.mark.parametrize("quant", [*ENCODED, "F32"])
def test_export_replaces(source, tmp_path, quant):
    path = tmp_path / "copy.gguf"
    old = open_gguf(source)
    export_gguf(source, path, {"w": quant}, {"general.file_type": 37, "a.uint8": np.uint8(8)})
    new = open_gguf(path)
    assert new["w"].quant == quant
    w = old["w"].read()
    np.testing.assert_array_equal(
        new["w"].read(), decode_blocks(quant, encode_blocks(quant, w), 256)
    )
    for name in ("norm", "bitnet"):
        np.testing.assert_array_equal(new[name].stored(), old[name].stored())
    marks = ["workbench.q2_0.block_size"] if quant == "Q2_0" else []
    assert list(new.metadata) == [*old.metadata, "general.file_type", *marks]
    assert new.metadata["a.uint8"] == 8
    assert new.metadata.encoded("latins") == [b"\xfe", b"a"]
    assert new.metadata.entries["a.uint8"].kind == UINT8


def test_export_takes_arrays_and_encoded_tensors(source, tmp_path):
    path = tmp_path / "copy.gguf"
    w = trits(2, 256, seed=5)
    export_gguf(open_gguf(source), path, {"w": encoded("other", "Q2_0", w), "norm": w[0]})
    new = open_gguf(path)
    assert (new["w"].quant, new["norm"].quant) == ("Q2_0", "F32")
    np.testing.assert_array_equal(new["w"].read(), w)
    np.testing.assert_array_equal(new["norm"].read(), w[0])


@pytest.mark.parametrize(
    ("replacements", "problem"),
    [
        ({"absent": "TQ2_0"}, "replacements names 'absent', which .* does not hold"),
        ({"bitnet": "TQ2_0"}, "rows of 128 weights do not divide into TQ2_0 blocks of 256"),
        ({"w": "Q6_K"}, "'Q6_K' is not written"),
        ({"w": normal(2, 128)}, r"has shape \(2, 256\), so it cannot be replaced by \(2, 128\)"),
        ({"norm": "Q8_0"}, "is a vector, which llama.cpp does not load as Q8_0"),
    ],
)
def test_export_refusals(source, tmp_path, replacements, problem):
    with pytest.raises(WorkbenchError, match=problem):
        export_gguf(source, tmp_path / "copy.gguf", replacements)
    assert not (tmp_path / "copy.gguf").exists()


def test_export_of_a_split_model_is_one_file(tmp_path):
    for number in (0, 1):
        entries = [
            entry("split.no", 2, pack("<H", number)),
            entry("split.count", 2, pack("<H", 2)),
        ]
        data = gguf_bytes(entries, [info(f"t{number}", (1,))], pack("<f", number))
        (tmp_path / f"m-{number + 1:05d}-of-00002.gguf").write_bytes(data)
    export_gguf(tmp_path / "m-00002-of-00002.gguf", tmp_path / "one.gguf", {})
    file = open_gguf(tmp_path / "one.gguf")
    assert [tensor.read().item() for tensor in file.values()] == [0, 1]
    assert dict(file.metadata) == {}


def test_what_gguf_py_reads_is_what_was_there(tmp_path):
    path = tmp_path / "small.gguf"
    path.write_bytes(small())
    export_gguf(path, path, {"matrix": "F32"})
    theirs = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    np.testing.assert_array_equal(theirs["matrix"], open_gguf(path)["matrix"].read())


LAYER = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
TINY = {
    "general.architecture": "llama",
    "llama.context_length": 64,
    "llama.embedding_length": 256,
    "llama.block_count": 1,
    "llama.feed_forward_length": 512,
    "llama.attention.head_count": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.vocab_size": 32,
    "tokenizer.ggml.model": "none",
}


def tiny_weights():
    """A llama of one layer whose matrices are ternary, so that every format holds them."""
    shapes = dict.fromkeys(LAYER, (256, 256))
    shapes |= {"ffn_gate": (512, 256), "ffn_up": (512, 256), "ffn_down": (256, 512)}
    weights = {
        f"blk.0.{name}.weight": trits(*shape, seed=seed) / 16
        for seed, (name, shape) in enumerate(shapes.items())
    }
    norms = ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm")
    weights |= {f"{name}.weight": 1 + normal(256, seed=9) / 8 for name in norms}
    return weights | {"token_embd.weight": normal(32, 256, seed=8)}


def expected_logits(weights, token):
    """The first token attends to itself alone, at angle 0: neither softmax nor RoPE act."""

    def norm(x, name):
        return x / np.sqrt(np.mean(x * x) + 1e-5) * weights[f"{name}.weight"]

    def linear(x, name):
        return weights[f"blk.0.{name}.weight"] @ x

    h = weights["token_embd.weight"][token]
    h = h + linear(linear(norm(h, "blk.0.attn_norm"), "attn_v"), "attn_output")
    n = norm(h, "blk.0.ffn_norm")
    gate = linear(n, "ffn_gate")
    h = h + linear(gate / (1 + np.exp(-gate)) * linear(n, "ffn_up"), "ffn_down")
    return weights["token_embd.weight"] @ norm(h, "output_norm")


def run_llama(path, token):
    script = Path(__file__).with_name("llama_logits.py")
    done = subprocess.run(
        [sys.executable, script, path, str(token)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout))[0]


@pytest.mark.peers
@here
@pytest.mark.parametrize("quant", ["F32", "TQ1_0", "TQ2_0", "Q2_0", "Q4_0", "Q4_1", "Q8_0"])
def test_llama_cpp_loads_and_runs_it(tmp_path, quant):
    weights = tiny_weights()
    tensors = {
        name: encoded(name, quant, w) if name.startswith("blk.") and w.ndim == 2 else w
        for name, w in weights.items()
    }
    path = tmp_path / "tiny.gguf"
    write_gguf(path, tensors, TINY)
    weights = {name: tensor.read() for name, tensor in open_gguf(path).items()}
    logits, expected = run_llama(path, 5), expected_logits(weights, 5)
    assert np.corrcoef(logits, expected)[0, 1] > 0.999
    np.testing.assert_allclose(logits, expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.peers
@here
@pytest.mark.parametrize("quant", ["TQ1_0", "TQ2_0", "Q2_0"])
def test_llama_cpp_runs_an_export(tmp_path, quant):
    weights = tiny_weights()
    write_gguf(tmp_path / "tiny.gguf", weights, TINY)
    path = tmp_path / "export.gguf"
    export_gguf(tmp_path / "tiny.gguf", path, {f"blk.0.{name}.weight": quant for name in LAYER})
    assert open_gguf(path)["blk.0.attn_q.weight"].quant == quant
    logits, expected = run_llama(path, 7), expected_logits(weights, 7)
    assert np.corrcoef(logits, expected)[0, 1] > 0.999


def test_decoded_export_of_plain_weights_is_what_the_codec_gives(tmp_path):
    w = normal(3, 256)
    write_gguf(tmp_path / "a.gguf", {"w": w}, {})
    export_gguf(tmp_path / "a.gguf", tmp_path / "b.gguf", {"w": "Q4_1"})
    expected = decode_blocks("Q4_1", encode_blocks("Q4_1", w), 256)
    np.testing.assert_array_equal(open_gguf(tmp_path / "b.gguf")["w"].read(), expected)
