"""Ternary rounding, then an entropy coder: below 1.58 bits where zeros are frequent."""

import numpy as np
from pydantic import Field

from workbench.techniques._coder import Coder, code, coder_layout, decode
from workbench.techniques._ternary import TernaryRounding


class EntropyTernary(TernaryRounding, id="entropy-ternary"):
    """Trits, coded by their frequencies without loss, times a scale.

    Parameters
    ----------
    rounding : {"absmean", "absmax", "rms", "optimal"}
    threshold : float or None
    scale : {"row", "tensor"}
    group : int or None
    refit : bool
    scale_type : {"float32", "float16"}
        As in `planar-ternary`.
    coder : {"range", "zstd"}
        As in `entropy-uniform`.

    Notes
    -----
    `stream` (and `counts`) hold trit + 1 as `entropy-uniform` holds its codes; `scales` as in
    `planar-ternary`. Gaussian weights under absmean rounding have 31 % zeros, and so an entropy
    of 1.583 bits, hardly below the 1.6 of five trits a byte: only more zeros make this pay.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> weights = np.random.default_rng(0).standard_normal((64, 4096))
    >>> for threshold in (0.5, 1.5):
    ...     coded = wb.technique("entropy-ternary", threshold=threshold).encode(weights)
    ...     print(round(coded.bits_per_weight, 2))
    1.61
    1.03
    """

    coder: Coder = Field("range", description="what codes the trits")

    def layout(self, shape):
        return coder_layout(self.coder, 3) | self.scale_layout(shape)

    def compress(self, weights):
        trits, stored = self.round(weights)
        return code((trits + 1).astype(np.uint8), 3, self.coder) | stored

    def codes(self, arrays, shape):
        return decode(arrays, 3, self.coder, shape).astype(np.int8) - 1

    def restore(self, arrays, shape):
        return self.unround(self.codes(arrays, shape), arrays)
