"""Seed 001: times of products, measured here against named peers in the same run."""

import numpy as np

from workbench import kernels
from workbench.claims.checks import Needs, check, says, shows
from workbench.claims.material import TRITS
from workbench.measure.timing import race, time_call
from workbench.ternary import linear, pack, quantize_activations
from workbench.ternary import matmul as multiply


@check("trinity-0ns-ops", alone=True)
def live_dot(rng):
    """A product of 2048 floats whose result is kept, out of L2; bytes that 10 ns would take."""
    rows, x = rng.normal(size=(64, 2048)).astype(np.float32), rng.normal(size=2048)
    x = x.astype(np.float32)
    out = np.empty(64, np.float32)
    seconds = time_call(lambda: np.dot(rows, x, out=out), seconds=0.2).min_s / len(rows)
    yield says("2048-float product", 10, seconds * 1e9, unit="ns", relation="<=")
    yield shows("bytes a cycle that 10 ns would take at 4 GHz", 2 * 4 * 2048 / 40)
    yield shows("time at two 32-byte loads a cycle and 4 GHz", 2 * 4 * 2048 / 64 / 4, unit="ns")


@check("trinity-10x-no-mult", quick=False, alone=True)
def ternary_against_float(rng):
    """The printed times; our packed kernel against float32 BLAS, one thread, one token."""
    yield says("speed-up", 10, 1.07e-3 / 1096.0e-6, tolerance=1, under="the document's own times")
    if not all(kernels.status(name).compiled for name in ("planar", "activations")):
        yield Needs("compiled kernels")
        return
    one_scale = np.ones((1, 1), np.float32)
    for rows, cols in ((2048, 2048), (4096, 11_008)):
        codes = rng.choice(TRITS, size=(rows, cols))
        packed = pack(codes, "planar")
        dense = codes.astype(np.float32)
        x = rng.normal(size=(1, cols)).astype(np.float32)
        q = np.ascontiguousarray(quantize_activations(x)[0][0])
        laps = race(
            {
                "float32": lambda d=dense, x=x: d @ x[0],
                "ternary": lambda p=packed, x=x: linear(p, one_scale, x),
                "ternary, int8 given": lambda p=packed, q=q: multiply(p, q),
            },
            to=["float32"],
            seconds=3,
        )
        ratio = laps["ternary"].ratios["float32"]
        under = f"our kernel, {rows} x {cols}, against float32 BLAS"
        yield says("speed-up", 10, ratio.median, relation=">=", under=under)
        yield shows("spread", [ratio.min, ratio.max], under=under)
        given = laps["ternary, int8 given"].ratios["float32"].median
        yield shows("speed-up without rounding activations", given, under=under)
