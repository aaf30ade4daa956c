"""TQ2_0 of llama.cpp: 2.0625 bits a weight, four trits a byte, a float16 scale for 256."""

from workbench.techniques._blocks import TernaryFormat


class TQ2_0(TernaryFormat, id="tq2_0"):  # noqa: N801 (llama.cpp's name)
    """2.0625 bits a weight in llama.cpp's layout: four trits a byte, a float16 scale for 256.

    Parameters
    ----------
    rounding : {"optimal", "absmean", "amax"}
        How weights that are not ternary become so, a block at a time: least squared error;
        BitNet b1.58's mean magnitude; or llama.cpp's own rule, whose scale is the largest
        magnitude and whose threshold is half of it. On weights that are ternary already, with one
        magnitude a block, "optimal" and "amax" agree and lose only the scale's float16 rounding.

    Notes
    -----
    `blocks` has shape (rows, 66 * ceil(cols / 256)); a row whose length is no multiple of 256
    is filled up with zeros, whose bytes count. A block of 256 weights, u = trit + 1::

        bytes 0 to 63   bits 2 n and 2 n + 1 of byte 32 h + j: weight 128 h + 32 n + j
        bytes 64, 65    scale, float16

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> encoded = wb.technique("tq2_0").encode(np.array([[0.75, 0.0, -0.75, 0.75]]))
    >>> encoded.arrays["blocks"].shape
    (1, 66)
    >>> encoded.decode()
    array([[ 0.75,  0.  , -0.75,  0.75]], dtype=float32)
    """

    block = "TQ2_0"
