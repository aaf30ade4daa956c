"""Plain numbers of weight files as float32: one element after the other, in parallel."""

import numpy as np


# pythran export widen_half(uint16[:], float32[:], int, float32[:])
def widen_half(x, half, threads, out):
    """float16 bit patterns x through `half`, the table of all 65,536 values."""
    # omp parallel for num_threads(threads)
    for i in range(x.shape[0]):
        out[i] = half[np.int64(x[i])]


# pythran export widen_bfloat(uint16[:], int, uint32[:])
def widen_bfloat(x, threads, out):
    """bfloat16 is the upper half of a float32; `out` receives the float32 bit patterns."""
    # omp parallel for num_threads(threads)
    for i in range(x.shape[0]):
        out[i] = np.uint32(x[i]) << np.uint32(16)


# pythran export copy_single(uint32[:], int, uint32[:])
def copy_single(x, threads, out):
    """float32 bit patterns as they are (as integers, so that no NaN changes)."""
    # omp parallel for num_threads(threads)
    for i in range(x.shape[0]):
        out[i] = x[i]


# pythran export convert(float64[:], int, float32[:])
# pythran export convert(int8[:], int, float32[:])
# pythran export convert(int16[:], int, float32[:])
# pythran export convert(int32[:], int, float32[:])
# pythran export convert(int64[:], int, float32[:])
# pythran export convert(uint8[:], int, float32[:])
# pythran export convert(uint16[:], int, float32[:])
# pythran export convert(uint32[:], int, float32[:])
# pythran export convert(uint64[:], int, float32[:])
def convert(x, threads, out):
    """Numbers of any other type, rounded to the nearest float32."""
    # omp parallel for num_threads(threads)
    for i in range(x.shape[0]):
        out[i] = np.float32(x[i])
