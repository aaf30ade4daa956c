"""Codes as short as their frequencies allow, lossless: what the entropy-coded variants share."""

from math import prod
from typing import Literal

import constriction
import numpy as np
import zstandard
from jaxtyping import UInt

from workbench.errors import WorkbenchError

Coder = Literal["range", "zstd"]
ZSTD_LEVEL = 19


def coder_layout(coder: Coder, symbols: int) -> dict:
    """Layout of what `code` returns."""
    if coder == "zstd":
        return {"stream": ("uint8", (None,))}
    return {"stream": ("uint32", (None,)), "counts": ("uint32", (symbols,))}


def code(codes: UInt[np.ndarray, "..."], symbols: int, coder: Coder) -> dict:
    """Arrays that hold the codes, which are below `symbols`."""
    codes = codes.ravel()
    if coder == "zstd" and symbols > 256:
        planes = codes.astype(_wide(symbols)).view(np.uint8).reshape(codes.size, -1).T
        stream = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(planes.tobytes())
        return {"stream": np.frombuffer(stream, np.uint8)}
    if coder == "zstd":
        digits = _digits(symbols)
        padded = np.pad(codes, (0, -codes.size % digits)).reshape(-1, digits)
        # Huffman codes of whole bytes: as many codes as a byte can number share one
        data = (padded @ _places(symbols)).astype(np.uint8)
        stream = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data.tobytes())
        return {"stream": np.frombuffer(stream, np.uint8)}
    counts = np.bincount(codes, minlength=symbols).astype(np.uint32)
    encoder = constriction.stream.queue.RangeEncoder()
    encoder.encode(codes.astype(np.int32), _model(counts))
    return {"stream": encoder.get_compressed(), "counts": counts}


def decode(
    arrays: dict, symbols: int, coder: Coder, shape: tuple[int, ...]
) -> UInt[np.ndarray, "..."]:
    """Undo `code`; refuses streams that it cannot have written."""
    size = prod(shape)
    if coder == "zstd" and symbols > 256:
        planes = _decompress(arrays, size * _wide(symbols).itemsize, 256, size, symbols)
        codes = np.ascontiguousarray(planes.reshape(-1, size).T).view(_wide(symbols))
        if size and codes.max() >= symbols:
            raise WorkbenchError(f"array 'stream' holds a code that is not below {symbols}")
        return codes.reshape(shape)
    if coder == "zstd":
        digits = _digits(symbols)
        values = _decompress(arrays, -(-size // digits), symbols**digits, size, symbols)
        values = values[:, None]
        return (values // _places(symbols) % symbols).astype(np.uint8).ravel()[:size].reshape(shape)
    counts = arrays["counts"]
    if counts.sum(dtype=np.uint64) != size:
        raise WorkbenchError(
            f"array 'counts' sums up to {counts.sum(dtype=np.uint64)}, but there are {size} codes"
        )
    try:
        decoder = constriction.stream.queue.RangeDecoder(arrays["stream"])
        codes = decoder.decode(_model(counts), size)
    except (AssertionError, ValueError) as error:
        raise WorkbenchError(f"array 'stream' is no range-coded stream ({error})") from None
    if not np.array_equal(np.bincount(codes, minlength=symbols), counts):
        raise WorkbenchError("array 'stream' does not decode to the frequencies in 'counts'")
    return codes.astype(np.min_scalar_type(symbols - 1)).reshape(shape)


def _decompress(arrays, length, limit, size, symbols):
    """So many bytes below `limit`."""
    try:
        decompressor = zstandard.ZstdDecompressor()
        data = decompressor.decompress(arrays["stream"].tobytes(), max_output_size=length)
    except zstandard.ZstdError as error:
        raise WorkbenchError(f"array 'stream' is no zstd stream ({error})") from None
    if len(data) != length or max(data) >= limit:
        raise WorkbenchError(
            f"array 'stream' holds {len(data)} bytes, but {size} codes below {symbols} "
            f"take {length}"
        )
    return np.frombuffer(data, np.uint8)


def _wide(symbols):
    """The type of codes that take more than a byte."""
    return np.dtype("<u2" if symbols <= 1 << 16 else "<u4")


def _model(counts):
    # `perfect` would search for the last millionth of a bit, slowly
    return constriction.stream.model.Categorical(counts / counts.sum(), perfect=False)


def _digits(symbols):
    """How many codes below `symbols` one byte can number."""
    digits = 1
    while symbols ** (digits + 1) <= 256:
        digits += 1
    return digits


def _places(symbols):
    return symbols ** np.arange(_digits(symbols))
