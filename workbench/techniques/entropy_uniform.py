"""Uniform rounding, then an entropy coder: frequent levels take fewer bits."""

from pydantic import Field

from workbench.techniques._coder import Coder, code, coder_layout, decode
from workbench.techniques._uniform import UniformRounding


class EntropyUniform(UniformRounding, id="entropy-uniform"):
    """`uniform`, whose codes are then coded by their frequencies, without loss.

    Parameters
    ----------
    bits : int
    levels : {"symmetric", "asymmetric"}
    clip : {"max", "mse"}
    scale : {"row", "tensor"}
    group : int or None
    scale_type : {"float32", "float16"}
        As in `uniform`; bits now only sets how fine the levels are.
    coder : {"range", "zstd"}

    Notes
    -----
    With coder="range", `counts` (uint32, a number a level) says how often each level occurs, and
    `stream` (uint32) is the output of constriction's range coder under these frequencies: the
    empirical entropy to within a word. With coder="zstd", codes are first put into bytes, as many
    as a byte can number in a positional system of as many digits as there are levels (5 trits, two
    4-bit codes), low digits first, and `stream` (uint8) is a zstd frame of those bytes.
    `step` and `low` as in `uniform`.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> weights = np.random.default_rng(0).standard_normal((64, 1024))
    >>> plain = wb.technique("uniform", bits=4).encode(weights)
    >>> coded = wb.technique("entropy-uniform", bits=4).encode(weights)
    >>> bool((coded.decode() == plain.decode()).all())
    True
    >>> round(plain.bits_per_weight, 2), round(coded.bits_per_weight, 2)
    (4.08, 3.62)
    """

    coder: Coder = Field("range", description="what codes the codes")

    def layout(self, shape):
        return coder_layout(self.coder, self.level_count) | self.scale_layout(shape)

    def compress(self, weights):
        codes, stored = self.round(weights)
        return code(codes, self.level_count, self.coder) | stored

    def codes(self, arrays, shape):
        return decode(arrays, self.level_count, self.coder, shape)

    def restore(self, arrays, shape):
        return self.unround(self.codes(arrays, shape), arrays)
