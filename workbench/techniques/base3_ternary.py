"""1.6 bits a weight: five trits a byte in base 3, times a scale."""

from workbench.techniques._ternary import PackedTernary


class Base3Ternary(PackedTernary, id="base3-ternary"):
    """1.6 bits a weight: five trits a byte in base 3, times a scale; a fifth smaller than planar.

    Parameters
    ----------
    rounding : {"absmean", "absmax", "rms", "optimal"}
    threshold : float or None
    scale : {"row", "tensor"}
    group : int or None
    refit : bool
        As in `workbench.ternary.quantize`.
    scale_type : {"float32", "float16"}

    Notes
    -----
    `trits` has shape (ceil(rows / 5), cols); a byte holds one column of five rows, u = weight + 1::

        n = 81 u0 + 27 u1 + 9 u2 + 3 u3 + u4     u_p: row 5 * g + p
        byte = ceil(n * 256 / 243)

    so that the trits come out as the high parts of repeated multiplication by 3, with no division.
    `scales` and `matmul` as in `planar-ternary`.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> weights = np.array([[0.9, -0.1, -1.1, 0.4]] * 5)
    >>> encoded = wb.technique("base3-ternary", rounding="optimal").encode(weights)
    >>> encoded.arrays["trits"]
    array([[255, 128,   0, 128]], dtype=uint8)
    >>> encoded.decode()[0]
    array([ 1.,  0., -1.,  0.], dtype=float32)
    """

    packing = "base3"
