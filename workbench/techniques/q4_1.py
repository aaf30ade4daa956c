"""Q4_1 of llama.cpp: 5 bits a weight, a float16 scale and minimum for 32."""

from workbench.techniques._blocks import NibbleFormat


class Q4_1(NibbleFormat, id="q4_1"):  # noqa: N801 (llama.cpp's name)
    """5 bits a weight in llama.cpp's layout: sixteen levels from lowest to highest, for 32.

    Notes
    -----
    `blocks` has shape (rows, 20 * ceil(cols / 32)); a row whose length is no multiple of 32 is
    filled up with zeros, whose bytes count (and which may widen the last block's range). A block
    of 32 weights::

        bytes 0, 1      d, float16: (highest - lowest) / 15
        bytes 2, 3      m, float16: the lowest weight
        bytes 4 to 19   byte 4 + j: weight j in the low nibble, weight 16 + j in the high one

        weight = d * nibble + m

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> encoded = wb.technique("q4_1").encode(np.array([[-0.5, 0.3, 0.1, 1.0]]))
    >>> encoded.codes()
    array([[ 0,  8,  6, 15]], dtype=uint8)
    >>> encoded.decode().round(3)
    array([[-0.5,  0.3,  0.1,  1. ]], dtype=float32)
    """

    block = "Q4_1"
    header = 4
