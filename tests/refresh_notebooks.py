"""Run every notebook and store what is to be compared; `make notebooks` calls it.

    python tests/refresh_notebooks.py [NAME ...]

The only way to change a stored output: nbval compares with what this wrote. Outputs are kept of
cells tagged `keep_output` and dropped of all others, so that running it twice changes nothing.
"""

import re
import sys
import time
from configparser import RawConfigParser
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbstripout import strip_output

ROOT = Path(__file__).parents[1]
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
            what = f"shows something, so it needs one of the tags {sorted(SHOWING)}"
            sys.exit(f"{path.name}: this cell {what}:\n{cell.source}")
    strip_output(notebook, keep_output=False, keep_count=True, keep_id=True)
    notebook.metadata = {**METADATA, "workbench": notebook.metadata["workbench"]}
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in ("tags",) if key in cell.metadata}
        for output in cell.get("outputs", ()):
            if "text" in output:
                output.text = sanitized(output.text)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def sanitized(text: str) -> str:
    """The text without what changes from run to run, as nbval replaces it too."""
    rules = RawConfigParser()
    rules.read(ROOT / "tests" / "nbval.cfg")
    for rule in rules.sections():
        text = re.sub(rules[rule]["regex"], rules[rule]["replace"], text)
    return text


def main(names: list[str]) -> None:
    """Refresh the notebooks of these names (without suffix), or all."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if not names or path.stem in names:
            start = time.perf_counter()
            refresh(path)
            print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
