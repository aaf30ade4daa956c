"""Type numbers that were given out twice: told apart by the room the tensors take, or refused."""

from struct import pack

import numpy as np
import pytest
from gguf_bytes import UINT32, array, entry, gguf, info

from workbench.errors import FormatError
from workbench.formats import open_gguf

TYPE_AT = 24 + 8 + 1 + 4 + 16  # of the first tensor: one-letter name, two dimensions


def write(path, kind, tensors):
    """A file of tensors of one type: (rows, cols, bytes they take)."""
    infos, data = [], b""
    for number, (rows, cols, size) in enumerate(tensors):
        infos.append(info("abc"[number], (cols, rows), kind, len(data)))
        data += bytes(size + -size % 32)
    path.write_bytes(gguf([], infos, data))
    return path


def i2_s_file(path, rows, cols, size):
    """Random codes with the scale 0.75 behind them; returns the bytes of the codes."""
    codes = np.random.default_rng(0).integers(0, 256, rows * cols // 4, dtype=np.uint8)
    data = codes.tobytes() + pack("<f", 0.75) + bytes(28)
    path.write_bytes(gguf([], [info("w", (cols, rows), 36)], data + bytes(-len(data) % 32)))
    return codes


@pytest.mark.parametrize(("build", "size", "quant"), [("x86", 32, "I2_S"), ("arm", 16, "I2_S_ARM")])
def test_i2_s(tmp_path, build, size, quant):
    path = tmp_path / "bitnet.gguf"
    codes = i2_s_file(path, 6, 384, size)
    tensor = open_gguf(path, i2_s=build)["w"]
    assert (tensor.quant, tensor.nbytes, tensor.shape) == (quant, 6 * 96 + 32, (6, 384))
    groups = codes.reshape(-1, 1, size) >> np.array([6, 4, 2, 0], np.uint8)[:, None] & 3
    expected = np.float32(0.75) * (groups.astype(np.float32) - 1).reshape(6, 384)
    np.testing.assert_array_equal(tensor.read(), expected)
    np.testing.assert_array_equal(tensor.read(slice(2, 4)), expected[2:4])
    assert tensor.raw().shape == (6, 96)


def test_i2_s_is_x86_unless_told(tmp_path):
    i2_s_file(tmp_path / "bitnet.gguf", 2, 128, 32)
    assert open_gguf(tmp_path / "bitnet.gguf")["w"].quant == "I2_S"


@pytest.mark.parametrize(
    ("kind", "tensors", "quant"),
    [
        (36, [(8, 256, 8 * 64 + 32)], "I2_S"),
        (39, [(4, 256, 4 * 8 * 17)], "MXFP4"),
        (42, [(32, 128, 32 * 2 * 18)], "Q2_0"),
        (42, [(1, 64, 18)], "Q2_0"),
        (42, [(1, 128, 36), (32, 128, 32 * 2 * 18)], "Q2_0"),  # the second decides for the first
    ],
    ids=["I2_S", "MXFP4", "Q2_0", "Q2_0 of one block", "Q2_0 small and large"],
)
def test_told_apart(tmp_path, kind, tensors, quant):
    file = open_gguf(write(tmp_path / "told.gguf", kind, tensors))
    assert {tensor.quant for tensor in file.values()} == {quant}


@pytest.mark.parametrize(
    ("kind", "tensors", "fragments"),
    [
        (36, [(8, 256, 8 * 144)], ["IQ4_NL_4_4 (1152 bytes)", "llama.cpp has removed it"]),
        (36, [(8, 256, 8 * 64)], ["I2_S (544 bytes)", "but the file gives it 512 bytes"]),
        (36, [(8, 100, 8 * 25 + 32)], ["I2_S (not for rows of this length)"]),
        (39, [(6, 512, 704)], ["TL2 of bitnet.cpp (736 bytes)", "but the file gives it 704"]),
        (39, [(6, 512, 736)], ["it is TL2 of bitnet.cpp", "kernel configuration"]),
        (42, [(32, 128, 32 * 34)], ["it is PrismML's Q2_0 of 128 weights", "bit order"]),
        (42, [(1, 128, 36)], ["Q2_0 (36 bytes)", "(34 bytes)", "fit both"]),
        (42, [(1, 128, 36), (2, 128, 72)], ["fit both"]),
        (42, [(32, 128, 32 * 40)], ["but the file gives it 1280 bytes"]),
        (37, [(1, 32, 18)], ["type 37, which stands for IQ4_NL_4_8, which llama.cpp has removed"]),
        (38, [(1, 32, 18)], ["TL1 of bitnet.cpp"]),
        (142, [(1, 256, 66)], ["IQ2_TN of ik_llama.cpp", "PQ2_0"]),
        (143, [(1, 256, 54)], ["IQ1_TN of ik_llama.cpp", "PTQ1_0"]),
    ],
)
def test_refused(tmp_path, kind, tensors, fragments):
    path = write(tmp_path / "contested.gguf", kind, tensors)
    with pytest.raises(FormatError) as caught:
        open_gguf(path)
    assert caught.value.position == TYPE_AT
    for fragment in fragments:
        assert fragment in caught.value.problem


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (entry("workbench.q2_0.block_size", UINT32, pack("<I", 64)), True),
        (entry("workbench.q2_0.block_size", UINT32, pack("<I", 128)), False),
        (array("workbench.q2_0.block_size", UINT32, 2, pack("<2I", 64, 64)), False),
    ],
    ids=["64", "128", "array"],
)
def test_our_own_q2_0_says_so(tmp_path, value, told):
    path = tmp_path / "own.gguf"
    path.write_bytes(gguf([value], [info("w", (128, 1), 42)], bytes(64)))
    if told:
        assert open_gguf(path)["w"].quant == "Q2_0"
    else:
        with pytest.raises(FormatError, match="fit both"):
            open_gguf(path)


def test_nvfp4_of_the_wrong_size(tmp_path):
    """Number 40 has one meaning that we know; another one's sizes do not pass for it."""
    path = write(tmp_path / "forty.gguf", 40, [(4, 64, 4 * 50), (4, 64, 4 * 50)])
    with pytest.raises(FormatError, match="leaves a gap"):
        open_gguf(path)
