"""Products of packed ternary matrices with int8 activations: exact integers, scaled at the end."""

import numpy as np
from jaxtyping import Float32, Int8, Int32

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.ternary.packing import Packed

MAX_COLS = 65_793  # the kernels add up to 255 * 128 a column in 32 bits with a sign
PARALLEL_FROM = 1 << 20  # multiplications below which a second thread costs more than it saves


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
        Round half to even of x / step, from -127 to 127.
    step : float32 array (tokens,)
        max(max |x|, 1e-5) / 127; x is about q * step.

    Raises
    ------
    TypeError
        `x` is not an array of floats.
    WorkbenchError
        It is not two-dimensional, or holds NaN or infinity.
    """
    x = np.asarray(x)
    if x.dtype.kind != "f":
        raise TypeError(f"x is {x.dtype}, but must be a float type")
    if x.ndim != 2:
        raise WorkbenchError(f"x has shape {x.shape}, but must have two axes (tokens, cols)")
    x = np.ascontiguousarray(x, dtype=np.float32)
    if not np.isfinite(x).all():
        raise WorkbenchError("x holds NaN or infinity; activations must be finite")
    q = np.empty(x.shape, np.int8)
    step = np.empty(len(x), np.float32)
    kernels.load("activations").quantize_tokens(x, q, step)
    return q, step


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
    """
    x = np.asarray(x)
    if x.ndim not in (1, 2) or x.shape[0] != packed.shape[1]:
        raise WorkbenchError(
            f"x has shape {x.shape}, but this matrix takes ({packed.shape[1]},) or "
            f"({packed.shape[1]}, tokens)"
        )
    y = matmul_tokens(packed, np.ascontiguousarray(x.reshape(len(x), -1).T), threads)
    return y[0] if x.ndim == 1 else np.ascontiguousarray(y.T)


def matmul_tokens(
    packed: Packed, x: Int8[np.ndarray, "tokens cols"], threads: int = 1
) -> Int32[np.ndarray, "tokens rows"]:
    """``x @ unpack(packed).T``, exact: `matmul` with the tokens first, as the kernels want them."""
    rows, cols = packed.shape
    if x.dtype != np.int8:
        raise TypeError(f"x is {x.dtype}, but must be int8")
    if x.ndim != 2 or x.shape[1] != cols:
        raise WorkbenchError(f"x has shape {x.shape}, but this matrix takes (tokens, {cols})")
    if cols > MAX_COLS:
        raise WorkbenchError(
            f"the matrix has {cols} columns, but sums of more than {MAX_COLS} could overflow"
        )
    if threads < 1:
        raise WorkbenchError(f"threads={threads} is not allowed: it is a whole number from 1 up")
    if rows * cols * len(x) < PARALLEL_FROM:
        threads = 1
    y = np.empty((len(x), rows), np.int32)
    kernels.load(packed.layout).matmul(packed.data, np.ascontiguousarray(x), y, threads)
    return y


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
    group : int or None
        Neighbouring columns that share a scale; None: a whole row does.

    Returns
    -------
    float32 array (tokens, rows)
    """
    rows, cols = packed.shape
    expected = {(1, 1), (rows, 1)} if group is None else {(rows, -(-cols // group))}
    if scales.shape not in expected:
        allowed = " or ".join(map(str, sorted(expected)))
        raise WorkbenchError(
            f"scales have shape {scales.shape}, but a {rows} x {cols} matrix with group={group} "
            f"takes {allowed}"
        )
    if x.dtype == np.int8:
        step = np.ones(len(x), np.float32)
    else:
        x, step = quantize_activations(x)
    if group is None:
        return matmul_tokens(packed, x, threads) * (step[:, None] * scales.T)
    y = np.zeros((len(x), rows), np.float32)
    for g in range(scales.shape[1]):
        part = slice(g * group, (g + 1) * group)
        codes = Packed(
            packed.data[:, part], (rows, min(cols, part.stop) - part.start), packed.layout
        )
        y += matmul_tokens(codes, x[:, part], threads) * scales[:, g]
    return y * step[:, None]
