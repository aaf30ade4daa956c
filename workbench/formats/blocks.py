"""Block formats of GGUF: how many weights share how many bytes, and the codecs both ways.

>>> import numpy as np
>>> raw = encode_blocks("Q8_0", np.linspace(-127, 127, 32, dtype=np.float32)[None])
>>> raw.shape, raw[0, 2:6].view(np.int8)
((1, 34), array([-127, -119, -111, -102], dtype=int8))
>>> decode_blocks("Q8_0", raw, 32)[0, :4]
array([-127., -119., -111., -102.], dtype=float32)
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float32, UInt8

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.validation import checked_weights


@dataclass(frozen=True)
class BlockType:
    """One way to store a run of weights. Bit layouts: docs/formats.md.

    Attributes
    ----------
    id : int or None
        Type number in a GGUF file; None: only safetensors has it.
    elements : int
        Weights in a block; a row is a whole number of blocks.
    bytes : int
        Bytes of a block.
    kernels : str
        Kernel module that decodes it; empty: gguf-py does, where it can.
    scales : tuple of int
        Where `encode_blocks` writes it: byte offsets of the float16 numbers in a block.
    """

    id: int | None
    elements: int
    bytes: int
    kernels: str = ""
    scales: tuple[int, ...] = ()

    def row_bytes(self, cols: int) -> int:
        """Bytes of a row of `cols` weights, which must be a multiple of `elements`."""
        return cols // self.elements * self.bytes


BLOCKS = {
    "F32": BlockType(0, 1, 4, "blocks_plain"),
    "F16": BlockType(1, 1, 2, "blocks_plain", scales=(0,)),
    "Q4_0": BlockType(2, 32, 18, "blocks_simple", scales=(0,)),
    "Q4_1": BlockType(3, 32, 20, "blocks_simple", scales=(0, 2)),
    "Q5_0": BlockType(6, 32, 22, "blocks_simple"),
    "Q5_1": BlockType(7, 32, 24, "blocks_simple"),
    "Q8_0": BlockType(8, 32, 34, "blocks_simple", scales=(0,)),
    "Q8_1": BlockType(9, 32, 36),  # of activations; not decoded
    "Q2_K": BlockType(10, 256, 84, "blocks_super"),
    "Q3_K": BlockType(11, 256, 110, "blocks_super"),
    "Q4_K": BlockType(12, 256, 144, "blocks_super"),
    "Q5_K": BlockType(13, 256, 176, "blocks_super"),
    "Q6_K": BlockType(14, 256, 210, "blocks_super"),
    "Q8_K": BlockType(15, 256, 292),  # of activations; not decoded
    "IQ2_XXS": BlockType(16, 256, 66),
    "IQ2_XS": BlockType(17, 256, 74),
    "IQ3_XXS": BlockType(18, 256, 98),
    "IQ1_S": BlockType(19, 256, 50),
    "IQ4_NL": BlockType(20, 32, 18),
    "IQ3_S": BlockType(21, 256, 110),
    "IQ2_S": BlockType(22, 256, 82),
    "IQ4_XS": BlockType(23, 256, 136),
    "I8": BlockType(24, 1, 1, "blocks_plain"),
    "I16": BlockType(25, 1, 2, "blocks_plain"),
    "I32": BlockType(26, 1, 4, "blocks_plain"),
    "I64": BlockType(27, 1, 8, "blocks_plain"),
    "F64": BlockType(28, 1, 8, "blocks_plain"),
    "IQ1_M": BlockType(29, 256, 56),
    "BF16": BlockType(30, 1, 2, "blocks_plain"),
    "TQ1_0": BlockType(34, 256, 54, "blocks_ternary", scales=(52,)),
    "TQ2_0": BlockType(35, 256, 66, "blocks_ternary", scales=(64,)),
    "I2_S": BlockType(36, 128, 32, "blocks_ternary"),  # bitnet.cpp, x86 build; a scale a tensor
    "I2_S_ARM": BlockType(36, 64, 16, "blocks_ternary"),  # ARM build, under the same number
    "MXFP4": BlockType(39, 32, 17, "blocks_simple"),
    "NVFP4": BlockType(40, 64, 36),
    "Q1_0": BlockType(41, 128, 18, "blocks_ternary"),
    "Q2_0": BlockType(42, 64, 18, "blocks_ternary", scales=(0,)),
    "BOOL": BlockType(None, 1, 1, "blocks_plain"),
    "U8": BlockType(None, 1, 1, "blocks_plain"),
    "U16": BlockType(None, 1, 2, "blocks_plain"),
    "U32": BlockType(None, 1, 4, "blocks_plain"),
    "U64": BlockType(None, 1, 8, "blocks_plain"),
}
ENCODABLE = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q8_0", "TQ1_0", "TQ2_0", "Q2_0")
SIGNED = {"I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "F64": "<f8"}
UNSIGNED = {"BOOL": "<u1", "U8": "<u1", "U16": "<u2", "U32": "<u4", "U64": "<u8"}
NUMBERS = SIGNED | UNSIGNED
PARALLEL_FROM = 1 << 16  # weights; fewer are decoded before a second thread has woken up
VANISHING = np.float32(2**-96)  # smaller weights have no float16 scale, and 1 / scale overflows


def row_bytes(name: str, cols: int) -> int:
    """Bytes of a row of `cols` weights.

    Raises
    ------
    WorkbenchError
        Unknown name, or `cols` is no whole number of blocks.
    """
    if name not in BLOCKS:
        raise WorkbenchError(f"no block format is called {name!r}; there are {', '.join(BLOCKS)}")
    block = BLOCKS[name]
    if cols < 1 or cols % block.elements:
        raise WorkbenchError(
            f"rows of {cols} weights do not divide into {name} blocks of {block.elements}; pad "
            "them to a multiple"
        )
    return block.row_bytes(cols)


def decode_blocks(
    name: str,
    raw: UInt8[np.ndarray, "rows bytes"],
    cols: int,
    *,
    scale: float = 1.0,
    threads: int | None = None,
) -> Float32[np.ndarray, "rows cols"]:
    """The weights that rows of blocks stand for, to the bit as llama.cpp's reference decodes them.

    Codes that no encoder writes (3 in ternary blocks, base-3 bytes over 242) and scales that are
    NaN or infinite are decoded by the same formula as all others.

    Parameters
    ----------
    name : str
        One of `BLOCKS`.
    raw : uint8 array (rows, bytes)
    cols : int
        Weights in a row.
    scale : float
        Of I2_S and I2_S_ARM, which keep one scale for the whole tensor outside the rows.
    threads : int, optional
        By default one a core. Few weights are decoded on one.

    Raises
    ------
    WorkbenchError
        Unknown name, `cols` that does not divide into blocks, or `raw` of another width.
    """
    width = row_bytes(name, cols)
    block = BLOCKS[name]
    raw = np.asarray(raw)
    if raw.dtype != np.uint8:
        raise TypeError(f"raw is {raw.dtype}, but must be uint8")
    if raw.ndim != 2 or raw.shape[1] != width:
        raise WorkbenchError(
            f"raw has shape {raw.shape}, but {cols} weights a row in {name} take (rows, {width})"
        )
    threads = kernels.cores() if threads is None else threads
    if threads < 1:
        raise WorkbenchError(f"threads is {threads}, but must be at least 1")
    raw = np.ascontiguousarray(raw)
    if not block.kernels:
        return _decode_by_library(name, raw)
    out = np.empty((raw.shape[0], cols), np.float32)
    if out.size == 0:
        return out
    if out.size < PARALLEL_FROM:
        threads = 1
    module = kernels.load(block.kernels)
    if block.kernels == "blocks_plain":
        _decode_numbers(module, name, raw.reshape(-1), threads, out.reshape(-1))
        return out
    blocks = raw.reshape(-1, block.bytes), out.reshape(-1, block.elements)
    if name in ("I2_S", "I2_S_ARM"):
        module.i2_s(blocks[0], np.float32(scale), threads, blocks[1])
    elif name == "MXFP4":
        module.mxfp4(blocks[0], *_mxfp4_tables(), threads, blocks[1])
    else:
        getattr(module, name.lower())(blocks[0], _half_table(), threads, blocks[1])
    return out


def encode_blocks(
    name: str, weights: Float32[np.ndarray, "rows cols"]
) -> UInt8[np.ndarray, "rows bytes"]:
    """Rows of blocks that stand for `weights`, byte for byte what llama.cpp's reference makes.

    Parameters
    ----------
    name : str
        One of `ENCODABLE`.
    weights : float array (rows, cols)
        Any float width, order or stride. TQ1_0, TQ2_0 and Q2_0 are meant for matrices that are
        ternary already: their scale is the largest magnitude of a block.

    Raises
    ------
    TypeError
        `weights` is not an array of floats.
    WorkbenchError
        A format that is not written, an empty axis, NaN or infinity, `cols` that does not divide
        into blocks, or weights too large for float16.
    """
    if name not in ENCODABLE:
        raise WorkbenchError(f"{name!r} is not written; there are {', '.join(ENCODABLE)}")
    weights = checked_weights(weights)
    row_bytes(name, weights.shape[1])
    block = BLOCKS[name]
    if block.elements > 1:
        weights = _without_vanishing_blocks(weights, block.elements)
    with np.errstate(over="ignore", invalid="ignore"):  # a scale beyond float16, refused below
        raw = _q2_0(weights) if name == "Q2_0" else _encode_by_library(name, weights)
    _check_scales(name, block, raw)
    return raw


def _decode_numbers(module, name, raw, threads, out) -> None:
    if name == "F32":
        module.copy_single(_aligned(raw, "<u4"), threads, out.view(np.uint32))
    elif name == "BF16":
        module.widen_bfloat(_aligned(raw, "<u2"), threads, out.view(np.uint32))
    elif name == "F16":
        module.widen_half(_aligned(raw, "<u2"), _half_table(), threads, out)
    else:
        module.convert(_aligned(raw, NUMBERS[name]), threads, out)


def _aligned(raw: np.ndarray, code: str) -> np.ndarray:
    """Bytes as numbers; a copy where the file does not align them (old safetensors files)."""
    return np.require(raw.view(code), requirements="A")


@cache
def _half_table() -> np.ndarray:
    """The float32 value of every float16 bit pattern."""
    table = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
    table.flags.writeable = False
    return table


@cache
def _mxfp4_tables() -> tuple[np.ndarray, np.ndarray]:
    """The scale of each exponent byte, 2^(e - 128), and the sixteen values (doubled e2m1)."""
    scales = np.ldexp(np.float32(1), np.arange(256) - 128).astype(np.float32)
    positive = np.array([0, 1, 2, 3, 4, 6, 8, 12], np.float32)
    # gguf-py's code 8 is +0, not -0
    return scales, np.concatenate([positive, [np.float32(0)], -positive[1:]])


def _decode_by_library(name: str, raw: np.ndarray) -> np.ndarray:
    import gguf

    try:
        with np.errstate(all="ignore"):  # NaN and infinite scales are decoded as they are
            return gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[name])
    except NotImplementedError:
        raise WorkbenchError(f"{name} is a format of activations; it is not decoded") from None


def _encode_by_library(name: str, weights: np.ndarray) -> np.ndarray:
    import gguf

    raw = gguf.quants.quantize(weights, gguf.GGMLQuantizationType[name])
    return raw.view(np.uint8).reshape(weights.shape[0], -1)


def _q2_0(weights: np.ndarray) -> np.ndarray:
    """Q2_0, which gguf-py lacks: the largest magnitude, then four codes a byte, low bits first."""
    x = weights.reshape(-1, 64)
    d = np.abs(x).max(axis=1, keepdims=True)
    inverse = np.divide(np.float32(1), d, out=np.zeros_like(d), where=d > 0)
    # half away from zero, as C's roundf; adding 0.5 before the floor would round 0.49999997 up
    magnitude = np.abs(x * inverse)
    whole = np.floor(magnitude)
    whole += np.floor(2 * (magnitude - whole))
    codes = (np.copysign(whole, x) + 1).astype(np.uint8).reshape(-1, 16, 4)
    packed = np.bitwise_or.reduce(codes << np.array([0, 2, 4, 6], np.uint8), axis=2)
    raw = np.concatenate([d.astype("<f2").view(np.uint8), packed], axis=1)
    return raw.reshape(weights.shape[0], -1)


def _without_vanishing_blocks(weights: np.ndarray, elements: int) -> np.ndarray:
    """Zeros in blocks whose scale would be nothing in float16, where 1 / scale overflows."""
    blocks = weights.reshape(-1, elements)
    vanishing = np.abs(blocks).max(axis=1) < VANISHING
    if not vanishing.any():
        return weights
    return np.where(vanishing[:, None], np.float32(0), blocks).reshape(weights.shape)


def _check_scales(name: str, block: BlockType, raw: np.ndarray) -> None:
    blocks = raw.reshape(-1, block.bytes)
    if name == "BF16":
        finite = np.isfinite(decode_blocks(name, raw, raw.shape[1] // 2)).all()
    else:
        halves = [np.ascontiguousarray(blocks[:, at : at + 2]).view("<f2") for at in block.scales]
        finite = all(np.isfinite(half).all() for half in halves)
    if not finite:
        raise WorkbenchError(f"weights are too large for {name}, whose scales are 16 bits wide")
