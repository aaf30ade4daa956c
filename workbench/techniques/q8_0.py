"""Q8_0 of llama.cpp: 8.5 bits a weight, a float16 scale for 32."""

import numpy as np

from workbench.techniques._blocks import BlockFormat


class Q8_0(BlockFormat, id="q8_0"):  # noqa: N801 (llama.cpp's name)
    """8.5 bits a weight in llama.cpp's layout: signed bytes, a scale for 32.

    Notes
    -----
    `blocks` has shape (rows, 34 * ceil(cols / 32)); a row whose length is no multiple of 32 is
    filled up with zeros, whose bytes count. A block of 32 weights::

        bytes 0, 1      d, float16: the largest magnitude over 127
        bytes 2 to 33   one signed byte a weight

        weight = d * byte

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> encoded = wb.technique("q8_0").encode(np.array([[-0.8, 0.0, 0.1, 0.26]]))
    >>> encoded.codes()
    array([[-127,    0,   16,   41]], dtype=int8)
    >>> encoded.decode().round(3)
    array([[-0.8  ,  0.   ,  0.101,  0.258]], dtype=float32)
    """

    block = "Q8_0"

    def codes(self, arrays, shape):
        codes = np.ascontiguousarray(self._payload(arrays)).view(np.int8)
        return codes.reshape(shape[0], -1)[:, : shape[1]]
