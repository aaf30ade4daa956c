"""GGUF's blocks of 32 weights: one scale, sometimes an offset, 4 to 8 bits a weight.

In all kernels: raw (blocks, bytes), out (blocks, weights), half: the float32 value of every
float16 bit pattern. Layouts: docs/formats.md, after ggml-common.h and ggml-quants.c of llama.cpp.
"""

import numpy as np


# pythran export q4_0(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def q4_0(raw, half, threads, out):
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 0]) | np.int64(raw[b, 1]) << 8]
        for j in range(16):
            v = np.int32(raw[b, 2 + j])
            out[b, j] = d * np.float32((v & 15) - 8)
            out[b, j + 16] = d * np.float32((v >> 4) - 8)


# pythran export q4_1(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def q4_1(raw, half, threads, out):
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 0]) | np.int64(raw[b, 1]) << 8]
        m = half[np.int64(raw[b, 2]) | np.int64(raw[b, 3]) << 8]
        for j in range(16):
            v = np.int32(raw[b, 4 + j])
            out[b, j] = d * np.float32(v & 15) + m
            out[b, j + 16] = d * np.float32(v >> 4) + m


# pythran export q5_0(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def q5_0(raw, half, threads, out):
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 0]) | np.int64(raw[b, 1]) << 8]
        low = np.int32(raw[b, 2]) | np.int32(raw[b, 3]) << 8
        high = np.int32(raw[b, 4]) | np.int32(raw[b, 5]) << 8
        for j in range(16):
            v = np.int32(raw[b, 6 + j])
            out[b, j] = d * np.float32(((v & 15) | (low >> j & 1) << 4) - 16)
            out[b, j + 16] = d * np.float32((v >> 4 | (high >> j & 1) << 4) - 16)


# pythran export q5_1(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def q5_1(raw, half, threads, out):
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 0]) | np.int64(raw[b, 1]) << 8]
        m = half[np.int64(raw[b, 2]) | np.int64(raw[b, 3]) << 8]
        low = np.int32(raw[b, 4]) | np.int32(raw[b, 5]) << 8
        high = np.int32(raw[b, 6]) | np.int32(raw[b, 7]) << 8
        for j in range(16):
            v = np.int32(raw[b, 8 + j])
            out[b, j] = d * np.float32((v & 15) | (low >> j & 1) << 4) + m
            out[b, j + 16] = d * np.float32(v >> 4 | (high >> j & 1) << 4) + m


# pythran export q8_0(uint8[:,:] order(C), float32[:], int, float32[:,:] order(C))
def q8_0(raw, half, threads, out):
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = half[np.int64(raw[b, 0]) | np.int64(raw[b, 1]) << 8]
        for j in range(32):
            out[b, j] = d * np.float32(np.int8(raw[b, 2 + j]))


# pythran export mxfp4(uint8[:,:] order(C), float32[:], float32[:], int, float32[:,:] order(C))
def mxfp4(raw, power, value, threads, out):
    """power: the scale of each exponent byte; value: the 16 code values."""
    # omp parallel for num_threads(threads)
    for b in range(raw.shape[0]):
        d = power[np.int64(raw[b, 0])]
        for j in range(16):
            v = np.int64(raw[b, 1 + j])
            out[b, j] = d * value[v & 15]
            out[b, j + 16] = d * value[v >> 4]
