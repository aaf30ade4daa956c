"""The key-value part of a GGUF file: walked and checked at once, values decoded when asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import unpack_from

import numpy as np

from workbench.formats.mapped import Cursor, shown

# type number: (name, NumPy format); bool is a byte that must be 0 or 1
NUMBERS = {
    0: ("uint8", "<u1"),
    1: ("int8", "<i1"),
    2: ("uint16", "<u2"),
    3: ("int16", "<i2"),
    4: ("uint32", "<u4"),
    5: ("int32", "<i4"),
    6: ("float32", "<f4"),
    7: ("bool", "<u1"),
    10: ("uint64", "<u8"),
    11: ("int64", "<i8"),
    12: ("float64", "<f8"),
}
BOOL, STRING, ARRAY = 7, 8, 9
LONGEST_KEY = 65_535  # the specification's limit
MOST_ENTRIES = 16_384  # real files have under a hundred
MOST_STRINGS = 2_097_152  # in all arrays together; the largest vocabularies with merges have 0.8 M
SMALLEST_ENTRY = 8 + 1 + 4 + 1  # length of a one-byte key, the key, a type, a uint8


@dataclass(frozen=True)
class Entry:
    """Where a value lies and what it is.

    Attributes
    ----------
    kind : int
        Type number of the value; of the elements where it is an array.
    is_array : bool
    count : int
        Elements; 1 where it is no array.
    position : int
        Byte offset of the first element.
    """

    kind: int
    is_array: bool
    count: int
    position: int


class Metadata(Mapping):
    """Values by key, in file order: numbers, bool, str, arrays as NumPy arrays or lists of str.

    Raises
    ------
    FormatError
        On access: a string is not UTF-8.
    """

    def __init__(self, cursor: Cursor, entries: dict[str, Entry]):
        self._cursor = cursor
        self.entries = entries

    def __getitem__(self, key: str):
        entry = self.entries[key]
        if entry.kind == STRING:
            strings = [self._decoded(key, *span) for span in self._spans(entry)]
            return strings if entry.is_array else strings[0]
        values = np.frombuffer(
            self._cursor.bytes, NUMBERS[entry.kind][1], entry.count, entry.position
        )
        values = values.astype(bool if entry.kind == BOOL else values.dtype.newbyteorder("="))
        return values if entry.is_array else values[0].item()

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def encoded(self, key: str) -> bytes | list[bytes]:
        """A string or an array of strings as the bytes in the file, UTF-8 or not."""
        data, entry = self._cursor.bytes, self.entries[key]
        strings = [bytes(data[begin:end]) for begin, end in self._spans(entry)]
        return strings if entry.is_array else strings[0]

    def _spans(self, entry: Entry) -> Iterator[tuple[int, int]]:
        data, position = self._cursor.bytes, entry.position
        for _ in range(entry.count):
            (length,) = unpack_from("<Q", data, position)
            yield position + 8, position + 8 + length
            position += 8 + length

    def _decoded(self, key: str, begin: int, end: int) -> str:
        try:
            return str(self._cursor.bytes[begin:end], "utf-8")
        except UnicodeDecodeError as error:
            raise self._cursor.fail(
                f"the value of {shown(key)} is not UTF-8", begin + error.start
            ) from None


def read_metadata(cursor: Cursor, count: int) -> Metadata:
    """Walk `count` entries from the cursor on; checks every length, type, bool and duplicate."""
    entries: dict[str, Entry] = {}
    strings = 0
    for index in range(count):
        begin = cursor.position
        key = cursor.string(f"the key of metadata entry {index + 1} of {count}", LONGEST_KEY)
        label = shown(key)
        if key in entries:
            raise cursor.fail(f"metadata key {label} occurs twice", begin)
        kind = _kind(cursor, label, "value", (*NUMBERS, STRING, ARRAY))
        size = 1
        is_array = kind == ARRAY
        if is_array:
            kind = _kind(cursor, label, "elements", (*NUMBERS, STRING))
            begin = cursor.position
            size = cursor.number("<Q", f"the number of elements of {label}")
            smallest = 8 if kind == STRING else np.dtype(NUMBERS[kind][1]).itemsize
            if size * smallest > cursor.left:
                raise cursor.fail(
                    f"metadata {label} has {size} elements of at least {smallest} bytes, but only "
                    f"{cursor.left} bytes are left",
                    begin,
                )
        entries[key] = Entry(kind, is_array, size, cursor.position)
        if kind == STRING:
            strings += size
            if strings > MOST_STRINGS:
                raise cursor.fail(
                    f"with {label} the metadata holds {strings} strings; at most {MOST_STRINGS} "
                    "are read"
                )
            _skip_strings(cursor, label, size)
        else:
            _skip_numbers(cursor, label, kind, size)
    return Metadata(cursor, entries)


def _kind(cursor: Cursor, label: str, what: str, allowed: tuple[int, ...]) -> int:
    """The type number of a value or of an array's elements."""
    begin = cursor.position
    kind = cursor.number("<i", f"the type of metadata {label}")
    if kind not in allowed:
        reason = "arrays of arrays are not read" if kind == ARRAY else "there is no such type"
        raise cursor.fail(f"metadata {label} has {what} of type {kind}: {reason}", begin)
    return kind


def _skip_strings(cursor: Cursor, label: str, count: int) -> None:
    data, position, end = cursor.bytes, cursor.position, len(cursor.bytes)
    for _ in range(count):
        if position + 8 > end:
            raise cursor.fail(f"the file ends within the strings of {label}", position)
        (length,) = unpack_from("<Q", data, position)
        if length > end - position - 8:
            raise cursor.fail(
                f"a string of {label} is {length} bytes long, but only {end - position - 8} bytes "
                "are left",
                position,
            )
        position += 8 + length
    cursor.position = position


def _skip_numbers(cursor: Cursor, label: str, kind: int, count: int) -> None:
    name, code = NUMBERS[kind]
    begin = cursor.skip(count * np.dtype(code).itemsize, f"metadata {label} ({name})")
    if kind == BOOL:
        for at in range(begin, cursor.position, 1 << 20):
            block = np.frombuffer(cursor.bytes[at : min(at + (1 << 20), cursor.position)], np.uint8)
            if block.max() > 1:
                wrong = at + int((block > 1).argmax())
                raise cursor.fail(
                    f"metadata {label} holds the bool {cursor.bytes[wrong]}; it must be 0 or 1",
                    wrong,
                )
