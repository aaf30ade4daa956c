"""Weights as the fast path wants them: one stretch of memory, made from whatever a file holds.

Each matrix gets the smallest form that loses nothing, or int8 where there is none:

============ ================================================== ============= ==================
form         made from                                          bits a weight loses
============ ================================================== ============= ==================
planar       natively ternary weights, a scale a row or matrix  2             nothing
base3        the same                                           1.6           nothing
int4         Q4_0, and ternary weights with a scale a group     4.5           see below
int4 offset  Q4_1                                               5             see below
int8         Q8_0                                               8.5           see below
int8         everything else                                    8.5           int8 rounding of 32
============ ================================================== ============= ==================

The scales of 32 columns become whole multiples, in 16 bits, of a power of two that a row has for
itself: exact where the scales of a row lie within a factor of 16, else to 2^-16 of the largest.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Int8, Int64, UInt8, UInt16

from workbench import ternary
from workbench.errors import WorkbenchError
from workbench.lm.model import Model
from workbench.lm.tensors import finite

Form = Literal["file", "planar", "base3", "int8", "int4"]
# what is multiplied with the same input is one matrix
PLACES = (("attn_q", "attn_k", "attn_v"), ("attn_output",), ("ffn_gate", "ffn_up"), ("ffn_down",))
KINDS = ("int4", "int4 offset", "int8", "planar", "base3")  # by number, as decoder.py knows them
GROUP = 32
BLOCK = 32  # rows of a block: the 16-bit numbers of one vector, and little to pad
ALIGNMENT = 64
TILE = 4  # tokens that the kernels of ternary weights take at a time


@dataclass(frozen=True)
class Grouped:
    """A matrix with a scale for every 32 columns: scales * (codes - 8 if unsigned) + offsets.

    Attributes
    ----------
    codes : uint8 (0 to 15) or int8 array (rows, cols)
    scales : float32 array (rows, groups)
    offsets : float32 array (rows, groups) or None
    """

    codes: np.ndarray
    scales: Float32[np.ndarray, "rows groups"]
    offsets: Float32[np.ndarray, "rows groups"] | None = None


@dataclass(frozen=True)
class Trits:
    """A ternary matrix: scales * codes, a scale a row."""

    codes: Int8[np.ndarray, "rows cols"]
    scales: Float32[np.ndarray, " rows"]


@dataclass(frozen=True, eq=False)
class PackedModel:
    """All matrices of a model in one stretch of memory.

    Attributes
    ----------
    arena : uint8 array (bytes,)
    matrices : int64 array (4 * layers + 1, 8)
        A row each: number in KINDS, rows with padding, rows of a block, first and one past the last
        byte (of ternary kinds) or 16-bit word, first float32 of its scales, rows, columns.
        Four a layer: query, key and value; attention's output; gate and up; down. Then the head.
    """

    arena: UInt8[np.ndarray, " bytes"]
    matrices: Int64[np.ndarray, "matrices 8"]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The forms in use, in KINDS's order."""
        return tuple(KINDS[kind] for kind in np.unique(self.matrices[:, 0]))

    @property
    def nbytes(self) -> int:
        """Bytes that a token reads of the matrices, scales included."""
        return self.arena.nbytes


def pack_model(model: Model, form: Form = "file") -> PackedModel:
    """Pack the matrices of a model.

    Parameters
    ----------
    model : Model
    form : {"file", "planar", "base3", "int8", "int4"}
        "file": as the table above says, ternary weights planar. "planar", "base3": the same, but
        refused where no layer has ternary weights. "int8": everything. "int4": everything but the
        head, which is int8.

    Raises
    ------
    WorkbenchError
        An unknown form, a ternary form for a model without ternary weights, or weights that are
        not finite.
    """
    if form not in get_args(Form):
        raise WorkbenchError(f"weights={form!r} is not allowed: it is {', '.join(get_args(Form))}")
    config, writer = model.config, _Writer()
    for layer in range(config.layers):
        for names in PLACES:
            parts = [_projection(model, f"blk.{layer}.{name}", form) for name in names]
            writer.add(_join(parts), form)
    if form in ("planar", "base3") and not set(writer.kinds) & {3, 4}:
        raise WorkbenchError(
            f"{model.weights.name}: weights={form!r} is not allowed, since none of its matrices is "
            "ternary; use 'file', 'int8' or 'int4'"
        )
    head = "token_embd.weight" if config.tied else "output.weight"
    writer.add(_matrix(model, head, "int8" if form == "int4" else form), form)
    return writer.packed()


def _projection(model, name, form):
    """A layer's matrix with its separate scale applied, and heads turned to rope order halves."""
    config = model.config
    matrix = _matrix(model, f"{name}.weight", form)
    rows = np.arange(matrix.codes.shape[0])
    if name.endswith(("attn_q", "attn_k")) and config.rope_order == "interleaved":
        # the same permutation of queries and keys leaves their products as they are
        heads = rows.reshape(-1, config.head_dim // 2, 2)
        rows = heads.transpose(0, 2, 1).reshape(-1)
    factor = np.float32(1)
    if f"{name}.scale" in model.tensors:
        factor = np.float32(model.tensors[f"{name}.scale"][0])
    if isinstance(matrix, Trits):
        return Trits(matrix.codes[rows], matrix.scales[rows] * factor)
    offsets = None if matrix.offsets is None else matrix.offsets[rows] * factor
    return Grouped(matrix.codes[rows], matrix.scales[rows] * factor, offsets)


def _matrix(model, name, form) -> Grouped | Trits:
    """One matrix in the form that it gets for itself."""
    stored = model.tensors.stored(name)
    if stored is not None and stored[0].quant in KEPT.get(form, FROM_FILE):
        tensor, rows = stored
        raw = tensor.raw() if rows is None else tensor.raw()[rows]
        grouped = FROM_FILE[tensor.quant](raw)
        finite(grouped.scales, f"{model.weights.name}: tensor {name!r}, its scales,")
        return grouped
    if stored is None:
        weights = model.tensors[name]
    else:
        tensor, rows = stored
        weights = finite(tensor.read(rows), f"{model.weights.name}: tensor {name!r}")
    weights = weights.reshape(weights.shape[-2:])
    if form in ("file", "planar", "base3"):
        magnitude = np.abs(weights)
        peak = magnitude.max(axis=1, keepdims=True)
        if peak.any() and ((magnitude == 0) | (magnitude == peak)).all():
            return Trits(np.sign(weights).astype(np.int8), peak[:, 0])
        grouped = _ternary_groups(weights, magnitude)
        if grouped is not None:
            return grouped
    return _round_int4(weights) if form == "int4" else _round_int8(weights)


def _join(matrices):
    """Matrices with the same input as one, in the smallest form that holds all of them."""
    if len(matrices) == 1:
        return matrices[0]
    if not all(isinstance(matrix, Trits) for matrix in matrices):
        matrices = [_grouped(matrix) for matrix in matrices]
        if len({matrix.codes.dtype for matrix in matrices}) > 1:
            matrices = [_round_int8(_floats(matrix)) for matrix in matrices]
    codes = np.concatenate([matrix.codes for matrix in matrices])
    scales = np.concatenate([matrix.scales for matrix in matrices])
    if isinstance(matrices[0], Trits):
        return Trits(codes, scales)
    if all(matrix.offsets is None for matrix in matrices):
        return Grouped(codes, scales)
    offsets = [
        np.zeros_like(matrix.scales) if matrix.offsets is None else matrix.offsets
        for matrix in matrices
    ]
    return Grouped(codes, scales, np.concatenate(offsets))


def _grouped(matrix: Grouped | Trits) -> Grouped:
    if isinstance(matrix, Grouped):
        return matrix
    groups = -(-matrix.codes.shape[1] // GROUP)
    scales = np.repeat(matrix.scales[:, None], groups, axis=1)
    return Grouped((matrix.codes + 8).astype(np.uint8), scales)


def _floats(matrix: Grouped) -> np.ndarray:
    cols = matrix.codes.shape[1]
    codes = matrix.codes.astype(np.float32) - (8 if matrix.codes.dtype == np.uint8 else 0)
    weights = codes * np.repeat(matrix.scales, GROUP, axis=1)[:, :cols]
    if matrix.offsets is not None:
        weights += np.repeat(matrix.offsets, GROUP, axis=1)[:, :cols]
    return weights


def _in_groups(weights):
    """(rows, groups, 32), with zeros behind the last column."""
    rows, cols = weights.shape
    padded = np.pad(weights, ((0, 0), (0, -cols % GROUP)))
    return padded.reshape(rows, -1, GROUP)


def _ternary_groups(weights, magnitude):
    """The matrix if all weights of each group of 32 columns are {-s, 0, +s}, else None."""
    grouped = _in_groups(magnitude)
    peak = grouped.max(axis=2)
    if not ((grouped == 0) | (grouped == peak[:, :, None])).all():
        return None
    return Grouped((np.sign(weights) + 8).astype(np.uint8), peak)


def _round_int8(weights) -> Grouped:
    grouped = _in_groups(weights)
    scales = np.abs(grouped).max(axis=2) / np.float32(127)
    codes = np.rint(grouped / np.where(scales > 0, scales, 1)[:, :, None]).astype(np.int8)
    return Grouped(codes.reshape(len(weights), -1)[:, : weights.shape[1]], scales)


def _round_int4(weights) -> Grouped:
    grouped = _in_groups(weights)
    low, high = grouped.min(axis=2), grouped.max(axis=2)
    scales = (high - low) / np.float32(15)
    steps = (grouped - low[:, :, None]) / np.where(scales > 0, scales, 1)[:, :, None]
    codes = np.rint(steps).astype(np.uint8).reshape(len(weights), -1)[:, : weights.shape[1]]
    return Grouped(codes, scales, low + 8 * scales)


def _halves(raw):
    """float16 numbers at the start of each block, as float32 (rows, groups, numbers)."""
    return np.ascontiguousarray(raw).view("<f2").astype(np.float32)


def _nibbles(packed):
    """Codes of blocks (rows, groups, 16): the low halves are the first sixteen columns."""
    codes = np.concatenate([packed & 15, packed >> 4], axis=2)
    return codes.reshape(len(packed), -1)


def _from_q4_0(raw) -> Grouped:
    blocks = raw.reshape(len(raw), -1, 18)
    return Grouped(_nibbles(blocks[:, :, 2:]), _halves(blocks[:, :, :2])[:, :, 0])


def _from_q4_1(raw) -> Grouped:
    blocks = raw.reshape(len(raw), -1, 20)
    halves = _halves(blocks[:, :, :4])
    scales, low = halves[:, :, 0], halves[:, :, 1]
    return Grouped(_nibbles(blocks[:, :, 4:]), scales, low + 8 * scales)


def _from_q8_0(raw) -> Grouped:
    blocks = raw.reshape(len(raw), -1, 34)
    codes = np.ascontiguousarray(blocks[:, :, 2:]).view(np.int8).reshape(len(raw), -1)
    return Grouped(codes, _halves(blocks[:, :, :2])[:, :, 0])


FROM_FILE = {"Q4_0": _from_q4_0, "Q4_1": _from_q4_1, "Q8_0": _from_q8_0}
KEPT = {"int8": ("Q8_0",), "int4": ("Q4_0", "Q4_1")}  # what these forms take over as it is


class _Writer:
    """Lays matrices one after the other."""

    def __init__(self):
        self.parts: list[np.ndarray] = []
        self.size = 0
        self.table: list[tuple[int, ...]] = []

    @property
    def kinds(self):
        return [row[0] for row in self.table]

    def add(self, matrix: Grouped | Trits, form: Form) -> None:
        rows, cols = matrix.codes.shape
        if isinstance(matrix, Trits):
            layout = "base3" if form == "base3" else "planar"
            data = ternary.pack(matrix.codes, layout).data
            size = ternary.packing.ROWS_PER_BYTE[layout]
            kind, width, units = KINDS.index(layout), 1, matrix.scales
        else:
            size = BLOCK
            kind, data, units = _planes(matrix, size)
            width = 2
        padded = rows + -rows % size
        units = np.pad(units.astype(np.float32), (0, padded - rows))
        start = self._write(data) // width
        scale = self._write(units) // 4
        stop = start + data.nbytes // width
        self.table.append((kind, padded, size, start, stop, scale, rows, cols))

    def _write(self, array) -> int:
        """Append an array; the byte at which it starts."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        start = self.size
        room = -data.size % ALIGNMENT
        self.parts += [data, np.zeros(room, np.uint8)]
        self.size += data.size + room
        return start

    def packed(self) -> PackedModel:
        arena = np.empty(self.size + ALIGNMENT, np.uint8)
        first = -arena.ctypes.data % ALIGNMENT
        arena = arena[first : first + self.size]
        np.concatenate(self.parts, out=arena)
        return PackedModel(arena, np.array(self.table, np.int64))


def _planes(matrix: Grouped, size: int) -> tuple[int, UInt16[np.ndarray, "..."], np.ndarray]:
    """Kind, the planes of int4_rows.py or int8_rows.py, and a unit for each row."""
    rows, cols = matrix.codes.shape
    numbers = [matrix.scales] if matrix.offsets is None else [matrix.scales, matrix.offsets]
    numbers = np.stack(numbers, axis=2)  # (rows, groups, 1 or 2)
    largest = np.abs(numbers).max(axis=(1, 2)).astype(np.float64)
    exponent = np.ceil(np.log2(np.where(largest > 0, largest, 1) / 32767))
    units = np.exp2(exponent)
    multiples = np.rint(numbers / units[:, None, None]).astype(np.int16)
    signed = matrix.codes.dtype == np.int8
    blank = 0 if signed else 8
    groups = numbers.shape[1]
    padding = ((0, -rows % size), (0, groups * GROUP - cols))
    codes = np.pad(matrix.codes, padding, constant_values=blank)
    multiples = np.pad(multiples, ((0, -rows % size), (0, 0), (0, 0)))
    # (blocks, groups, columns or numbers, size)
    codes = codes.reshape(-1, size, groups, GROUP).transpose(0, 2, 3, 1).astype(np.uint16)
    multiples = multiples.reshape(-1, size, groups, multiples.shape[2]).transpose(0, 2, 3, 1)
    if signed:
        words = (codes[:, :, 0::2] & 255) | (codes[:, :, 1::2] << 8)
        kind = KINDS.index("int8")
    else:
        words = codes[:, :, 0::4]
        for place in (1, 2, 3):
            words = words | (codes[:, :, place::4] << (4 * place))
        kind = KINDS.index("int4" if matrix.offsets is None else "int4 offset")
    words = np.concatenate([words, multiples.view(np.uint16)], axis=2)
    planes = words.transpose(2, 0, 1, 3).reshape(words.shape[2], -1)
    # planes an odd number of cache lines apart: those at the same place fall into different sets
    return kind, np.pad(planes, ((0, 0), (0, 0 if planes.shape[1] // size % 2 else size))), units
