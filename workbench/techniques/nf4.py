"""NF4: sixteen levels at the quantiles of a normal distribution (QLoRA, arXiv 2305.14314)."""

import numpy as np
from pydantic import Field

from workbench.techniques._codebook import nearest
from workbench.techniques.base import Technique

# as bitsandbytes has them
LEVELS = np.array(
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ],
    np.float32,
)
SCALES_PER_BLOCK = 256  # of the double quantization


class NF4(Technique, id="nf4"):
    """Four bits a weight into levels that suit normally distributed weights, a scale a block.

    Parameters
    ----------
    block : int
        Weights that share a scale, their largest magnitude; in row order, across rows.
    double_quantization : bool
        Keep the scales themselves in eight bits.

    Notes
    -----
    `codes` holds two weights a byte, the first in the high nibble, as bitsandbytes has it::

        weight = LEVELS[code] * scale of its block

    `scales` is float32, one a block. With double quantization it is uint8: an index into 256
    levels whose spacing shrinks tenfold towards zero seven times (bitsandbytes' dynamic map),
    times a float32 of `scale_scales` for every 256 scales, plus `offset`, their mean.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> encoded = wb.technique("nf4").encode(np.array([[2.0, -2.0, 0.0, 0.9]]))
    >>> encoded.codes()
    array([[15,  0,  7, 12]], dtype=uint8)
    >>> encoded.decode().round(3)
    array([[ 2.   , -2.   ,  0.   ,  0.881]], dtype=float32)
    """

    block: int = Field(64, ge=16, le=4096, description="weights that share a scale")
    double_quantization: bool = Field(False, description="scales in eight bits, not in float32")

    def layout(self, shape):
        weights = shape[0] * shape[1]
        blocks = -(-weights // self.block)
        layout = {"codes": ("uint8", (-(-weights // 2),))}
        if not self.double_quantization:
            return layout | {"scales": ("float32", (blocks,))}
        return layout | {
            "scales": ("uint8", (blocks,)),
            "scale_scales": ("float32", (-(-blocks // SCALES_PER_BLOCK),)),
            "offset": ("float32", (1,)),
        }

    def compress(self, weights):
        blocks = _blocks(weights.ravel(), self.block)
        scales = np.abs(blocks).max(axis=1)
        stored = _store_scales(scales) if self.double_quantization else {"scales": scales}

        # bitsandbytes divides by the true scale, not by the one that is stored
        divisor = np.where(scales > 0, scales, 1)[:, None]
        codes = nearest(blocks / divisor, LEVELS).ravel()[: weights.size]
        codes = np.pad(codes, (0, weights.size % 2))
        return {"codes": codes[::2] << 4 | codes[1::2], **stored}

    def codes(self, arrays, shape):
        both = np.stack([arrays["codes"] >> 4, arrays["codes"] & 15], axis=1)
        return both.ravel()[: shape[0] * shape[1]].reshape(shape)

    def restore(self, arrays, shape):
        scales = _read_scales(arrays) if self.double_quantization else arrays["scales"]
        values = LEVELS[self.codes(arrays, shape)].ravel()
        return (_blocks(values, self.block) * scales[:, None]).ravel()[: values.size].reshape(shape)


def _blocks(values, size):
    """Values as (blocks, size), the last block filled up with zeros."""
    return np.pad(values, (0, -values.size % size)).reshape(-1, size)


def _dynamic_map():
    """256 levels from -1 to 1: times each power of ten, the middles of 2^i parts of 0.1 to 1."""
    levels = [0.0, 1.0]
    for i in range(7):
        edges = np.linspace(0.1, 1, 2**i + 1)
        middles = 10.0 ** (i - 6) * (edges[:-1] + edges[1:]) / 2
        levels += [*middles, *-middles]
    return np.sort(np.array(levels, np.float32))


def _store_scales(scales):
    offset = scales.mean(dtype=np.float64).astype(np.float32)
    blocks = _blocks(scales - offset, SCALES_PER_BLOCK)
    peaks = np.abs(blocks).max(axis=1)
    codes = nearest(blocks / np.where(peaks > 0, peaks, 1)[:, None], _dynamic_map())
    return {
        "scales": codes.ravel()[: scales.size],
        "scale_scales": peaks,
        "offset": offset.reshape(1),
    }


def _read_scales(arrays):
    values = _dynamic_map()[arrays["scales"]]
    blocks = _blocks(values, SCALES_PER_BLOCK) * arrays["scale_scales"][:, None]
    return blocks.ravel()[: values.size] + arrays["offset"]
