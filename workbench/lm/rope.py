"""Rotary positions: pairs of a head's numbers turned by an angle that grows with the position.

Pair i of a head of `head_dim` numbers turns by position * base ** (-2 i / head_dim) radians, so
that the product of a query and a key depends only on how far apart the two are (Su et al. 2021,
arXiv:2104.09864).
"""

import numpy as np
from jaxtyping import Float32

from workbench.lm.config import RopeOrder


def tables(
    positions: np.ndarray,
    head_dim: int,
    base: float = 10000.0,
    factors: tuple[float, ...] | None = None,
) -> tuple[Float32[np.ndarray, "tokens pairs"], Float32[np.ndarray, "tokens pairs"]]:
    """Cosines and sines of the angles at `positions`, computed in float64.

    Parameters
    ----------
    positions : int array (tokens,)
    head_dim : int
        Numbers a head has; even.
    base : float
    factors : head_dim / 2 numbers, optional
        Angle i is divided by factor i (long-context models; linear scaling is a constant factor).

    Examples
    --------
    >>> import numpy as np
    >>> cos, sin = tables(np.array([0, 1]), head_dim=4, base=100.0)
    >>> sin.round(3)
    array([[0.   , 0.   ],
           [0.841, 0.1  ]], dtype=float32)
    """
    turn = float(base) ** (-np.arange(0, head_dim, 2) / head_dim)  # radians a position, a pair
    if factors is not None:
        turn = turn / np.asarray(factors, np.float64)
    angles = np.asarray(positions, np.float64)[:, None] * turn
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def rotate(
    x: Float32[np.ndarray, "tokens heads head_dim"],
    cos: Float32[np.ndarray, "tokens pairs"],
    sin: Float32[np.ndarray, "tokens pairs"],
    order: RopeOrder,
) -> Float32[np.ndarray, "tokens heads head_dim"]:
    """Turn each pair of each head by the angle of its token.

    Parameters
    ----------
    x : float32 array (tokens, heads, head_dim)
    cos, sin : float32 arrays (tokens, head_dim / 2), of `tables`
    order : {"interleaved", "halves"}
        Pair i is (2 i, 2 i + 1), as in llama's GGUF files, or (i, i + head_dim / 2), as in
        bitnet's.

    Returns
    -------
    float32 array (tokens, heads, head_dim), C-contiguous
    """
    cos, sin = cos[:, None, :], sin[:, None, :]
    if order == "interleaved":
        left, right = np.s_[..., 0::2], np.s_[..., 1::2]
    else:
        half = x.shape[-1] // 2
        left, right = np.s_[..., :half], np.s_[..., half:]
    a, b = x[left], x[right]
    turned = np.empty(x.shape, np.float32)
    turned[left] = a * cos - b * sin
    turned[right] = a * sin + b * cos
    return turned
