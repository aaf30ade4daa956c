"""The compiled product loops hold the instructions that make them fast, and nothing is spilled."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from workbench import kernels

# products in the longest inner loop of each kernel
PRODUCTS = {"planar": 16, "planar_tiles": 16, "base3": 12, "base3_tiles": 24}
JUMP = re.compile(r"^\s*([0-9a-f]+):\s+j[a-z]+\s+([0-9a-f]+)")


def cpu_flags():
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    match = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return set(match[1].split()) if match else set()


@pytest.fixture(scope="module")
def native():
    facts = kernels.build_facts()
    if shutil.which("objdump") is None:
        pytest.skip("objdump is not installed")
    if "avx512_vnni" not in cpu_flags():
        pytest.skip("this CPU has no AVX512-VNNI")
    if "-march=native" not in facts.get("flags", []) or "g++" not in facts["compiler"]:
        pytest.skip("the kernels were not built by g++ for this CPU")


def loops(name):
    """Instructions of every inner loop: from a backward jump's target to the jump."""
    command = ["objdump", "-d", "--no-show-raw-insn", kernels.load(name).__file__]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    place = {}
    for number, line in enumerate(lines):
        address = line.partition(":")[0].strip()
        place.setdefault(address, number)
        jump = JUMP.match(line)
        if jump and int(jump[2], 16) < int(jump[1], 16) and jump[2] in place:
            yield lines[place[jump[2]] : number + 1]


@pytest.mark.parametrize("name", PRODUCTS)
def test_inner_loop_multiplies_64_bytes_at_once(name, native):
    body = max(
        (loop for loop in loops(name) if len(loop) < 100),
        key=lambda loop: sum("vpdpbusd" in line and "zmm" in line for line in loop),
    )
    products = [line for line in body if re.search(r"\bvpdp", line)]
    assert len(products) == PRODUCTS[name], "\n".join(body)
    assert all("vpdpbusd" in line and "zmm" in line for line in products), "\n".join(body)


@pytest.mark.parametrize("name", ["planar", "planar_tiles", "base3"])
def test_no_sum_is_kept_in_memory(name, native):
    for loop in loops(name):
        if len(loop) < 100 and any("vpdpbusd" in line and "zmm" in line for line in loop):
            stores = [line for line in loop if re.search(r"vmov\S+\s+%zmm\d+,.*\(", line)]
            assert not stores, "\n".join(loop)


def test_a_lookup_of_32_tokens_is_one_addition_from_memory(native):
    """Nothing is compared or computed beside: eight additions of entries and one of the sums."""
    body = max(
        (loop for loop in loops("lut_tokens") if len(loop) < 100),
        key=lambda loop: sum("vpaddw" in line and "zmm" in line for line in loop),
    )
    additions = [line for line in body if "vpaddw" in line and "zmm" in line]
    assert len(additions) == 8, "\n".join(body)
    assert len(body) < 60, "\n".join(body)


def test_a_lookup_of_one_token_is_two_loads_and_an_addition(native):
    reads = re.compile(r"movswl .*\(%r\w+,%r\w+,8\)")
    body = max(
        (loop for loop in loops("lut_vector") if len(loop) < 100),
        key=lambda loop: sum(bool(reads.search(line)) for line in loop),
    )
    assert sum(bool(reads.search(line)) for line in body) == 8, "\n".join(body)
    assert len(body) < 45, "\n".join(body)
