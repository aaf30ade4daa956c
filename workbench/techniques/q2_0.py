"""Q2_0 of llama.cpp: 2.25 bits a weight, four codes a byte, a float16 scale for 64."""

from workbench.techniques._blocks import TernaryFormat


class Q2_0(TernaryFormat, id="q2_0"):  # noqa: N801 (llama.cpp's name)
    """2.25 bits a weight in llama.cpp's layout: four codes a byte, a float16 scale for 64.

    Parameters
    ----------
    rounding : {"optimal", "absmean", "amax"}
        How weights that are not ternary become so, a block at a time: least squared error;
        BitNet b1.58's mean magnitude; or llama.cpp's own rule, whose scale is the largest
        magnitude and whose threshold is half of it. On weights that are ternary already, with one
        magnitude a block, "optimal" and "amax" agree and lose only the scale's float16 rounding.

    Notes
    -----
    `blocks` has shape (rows, 18 * ceil(cols / 64)); a row whose length is no multiple of 64
    is filled up with zeros, whose bytes count. A block of 64 weights, u = trit + 1::

        bytes 0, 1      scale, float16
        bytes 2 to 17   bits 2 n and 2 n + 1 of byte 2 + j: weight 4 j + n

    The code 3 would be +2 times the scale; neither llama.cpp's encoder nor this one writes it.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> encoded = wb.technique("q2_0").encode(np.array([[0.75, 0.0, -0.75, 0.75]]))
    >>> encoded.arrays["blocks"].shape
    (1, 18)
    >>> encoded.decode()
    array([[ 0.75,  0.  , -0.75,  0.75]], dtype=float32)
    """

    block = "Q2_0"
