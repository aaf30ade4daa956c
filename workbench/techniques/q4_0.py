"""Q4_0 of llama.cpp: 4.5 bits a weight, a float16 scale for 32."""

from workbench.techniques._blocks import NibbleFormat


class Q4_0(NibbleFormat, id="q4_0"):  # noqa: N801 (llama.cpp's name)
    """4.5 bits a weight in llama.cpp's layout: sixteen levels from -8 to 7, a scale for 32.

    Notes
    -----
    `blocks` has shape (rows, 18 * ceil(cols / 32)); a row whose length is no multiple of 32 is
    filled up with zeros, whose bytes count. A block of 32 weights::

        bytes 0, 1      d, float16: the weight of largest magnitude, sign included, over -8
        bytes 2 to 17   byte 2 + j: weight j in the low nibble, weight 16 + j in the high one

        weight = d * (nibble - 8)

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> encoded = wb.technique("q4_0").encode(np.array([[-0.8, 0.0, 0.1, 0.26]]))
    >>> encoded.codes()
    array([[ 0,  8,  9, 11]], dtype=uint8)
    >>> encoded.decode().round(3)
    array([[-0.8,  0. ,  0.1,  0.3]], dtype=float32)
    """

    block = "Q4_0"
