"""What this machine is, and what it can do at most: the facts that every stored number carries."""

import platform
import sys
from functools import cache
from pathlib import Path

import cpuinfo
import numpy as np
import psutil
from threadpoolctl import threadpool_info

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.measure.timing import time_call

# instruction sets that matter to these kernels, by the names that Linux gives them
FEATURES = {
    *("ssse3", "avx", "avx2", "fma", "f16c", "bmi2", "avx_vnni"),
    *("avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_vbmi", "avx512vbmi"),
    *("avx512_bf16", "avx512_fp16", "amx_int8", "amx_tile"),
    *("asimd", "neon", "asimddp", "i8mm", "sve", "sve2", "sme", "rvv"),
}
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
LENGTH = 8192  # a row of the peak's tile: long beside the sum at its end, short beside L1
TILE_OPERATIONS = 2 * 16 * LENGTH
BUFFER_LEAST, BUFFER_MOST = 1 << 28, 1 << 31  # bytes read to find the bandwidth of memory


@cache
def machine_facts() -> dict:
    """Processor, memory, software, and how the kernels were compiled; JSON values, flat.

    Returns
    -------
    dict
        cpu, features, cores (physical, or None), threads (that this process may use), l1d_bytes,
        l2_bytes, l3_bytes (None where unknown), ram_bytes, os, python, numpy, blas, pythran,
        compiler, flags, kernels ("compiled", or the names of those that are not).
    """
    name, flags = _processor()
    build = kernels.build_facts()
    plain = [kernel for kernel in kernels.names() if not kernels.status(kernel).compiled]
    np.ones((2, 2)) @ np.ones((2, 2))  # so that BLAS is loaded, and listed
    blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return {
        "cpu": name,
        "features": " ".join(sorted(FEATURES & flags)),
        "cores": psutil.cpu_count(logical=False),
        "threads": kernels.cores(),
        **_caches(),
        "ram_bytes": psutil.virtual_memory().total,
        "os": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": " ".join(f"{pool['internal_api']} {pool['version']}" for pool in blas) or None,
        "pythran": build.get("pythran"),
        "compiler": build.get("compiler"),
        "flags": " ".join(build["flags"]) if build else None,
        "kernels": f"not compiled: {', '.join(plain)}" if plain else "compiled",
    }


def summary() -> str:
    """The facts that a stored number needs most, on one line."""
    facts = machine_facts()
    return (
        f"{facts['cpu']} ({facts['features']}), {facts['threads']} threads; {facts['os']}; "
        f"Python {facts['python']}, NumPy {facts['numpy']} with {facts['blas']}; "
        f"Pythran {facts['pythran']}, {facts['compiler']}, {facts['flags']}; "
        f"kernels {facts['kernels']}"
    )


@cache
def measured_facts(threads: int = 1) -> dict:
    """The two ceilings, measured when first asked for; about two seconds.

    Parameters
    ----------
    threads : int

    Returns
    -------
    dict
        measured_threads, peak_gops (10^9 operations a second of u8 x s8 multiply-adds in L1; an
        addition and a multiplication are two), read_gb_s (10^9 bytes a second from memory),
        read_bytes (the size of the buffer that was read). The last three are None where the
        kernels are not compiled: plain Python would show nothing of the machine.
    """
    check_threads(threads)
    if not kernels.status("peak").compiled:
        unmeasured = dict.fromkeys(("peak_gops", "read_gb_s", "read_bytes"))
        return {"measured_threads": threads, **unmeasured}
    nbytes = memory_buffer_bytes()
    return {
        "measured_threads": threads,
        "peak_gops": peak_gops(threads),
        "read_gb_s": read_gb_s(nbytes, threads),
        "read_bytes": nbytes,
    }


def peak_gops(threads: int = 1, seconds: float = 0.3) -> float:
    """10^9 operations a second of the best sample of `multiply_adds`."""
    repeats = 400  # a tenth of a millisecond a call
    timing = time_call(multiply_adds(repeats, threads), threads=threads, seconds=seconds)
    return TILE_OPERATIONS * repeats * threads / timing.min_s / 1e9


def multiply_adds(repeats: int, threads: int = 1):
    """A call that makes `repeats` * TILE_OPERATIONS operations on each thread, out of L1."""
    check_threads(threads)
    kernel = kernels.load("peak")
    u = aligned(LENGTH + 320)
    x = aligned(LENGTH + 320).view(np.int8)
    u[:] = np.arange(len(u)) % 3
    x[:] = np.arange(len(x)) % 255 - 127
    out = np.zeros((threads, 16), np.int32)
    return lambda: kernel.multiply_add(u, x, repeats, out)


def read_gb_s(nbytes: int, threads: int = 1, seconds: float = 0.5) -> float:
    """10^9 bytes a second at which a buffer of this size is read again and again.

    Small buffers give the speed of the cache that they fit in.
    """
    timing = time_call(reads(nbytes, threads), threads=threads, seconds=seconds)
    return nbytes // 8 * 8 / timing.min_s / 1e9


def reads(nbytes: int, threads: int = 1):
    """A call that reads a buffer of this size once, in whole words of eight bytes."""
    check_threads(threads)
    if nbytes < 8:
        raise WorkbenchError(f"nbytes={nbytes} is not allowed: it is a whole number from 8 up")
    kernel = kernels.load("peak")
    data = np.ones(nbytes // 8, np.uint64)  # written, so that every page exists
    out = np.zeros(threads, np.uint64)
    return lambda: kernel.read(data, threads, out)


def memory_buffer_bytes() -> int:
    """A size well beyond the caches: twice the last one, within 1/8 of the memory and 2 GiB."""
    caches = _caches()
    last = caches["l3_bytes"] or caches["l2_bytes"] or 0
    size = min(max(2 * last, BUFFER_LEAST), BUFFER_MOST)
    return min(size, psutil.virtual_memory().available // 8)


def check_threads(threads: int) -> None:
    """Refuse what is no number of threads."""
    if threads < 1:
        raise WorkbenchError(f"threads={threads} is not allowed: it is a whole number from 1 up")


def aligned(size: int, alignment: int = 64) -> np.ndarray:
    """`size` bytes that begin on a cache line."""
    room = np.empty(size + alignment, np.uint8)
    start = -room.ctypes.data % alignment
    return room[start : start + size]


def _processor():
    """Name and set of flags; from Linux where it tells both, since cpuinfo takes a second."""
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        fields = {}
        for line in lines:
            key, _, value = line.partition(":")
            fields[key.strip()] = value.strip()
        if "model name" in fields and "flags" in fields:
            return fields["model name"], set(fields["flags"].split())
    found = cpuinfo.get_cpu_info()
    return found.get("brand_raw", platform.processor()), set(found.get("flags", ()))


@cache
def _caches():
    sizes = {"l1d_bytes": None, "l2_bytes": None, "l3_bytes": None}
    folders = sorted(CACHES.glob("index*"))
    for folder in folders:
        kind, level = ((folder / name).read_text().strip() for name in ("type", "level"))
        key = {"Data": "l1d_bytes"}.get(kind) if level == "1" else f"l{level}_bytes"
        if key in sizes:
            size = (folder / "size").read_text().strip()  # as 48K
            sizes[key] = int(size[:-1]) * {"K": 2**10, "M": 2**20}[size[-1]]
    if not folders:
        found = cpuinfo.get_cpu_info()
        for key, name in zip(
            sizes, ("l1_data_cache_size", "l2_cache_size", "l3_cache_size"), strict=True
        ):
            size = found.get(name)
            sizes[key] = size if isinstance(size, int) else None
    return sizes
