"""The cards of the landing page, read from the notebooks themselves.

A notebook says of itself, in its metadata::

    "workbench": {"question": "...?", "picture": "pictures/x.svg", "run_time": "20 s"}

`picture` is a file relative to the notebook's folder. What is missing is left out of the card.
"""

import json
from pathlib import Path

PICTURES = {".gif", ".jpg", ".png", ".svg"}  # what the server hands out


def cards(folder: Path) -> list[dict[str, str]]:
    """One card for each notebook of a folder, in the order of their file names.

    Returns
    -------
    list of dict
        `path` (relative to `folder`), `title`, `question`, `picture`, `run_time`; all strings,
        the last three empty where the notebook does not say. A file that is no notebook is a card
        without a question, so that it is seen and not silently left out.
    """
    return [_card(path, folder) for path in sorted(folder.glob("*.ipynb"))]


def _card(path: Path, folder: Path) -> dict[str, str]:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        about = notebook["metadata"].get("workbench", {})
        title = _title(notebook["cells"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        about, title = {}, ""
    picture = str(about.get("picture", ""))
    if Path(picture).suffix not in PICTURES or not (folder / picture).is_file():
        picture = ""
    return {
        "path": path.name,
        "title": title or path.stem,
        "question": str(about.get("question", "")),
        "picture": picture,
        "run_time": str(about.get("run_time", "")),
    }


def _title(cells: list[dict]) -> str:
    """The first heading of the notebook."""
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for line in "".join(cell["source"]).splitlines():
                if line.startswith("# "):
                    return line[2:].strip()
    return ""
