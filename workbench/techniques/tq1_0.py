"""TQ1_0 of llama.cpp: 1.6875 bits a weight, five trits a byte, a float16 scale for 256."""

from workbench.techniques._blocks import TernaryFormat


class TQ1_0(TernaryFormat, id="tq1_0"):  # noqa: N801 (llama.cpp's name)
    """1.6875 bits a weight in llama.cpp's layout: five trits a byte, a float16 scale for 256.

    Parameters
    ----------
    rounding : {"optimal", "absmean", "amax"}
        How weights that are not ternary become so, a block at a time: least squared error;
        BitNet b1.58's mean magnitude; or llama.cpp's own rule, whose scale is the largest
        magnitude and whose threshold is half of it. On weights that are ternary already, with one
        magnitude a block, "optimal" and "amax" agree and lose only the scale's float16 rounding.

    Notes
    -----
    `blocks` has shape (rows, 54 * ceil(cols / 256)); a row whose length is no multiple of 256
    is filled up with zeros, whose bytes count. A block of 256 weights, u = trit + 1::

        bytes 0 to 47   five trits: byte j < 32 has the weights 32 n + j (n = 0 ... 4),
                        byte 32 + j has the weights 160 + 16 n + j
        bytes 48 to 51  four trits: byte 48 + j has the weights 240 + 4 n + j (n = 0 ... 3)
        bytes 52, 53    scale, float16

    A byte is ceil(m * 256 / 243), m the trits u in base 3, that of n = 0 most significant.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> encoded = wb.technique("tq1_0").encode(np.array([[0.75, 0.0, -0.75, 0.75]]))
    >>> encoded.arrays["blocks"].shape
    (1, 54)
    >>> encoded.decode()
    array([[ 0.75,  0.  , -0.75,  0.75]], dtype=float32)
    """

    block = "TQ1_0"
