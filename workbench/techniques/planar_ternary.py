"""Two bits a weight: {-1, 0, +1} times a scale, laid out for a fast exact product."""

from workbench.techniques._ternary import PackedTernary


class PlanarTernary(PackedTernary, id="planar-ternary"):
    """Two bits a weight: {-1, 0, +1} times a scale, laid out for a fast exact product.

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
    `trits` has shape (ceil(rows / 4), cols); a byte holds one column of four rows, u = weight + 1::

        bit  7  6   5  4   3  2   1  0
             u3      u2      u1      u0        u_p: row 4 * g + p

    `scales` has shape (1, 1), (rows, 1) or (rows, ceil(cols / group)).

    `matmul` is exact in integers for int8 activations, and rounds floats to int8 first, with one
    step a token: a product differs from ``decode() @ x`` by at most sum|w| * max|x| / 254.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> weights = np.array([[0.9, -0.1, -1.1, 0.4]])
    >>> encoded = wb.technique("planar-ternary", rounding="optimal").encode(weights)
    >>> encoded.arrays["trits"] & 3
    array([[2, 1, 0, 1]], dtype=uint8)
    >>> encoded.decode()
    array([[ 1.,  0., -1.,  0.]], dtype=float32)
    >>> encoded.matmul(np.array([1, 2, 3, 4], np.int8))
    array([-2.], dtype=float32)
    """

    packing = "planar"
