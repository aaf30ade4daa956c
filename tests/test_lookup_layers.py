"""A dictionary shared by layers: counted bytes are those of the file, and the file comes back."""

import os

import numpy as np
import pandas as pd
import pytest

from workbench import ternary
from workbench.errors import FormatError, WorkbenchError
from workbench.lookup import patterns
from workbench.lookup.layers import LLAMA_7B, growth, model_layers, random_layers
from workbench.lookup.shared import Plan, Survey, read_layers, survey, write_layers
from workbench.models import open_model
from workbench.paths import data_dir

SHAPES = [(64, 100), (33, 48)]


def layers(count=3, zeros=0.44):
    return random_layers(SHAPES, count, zeros=zeros, seed=1)


@pytest.mark.parametrize(
    ("g", "zeros"), [*((g, z) for g in (1, 3, 5, 8, 12) for z in (0, 0.44, 0.97, 1)), (16, 0.44)]
)
def test_files_hold_what_was_counted_and_come_back(g, zeros, tmp_path):
    path = tmp_path / "layers.safetensors"
    plan = write_layers(path, lambda: layers(zeros=zeros), g)
    row = list(growth(layers(zeros=zeros), [g]))[-1]
    parts = [f"{name}_bytes" for name in plan.nbytes()]
    assert path.stat().st_size == sum(plan.nbytes().values())
    assert path.stat().st_size == row["together_bytes"] == sum(row[part] for part in parts)
    found = list(read_layers(path))
    assert [name for name, _ in found] == [f"layer {k}" for k in (0, 0, 1, 1, 2, 2)]
    for (_, matrix), (_, expected) in zip(found, layers(zeros=zeros), strict=True):
        np.testing.assert_array_equal(matrix, expected)


@pytest.mark.parametrize("g", [4, 11])
def test_layers_alone_are_files_of_one_layer(g, tmp_path):
    total = 0
    for layer in range(3):
        path = tmp_path / f"{layer}"
        write_layers(path, lambda layer=layer: list(layers())[2 * layer : 2 * layer + 2], g)
        total += path.stat().st_size
    assert total == list(growth(layers(), [g]))[-1]["alone_bytes"]


@pytest.mark.parametrize("g", [2, 7, 12])
def test_shared_are_the_patterns_of_several_layers(g):
    """Held against sets, after every layer."""
    seen = []
    rows = iter(growth(layers(5), [g]))
    streamed = list(layers(5))
    for layer in range(5):
        found = [patterns.group(m, g)[0] for _, m in streamed[2 * layer : 2 * layer + 2]]
        seen.append(set(np.concatenate([np.abs(patterns.numbers(m)).ravel() for m in found])))
        row = next(rows)
        often = {n for n in set().union(*seen) if sum(n in one for one in seen) > 1}
        assert row["shared"] == len(often)
        assert row["own"] == sum(len(one - often) for one in seen)
        assert row["distinct"] == len(set().union(*seen))


def test_rows_count_padding_and_packings():
    (row,) = growth([("a", np.ones((6, 7), np.int8))], [5])
    assert row["indices"] == 6 * 2  # 7 columns are two groups of 5, filled up
    assert row["number_bytes"] == 6 * 2
    assert row["entropy_bytes"] == 0
    assert row["pattern_entropy_bytes"] == 3  # two patterns, equally often, and a sign for each
    codes = next(layers())[1]
    (row,) = growth([("a", codes)], [5])
    for layout, key in (("planar", "two_bit_bytes"), ("base3", "base3_bytes")):
        assert row[key] == ternary.pack(codes, layout).nbytes


def test_equal_layers_share_everything():
    one = list(layers(1))
    rows = list(growth([*one, *[("again", matrix) for _, matrix in one]], [8, 12]))
    for row in rows[2:]:
        assert row["own"] == 0 < row["shared"]
        assert row["together_bytes"] < row["alone_bytes"]


def test_random_layers_are_streamed_and_as_asked():
    first = next(random_layers([(500, 400)], 1 << 40, zeros=0.6))[1]
    assert (first == 0).mean() == pytest.approx(0.6, abs=0.01)
    assert (first == 1).mean() == pytest.approx(0.2, abs=0.01)
    for (_, a), (_, b) in zip(layers(), layers(), strict=True):
        np.testing.assert_array_equal(a, b)
    names = [name for name, _ in layers()]
    assert names == sorted(names)
    assert next(random_layers([(9, 9)], 1, zeros=1))[1].any() == 0


def test_layers_of_a_natively_ternary_model_keep_their_trits():
    weights = open_model("english-ternary")
    found = list(model_layers(weights))
    assert len(found) == 42
    assert [name for name, _ in found[::7]] == [f"layer {k}" for k in range(6)]
    rows = weights["blk.0.attn_q.weight"].read()
    assert any(np.array_equal(np.sign(rows), codes) for _, codes in found[:7])
    with pytest.raises(WorkbenchError, match="no matrix of this model is in a numbered layer"):
        list(model_layers({}))


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "layers.safetensors"
    plan = write_layers(path, layers, 9)
    data, sizes = path.read_bytes(), {n: int(np.prod(s)) for n, s in plan.arrays().items()}
    for name in ("shared", "1.own", "2.index1"):
        before = list(sizes).index(name)
        place = len(plan.header()) + sum(list(sizes.values())[:before])
        damaged = bytearray(data)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match=f"array '{name}' is damaged") as caught:
            list(read_layers(path))
        assert caught.value.position == place


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "layers.safetensors"
    write_layers(path, layers, 6)
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(FormatError, match="safetensors"):
        list(read_layers(path))
    odd = (b"[[64, 100]", b"[[9e999,1]")  # a float that is no number of rows
    for old, new in ((b'\\"g\\": 6', b'\\"g\\": 7'), (b'\\"own\\"', b'\\"won\\"'), odd):
        assert old in data
        path.write_bytes(data.replace(old, new))
        with pytest.raises(FormatError, match="metadata"):
            list(read_layers(path))


def test_recorded_counts_are_those_of_a_file():
    """Where every pattern is shared, the file of the 7B shape follows from the counts alone."""
    recorded = pd.read_csv(data_dir() / "lookup-7b-layers.csv")
    (row,) = growth([("a", np.ones((2, 4), np.int8))], [2])
    assert list(recorded) == list(row)
    assert recorded.groupby("g").layers.max().to_dict() == dict.fromkeys(range(2, 17), 32)
    last = recorded[(recorded.layers == 32) & (recorded.own == 0)]
    assert set(last.g) >= set(range(2, 13))
    layers = tuple((f"layer {k}", LLAMA_7B) for k in range(32))
    for row in last.itertuples():
        parts = Plan(row.g, layers, row.shared, (0,) * 32).nbytes()
        assert row.together_bytes == sum(parts.values())
        assert row.index_bytes == parts["index"]
    assert (recorded.alone_bytes > recorded.entropy_bytes).all()
    assert (recorded.together_bytes > recorded.base3_bytes).all()


def test_refusals(tmp_path):
    with pytest.raises(WorkbenchError, match="codes hold 2 at row 0, column 1"):
        list(growth([("a", np.array([[0, 2]]))], [2]))
    with pytest.raises(WorkbenchError, match="g=17 is not allowed"):
        list(growth(layers(), [17]))
    mixed = [("a", np.eye(3, dtype=int)), ("b", np.eye(3, dtype=int)), ("a", np.eye(3, dtype=int))]
    with pytest.raises(WorkbenchError, match="'a' do not come one after the other"):
        survey(mixed, 2)
    with pytest.raises(WorkbenchError, match=r"zeros=1\.5"):
        next(random_layers(zeros=1.5))
    full = Survey(1)
    full.own = [0] * 32767
    with pytest.raises(WorkbenchError, match="more than 32767 layers"):
        full.add(np.array([0]))
    readings = iter([layers(), random_layers(SHAPES, 3, seed=2)])
    with pytest.raises(WorkbenchError, match="two readings"):
        write_layers(tmp_path / "x", lambda: next(readings), 12)
    assert os.listdir(tmp_path) == []
