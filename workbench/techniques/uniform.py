"""Plain rounding to integers times a scale: the baseline that every idea must beat."""

from workbench.techniques._arrays import pack_bits, packed_bytes, unpack_bits
from workbench.techniques._uniform import UniformRounding


class Uniform(UniformRounding, id="uniform"):
    """Evenly spaced levels, 2 to 8 bits a weight, one scale a matrix, row or group.

    Parameters
    ----------
    bits : int
    levels : {"symmetric", "asymmetric"}
        Symmetric: weight = step * (code - (2^(bits-1) - 1)), code = 0 ... 2^bits - 2.
        Asymmetric: weight = low + step * code, code = 0 ... 2^bits - 1.
    clip : {"max", "mse"}
        Whether the levels cover every weight, or that part of the range, of 64 between 1 % and all
        of it, which leaves the least squared error.
    scale : {"row", "tensor"}
    group : int or None
    scale_type : {"float32", "float16"}

    Notes
    -----
    `codes` holds the codes end to end, low bits first; three bits a weight take three bits::

        bits=3   byte 0           byte 1           byte 2
                 c2' c1  c0       c5'' c4 c3 c2''  c7 c6 c5'
                 76  543 210      7    654 321 0   765 432 10

    `step` (and `low`) have shape (1, 1), (rows, 1) or (rows, ceil(cols / group)).

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> encoded = wb.technique("uniform", bits=3).encode(np.array([[-0.3, 0.0, 0.1, 0.21]]))
    >>> encoded.codes()
    array([[0, 3, 4, 5]], dtype=uint8)
    >>> encoded.decode().round(3)
    array([[-0.3,  0. ,  0.1,  0.2]], dtype=float32)
    """

    def layout(self, shape):
        size = packed_bytes(shape[0] * shape[1], self.bits)
        return {"codes": ("uint8", (size,)), **self.scale_layout(shape)}

    def compress(self, weights):
        codes, stored = self.round(weights)
        return {"codes": pack_bits(codes, self.bits), **stored}

    def codes(self, arrays, shape):
        return unpack_bits(arrays["codes"], self.bits, shape)

    def restore(self, arrays, shape):
        return self.unround(self.codes(arrays, shape), arrays)
