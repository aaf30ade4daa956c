"""The race of whole models: what its rows hold, and what it refuses."""

import json

import pytest

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.lm import make_random_model
from workbench.lm.speed import bench_decode

pytestmark = pytest.mark.skipif(
    not kernels.status("decoder").compiled, reason="the kernels are not compiled"
)
SIZES = {"layers": 1, "width": 256, "ff": 256, "heads": 2, "vocab": 64, "context": 64}


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    # reading a buffer beyond the caches takes seconds
    monkeypatch.setattr("workbench.measure.machine.memory_buffer_bytes", lambda: 1 << 20)
    return make_random_model(tmp_path / "m.gguf", "bitnet", quant="TQ2_0", **SIZES)


def test_rows(path):
    rows = bench_decode(
        path,
        (1, 2),
        weights=("planar", "base3"),
        store="f32",
        prompt=5,
        tokens=4,
        seconds=0.05,
        peers_too=False,
    )
    assert [(row["runner"], row["threads"]) for row in rows] == [
        ("workbench planar", 1),
        ("workbench base3", 1),
        ("workbench planar", 2),
        ("workbench base3", 2),
    ]
    for row in rows:
        assert row["turns"] >= 3
        for what in ("prefill", "decode"):
            assert 0 < row[f"{what}_min"] <= row[f"{what}_tokens_s"] <= row[f"{what}_max"]
            assert row[f"{what}_ratio"] is None
        assert row["bandwidth_share"] == pytest.approx(row["gb_s"] / row["read_gb_s"])
    # keys and values of 7 tokens, a layer of 256 columns each, in float32
    assert rows[0]["bytes_per_token"] - rows[1]["bytes_per_token"] > 0
    assert rows[0]["bytes_per_token"] > 7 * 2 * 256 * 4


def test_command_line(path, run):
    options = ["--prompt", 3, "--tokens", 2, "--seconds", 0.01, "--json"]
    status, out, err = run("bench", "decode", path, *options)
    assert status == 0, err
    rows = json.loads(out)
    assert rows[0]["runner"] == "workbench file"
    assert rows[0]["decode_tokens_s"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": 0}, "prompt=0 is not allowed"),
        ({"tokens": 0}, "tokens=0 is not allowed"),
        ({"prompt": 60, "tokens": 5}, "more than the context of 64"),
        ({"prompt": 2, "weights": ("int5",)}, "weights='int5' is not allowed"),
    ],
    ids=["no prompt", "no tokens", "too long", "no such form"],
)
def test_refusals(options, message, path):
    with pytest.raises(WorkbenchError, match=message):
        bench_decode(path, peers_too=False, **options)
