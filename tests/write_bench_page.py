"""Record the race of ternary products in docs/bench.md: the page that shows one full run.

    python tests/write_bench_page.py

Takes some minutes; let nothing else run meanwhile. Numbers are of the machine that runs it.
"""

import datetime
import itertools
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

from tqdm import tqdm

from workbench.measure.machine import machine_facts, measured_facts
from workbench.measure.race import READING, bench_matmul

PAGE = Path(__file__).parents[1] / "docs" / "bench.md"
MARK = "<!-- below: recorded by tests/write_bench_page.py -->\n"
SHAPES = [(2048, 2048), (4096, 4096), (8192, 8192)]
UNEVEN = [  # columns that are no multiple of 256, each after the aligned width below it
    *((2048, 512), (2048, 576)),
    *((2048, 1536), (2048, 1600)),
    *((4096, 4096), (4096, 4160)),
]
THREADS = (1, 2)
TOKENS = (1, 32, 128)
NUMPY = "ratio_numpy"
OURS = "planar,base3"
RACE = ("rows", "cols", "tokens", "threads")


def record() -> str:
    """The part of the page that is measured."""
    facts = machine_facts()
    rows = _race(SHAPES, TOKENS)
    uneven = _race(UNEVEN, (1,), only=OURS)
    lines = [MARK, f"Recorded {datetime.date.today()}.", "", "## The machine", ""]
    lines += ["| fact | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    for threads in THREADS:
        measured = measured_facts(threads)
        lines += [
            f"| {name}, threads {threads} | {measured[name]:.4g} |"
            for name in ("peak_gops", "read_gb_s")
        ]
    lines += ["", "## What was aimed for", "", *_aims(rows, uneven)]
    lines += ["", "## All kernels", "", *_tables(rows)]
    lines += ["## Columns that are no multiple of 256", "", *_tables(uneven)]
    return "\n".join(lines)


def _aims(rows, uneven) -> Iterator[str]:
    """What this project set itself, and what came out; medians of the pairs."""
    times = {_key(row): row for row in rows}

    def faster(size, tokens, peer="ratio"):
        return times["planar", size, size, tokens, 1][peer]

    def scaling(size):
        one, two = (times["planar", size, size, 1, threads]["median_s"] for threads in THREADS)
        return one / two

    def each(row):
        return row["median_s"] / (row["rows"] * row["cols"])

    planar = [row for row in uneven if row["kernel"] == "planar" and row["threads"] == 1]
    aligned, others = planar[::2], planar[1::2]
    yield "Times as fast, by `planar` on one thread, as llama.cpp's TQ2_0 vec_dot looped over rows"
    yield "unless another peer is named; ratios of medians where two shapes are compared."
    yield ""
    yield "| what | aim | found |"
    yield "|---|--:|--:|"
    for size, least in ((2048, 2), (4096, 2), (8192, 2.3)):
        yield f"| {size} x {size}, 1 token | {least} | {faster(size, 1):.2f} |"
    for size in (2048, 4096):
        yield f"| the same, {size} x {size}, numpy float32 | 8 | {faster(size, 1, NUMPY):.1f} |"
    for size, tokens in itertools.product((2048, 4096, 8192), TOKENS[1:]):
        yield f"| {size} x {size}, {tokens} tokens | 3 | {faster(size, tokens):.2f} |"
    for size in (4096, 8192):
        yield f"| two threads over one, {size} x {size}, 1 token | 1.6 | {scaling(size):.2f} |"
    for near, row in zip(aligned, others, strict=True):
        shape = f"{row['cols']} columns over {near['cols']}"
        yield f"| time a weight, {shape} | at most 1.5 | {each(row) / each(near):.2f} |"
    reading = times[READING, 8192, 8192, 1, 1]
    yield ""
    yield (
        "At 8192 x 8192 only reading the bytes, with nothing computed, is "
        f"{reading['ratio']:.2f} times as fast as TQ2_0 ({reading['ratio_min']:.2f} to "
        f"{reading['ratio_max']:.2f}): whatever stores two bits a weight ends there."
    )


def _key(row):
    return tuple(row[key] for key in ("kernel", *RACE))


def _race(shapes, tokens, **options) -> list[dict]:
    with tqdm(unit="%", desc="race") as bar:

        def progress(done, total, label):
            bar.total, bar.n = total, done
            bar.set_postfix_str(label)

        return bench_matmul(shapes, THREADS, tokens, progress=progress, **options)


def _tables(rows: Iterable[Mapping]) -> Iterator[str]:
    for (height, width, tokens, threads), race in groupby(
        rows, lambda row: tuple(row[key] for key in RACE)
    ):
        race = sorted(race, key=lambda row: row["median_s"])
        yield f"### {height} x {width}, {_plural(tokens, 'token')}, {_plural(threads, 'thread')}"
        yield ""
        yield "Times as fast as {}: median (smallest to largest of the pairs).".format(
            race[0]["ratio_to"]
        )
        yield ""
        yield "| kernel | median µs | min | max | Gop/s | times as fast | as numpy | MB |"
        yield "|---|--:|--:|--:|--:|--:|--:|--:|"
        yield from map(_line, race)
        yield ""


def _line(row: Mapping) -> str:
    times = " | ".join(f"{row[key] * 1e6:.1f}" for key in ("median_s", "min_s", "max_s"))
    ratio = f"{row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})"
    return (
        f"| {row['kernel']} | {times} | {row['gops']:.1f} | {ratio} | "
        f"{row['ratio_numpy']:.2f} | {row['nbytes'] / 1e6:.2f} |"
    )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


if __name__ == "__main__":
    by_hand, _, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(by_hand + record() + "\n")
