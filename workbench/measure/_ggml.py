"""ggml through ctypes: the few functions of llama-cpp-python's libraries that the peers need."""

import ctypes
import importlib.metadata
import importlib.util
import subprocess
import sys
from ctypes import POINTER, c_bool, c_char_p, c_int, c_int64, c_size_t, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

VERSION = "0.3.36"  # of llama-cpp-python; the structures below are those of the ggml in it


@dataclass(frozen=True)
class PeerType:
    """One of ggml's weight types.

    Attributes
    ----------
    number : int
        ggml's own.
    block : int
        The number of columns must be a multiple of it.
    activations : str
        The type in which its dot product takes the other side.
    repacks : bool
        Whether ggml rearranges such weights for faster products, as llama.cpp does on loading.
    """

    number: int
    block: int
    activations: str
    repacks: bool = False


TYPES = {
    "TQ2_0": PeerType(35, 256, "q8_K"),
    "TQ1_0": PeerType(34, 256, "q8_K"),
    "Q4_0": PeerType(2, 32, "q8_0", repacks=True),
    "Q8_0": PeerType(8, 32, "q8_0"),
}
ACTIVATIONS = {"q8_K": 15, "q8_0": 8}  # numbers of those types


class InitParams(ctypes.Structure):
    """struct ggml_init_params."""

    _fields_ = (("mem_size", c_size_t), ("mem_buffer", c_void_p), ("no_alloc", c_bool))


class Plan(ctypes.Structure):
    """struct ggml_cplan."""

    _fields_ = (
        ("work_size", c_size_t),
        ("work_data", c_void_p),
        ("n_threads", c_int),
        ("threadpool", c_void_p),
        ("abort_callback", c_void_p),
        ("abort_callback_data", c_void_p),
        ("use_ref", c_bool),
    )


# name: (result, *arguments)
BASE = {
    "ggml_backend_alloc_ctx_tensors_from_buft": (c_void_p, c_void_p, c_void_p),
    "ggml_backend_buffer_free": (None, c_void_p),
    "ggml_backend_buft_name": (c_char_p, c_void_p),
    "ggml_backend_reg_dev_get": (c_void_p, c_void_p, c_size_t),
    "ggml_backend_reg_get_proc_address": (c_void_p, c_void_p, c_char_p),
    "ggml_backend_tensor_set": (None, c_void_p, c_void_p, c_size_t, c_size_t),
    "ggml_build_forward_expand": (None, c_void_p, c_void_p),
    "ggml_free": (None, c_void_p),
    "ggml_get_data": (c_void_p, c_void_p),
    "ggml_graph_overhead": (c_size_t,),
    "ggml_init": (c_void_p, InitParams),
    "ggml_log_set": (None, c_void_p, c_void_p),
    "ggml_mul_mat": (c_void_p, c_void_p, c_void_p, c_void_p),
    "ggml_new_graph": (c_void_p, c_void_p),
    "ggml_new_tensor_2d": (c_void_p, c_void_p, c_int, c_int64, c_int64),
    "ggml_quantize_chunk": (
        *(c_size_t, c_int, c_void_p, c_void_p),
        *(c_int64, c_int64, c_int64, c_void_p),
    ),
    "ggml_row_size": (c_size_t, c_int, c_int64),
    "ggml_tensor_overhead": (c_size_t,),
    **{f"dequantize_row_{kind.lower()}": (None, c_void_p, c_void_p, c_int64) for kind in TYPES},
    "dequantize_row_q4_K": (None, c_void_p, c_void_p, c_int64),
}
CPU = {
    "ggml_backend_cpu_reg": (c_void_p,),
    "ggml_cpu_init": (None,),
    "ggml_graph_compute": (c_int, c_void_p, POINTER(Plan)),
    "ggml_graph_plan": (Plan, c_void_p, c_int, c_void_p),
    **{f"quantize_row_{symbol}": (None, c_void_p, c_void_p, c_int64) for symbol in ACTIVATIONS},
    **{
        f"ggml_vec_dot_{kind.lower()}_{TYPES[kind].activations}": (
            *(None, c_int, c_void_p, c_size_t, c_void_p),
            *(c_size_t, c_void_p, c_size_t, c_int),
        )
        for kind in TYPES
    },
}
LogCallback = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)


@LogCallback
def _silent(level, text, data):
    """Repacking announces every tensor on standard error."""


@cache
def unavailable() -> str:
    """Why llama.cpp's kernels cannot be used here; empty where they can."""
    try:
        version = importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return "llama-cpp-python is not installed (docs/peers.md says how to build it)"
    if version != VERSION:
        return f"llama-cpp-python is {version}, but only {VERSION} is known to fit"
    if _library_file("ggml-base") is None or _library_file("ggml-cpu") is None:
        return "llama-cpp-python came without its ggml libraries"
    # a build for another CPU ends its process with an illegal instruction: let it be another one
    trial = subprocess.run([sys.executable, "-m", __name__], capture_output=True)
    if trial.returncode:
        return f"llama-cpp-python's libraries do not run on this CPU (exit {trial.returncode})"
    return ""


@cache
def library() -> SimpleNamespace:
    """The functions of the tables above."""
    base = ctypes.CDLL(_library_file("ggml-base"), mode=ctypes.RTLD_GLOBAL)
    cpu = ctypes.CDLL(_library_file("ggml-cpu"))
    functions = SimpleNamespace()
    for source, table in ((base, BASE), (cpu, CPU)):
        for name, (result, *arguments) in table.items():
            function = getattr(source, name)
            function.restype, function.argtypes = result, arguments
            setattr(functions, name, function)
    functions.ggml_log_set(ctypes.cast(_silent, c_void_p), None)
    functions.ggml_cpu_init()
    return functions


def vec_dot(kind: str):
    """The function that multiplies one row of `kind` with one row of activations."""
    return getattr(library(), f"ggml_vec_dot_{kind.lower()}_{TYPES[kind].activations}")


@cache
def repacking_buffer_type() -> int:
    """Address of ggml's buffer type that rearranges weights for its fastest products; 0: none."""
    ggml = library()
    registry = ggml.ggml_backend_cpu_reg()
    address = ggml.ggml_backend_reg_get_proc_address(registry, b"ggml_backend_dev_get_extra_bufts")
    if not address:
        return 0
    listing = ctypes.CFUNCTYPE(POINTER(c_void_p), c_void_p)(address)
    types = listing(ggml.ggml_backend_reg_dev_get(registry, 0))
    index = 0
    while types[index]:
        if ggml.ggml_backend_buft_name(types[index]) == b"CPU_REPACK":
            return types[index]
        index += 1
    return 0


def _library_file(name):
    package = importlib.util.find_spec("llama_cpp")
    folder = Path(package.origin).parent / "lib"
    for pattern in (f"lib{name}.so", f"lib{name}.dylib"):
        if (folder / pattern).exists():
            return str(folder / pattern)
    return None


def _trial():
    """One dot product of every type: ends the process if this CPU cannot run it."""
    room = (ctypes.c_char * 4096)()  # of zeros, and more than 256 values take in any type
    for kind in TYPES:
        vec_dot(kind)(256, ctypes.addressof(room), 0, room, 0, room, 0, 1)


if __name__ == "__main__":
    _trial()
