"""Count dictionaries of patterns over 32 layers of LLaMA 7B's shape, independent trits by seed.

    python data/count_layers.py data/lookup-7b-layers.csv

Rows are those of `workbench.lookup.layers.growth`, one for each layer seen and each length of
pattern. Prints the time and the peak memory.
"""

import resource
import sys
import time

import pandas as pd

from workbench.lookup.layers import growth, random_layers


def main(path: str) -> None:
    """Write the table; prints a line a layer."""
    start, rows = time.perf_counter(), []
    for row in growth(random_layers()):
        rows.append(row)
        if row["g"] == 16:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            seconds = time.perf_counter() - start
            print(f"{row['layer']}: {seconds:.0f} s, at most {peak:.2f} GB", flush=True)
    pd.DataFrame(rows).to_csv(path, index=False, lineterminator="\n")


if __name__ == "__main__":
    main(sys.argv[1])
