"""The plain answer: is a product by table lookup worth it on this matrix and this machine?"""

from collections.abc import Mapping, Sequence

from workbench.ui import tables

ALIKE = 1.02  # rows and columns are filled up differently; so much is no difference
PACKED = {"planar": "Two bits a weight (planar)", "base3": "Five trits a byte (base3)"}


def verdict(rows: Sequence[Mapping]) -> str:
    """Whether a table is worth it, in a few sentences, from rows of `bench_lookups`."""
    packed = [row for row in rows if row["kernel"] in PACKED]
    looked = [row for row in rows if row["kind"] != "other"]
    best = min(looked, key=lambda row: row["median_s"])
    won = [row for row in looked if not any(_beats(other, row) for other in packed)]
    said = [f"{problem_of(rows[0])}."]
    said += [f"{PACKED[row['kernel']]} takes {_costs(row)}." for row in packed]
    said.append(f"The fastest lookup, {best['kernel']}, takes {_costs(best)}.")
    if not won:
        said.append("No table is worth it here: one of the packings is as small, and faster.")
    else:
        named = ", ".join(row["kernel"] for row in won)
        said.append(f"Smaller or faster than each packing: {named}. Worth it where that counts.")
    return " ".join(said)


def problem_of(row: Mapping) -> str:
    """Shape, tokens and threads of a row."""
    threads = f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"
    tokens = f"{row['tokens']} token{'s' if row['tokens'] > 1 else ''}"
    return f"{row['rows']} × {row['cols']} weights, {tokens}, {threads}"


def _beats(row, other) -> bool:
    return row["nbytes"] <= ALIKE * other["nbytes"] and row["median_s"] <= other["median_s"]


def _costs(row) -> str:
    bits = 8 * row["nbytes"] / (row["rows"] * row["cols"])
    return f"{tables.seconds(row['median_s'])} and {bits:.2f} bits a weight"
