"""One refusal for what memory cannot hold, before the system ends the process for it."""

import psutil

from workbench.errors import WorkbenchError


def check_memory(nbytes: int, what: str) -> None:
    """Refuse `what`, in one sentence, where it takes more bytes than are free.

    Parameters
    ----------
    nbytes : int
    what : str
        Subject of the sentence, such as "a cache of 8192 tokens".

    Raises
    ------
    WorkbenchError
    """
    free = psutil.virtual_memory().available
    if nbytes > free:
        raise WorkbenchError(
            f"{what} would take {nbytes >> 20} MB, but only {free >> 20} MB of memory are free"
        )
