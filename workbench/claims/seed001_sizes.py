"""Seed 001: bytes of weights, caches and tables."""

from math import prod

import gguf
import numpy as np

import workbench as wb
from workbench.claims.checks import check, says, shows
from workbench.claims.material import TERNARY, TRITS, present
from workbench.formats import BLOCKS, decode_blocks
from workbench.models import open_model
from workbench.ternary import pack

MIB = 2**20
LUT = (0, 1, -1, None)  # of the document's 2-bit codes; 11 is reserved


def cache_bytes(heads: int, width: int, tokens: int) -> tuple[int, int]:
    """Keys and values of a layer: in float32, and as packed trits with a scale a vector."""
    packed = 2 * (-(-heads * width // 4) + 4)
    return tokens * 2 * 4 * heads * width, tokens * packed


@check("trinity-20x-weights")
def weight_compression(rng):
    """Files written for a random ternary matrix, scaled to 7 billion weights."""
    ids = ("planar-ternary", "base3-ternary", "tq1_0", "tq2_0")
    matrix = rng.choice(TRITS, size=(1024, 4096)).astype(np.float32)
    for id in ids:
        bits = wb.technique(id).encode(matrix).bits_per_weight
        yield shows(f"bits a weight, {id}", bits, unit="bit")
        yield shows(f"compression, {id}", 32 / bits)
    packed = pack(rng.choice(TRITS, size=(1024, 4096)), "planar")  # 4 trits a byte, as described
    bits = 8 * packed.data.nbytes / matrix.size
    yield says("7B in 4 trits a byte", "1.4", 7e9 * bits / 8 / 1e9, unit="GB")
    yield says("compression from 28 GB", 20, 32 / bits, tolerance=0.5)
    if present(TERNARY):  # a whole model: its embedding and norms are not ternary
        tensors = open_model(TERNARY).values()
        chosen = {"its ternary matrices": [t for t in tensors if t.quant == "TQ2_0"]}
        for part, found in (chosen | {"all of it": tensors}).items():
            ratio = sum(4 * prod(t.shape) for t in found) / sum(t.nbytes for t in found)
            yield shows(f"compression of our own ternary model, {part}", ratio)


@check("trinity-8x-16x")
def two_bits(rng):
    """Bytes of a packed matrix."""
    codes = rng.choice(TRITS, size=(1024, 1024))
    bits = 8 * pack(codes, "planar").data.nbytes / codes.size
    yield says("from FP16", 8.0, 16 / bits)
    yield says("from FP32", 16.0, 32 / bits)


@check("trinity-packed-format")
def packed_format(rng):
    """All 256 bytes through the 2-bit code and back; our readers against gguf's, random blocks."""
    decoded = {byte: tuple(LUT[byte >> 2 * i & 3] for i in range(4)) for byte in range(256)}
    valid = {byte: trits for byte, trits in decoded.items() if None not in trits}
    encoded = {
        trits: sum(LUT.index(t) << 2 * i for i, t in enumerate(trits)) for trits in valid.values()
    }
    yield says("bytes that come back", 3**4, sum(encoded[t] == byte for byte, t in valid.items()))
    yield shows("bytes with a reserved code", 256 - len(valid))
    for name in ("TQ1_0", "TQ2_0", "Q4_K", "Q5_K", "Q6_K"):
        block = BLOCKS[name]
        raw = rng.integers(0, 256, (16, 4 * block.bytes), np.uint8)
        raw.reshape(-1, block.bytes)[:, _scales(name, block.bytes)] = 0x3C  # finite half floats
        ours = decode_blocks(name, raw, 4 * block.elements)
        reference = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[name])
        differ = np.abs(ours - reference).max() / np.abs(reference).max()
        yield says(f"{name}, largest difference from gguf", 0.0, differ, tolerance=1e-6)
    if present(TERNARY):
        differ = max(map(_difference, open_model(TERNARY).values()))
        yield says("our own ternary model, largest difference", 0.0, differ, tolerance=1e-6)
    same = sum(a == b for a, b in zip(LUT, (-1, 0, 1, None), strict=True) if a is not None)
    yield shows("codes that the norm code of the same project shares", same)


@check("trinity-kv-table")
def cache_table():
    """Bytes of keys and values a layer."""
    rows = (
        (4, 64, 512, "1.00", "0.07", "15.1"),
        (4, 128, 2048, "8.00", "0.52", "15.5"),
        (8, 128, 4096, "32.00", "2.03", "15.8"),
    )
    for heads, width, tokens, plain_said, packed_said, ratio in rows:
        plain, packed = cache_bytes(heads, width, tokens)
        name = f"{heads} x {width} x {tokens}"
        yield says(f"{name}, float32", plain_said, plain / MIB, unit="MiB")
        yield says(f"{name}, ternary", packed_said, packed / MIB, unit="MiB")
        yield says(f"{name}, ratio", ratio, plain / packed)
    plain, packed = cache_bytes(1, 64, 1)
    yield shows("ratio for the toy's 64 values", plain / packed)


@check("trinity-kv-8mb")
def cache_of_7b():
    """32 layers of 32 heads of 128, 2048 tokens; the pipeline's total."""
    plain, packed = (32 * size for size in cache_bytes(32, 128, 2048))
    yield says("KV cache of a 7B model, 2K tokens", "8", plain / MIB, unit="MiB")
    yield shows("as ternary", packed / MIB, unit="MiB")
    yield shows("one layer with 4 KV heads", cache_bytes(4, 128, 2048)[0] / MIB, unit="MiB")
    total = (28e9 + plain) / (7e9 / 4 + packed)
    yield says("total compression, weights of 2 bits", 19, total, tolerance=1)
    yield shows("with weights of 1.58 bits", (28e9 + plain) / (7e9 * 1.58 / 8 + packed))


@check("trinity-norm-16x")
def norm_memory():
    """The ratios, and the share of a model's parameters that are norm gains."""
    yield says("memory", 16, 2048 * 4 // (2048 // 4))
    yield says("617.6 ns / 3040.3 ns", "0.20", 617.6 / 3040.3)
    gains = 49 * 2048  # two a layer of 24, and the last
    yield says(
        "share of parameters, to be significant", 1.0, 100 * gains / 1.7e9, unit="%", relation=">="
    )
    yield shows("saved in SmolLM2-1.7B", gains * 4 * 15 / 16 / 1e6, unit="MB")


@check("trinity-ring-memory")
def ring_memory():
    """8 KB a token."""
    for tokens, said in ((2048, 16), (4096, 32)):
        yield says(f"{tokens} tokens", said, tokens * 8 * 1024 // MIB, unit="MiB")


@check("trinity-paged-64x")
def paged():
    """Static, paged, and paged ternary caches of a 7B model (1 MiB a token)."""
    static, used = 8 * 2048 * MIB, 8 * 500 * MIB
    ratio = cache_bytes(32, 128, 1)[0] / cache_bytes(32, 128, 1)[1]
    yield says("static", "16", static / 2**30, unit="GiB")
    yield says("paged", "4", used / 2**30, unit="GiB")
    yield says("utilization of static", "25", 100 * used / static, unit="%")
    blocks = -(-500 // 16) * 16
    lengths = np.arange(1, 1001)  # of mean 500
    filled = lengths.sum() / (-(-lengths // 16) * 16).sum()
    yield says("utilization of blocks of 16", 100, 100 * filled, unit="%", tolerance=2)
    yield shows("tokens reserved for 500", blocks)
    yield says("paged and ternary", 250, used / ratio / MIB, unit="MiB", tolerance=10)
    yield says("saved against static float32", 64, static / (used / ratio), tolerance=2)
    yield shows("against paged fp16", used / 2 / (used / ratio))


def _difference(tensor) -> float:
    """Largest difference of a tensor as we read it and as gguf does, over its largest weight."""
    ours = tensor.read().reshape(-1)
    reference = gguf.quants.dequantize(tensor.raw(), gguf.GGMLQuantizationType[tensor.quant])
    return float(np.abs(ours - reference.reshape(-1)).max() / np.abs(reference).max())


def _scales(name: str, size: int) -> list[int]:
    """Bytes of a block that hold half floats."""
    return {
        "TQ1_0": [size - 2, size - 1],
        "TQ2_0": [size - 2, size - 1],
        "Q4_K": [0, 1, 2, 3],
        "Q5_K": [0, 1, 2, 3],
        "Q6_K": [size - 2, size - 1],
    }[name]
