"""Blocks of weights of one or two bits and of ternary digits.

Arguments as in blocks_simple.py. A two-bit code 3, which no ternary weight has, comes out as +2.
"""

import numpy as np


# pythran export tq1_0(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def tq1_0(raw, half, threads, out):
    """Five ternary digits a byte, ceil(n * 256 / 243), most significant digit first; then d.

    32 bytes hold weights 0 to 159, 16 bytes 160 to 239, 4 bytes of four digits 240 to 255.
    """
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 52]) | np.int64(raw[b, 53]) << 8]
        power = 1
        for n in range(5):
            for j in range(32):
                digit = (np.int32(raw[b, j]) * power & 255) * 3 >> 8
                out[b, 32 * n + j] = d * np.float32(digit - 1)
            for j in range(16):
                digit = (np.int32(raw[b, 32 + j]) * power & 255) * 3 >> 8
                out[b, 160 + 16 * n + j] = d * np.float32(digit - 1)
            if n < 4:
                for j in range(4):
                    digit = (np.int32(raw[b, 48 + j]) * power & 255) * 3 >> 8
                    out[b, 240 + 4 * n + j] = d * np.float32(digit - 1)
            power = power * 3


# pythran export tq2_0(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def tq2_0(raw, half, threads, out):
    """Two runs of 32 bytes, bits 2 n of byte j hold weight 32 n + j of a run; then d."""
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 64]) | np.int64(raw[b, 65]) << 8]
        for run in range(2):
            for n in range(4):
                for j in range(32):
                    code = np.int32(raw[b, 32 * run + j]) >> 2 * n & 3
                    out[b, 128 * run + 32 * n + j] = d * np.float32(code - 1)


# pythran export i2_s(uint8[:,:] order(C), float32, int, float32[:,:] order(C))
def i2_s(raw, scale, threads, out):
    """Bits 6 - 2 n of byte j hold weight size * n + j; size: 32 bytes (x86) or 16 (ARM)."""
    blocks, size = raw.shape
    # omp parallel for num_threads(threads)
    for b in range(blocks):
        for n in range(4):
            for j in range(size):
                code = np.int32(raw[b, j]) >> 6 - 2 * n & 3
                out[b, size * n + j] = scale * np.float32(code - 1)


# pythran export q1_0(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def q1_0(raw, half, threads, out):
    """d, then bit j % 8 of byte j // 8: +d where it is set, -d where not."""
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 0]) | np.int64(raw[b, 1]) << 8]
        for k in range(16):
            v = np.int32(raw[b, 2 + k])
            for j in range(8):
                out[b, 8 * k + j] = d * np.float32(2 * (v >> j & 1) - 1)


# pythran export q2_0(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def q2_0(raw, half, threads, out):
    """d, then four codes a byte, the first in the low bits: -1, 0, 1, 2 times d."""
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 0]) | np.int64(raw[b, 1]) << 8]
        for k in range(16):
            v = np.int32(raw[b, 2 + k])
            for j in range(4):
                out[b, 4 * k + j] = d * np.float32((v >> 2 * j & 3) - 1)
