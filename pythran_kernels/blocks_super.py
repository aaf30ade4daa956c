"""GGUF's super-blocks of 256 weights: scales of sub-blocks that are themselves quantized.

Arguments as in blocks_simple.py.
"""

import numpy as np


# pythran export q2_k(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def q2_k(raw, half, threads, out):
    """scales[16] (low nibble: scale, high nibble: minimum), qs[64], d, dmin."""
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 80]) | np.int64(raw[b, 81]) << 8]
        dmin = half[np.int64(raw[b, 82]) | np.int64(raw[b, 83]) << 8]
        for i in range(16):  # sub-block of 16 weights
            scale = d * np.float32(raw[b, i] & 15)
            least = dmin * np.float32(raw[b, i] >> 4)
            at = 16 + i // 8 * 32 + i % 2 * 16
            shift = i % 8 // 2 * 2
            for j in range(16):
                q = np.int32(raw[b, at + j]) >> shift & 3
                out[b, 16 * i + j] = scale * np.float32(q) - least


# pythran export q3_k(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def q3_k(raw, half, threads, out):
    """hmask[32] (third bits, inverted), qs[64], scales[12] (16 of 6 bits), d."""
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 108]) | np.int64(raw[b, 109]) << 8]
        for i in range(16):
            low = np.int32(raw[b, 96 + i % 8]) >> i // 8 * 4 & 15
            high = np.int32(raw[b, 104 + i % 4]) >> i // 4 * 2 & 3
            scale = d * np.float32((low | high << 4) - 32)
            at = i // 8 * 32 + i % 2 * 16
            for j in range(16):
                q = np.int32(raw[b, 32 + at + j]) >> i % 8 // 2 * 2 & 3
                bit = np.int32(raw[b, i % 2 * 16 + j]) >> i // 2 & 1
                out[b, 16 * i + j] = scale * np.float32(q + 4 * bit - 4)


# pythran export q4_k(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def q4_k(raw, half, threads, out):
    """d, dmin, scales[12] (8 scales and minima of 6 bits), qs[128]."""
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 0]) | np.int64(raw[b, 1]) << 8]
        dmin = half[np.int64(raw[b, 2]) | np.int64(raw[b, 3]) << 8]
        for i in range(8):  # sub-block of 32 weights
            if i < 4:
                s = np.int32(raw[b, 4 + i]) & 63
                m = np.int32(raw[b, 8 + i]) & 63
            else:
                s = (np.int32(raw[b, 8 + i]) & 15) | np.int32(raw[b, i]) >> 6 << 4
                m = np.int32(raw[b, 8 + i]) >> 4 | np.int32(raw[b, 4 + i]) >> 6 << 4
            scale = d * np.float32(s)
            least = dmin * np.float32(m)
            at = 16 + i // 2 * 32
            for j in range(32):
                q = np.int32(raw[b, at + j]) >> i % 2 * 4 & 15
                out[b, 32 * i + j] = scale * np.float32(q) - least


# pythran export q5_k(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def q5_k(raw, half, threads, out):
    """As q4_k, with qh[32] before qs[128]: bit i of qh[j] is the fifth of weight 32 i + j."""
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 0]) | np.int64(raw[b, 1]) << 8]
        dmin = half[np.int64(raw[b, 2]) | np.int64(raw[b, 3]) << 8]
        for i in range(8):
            if i < 4:
                s = np.int32(raw[b, 4 + i]) & 63
                m = np.int32(raw[b, 8 + i]) & 63
            else:
                s = (np.int32(raw[b, 8 + i]) & 15) | np.int32(raw[b, i]) >> 6 << 4
                m = np.int32(raw[b, 8 + i]) >> 4 | np.int32(raw[b, 4 + i]) >> 6 << 4
            scale = d * np.float32(s)
            least = dmin * np.float32(m)
            at = 48 + i // 2 * 32
            for j in range(32):
                q = np.int32(raw[b, at + j]) >> i % 2 * 4 & 15
                q |= (np.int32(raw[b, 16 + j]) >> i & 1) << 4
                out[b, 32 * i + j] = scale * np.float32(q) - least


# pythran export q6_k(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def q6_k(raw, half, threads, out):
    """ql[128], qh[64], scales[16] (int8), d."""
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 208]) | np.int64(raw[b, 209]) << 8]
        for i in range(16):
            scale = d * np.float32(np.int8(raw[b, 192 + i]))
            low = i // 8 * 64 + i % 4 * 16
            high = 128 + i // 8 * 32 + i % 2 * 16
            for j in range(16):
                q = np.int32(raw[b, low + j]) >> i % 8 // 4 * 4 & 15
                q |= (np.int32(raw[b, high + j]) >> i % 8 // 2 * 2 & 3) << 4
                out[b, 16 * i + j] = scale * np.float32(q - 32)
