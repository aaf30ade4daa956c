"""How fast each block format decodes, beside gguf-py; prints the table of docs/formats.md.

    python tests/measure_decoding.py

Not a test. Speeds are in GB/s of float32 written. The ratio is that of two threads to gguf-py, over
rounds in which both were sampled.
"""

from workbench.measure.decoding import DECODED, bench_decoding
from workbench.measure.machine import machine_facts

HEAD = ("1 thread", "2 threads", "gguf-py", "ratio", "least", "most")


def main():
    facts = machine_facts()
    print({key: facts[key] for key in ("cpu", "threads", "numpy", "compiler", "flags", "kernels")})
    print(f"| type | {' | '.join(HEAD)} |\n|---|{'---:|' * len(HEAD)}")
    for name in DECODED:
        one, two = bench_decoding([name], [1, 2])
        cells = [f"{one['gb_per_s']:.2f}", f"{two['gb_per_s']:.2f}", *["", "", "", ""]]
        if two["ratio"]:
            cells[2] = f"{two['gb_per_s'] / two['ratio']:.2f}"
            cells[3:] = [f"{two[key]:.0f}" for key in ("ratio", "ratio_min", "ratio_max")]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


main()
