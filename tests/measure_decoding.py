"""How fast each block format decodes, beside gguf-py; prints the table of docs/formats.md.

    python tests/measure_decoding.py

Not a test. Speeds are in GB/s of float32 written; the output array is new each time, as
`Tensor.read` makes it, so that its pages are touched for the first time. The ratio is that of two
threads to gguf-py, over rounds in which both were sampled.
"""

import gguf
import numpy as np

from workbench import kernels
from workbench.formats import BLOCKS, decode_blocks
from workbench.measure.machine import machine_facts
from workbench.measure.timing import race

COLS, ROWS = 4096, 2048
HEAD = ("1 thread", "2 threads", "gguf-py", "ratio", "least", "most")


def main():
    facts = machine_facts()
    print({key: facts[key] for key in ("cpu", "threads", "numpy", "compiler", "flags", "kernels")})
    print(f"| type | {' | '.join(HEAD)} |\n|---|{'---:|' * len(HEAD)}")
    for name, block in BLOCKS.items():
        if block.kernels and block.id is not None:
            print(f"| {name} | {' | '.join(row(name, block))} |", flush=True)


def row(name, block):
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 256, (ROWS, COLS // block.elements * block.bytes), np.uint8)
    if block.elements > 1:  # scales of real weights, not NaN and not denormal
        for at in block.scales:
            raw.reshape(-1, block.bytes)[:, at : at + 2] = 0, 0x2C
    runners = {
        "one": lambda: decode_blocks(name, raw, COLS, threads=1),
        "two": lambda: decode_blocks(name, raw, COLS, threads=2),
    }
    kind = getattr(gguf.GGMLQuantizationType, name, None)
    known = gguf.quants._type_traits.keys() | {gguf.GGMLQuantizationType.F16}
    if kind in known:
        runners["gguf-py"] = lambda: gguf.quants.dequantize(raw, kind)
    with np.errstate(all="ignore"):
        laps = race(runners, to=["gguf-py"] if kind in known else [], threads=2, seconds=1.5)
    speeds = [f"{4 * ROWS * COLS / laps[who].timing.median_s / 1e9:.2f}" for who in runners]
    if kind not in known:
        return [*speeds, "", "", "", ""]
    ratio = laps["two"].ratios["gguf-py"]
    return [*speeds, *(f"{number:.0f}" for number in (ratio.median, ratio.min, ratio.max))]


kernels.load("blocks_plain")
main()
