"""llama.cpp's kernels, to race ours against; there where llama-cpp-python is installed.

Two ways to a product are offered, since either can be the faster: a compiled loop that calls the
type's `vec_dot` for each row and token, and ggml's own graph with one `mul_mat`, which has better
paths for some types. Both get the activations quantized beforehand and use the given threads.
"""

import ctypes
import weakref
from collections.abc import Callable
from ctypes import byref, c_void_p
from typing import Literal

import numpy as np
from jaxtyping import Float32

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.measure import _ggml
from workbench.measure._ggml import ACTIVATIONS, TYPES
from workbench.validation import checked_weights

F32 = 0  # ggml's number of the type
ALIGNMENT = 64
Way = Literal["vec_dot", "mul_mat", "mul_mat repacked"]


def available() -> bool:
    """Whether llama.cpp's kernels are here and run; `unavailable` says why not."""
    return not _ggml.unavailable()


def unavailable() -> str:
    """Why llama.cpp's kernels cannot be raced; empty where they can."""
    return _ggml.unavailable()


def ways(kind: str) -> tuple[Way, ...]:
    """The ways to a product that `kind` has."""
    if TYPES[kind].repacks and _ggml.repacking_buffer_type():
        return ("vec_dot", "mul_mat", "mul_mat repacked")
    return ("vec_dot", "mul_mat")


class PeerMatrix:
    """A weight matrix in one of llama.cpp's types.

    Parameters
    ----------
    kind : {"TQ2_0", "TQ1_0", "Q4_0", "Q8_0"}
    weights : float array (rows, cols)
        cols: a multiple of the type's block, 256 or 32. TQ types take the largest magnitude of a
        block as its scale and round the rest to -1, 0, +1 times it.

    Raises
    ------
    WorkbenchError
        llama.cpp is not available, has no such type, or cannot store this shape in it.
    """

    def __init__(self, kind: str, weights: np.ndarray):
        if kind not in TYPES:
            raise WorkbenchError(f"kind={kind!r} is not allowed: it is one of {', '.join(TYPES)}")
        if unavailable():
            raise WorkbenchError(f"llama.cpp cannot be raced: {unavailable()}")
        weights = checked_weights(weights)
        self.kind = kind
        self.shape = weights.shape
        self._type = TYPES[kind]
        rows, cols = weights.shape
        if cols % self._type.block:
            raise WorkbenchError(
                f"weights have {cols} columns, but {kind} needs a multiple of {self._type.block}"
            )
        ggml = _ggml.library()
        self._row_bytes = ggml.ggml_row_size(self._type.number, cols)
        self._bytes = _aligned(rows * self._row_bytes)
        ggml.ggml_quantize_chunk(
            *(self._type.number, weights.ctypes.data, self.address, 0, rows, cols, None)
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the quantized weights."""
        return self._bytes.nbytes

    @property
    def address(self) -> int:
        """Where the quantized weights are."""
        return self._bytes.ctypes.data

    def decode(self) -> Float32[np.ndarray, "rows cols"]:
        """The matrix as llama.cpp reads it."""
        decoded = np.empty(self.shape, np.float32)
        function = getattr(_ggml.library(), f"dequantize_row_{self.kind.lower()}")
        function(self.address, decoded.ctypes.data, decoded.size)
        return decoded

    def quantized(self, x: Float32[np.ndarray, "tokens cols"]) -> np.ndarray:
        """The rows of x in the type that the dot product takes, as bytes."""
        token_bytes = _ggml.library().ggml_row_size(ACTIVATIONS[self._type.activations], x.shape[1])
        quantized = _aligned(len(x) * token_bytes).reshape(len(x), token_bytes)
        function = getattr(_ggml.library(), f"quantize_row_{self._type.activations}")
        for source, target in zip(x, quantized, strict=True):
            function(source.ctypes.data, target.ctypes.data, x.shape[1])
        return quantized

    def product(
        self, x: Float32[np.ndarray, "tokens cols"], way: Way = "vec_dot", threads: int = 1
    ) -> Callable[[], Float32[np.ndarray, "tokens rows"]]:
        """A function that multiplies with x each time it is called, into the same array.

        What depends on x alone is done here: quantizing it, except for "mul_mat repacked",
        whose kernels do that themselves at every call.
        """
        if way not in ways(self.kind):
            raise WorkbenchError(
                f"way={way!r} is not allowed: {self.kind} has {', '.join(ways(self.kind))}"
            )
        x = np.ascontiguousarray(x, np.float32)
        if x.ndim != 2 or x.shape[1] != self.shape[1]:
            raise WorkbenchError(f"x has shape {x.shape}, but must be (tokens, {self.shape[1]})")
        if way == "vec_dot":
            return self._row_by_row(self.quantized(x), threads)
        return _Graph(self, x, way == "mul_mat repacked", threads)

    def _row_by_row(self, quantized, threads):
        rows, cols = self.shape
        result = np.empty((len(quantized), rows), np.float32)
        kernel = kernels.load("foreign_rows").dot_rows
        dot = _dot_argument(_ggml.vec_dot(self.kind))
        arguments = (
            *(np.int32(cols), self.address, self._row_bytes),
            *(quantized.ctypes.data, quantized.shape[1], result.ctypes.data),
            *(rows, len(quantized), threads),
        )

        def call(alive=(self, quantized)):  # the kernel gets bare addresses of their arrays
            kernel(dot, *arguments)
            return result

        return call


class _Graph:
    """One mul_mat as a ggml graph; calling it computes the product."""

    def __init__(self, matrix, x, repacked, threads):
        self._ggml = ggml = _ggml.library()
        rows, cols = matrix.shape
        tokens = len(x)
        size = matrix.nbytes + x.nbytes + 4 * tokens * rows + 8 * ALIGNMENT
        size += 4 * ggml.ggml_tensor_overhead() + ggml.ggml_graph_overhead()
        context = self._context(size, allocates=True)

        # weights
        number = TYPES[matrix.kind].number
        if repacked:
            holder = self._context(2 * ggml.ggml_tensor_overhead(), allocates=False)
            weights = ggml.ggml_new_tensor_2d(holder, number, cols, rows)
            buffer = ggml.ggml_backend_alloc_ctx_tensors_from_buft(
                holder, _ggml.repacking_buffer_type()
            )
            weakref.finalize(self, ggml.ggml_backend_buffer_free, buffer)
            ggml.ggml_backend_tensor_set(weights, matrix.address, 0, matrix.nbytes)
        else:
            weights = ggml.ggml_new_tensor_2d(context, number, cols, rows)
            ctypes.memmove(ggml.ggml_get_data(weights), matrix.address, matrix.nbytes)

        # activations: only the repacked kernels insist on quantizing them themselves
        if repacked:
            number, given = F32, x
        else:
            number, given = ACTIVATIONS[TYPES[matrix.kind].activations], matrix.quantized(x)
        activations = ggml.ggml_new_tensor_2d(context, number, cols, tokens)
        ctypes.memmove(ggml.ggml_get_data(activations), given.ctypes.data, given.nbytes)

        # product
        product = ggml.ggml_mul_mat(context, weights, activations)
        self._graph = ggml.ggml_new_graph(context)
        ggml.ggml_build_forward_expand(self._graph, product)
        self._plan = ggml.ggml_graph_plan(self._graph, threads, None)
        self._work = _aligned(self._plan.work_size)
        self._plan.work_data = self._work.ctypes.data
        floats = ctypes.cast(ggml.ggml_get_data(product), ctypes.POINTER(ctypes.c_float))
        self._result = np.ctypeslib.as_array(floats, (tokens, rows))

    def _context(self, size, allocates):
        """A ggml context of this many bytes, which lives as long as this object."""
        context = self._ggml.ggml_init(_ggml.InitParams(size, None, not allocates))
        if not context:
            raise MemoryError(f"ggml found no {size} bytes")
        weakref.finalize(self, self._ggml.ggml_free, context)
        return context

    def __call__(self):
        status = self._ggml.ggml_graph_compute(self._graph, byref(self._plan))
        if status:
            raise WorkbenchError(f"llama.cpp's product failed with status {status}")
        return self._result


def _dot_argument(function):
    """`function` as the kernel takes it: a capsule if it is compiled, else what Python can call."""
    if not kernels.status("foreign_rows").compiled:
        return function
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype, capsule.argtypes = ctypes.py_object, (c_void_p, c_void_p, c_void_p)
    return capsule(ctypes.cast(function, c_void_p), None, None)


def _aligned(size):
    """`size` bytes that begin on a cache line."""
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size]
