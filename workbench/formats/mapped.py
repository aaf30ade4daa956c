"""A file mapped into memory and a cursor that cannot leave it."""

import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from struct import calcsize, unpack_from

import numpy as np

from workbench.errors import FormatError, WorkbenchError

LONGEST_SHOWN = 80


def map_file(path: str | os.PathLike) -> np.ndarray:
    """The bytes of a regular file as a read-only uint8 array; nothing is read yet.

    Raises
    ------
    WorkbenchError
        No such file, not a regular file (a folder, a pipe), or no permission.
    FormatError
        The file is empty.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise WorkbenchError(f"{path}: there is no such file")
        if not path.is_file():  # opening a pipe would wait for ever
            raise WorkbenchError(f"{path}: not a regular file")
        if path.stat().st_size == 0:
            raise FormatError(path, 0, "the file is empty")
        # slices of a plain view are ten times quicker than slices of a memmap
        return np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
    except OSError as error:
        raise WorkbenchError(f"{path}: cannot be read ({error.strerror})") from None


def prefetch(arrays: Iterable[np.ndarray]) -> int:
    """Ask the system to read the mapped ones of these arrays ahead, in this order.

    Returns the bytes asked for: 0 for arrays in memory, or where the system takes no such advice.
    """
    asked = 0
    for array in arrays:
        owner = array
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if not isinstance(owner, mmap.mmap) or not hasattr(owner, "madvise") or not array.size:
            continue
        begin = array.ctypes.data - np.frombuffer(owner, np.uint8).ctypes.data
        page = begin - begin % mmap.PAGESIZE
        owner.madvise(mmap.MADV_WILLNEED, page, begin + array.nbytes - page)
        asked += array.nbytes
    return asked


def shown(text: str) -> str:
    """A name as a message shows it: quoted, escaped and not too long."""
    return repr(text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…")


class Cursor:
    """Reads little-endian values one after the other; every step is checked against the end.

    Attributes
    ----------
    position : int
        Byte offset of the next value.
    """

    def __init__(self, path: str | os.PathLike, data: np.ndarray):
        self.path = path
        self.bytes = memoryview(data)
        self.position = 0

    @property
    def left(self) -> int:
        return len(self.bytes) - self.position

    def fail(self, problem: str, position: int | None = None) -> FormatError:
        """The error to raise, at `position` or here."""
        return FormatError(self.path, self.position if position is None else position, problem)

    def number(self, code: str, what: str) -> int | float:
        """One value of the `struct` format `code`."""
        size = calcsize(code)
        if size > self.left:
            raise self.fail(f"the file ends within {what}, which takes {size} bytes")
        (value,) = unpack_from(code, self.bytes, self.position)
        self.position += size
        return value

    def skip(self, count: int, what: str) -> int:
        """Step over `count` bytes; returns where they begin."""
        if count > self.left:
            raise self.fail(f"{what} takes {count} bytes, but only {self.left} are left")
        begin = self.position
        self.position += count
        return begin

    def string(self, what: str, longest: int) -> str:
        """A length and that many bytes of UTF-8, all of them printable."""
        begin = self.position
        length = self.number("<Q", f"the length of {what}")
        if length == 0:
            raise self.fail(f"{what} is empty", begin)
        if length > min(longest, self.left):
            raise self.fail(
                f"{what} is {length} bytes long, but at most {min(longest, self.left)} are allowed",
                begin,
            )
        start = self.skip(length, what)
        try:
            text = str(self.bytes[start : self.position], "utf-8")
        except UnicodeDecodeError as error:
            raise self.fail(f"{what} is not UTF-8", start + error.start) from None
        if not text.isprintable():
            raise self.fail(
                f"{what} holds a character that cannot be printed: {shown(text)}", start
            )
        return text
