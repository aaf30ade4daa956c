"""Where things are: the data and notebooks that ship with the workbench, and the user's cache."""

import os
from pathlib import Path

import platformdirs

from workbench.errors import WorkbenchError

_PACKAGE = Path(__file__).parent


def data_dir() -> Path:
    """Folder of the bundled data: the repository's ``data/``, or its copy in an installed wheel."""
    return _shipped("data")


def notebooks_dir() -> Path:
    """Folder of the notebooks: the repository's ``notebooks/``, or its copy in a wheel."""
    return _shipped("notebooks")


def cache_dir() -> Path:
    """Folder of fetched models: ``WORKBENCH_CACHE``, or the platform's cache folder for users.

    It need not exist yet; whoever writes into it makes it.
    """
    chosen = os.environ.get("WORKBENCH_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("ternary-workbench", appauthor=False))


def _shipped(folder: str) -> Path:
    for path in (_PACKAGE / "share" / folder, _PACKAGE.parent / folder):
        if path.is_dir():
            return path
    raise WorkbenchError(
        f"the folder {folder!r} of the workbench is neither in {_PACKAGE / 'share'} nor in "
        f"{_PACKAGE.parent}; install the package again"
    )
