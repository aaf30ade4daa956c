"""Jobs a minute of a trivial notebook, and what a job costs; for docs/sweep.md.

python tests/measure_sweep.py
"""

import tempfile
import time
from pathlib import Path

from sweep_clusters import write_sweep_notebook

from workbench import sweep
from workbench.measure.machine import machine_facts

PARAMETER = "x: int = 1  # any"
BODIES = {
    "no import": "y = x * x",
    "wb.record": "import workbench as wb\nwb.record('y', x * x)",
}
JOBS, ROUNDS = 16, 2  # a worker; rounds take turns, so that a busy moment does not hit one alone


def measure(notebook: Path, workers: int, folder: Path) -> dict:
    """One sweep: seconds until the first job ended, jobs a minute from then on, median of a job."""
    ends = []
    begin = time.perf_counter()
    jobs = sweep.plan(notebook, {"x": range(JOBS * workers)})
    table = sweep.run(
        jobs, folder, workers=workers, found=lambda row: ends.append(time.perf_counter())
    )
    assert set(table["job.status"]) == {"ok"}
    warm = 2 * workers  # the first jobs of each worker import papermill, too
    return {
        "workers": workers,
        "first job after, s": ends[0] - begin,
        "jobs a minute": 60 * (len(ends) - warm) / (ends[-1] - ends[warm - 1]),
        "median job, s": table["job.seconds"].iloc[warm:].median(),
    }


def main() -> None:
    """Print what was measured, and the machine."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, body in BODIES.items():
            notebook = write_sweep_notebook(
                Path(scratch, f"{name.replace(' ', '-')}.ipynb"), PARAMETER, body
            )
            for turn in range(ROUNDS):
                for workers in (1, 2):
                    folder = Path(scratch, f"{notebook.stem}-{turn}-{workers}")
                    row = measure(notebook, workers, folder)
                    print(name, {key: round(value, 2) for key, value in row.items()}, flush=True)
    print({key: machine_facts()[key] for key in ("cpu", "threads", "os", "python")})


if __name__ == "__main__":
    main()
