"""Put two finished courses of `workbench train` into data/ as our own model and its float twin.

    workbench train --output runs/ternary
    workbench train --output runs/float --weights float
    python data/make_english.py runs/ternary runs/float

Afterwards the sizes and hashes in workbench/models/known.py and data/NOTICE must be those that this
prints, and docs/training.md tells the perplexities.
"""

import hashlib
import shutil
import sys
from pathlib import Path

from workbench.lm.training.course import HELD_OUT, LOG, MODEL

HERE = Path(__file__).parent


def main(ternary: str, twin: str) -> None:
    courses = {"ternary": Path(ternary), "float": Path(twin)}
    if (courses["ternary"] / HELD_OUT).read_bytes() != (courses["float"] / HELD_OUT).read_bytes():
        sys.exit("the two courses held out different texts")
    copies = {courses["ternary"] / HELD_OUT: HERE / "english-held-out.txt"}
    for name, course in courses.items():
        copies[course / MODEL] = HERE / f"english-{name}.gguf"
        copies[course / LOG] = HERE / f"english-{name}-log.csv"
    for source, target in copies.items():
        shutil.copyfile(source, target)
        content = target.read_bytes()
        print(f"{target.name}: {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
