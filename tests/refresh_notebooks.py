"""Run every notebook and store what is to be compared; `make notebooks` calls it.

    python tests/refresh_notebooks.py [NAME ...]

The only way to change a stored output: nbval compares with what this wrote. Outputs are kept of
cells tagged `keep_output` and dropped of all others, so that running it twice changes nothing.
"""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbstripout import strip_output

FOLDER = Path(__file__).parents[1] / "notebooks"
CELL_TIMEOUT_S = 120
SHOWING = {"keep_output", "nbval-ignore-output"}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def refresh(path: Path) -> None:
    """Run one notebook where it lies and rewrite it."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=CELL_TIMEOUT_S, resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute()
    for cell in notebook.cells:
        if cell.get("outputs") and not SHOWING & set(cell.metadata.get("tags", ())):
            sys.exit(
                f"{path.name}: this shows something, but has no tag of {SHOWING}:\n{cell.source}"
            )
    strip_output(notebook, keep_output=False, keep_count=True, keep_id=True)
    notebook.metadata = {**METADATA, "workbench": notebook.metadata["workbench"]}
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in ("tags",) if key in cell.metadata}
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def main(names: list[str]) -> None:
    """Refresh the notebooks of these names (without suffix), or all."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not names or path.stem in names:
            start = time.perf_counter()
            refresh(path)
            print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
