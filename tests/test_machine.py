"""Facts of the machine: complete, JSON, and the ceilings where they must be."""

import json

import numpy as np
import psutil
import pytest

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.measure import machine

compiled = pytest.mark.skipif(
    not kernels.status("peak").compiled, reason="plain Python shows nothing of the machine"
)


def test_facts_are_flat_json():
    facts = machine.machine_facts()
    assert json.loads(json.dumps(facts)) == facts
    assert all(not isinstance(value, dict | list) for value in facts.values())
    assert facts["numpy"] == np.__version__
    assert facts["ram_bytes"] == psutil.virtual_memory().total
    assert facts["threads"] >= 1
    assert facts["cpu"]


def test_facts_say_how_the_kernels_were_compiled(monkeypatch):
    machine.machine_facts.cache_clear()
    plain = kernels.Kernel("planar", False, "")
    monkeypatch.setattr(kernels, "names", lambda: ["planar"])
    monkeypatch.setattr(kernels, "status", lambda name: plain)
    assert machine.machine_facts()["kernels"] == "not compiled: planar"
    machine.machine_facts.cache_clear()


def test_processor_without_proc(monkeypatch):
    monkeypatch.setattr(machine.sys, "platform", "other")
    found = {"brand_raw": "A chip", "flags": ["neon", "fp"]}
    monkeypatch.setattr(machine.cpuinfo, "get_cpu_info", lambda: found)
    assert machine._processor() == ("A chip", {"neon", "fp"})


def test_caches_without_sys(monkeypatch, tmp_path):
    machine._caches.cache_clear()
    monkeypatch.setattr(machine, "CACHES", tmp_path)
    found = {"l1_data_cache_size": 32768, "l2_cache_size": "1 MB"}
    monkeypatch.setattr(machine.cpuinfo, "get_cpu_info", lambda: found)
    assert machine._caches() == {"l1d_bytes": 32768, "l2_bytes": None, "l3_bytes": None}
    machine._caches.cache_clear()


@pytest.mark.parametrize("threads", [1, 2])
def test_multiply_adds_does_what_it_counts(threads):
    kernel = kernels.load("peak")
    rng = np.random.default_rng(0)
    length = 128 if kernels.status("peak").compiled else 16
    u = rng.integers(0, 256, length + 320, dtype=np.uint8)
    x = rng.integers(-128, 128, length + 320).astype(np.int8)
    out = np.zeros((threads, 16), np.int32)
    kernel.multiply_add(u, x, 3, out)
    tile = [
        int(u[64 * r : 64 * r + length].astype(int) @ x[64 * t : 64 * t + length])
        for r in range(4)
        for t in range(4)
    ]
    tile[0] = int(u[256 : 256 + length].astype(int) @ x[:length])  # its weights have a row apart
    np.testing.assert_array_equal(out, [3 * np.array(tile)] * threads)


@pytest.mark.parametrize("size", [0, 1, 7, 100])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_read_reads_everything_once(size, threads):
    data = np.random.default_rng(size).integers(0, 1 << 60, size, dtype=np.uint64)
    out = np.zeros(threads, np.uint64)
    kernels.load("peak").read(data, threads, out)
    assert sum(map(int, out)) % 2**64 == sum(map(int, data)) % 2**64


@compiled
def test_ceilings():
    assert machine.peak_gops(1, seconds=0.05) > 10
    cached, far = (machine.read_gb_s(size, 1, seconds=0.05) for size in (1 << 14, 1 << 26))
    assert cached > far > 0.5


@compiled
def test_measured_facts_are_measured_once(monkeypatch):
    machine.measured_facts.cache_clear()
    monkeypatch.setattr(machine, "memory_buffer_bytes", lambda: 1 << 22)
    facts = machine.measured_facts(1)
    assert facts["read_bytes"] == 1 << 22
    assert min(facts["peak_gops"], facts["read_gb_s"]) > 0
    assert machine.measured_facts(1) is facts
    machine.measured_facts.cache_clear()


def test_nothing_is_measured_in_plain_python(monkeypatch):
    machine.measured_facts.cache_clear()
    monkeypatch.setenv("WORKBENCH_KERNELS", "python")
    facts = machine.measured_facts(1)
    assert facts["peak_gops"] is facts["read_gb_s"] is None
    machine.measured_facts.cache_clear()


def test_memory_buffer_is_beyond_the_cache_and_fits_the_memory():
    size = machine.memory_buffer_bytes()
    assert size <= psutil.virtual_memory().total // 8
    assert size > (machine.machine_facts()["l2_bytes"] or 0)


def test_refusals():
    with pytest.raises(WorkbenchError, match="threads=0 is not allowed"):
        machine.measured_facts(0)
    with pytest.raises(WorkbenchError, match="nbytes=4 is not allowed"):
        machine.read_gb_s(4)
