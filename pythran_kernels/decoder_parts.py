"""What a transformer does to each token by itself between two products: norms, rounding, gates.

Pythran divides in float64: a quotient is made float32 at once, or all that follows becomes float64.
"""

# pythran export normalise(float32[:,:] order(C), float32[:], float, float32[:,:] order(C), int, int)
# pythran export round_groups(float32[:,:] order(C), int16[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), int, int)
# pythran export round_tokens(float32[:,:] order(C), int8[:,:] order(C), float32[:,:] order(C), int32[:], int, int)
# pythran export gate(float32[:,:] order(C), float32[:,:] order(C), int, int, int)
import numpy as np


def normalise(x, weight, eps, y, first, last):
    """Write y = x / sqrt(mean(x^2) + eps) * weight for the tokens first to last - 1; y may be x.

    NaN where the mean is not finite: 1 / its root would be 0, and hide that numbers outgrew float32.
    """
    cols = weight.shape[0]
    for t in range(first, last):
        # eight sums, since one would wait for itself
        a = b = c = d = e = f = g = h = np.float32(0)
        whole = cols - cols % 8
        for j in range(0, whole, 8):
            a += x[t, j] * x[t, j]
            b += x[t, j + 1] * x[t, j + 1]
            c += x[t, j + 2] * x[t, j + 2]
            d += x[t, j + 3] * x[t, j + 3]
            e += x[t, j + 4] * x[t, j + 4]
            f += x[t, j + 5] * x[t, j + 5]
            g += x[t, j + 6] * x[t, j + 6]
            h += x[t, j + 7] * x[t, j + 7]
        for j in range(whole, cols):
            a += x[t, j] * x[t, j]
        mean = np.float32(((a + b) + (c + d) + ((e + f) + (g + h))) / np.float32(cols))
        scale = np.float32(np.float32(1) / np.sqrt(mean + np.float32(eps)))
        if mean - mean != np.float32(0):
            scale = np.float32(np.nan)
        for j in range(cols):
            y[t, j] = x[t, j] * scale * weight[j]


def largest(x, t, start, stop):
    """The largest |x[t, start:stop]|, or infinity if any of them is not finite."""
    a = b = c = d = np.float32(0)
    whole = stop - (stop - start) % 4
    for j in range(start, whole, 4):
        a = max(a, abs(x[t, j]))
        b = max(b, abs(x[t, j + 1]))
        c = max(c, abs(x[t, j + 2]))
        d = max(d, abs(x[t, j + 3]))
    for j in range(whole, stop):
        a = max(a, abs(x[t, j]))
    return max(max(a, b), max(c, d))


def round_groups(x, q, step, total, first, last):
    """Round tokens first to last - 1 of x (tokens, cols) to int8 with a step for every 32 columns.

    q (tokens, 32 * groups) is 0 from column cols on; total = step * sum of q, in each group.
    A step is NaN where x is not finite, so that what comes of it shows.
    """
    cols = x.shape[1]
    groups = step.shape[1]
    for t in range(first, last):
        for g in range(groups):
            start = 32 * g
            stop = min(start + 32, cols)
            peak = max(largest(x, t, start, stop), np.float32(1e-30))
            inverse = np.float32(np.float32(127) / peak)
            s = np.int32(0)
            bad = np.int32(0)
            for j in range(start, stop):
                v = x[t, j] * inverse
                n = np.int32(np.rint(v))
                q[t, j] = np.int16(n)
                s += n
                bad += np.int32(v - v != np.float32(0))
            for j in range(stop, start + 32):
                q[t, j] = 0
            unit = np.float32(peak / np.float32(127))
            if bad > 0:
                unit = np.float32(np.nan)
            step[t, g] = unit
            total[t, g] = unit * np.float32(s)


def round_tokens(x, q, step, total, first, last):
    """Round tokens first to last - 1 of x (tokens, cols) to int8 with one step each, as BitNet does.

    q (tokens, width) is 0 from column cols on; total is the sum of q. A step is NaN where x is
    not finite.
    """
    cols = x.shape[1]
    for t in range(first, last):
        peak = max(largest(x, t, 0, cols), np.float32(1e-5))
        inverse = np.float32(np.float32(127) / peak)
        s = np.int32(0)
        bad = np.int32(0)
        for j in range(cols):
            v = x[t, j] * inverse
            n = np.int32(np.rint(v))
            q[t, j] = np.int8(n)
            s += n
            bad += np.int32(v - v != np.float32(0))
        for j in range(cols, q.shape[1]):
            q[t, j] = 0
        unit = np.float32(peak / np.float32(127))
        if bad > 0:
            unit = np.float32(np.nan)
        step[t, 0] = unit
        total[t] = s


def exponential(x):
    """exp(x) for x <= 0, to 3e-5 of it: exp(x / 256) by its series, squared eight times.

    Written so, and unlike a library's, it vectorizes.
    """
    v = (x if x > np.float32(-80) else np.float32(-80)) * np.float32(0.00390625)
    p = np.float32(1 / 120) + v * np.float32(1 / 720)
    p = np.float32(1 / 24) + v * p
    p = np.float32(1 / 6) + v * p
    p = np.float32(1 / 2) + v * p
    p = np.float32(1) + v * p
    p = np.float32(1) + v * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    return p * p


def gate(x, y, relu2, first, last):
    """Write y (tokens, ff) = activation(x[:, :ff]) * x[:, ff:2 ff]; SiLU, or squared ReLU."""
    ff = y.shape[1]
    for t in range(first, last):
        if relu2:
            for j in range(ff):
                v = x[t, j]
                v = v if v > np.float32(0) else np.float32(0)
                y[t, j] = v * v * x[t, ff + j]
        else:
            for j in range(ff):
                v = x[t, j]
                e = exponential(-abs(v))
                s = np.float32(np.float32(1) / (np.float32(1) + e))
                y[t, j] = (max(v, np.float32(0)) + min(v, np.float32(0)) * e) * s * x[t, ff + j]
