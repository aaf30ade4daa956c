"""Store what every technique makes of one small matrix: the files that tests hold it against.

    python tests/write_golden.py [ID ...]

Run it for a new technique, or where a format changes on purpose; never to make a test pass. A
format that changes needs a new id or a reader of the old one: files of users carry it.
"""

import sys
from pathlib import Path

import numpy as np
from checks import CASES, case_id, golden_weights

import workbench as wb

FOLDER = Path(__file__).parent / "golden"


def main(chosen: list[str]) -> None:
    """Write the files of these techniques, or of all."""
    FOLDER.mkdir(exist_ok=True)
    for name in chosen or CASES:
        for parameters in CASES[name]:
            encoded = wb.technique(name, **parameters).encode(golden_weights())
            path = FOLDER / f"{case_id(name, parameters)}.safetensors"
            encoded.save(path)
            np.save(path.with_suffix(".npy"), encoded.decode())
            print(f"{path.name}: {encoded.nbytes} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
