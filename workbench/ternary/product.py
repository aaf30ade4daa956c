"""Products of packed ternary matrices with int8 activations: exact integers, scaled at the end."""

import numpy as np
from jaxtyping import Float32, Int8, Int32

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.ternary.packing import ROWS_PER_BYTE, Packed, aligned_bytes

VECTOR = 64  # bytes; kernels read activations up to a multiple of it, and rows into the next one
TILE = 4  # tokens that the kernels *_tiles take at a time
MAX_COLS = 65_793  # the kernels add up to 255 * 128 a column, in 32 bits with a sign
PARALLEL_FROM = 1 << 19  # multiplications below which a second thread costs more than it saves


def quantize_activations(
    x: np.ndarray,
) -> tuple[Int8[np.ndarray, "tokens cols"], Float32[np.ndarray, " tokens"]]:
    """Round activations to int8 with one step a token, as BitNet b1.58 does.

    Parameters
    ----------
    x : float array (tokens, cols)

    Returns
    -------
    q : int8 array (tokens, cols)
        Round half to even of x * 127 / peak, from -127 to 127; peak = max(max |x|, 1e-5).
    step : float32 array (tokens,)
        peak / 127, so that x is about q * step.

    Raises
    ------
    TypeError
        `x` is not an array of floats.
    WorkbenchError
        It is not two-dimensional, or holds NaN or infinity.

    Examples
    --------
    >>> q, step = quantize_activations(np.array([[0.0, 2.54, -1.0]], np.float32))
    >>> q, step
    (array([[  0, 127, -50]], dtype=int8), array([0.02], dtype=float32))
    """
    x = np.asarray(x)
    if x.ndim != 2:
        raise WorkbenchError(f"x has shape {x.shape}, but must have two axes (tokens, cols)")
    q, step, _ = _rounded(x)
    return np.ascontiguousarray(q[:, : x.shape[1]]), step


def matmul(packed: Packed, x: np.ndarray, threads: int = 1) -> Int32[np.ndarray, "rows ..."]:
    """``unpack(packed) @ x``, exact.

    Parameters
    ----------
    packed : Packed (rows, cols)
    x : int8 array (cols,) or (cols, tokens)
    threads : int
        At most so many; small products use one.

    Returns
    -------
    int32 array (rows,) or (rows, tokens)

    Raises
    ------
    TypeError
        `x` is not int8.
    WorkbenchError
        Its shape does not fit, threads is not positive, or the matrix has more than 65,793
        columns, beyond which 32 bits could overflow.

    Examples
    --------
    >>> from workbench.ternary import pack
    >>> matmul(pack(np.array([[1, 0, -1], [1, 1, 1]])), np.array([100, 20, 3], np.int8))
    array([ 97, 123], dtype=int32)
    """
    x = np.asarray(x)
    if x.ndim not in (1, 2) or x.shape[0] != packed.shape[1]:
        raise WorkbenchError(
            f"x has shape {x.shape}, but this matrix takes ({packed.shape[1]},) or "
            f"({packed.shape[1]}, tokens)"
        )
    if x.ndim == 1:
        return matmul_tokens(packed, x.reshape(1, -1), threads)[0]
    return np.ascontiguousarray(matmul_tokens(packed, x.T, threads).T)


def matmul_tokens(
    packed: Packed, x: Int8[np.ndarray, "tokens cols"], threads: int = 1
) -> Int32[np.ndarray, "tokens rows"]:
    """``x @ unpack(packed).T``, exact: `matmul` with the tokens first, as the kernels want them."""
    if x.dtype != np.int8:
        raise TypeError(f"x is {x.dtype}, but must be int8")
    _check_tokens(packed, x)
    y = _sums(packed, *_padded(x), threads)
    return y if y.shape[1] == packed.shape[0] else np.ascontiguousarray(y[:, : packed.shape[0]])


def linear(
    packed: Packed,
    scales: Float32[np.ndarray, "scale_rows groups"],
    x: np.ndarray,
    threads: int = 1,
    group: int | None = None,
) -> Float32[np.ndarray, "tokens rows"]:
    """``x @ (unpack(packed) * scales).T`` in float32.

    Parameters
    ----------
    packed : Packed (rows, cols)
    scales : float32 array (1, 1), (rows, 1) or (rows, ceil(cols / group))
    x : float or int8 array (tokens, cols)
        Floats are rounded to int8 first, with one step a token (`quantize_activations`).
    threads : int
        At most so many; small products use one.
    group : int or None
        Neighbouring columns that share a scale; None: a whole row does.

    Returns
    -------
    float32 array (tokens, rows)
        The integer sums (of a row, or of each group) are exact; what follows is float32.

    Raises
    ------
    TypeError
        `x` is neither int8 nor float.
    WorkbenchError
        A shape does not fit, `x` holds NaN or infinity, or as for `matmul`.
    """
    rows, cols = packed.shape
    _check_tokens(packed, x)
    _check_scales(packed, scales, group)
    if x.dtype == np.int8:
        q, total = _padded(x)
        step = np.ones(len(x), np.float32)
    else:
        q, step, total = _rounded(x)
    y = np.empty((len(x), rows), np.float32)
    if group is None:
        sums = _sums(packed, q, total, threads)
        each = scales.reshape(-1) if len(scales) == rows else np.repeat(scales, rows)
        kernels.load("activations").rescale(sums, step, each, y)
        return y
    threads = _worthwhile(packed, len(x), threads)
    kernels.load(f"{packed.layout}_groups").matmul(
        packed.data.reshape(-1), np.ascontiguousarray(q[:, :cols]), step, scales, y, group, threads
    )
    return y


def _check_tokens(packed, x):
    cols = packed.shape[1]
    if x.ndim != 2 or x.shape[1] != cols:
        raise WorkbenchError(f"x has shape {x.shape}, but must have (tokens, {cols})")
    if cols > MAX_COLS:
        raise WorkbenchError(
            f"the matrix has {cols} columns, but sums of more than {MAX_COLS} could overflow"
        )


def _check_scales(packed, scales, group):
    rows, cols = packed.shape
    if group is None:
        expected = {(rows, 1), (1, 1)}
    elif isinstance(group, int | np.integer) and group > 0:
        expected = {(rows, -(-cols // group))}
    else:
        raise WorkbenchError(f"group={group!r} is not allowed: it is a whole number from 1 up")
    if scales.shape not in expected:
        allowed = " or ".join(map(str, sorted(expected, reverse=True)))
        raise WorkbenchError(
            f"scales have shape {scales.shape}, but must have {allowed} for a {rows} x {cols} "
            f"matrix with group={group}"
        )
    if scales.dtype != np.float32 or not scales.flags.c_contiguous:
        raise TypeError(f"scales are {scales.dtype}, but must be contiguous float32")


def _rounded(x):
    """int8 (tokens, width) with zeros from cols up to a whole vector, steps, and row sums."""
    if x.dtype.kind != "f":
        raise TypeError(f"x is {x.dtype}, but must be a float type")
    if x.dtype != np.float32:
        with np.errstate(over="ignore"):  # what float64 holds and float32 cannot is refused below
            x = x.astype(np.float32)
    x = np.ascontiguousarray(x)
    q = _vectors(*x.shape)
    step = np.empty(len(x), np.float32)
    total = np.empty(len(x), np.int32)
    if not kernels.load("activations").quantize_tokens(x, q, step, total):
        raise WorkbenchError("x holds NaN or infinity; activations must be finite in float32")
    return q, step, total


def _padded(x):
    """The int8 activations with zeros from cols up to a whole vector, and row sums."""
    tokens, cols = x.shape
    if tokens < TILE and cols % VECTOR == 0:
        q = np.ascontiguousarray(x)
    else:
        q = _vectors(tokens, cols)
        q[:, :cols] = x
        q[:, cols:] = 0
    total = np.empty(tokens, np.int32)
    kernels.load("activations").total_tokens(q, total)
    return q, total


def _vectors(tokens, cols):
    """Room for int8 activations in whole vectors; aligned where tiles read them again and again."""
    shape = tokens, cols + -cols % VECTOR
    return np.empty(shape, np.int8) if tokens < TILE else aligned_bytes(shape, np.int8)


def _sums(packed, q, total, threads):
    """Exact product (tokens, rows), with rows up to a whole byte."""
    threads = _worthwhile(packed, len(q), threads)
    y = np.empty((len(q), len(packed.data) * ROWS_PER_BYTE[packed.layout]), np.int32)
    data = packed.data.reshape(-1)
    single = kernels.load(packed.layout)
    tiled = len(q) - len(q) % TILE
    if not tiled:
        single.matmul(data, q, total, y, threads)
        return y
    tiles = kernels.load(f"{packed.layout}_tiles")
    tiles.matmul(data, q[:tiled], total[:tiled], y[:tiled], threads)
    if tiled < len(q):
        single.matmul(data, q[tiled:], total[tiled:], y[tiled:], threads)
    return y


def _worthwhile(packed, tokens, threads):
    """The threads that a product of this size keeps busy."""
    if not isinstance(threads, int | np.integer) or threads < 1:
        raise WorkbenchError(f"threads={threads!r} is not allowed: it is a whole number from 1 up")
    return threads if packed.shape[0] * packed.shape[1] * tokens >= PARALLEL_FROM else 1
