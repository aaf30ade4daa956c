"""Ternary codes in bytes: four rows a byte (planar, 2 bits) or five rows a byte (base3, 1.6 bits).

One byte holds the codes of neighbouring rows at one column, so that a product reads each
activation once for all of them; workbench/ternary/packing.py draws the layouts.
"""

# pythran export pack_planar(int8[:,:] order(C), uint8[:,:] order(C))
# pythran export unpack_planar(uint8[:,:] order(C), int8[:,:] order(C))
# pythran export pack_base3(int8[:,:] order(C), uint8[:,:] order(C))
# pythran export unpack_base3(uint8[:,:] order(C), int8[:,:] order(C))
import numpy as np


def pack_planar(codes, data):
    """Write codes {-1, 0, +1} (rows, cols) into data (ceil(rows / 4), cols); missing rows are 0."""
    rows, cols = codes.shape
    for g in range(data.shape[0]):
        for c in range(cols):
            data[g, c] = 85  # four codes of weight 0
        for p in range(4):
            r = 4 * g + p
            if r < rows:
                for c in range(cols):
                    data[g, c] = np.uint8(np.int32(data[g, c]) + (np.int32(codes[r, c]) << (2 * p)))


def unpack_planar(data, codes):
    """Undo pack_planar; returns the number of bytes that pack_planar cannot have written."""
    rows, cols = codes.shape
    for r in range(rows):
        for c in range(cols):
            codes[r, c] = np.int8((data[r // 4, c] >> (2 * (r % 4))) & 3) - 1
    bad = 0
    for g in range(data.shape[0]):
        for c in range(cols):
            bad += (data[g, c] & (data[g, c] >> 1) & 85) != 0
    return bad


def pack_base3(codes, data):
    """Write codes {-1, 0, +1} (rows, cols) into data (ceil(rows / 5), cols); missing rows are 0."""
    rows, cols = codes.shape
    number = np.empty(cols, np.int32)
    for g in range(data.shape[0]):
        for c in range(cols):
            number[c] = 0
        for p in range(5):
            r = 5 * g + p
            for c in range(cols):
                number[c] = 3 * number[c] + 1
            if r < rows:
                for c in range(cols):
                    number[c] += codes[r, c]
        for c in range(cols):
            data[g, c] = np.uint8((number[c] * 256 + 242) // 243)


def unpack_base3(data, codes):
    """Undo pack_base3; returns the number of bytes that pack_base3 cannot have written."""
    rows, cols = codes.shape
    bad = 0
    for g in range(data.shape[0]):
        for c in range(cols):
            number = (np.int32(data[g, c]) * 243) >> 8
            bad += ((number * 256 + 242) // 243) != np.int32(data[g, c])
        for p in range(5):
            r = 5 * g + p
            if r < rows:
                power = 3**p
                for c in range(cols):
                    rest = (np.int32(data[g, c]) * power) & 255
                    codes[r, c] = np.int8((rest * 3) >> 8) - 1
    return bad
