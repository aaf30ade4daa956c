"""Factors of n below 96 by table, by trial division and fused into one lookup; sums stay live."""

# pythran export fused(uint8[:], uint8[:], int64[:])
# pythran export fused_modulo(uint8[:], uint8[:], int64[:])
# pythran export two_steps(uint8[:], uint8[:], uint8[:], int64[:])
# pythran export trial_division(uint8[:], int64[:])
import numpy as np


def fused(n, sums, out):
    """Add to out[0] the sum of the factors of every n, read from a table of sums (96)."""
    total = np.int64(0)
    for i in range(n.shape[0]):
        total += sums[n[i]]
    out[0] += total


def fused_modulo(n, sums, out):
    """`fused` of n mod 96."""
    total = np.int64(0)
    for i in range(n.shape[0]):
        total += sums[n[i] % np.uint8(96)]
    out[0] += total


def two_steps(n, offsets, factors, out):
    """The same from a list of factors: those of n lie from offsets[n] to offsets[n + 1]."""
    total = np.int64(0)
    for i in range(n.shape[0]):
        for place in range(offsets[n[i]], offsets[n[i] + 1]):
            total += factors[place]
    out[0] += total


def trial_division(n, out):
    """The same by dividing by 2, 3, 5 and 7 and adding what is left, if it is more than 1."""
    total = np.int64(0)
    for i in range(n.shape[0]):
        left = int(n[i])
        while left > 1 and left % 2 == 0:
            total += 2
            left //= 2
        while left > 1 and left % 3 == 0:
            total += 3
            left //= 3
        while left > 1 and left % 5 == 0:
            total += 5
            left //= 5
        while left > 1 and left % 7 == 0:
            total += 7
            left //= 7
        if left > 1:
            total += left
    out[0] += total
