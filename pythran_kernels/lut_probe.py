"""What a lookup waits for: a chain of dependent loads, and a chain of dependent operations."""

# pythran export chase(int32[:], int, int32[:])
# pythran export chain(int, int64[:])


def chase(after, steps, out):
    """Follow `after` from out[0] on for so many steps: each load waits for the one before."""
    place = out[0]
    for _ in range(steps):
        place = after[place]
    out[0] = place


def chain(steps, out):
    """So many times a shift and an exclusive or, each waiting for the other: two cycles a step."""
    value = out[0]
    for _ in range(steps):
        value = value ^ (value >> 1)
    out[0] = value
