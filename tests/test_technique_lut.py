"""What is special to the technique that looks sums up: bytes, tiers, mapped and damaged files."""

import numpy as np
import pytest
from safetensors import safe_open

import workbench as wb
from workbench.errors import FormatError, WorkbenchError
from workbench.techniques import _indices as indices
from workbench.ternary import quantize

CODINGS = ["plain", "zero-run", "sparse", "range", "zstd"]
KINDS = {
    "whole": {"pattern": 5},
    "halved": {"pattern": 7, "symmetry": True},
    "tiers": {"pattern": 16, "tiers": True, "symmetry": True, "hot": 100, "warm": 200},
    "signed tiers": {"pattern": 6, "tiers": True, "hot": 100, "warm": 100},
}
every_coding = pytest.mark.parametrize("coding", CODINGS)
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def weights():
    return np.random.default_rng(1).standard_normal((70, 300), np.float32)


@every_coding
@every_kind
def test_codes_are_those_of_quantize_and_products_exact(kind, coding, weights):
    encoded = wb.technique("lut", index=coding, **KINDS[kind]).encode(weights)
    codes = quantize(weights).codes
    np.testing.assert_array_equal(encoded.codes(), codes)
    x = np.random.default_rng(2).integers(-128, 128, (9, 300)).astype(np.int8)
    x[0], x[1] = -128, 127
    tables = encoded.technique.tables(encoded.arrays, encoded.shape)
    np.testing.assert_array_equal(tables.matmul(x, 2), x.astype(int) @ codes.T)


@pytest.mark.parametrize("rounding", ["optimal", "absmax"])
@every_kind
def test_ternary_matrices_come_back_exactly(kind, rounding):
    rng = np.random.default_rng(0)
    trits = rng.choice([-1, 0, 1], (6, 100), p=[0.3, 0.2, 0.5])
    weights = (trits * rng.uniform(0.01, 2, (6, 1))).astype(np.float32)
    recipe = wb.technique("lut", rounding=rounding, **KINDS[kind])
    assert recipe.exact_on_ternary
    np.testing.assert_array_equal(recipe.encode(weights).decode(), weights)


def test_bits_a_weight():
    weights = np.random.default_rng(0).standard_normal((400, 500))
    five = wb.technique("lut", pattern=5).encode(weights)
    assert five.arrays["index"].nbytes * 8 == 1.6 * weights.size
    padded = wb.technique("lut", pattern=8).encode(weights)
    assert padded.arrays["index"].nbytes == 400 * 63 * 2  # 500 columns are 63 groups, filled up


@pytest.mark.parametrize("zeros", [0.1, 0.44, 0.9])
def test_entropy_coding_beats_plain_indices_and_runs_pay_where_zeros_are_many(zeros):
    half = (1 - zeros) / 2
    trits = np.random.default_rng(0).choice([-1.0, 0, 1], (300, 1000), p=[half, zeros, half])
    nbytes = {
        coding: wb.technique("lut", rounding="optimal", pattern=4, index=coding)
        .encode(trits)
        .nbytes
        for coding in CODINGS
    }
    entropy = -(2 * half * np.log2(half) + zeros * np.log2(zeros)) * trits.size / 8
    assert entropy < nbytes["range"] < 1.01 * entropy + 2000 < nbytes["plain"]
    assert nbytes["range"] < nbytes["zero-run"] < nbytes["sparse"]
    assert (nbytes["zero-run"] < nbytes["plain"]) == (zeros == 0.9)


@pytest.mark.parametrize("coding", ["zero-run", "sparse"])
@pytest.mark.parametrize("zeros", [0, 0.5, 0.97, 1])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 5), (40, 33)], ids=str)
def test_trit_codings_are_lossless(shape, zeros, coding):
    rng = np.random.default_rng(0)
    codes = rng.choice(np.array([-1, 1], np.int8), shape) * (rng.random(shape) >= zeros)
    codes = codes.astype(np.int8)
    arrays = indices.store_trits(codes, 7, coding)
    np.testing.assert_array_equal(indices.load_trits(arrays, 7, coding, shape), codes)


@every_coding
@every_kind
def test_mapped_files_multiply_the_same(kind, coding, weights, tmp_path):
    encoded = wb.technique("lut", index=coding, **KINDS[kind]).encode(weights)
    encoded.save(tmp_path / "w.safetensors")
    mapped = wb.load_encoded(tmp_path / "w.safetensors", mapped=True)
    assert all(not array.flags.owndata for array in mapped.arrays.values())
    x = np.random.default_rng(2).integers(-128, 128, 300).astype(np.int8)
    np.testing.assert_array_equal(mapped.matmul(x), encoded.matmul(x))
    np.testing.assert_array_equal(mapped.decode(), encoded.decode())
    assert mapped.nbytes == encoded.nbytes


@every_kind
def test_a_flipped_bit_is_found_at_its_position(kind, tmp_path):
    weights = np.random.default_rng(1).standard_normal((700, 900), np.float32)
    encoded = wb.technique("lut", **KINDS[kind]).encode(weights)
    path = tmp_path / "w.safetensors"
    encoded.save(path)
    data = bytearray(path.read_bytes())
    flipped = len(data) - 1000  # a byte of the index, which is last in the file
    data[flipped] ^= 4
    path.write_bytes(data)
    with pytest.raises(FormatError, match="is damaged: its checksum fails") as caught:
        wb.load_encoded(path)
    assert caught.value.position <= flipped < caught.value.position + (1 << 16) + 1
    mapped = wb.load_encoded(path, mapped=True)
    with pytest.raises(WorkbenchError, match="array 'index' is damaged from byte"):
        mapped.decode()


@every_coding
@pytest.mark.parametrize("kind", ["halved", "tiers"])
def test_damage_anywhere_is_told_by_array_and_position(kind, coding, weights, tmp_path):
    encoded = wb.technique("lut", index=coding, **KINDS[kind]).encode(weights)
    path = tmp_path / "w.safetensors"
    size = encoded.save(path)
    data = path.read_bytes()
    payload = {name: array.nbytes for name, array in encoded.arrays.items() if array.nbytes}
    begin = size - sum(payload.values())
    with safe_open(path, framework="numpy") as file:
        order = list(file.offset_keys())
    for name in filter(payload.get, order):
        flipped = begin + payload[name] // 2
        damaged = bytearray(data)
        damaged[flipped] ^= 16
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match=f"array '{name}' is damaged") as caught:
            wb.load_encoded(path)
        assert caught.value.position == begin
        begin += payload[name]
    path.write_bytes(data[:-5])
    with pytest.raises(FormatError, match="not a readable safetensors file"):
        wb.load_encoded(path)


def test_refusals():
    with pytest.raises(WorkbenchError, match=r"pattern=11 .* takes 354,294 bytes, .* take tiers"):
        wb.technique("lut", pattern=11)
    with pytest.raises(WorkbenchError, match="pattern=17 is not allowed"):
        wb.technique("lut", pattern=17, tiers=True)
    with pytest.raises(WorkbenchError, match="radius=4 is not allowed"):
        wb.technique("lut", radius=4)


@pytest.mark.parametrize("coding", [name for name in CODINGS if name != "zero-run"])
def test_short_arrays_are_refused_before_a_kernel_reads_them(coding, weights):
    recipe = wb.technique("lut", index=coding)
    encoded = recipe.encode(weights)
    for name in set(encoded.arrays) - {"scales", "checksums"}:
        arrays = {**encoded.arrays, name: encoded.arrays[name][:-9]}
        with pytest.raises(WorkbenchError, match="array"):
            recipe.tables(arrays, encoded.shape)
