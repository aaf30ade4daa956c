"""The tensor part of a GGUF header: names, shapes and types, and the bytes each tensor takes."""

from dataclasses import dataclass

import numpy as np

from workbench.formats.gguf_layouts import UNREAD, Layout, TileLayout
from workbench.formats.mapped import Cursor
from workbench.formats.tensor import Tensor

MOST_TENSORS = 16_384  # real files have under three thousand
SMALLEST_INFO = 8 + 1 + 4 + 8 + 4 + 8  # a one-byte name with its length, one dimension
LONGEST_NAME = 63  # llama.cpp keeps names in 64 bytes, a zero included
MOST_DIMENSIONS = 4


@dataclass(frozen=True)
class TensorInfo:
    """What the header says of one tensor; `end` is the byte behind it.

    `shape` is in NumPy order, the reverse of the file's; `offset` counts from the first byte
    of data.
    """

    name: str
    shape: tuple[int, ...]
    type_id: int
    offset: int
    end: int

    @property
    def offset_at(self) -> int:
        return self.end - 8

    @property
    def type_at(self) -> int:
        return self.end - 12

    @property
    def dimensions_at(self) -> int:
        return self.end - 12 - 8 * len(self.shape)


def read_infos(cursor: Cursor, count: int) -> list[TensorInfo]:
    """Walk `count` tensor infos from the cursor on."""
    infos: dict[str, TensorInfo] = {}
    for index in range(count):
        begin = cursor.position
        name = cursor.string(f"the name of tensor {index + 1} of {count}", LONGEST_NAME)
        if name in infos:
            raise cursor.fail(f"tensor name {name!r} occurs twice", begin)
        at = cursor.position
        n_dims = cursor.number("<I", f"the number of dimensions of {name!r}")
        if not 1 <= n_dims <= MOST_DIMENSIONS:
            raise cursor.fail(
                f"tensor {name!r} has {n_dims} dimensions; 1 to {MOST_DIMENSIONS} are allowed", at
            )
        dimensions = [_dimension(cursor, name, axis) for axis in range(n_dims)]
        type_id = cursor.number("<i", f"the type of {name!r}")
        offset = cursor.number("<Q", f"the offset of {name!r}")
        shape = tuple(reversed(dimensions))
        infos[name] = TensorInfo(name, shape, type_id, offset, cursor.position)
    return list(infos.values())


def _dimension(cursor: Cursor, name: str, axis: int) -> int:
    at = cursor.position
    size = cursor.number("<q", f"dimension {axis} of {name!r}")
    if size < 1:
        raise cursor.fail(
            f"dimension {axis} of tensor {name!r} is {size}; it must be 1 or more", at
        )
    return size


def place(
    cursor: Cursor,
    data: np.ndarray,
    infos: list[TensorInfo],
    alignment: int,
    known: dict[int, tuple[Layout | TileLayout, ...]],
) -> dict[str, Tensor]:
    """The tensors at the bytes they take, which must follow each other without gap or overlap.

    `known`: the meanings of each type number. `cursor` stands behind the last info; the data
    begins at the next multiple of `alignment`.
    Behind the last tensor there may be padding up to such a multiple, whole, cut or none.
    """
    start = padded(cursor.position, alignment)
    chosen = _choose_layouts(cursor, infos, start, alignment, known)
    tensors, expected = {}, 0
    for info in infos:
        layout = chosen[info.type_id]
        nbytes = layout.nbytes(info.shape)
        if nbytes is None:
            raise cursor.fail(
                f"tensor {info.name!r} has rows of {info.shape[-1]} weights, but {layout.quant} "
                f"stores blocks of {layout.elements}",
                info.dimensions_at,
            )
        begin = start + info.offset
        if info.offset != expected:
            raise cursor.fail(_wrong_offset(info, expected, alignment), info.offset_at)
        if begin + nbytes > len(data):
            raise cursor.fail(
                f"tensor {info.name!r} {info.shape} takes {nbytes} bytes from byte {begin} on, but "
                f"the file ends at byte {len(data)}",
                info.dimensions_at,
            )
        payload = data[begin : begin + nbytes]
        tensors[info.name] = _tensor(info, layout, payload)
        expected += padded(nbytes, alignment)
    end = start + expected
    if len(data) > end:
        raise cursor.fail(
            f"{len(data) - end} bytes follow the last tensor; the file should end here", end
        )
    return tensors


def _tensor(info: TensorInfo, layout: Layout, payload: np.ndarray) -> Tensor:
    scale = 1.0
    rows = payload
    if layout.tail:
        rows = payload[: -layout.tail]
        scale = float(payload[-layout.tail :][:4].view("<f4")[0])
    return Tensor(info.name, info.shape, layout.quant, len(payload), rows, scale)


def _wrong_offset(info: TensorInfo, expected: int, alignment: int) -> str:
    if info.offset % alignment:
        return (
            f"the offset {info.offset} of tensor {info.name!r} is no multiple of the alignment "
            f"{alignment}"
        )
    fault = "overlaps the tensor before it" if info.offset < expected else "leaves a gap"
    return (
        f"tensor {info.name!r} at offset {info.offset} {fault}; tensors follow each other, so its "
        f"offset must be {expected}"
    )


def _choose_layouts(cursor, infos, start, alignment, known) -> dict[int, Layout]:
    """The one layout of each type number that agrees with where all its tensors lie."""
    spans = _spans(infos, len(cursor.bytes) - start)
    chosen = {}
    for info in infos:
        if info.type_id in chosen:
            continue
        if info.type_id not in known:
            meaning = UNREAD.get(info.type_id)
            problem = f"which stands for {meaning}" if meaning else "which is unknown"
            raise cursor.fail(
                f"tensor {info.name!r} has type {info.type_id}, {problem}; it is not read",
                info.type_at,
            )
        candidates = known[info.type_id]
        if len(candidates) > 1:
            mine = [one for one in infos if one.type_id == info.type_id]
            candidates = [
                layout
                for layout in candidates
                if all(_fits(layout, one, spans[one.name], alignment) for one in mine)
            ]
        if len(candidates) != 1 or candidates[0].refusal:
            raise cursor.fail(
                _no_layout(info, known[info.type_id], candidates, spans[info.name]), info.type_at
            )
        chosen[info.type_id] = candidates[0]
    return chosen


def _spans(infos: list[TensorInfo], data_bytes: int) -> dict[str, tuple[int, bool]]:
    """Bytes up to the next tensor or the end of the file, and whether it is the latter."""
    ends = [info.offset for info in infos[1:]] + [data_bytes]
    return {  # without tensors there is an end too many
        info.name: (end - info.offset, number == len(infos))
        for number, (info, end) in enumerate(zip(infos, ends, strict=False), 1)
    }


def _fits(layout, info: TensorInfo, span: tuple[int, bool], alignment: int) -> bool:
    nbytes = layout.nbytes(info.shape)
    size, last = span
    if nbytes is None:
        return False
    full = padded(nbytes, alignment)
    return nbytes <= size <= full if last else size == full


def _no_layout(info: TensorInfo, known, candidates, span: tuple[int, bool]) -> str:
    sizes = {layout.quant: layout.nbytes(info.shape) for layout in known}
    meanings = " and ".join(
        f"{quant} ({f'{size} bytes' if size else 'not for rows of this length'})"
        for quant, size in sizes.items()
    )
    shared = f"type {info.type_id} of tensor {info.name!r} is shared by {meanings}"
    if len(candidates) > 1:
        return f"{shared}; the {span[0]} bytes it takes fit both, so it is not read"
    if not candidates:
        return f"{shared}, but the file gives it {span[0]} bytes"
    found = candidates[0]
    return f"{shared}; by its size it is {found.quant}, which is not read: {found.refusal}"


def padded(size: int, alignment: int) -> int:
    """`size` rounded up to a multiple of `alignment`."""
    return -(-size // alignment) * alignment
