"""Codes of 1 to 8 bits end to end, no bit lost: code i is at bits i*b ... i*b + b - 1.

Bits are counted from the low end of each byte. Eight codes fill b bytes, so the arrays are whole
eights of codes and of bytes. Fewer than the bound of each loop do not pay for a second thread.
"""

import numpy as np


# pythran export pack(uint8[:,:] order(C), uint8[:,:] order(C))
def pack(codes, out):
    """Pack codes (eights, 8) into out (eights, b)."""
    eights, b = out.shape
    # omp parallel for if(eights > 8192)
    for e in range(eights):
        word = np.uint64(0)
        for i in range(codes.shape[1]):
            word |= np.uint64(codes[e, i]) << np.uint64(b * i)
        for i in range(b):
            out[e, i] = np.uint8((word >> np.uint64(8 * i)) & np.uint64(255))


# pythran export unpack(uint8[:,:] order(C), uint8[:,:] order(C))
def unpack(packed, codes):
    """Undo `pack`."""
    eights, b = packed.shape
    mask = (np.uint64(1) << np.uint64(b)) - np.uint64(1)
    # omp parallel for if(eights > 8192)
    for e in range(eights):
        word = np.uint64(0)
        for i in range(b):
            word |= np.uint64(packed[e, i]) << np.uint64(8 * i)
        for i in range(codes.shape[1]):
            codes[e, i] = np.uint8((word >> np.uint64(b * i)) & mask)
