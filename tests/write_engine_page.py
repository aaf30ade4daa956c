"""Record the race of whole models in docs/engine.md.

    python tests/write_engine_page.py

Takes about a minute and a half; let nothing else run meanwhile. Numbers are of the machine that
runs it. llama.cpp and the model smollm2-135m must be at hand.
"""

import datetime
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from workbench.lm import make_random_model
from workbench.lm.speed import PEER, bench_decode

PAGE = Path(__file__).parents[1] / "docs" / "engine.md"
MARK = "<!-- below: recorded by tests/write_engine_page.py -->\n"
THREADS = (1, 2)
LARGE = {"layers": 24, "width": 1536, "ff": 4096, "heads": 16, "vocab": 32_000}


def record() -> str:
    """The part of the page that is measured."""
    small = bench_decode("smollm2-135m", THREADS, weights=("file", "int8"), seconds=20)
    with tempfile.TemporaryDirectory() as folder:
        path = make_random_model(Path(folder) / "m.gguf", quant="TQ2_0", embedding="Q8_0", **LARGE)
        large = bench_decode(path, THREADS, weights=("planar", "base3"), seconds=40)
    lines = [MARK, f"Recorded {datetime.date.today()} on {small[0]['machine']}.", ""]
    lines += ["### SmolLM2-135M, Q4_1", "", *_table(small), ""]
    lines += ["### A random ternary model, 728 million weights, TQ2_0", "", *_table(large), ""]
    return "\n".join(lines)


def _table(rows) -> Iterator[str]:
    yield (
        "| runner | threads | prefill tokens/s | times llama.cpp | decode tokens/s "
        "| times llama.cpp | MB a token | GB/s | of reading |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for row in sorted(rows, key=lambda row: row["threads"]):
        cells = [row["runner"], str(row["threads"])]
        for what in ("prefill", "decode"):
            cells += [f"{row[f'{what}_tokens_s']:.1f}", _ratio(row, f"{what}_ratio")]
        cells += [f"{row['bytes_per_token'] / 1e6:.1f}", f"{row['gb_s']:.2f}"]
        cells.append(f"{row['bandwidth_share']:.0%} of {row['read_gb_s']:.1f}")
        yield f"| {' | '.join(cells)} |"


def _ratio(row, name):
    if row["runner"] == PEER:
        return "1"
    return f"{row[name]:.2f} ({row[f'{name}_min']:.2f} to {row[f'{name}_max']:.2f})"


if __name__ == "__main__":
    if "--print" in sys.argv:
        print(record())
    else:
        by_hand, _, _ = PAGE.read_text().partition(MARK)
        PAGE.write_text(by_hand + record())
