"""Where a cache keeps keys or values: a slot a token, in float32, float16, int8 or trits.

Bytes that a vector of `head_dim` numbers takes, d being head_dim rounded up to a multiple of 8:

=========  ================
float32    4 head_dim
float16    2 head_dim
int8       d + 4
ternary    d / 4 + 4
=========  ================
"""

from abc import ABC, abstractmethod
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32

from workbench import ternary
from workbench.errors import WorkbenchError
from workbench.lm.memory import check_memory

Use = Literal["keys", "values"]
Kind = Literal["f32", "f16", "int8", "ternary"]
Mode = Literal["fixed", "none", "rms", "optimal"]

LARGEST_HALF = np.float32(np.finfo(np.float16).max)
TILE = 128  # tokens; packed keys lie one dimension after the other within so many
ROUNDING = {  # of `workbench.ternary.quantize`
    "fixed": {"rounding": "absmax", "threshold": 0.3},
    "none": {"rounding": "absmax", "threshold": 0.0},
    "rms": {"rounding": "rms"},
    "optimal": {"rounding": "optimal"},
}


class Store(ABC):
    """Vectors of `head_dim` numbers: a slot a token, in each of some layers and heads.

    Parameters
    ----------
    layers, heads, slots, head_dim : int
        `heads` are those of keys and values, of which a model may have fewer than of queries.
    """

    def __init__(self, layers: int, heads: int, slots: int, head_dim: int):
        self.layers = layers
        self.heads = heads
        self.slots = slots
        self.head_dim = head_dim

    @abstractmethod
    def write(self, layer: int, start: int, x: Float32[np.ndarray, "n heads head_dim"]) -> None:
        """Put the vectors of n tokens into the slots from `start` on."""

    @abstractmethod
    def read(self, layer: int, start: int, stop: int) -> Float32[np.ndarray, "heads n head_dim"]:
        """The vectors in slots start to stop - 1, with what storing them has lost."""

    @abstractmethod
    def saved(self, layer: int, start: int, stop: int) -> tuple[np.ndarray, ...]:
        """A copy of what slots start to stop - 1 hold, as it is stored."""

    @abstractmethod
    def restore(self, layer: int, start: int, *saved: np.ndarray) -> None:
        """Put back what `saved` returned, into the slots from `start` on."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes of the arrays."""

    @property
    @abstractmethod
    def bytes_per_token(self) -> int:
        """Bytes that a slot takes, over all layers and heads."""


class FloatStore(Store):
    """The numbers themselves, as float32 or float16.

    Attributes
    ----------
    data : array (layers, heads, slots, head_dim)
        float16 cannot hold more than 65504: larger magnitudes are stored as that.
    """

    def __init__(self, layers: int, heads: int, slots: int, head_dim: int, dtype=np.float32):
        super().__init__(layers, heads, slots, head_dim)
        self.data = np.zeros((layers, heads, slots, head_dim), dtype)

    def write(self, layer, start, x):
        if self.data.dtype == np.float16:
            x = np.clip(x, -LARGEST_HALF, LARGEST_HALF)
        self.data[layer, :, start : start + len(x)] = x.transpose(1, 0, 2)

    def read(self, layer, start, stop):
        return self.data[layer, :, start:stop].astype(np.float32, copy=False)

    def saved(self, layer, start, stop):
        return (self.data[layer, :, start:stop].copy(),)

    def restore(self, layer, start, data):
        self.data[layer, :, start : start + data.shape[1]] = data

    @property
    def nbytes(self):
        return self.data.nbytes

    @property
    def bytes_per_token(self):
        return self.layers * self.heads * self.head_dim * self.data.itemsize


class CodeStore(Store):
    """Codes of 8 or 2 bits and a float32 scale a vector, laid out for attention's kernel.

    Parameters
    ----------
    layers, heads, slots, head_dim : int
    use : {"keys", "values"}
    mode : {"fixed", "none", "rms", "optimal"}, optional
        How trits are found (None: 8 bits). Of a vector with largest magnitude m and root mean
        square r, a number x becomes its sign times the scale, or 0:

        =======  ================  ============  ==========================================
        mode     kept: abs(x) >    scale
        =======  ================  ============  ==========================================
        fixed    0.3 m             m             seed 001's first
        none     0                 m
        rms      0.5 r             1.5 r         seed 001's best
        optimal  least squared error, both       mean abs(x) of those kept
        =======  ================  ============  ==========================================

    Attributes
    ----------
    data : uint8 array
        Keys (layers, heads, tiles, d, bytes of a tile), values (layers, heads, slots / tokens of
        a byte, d); head_dim is filled up to d, a multiple of 8, and slots to whole tiles.
    scales : float32 array (layers, heads, slots)
        int8: largest magnitude / 127.

    Notes
    -----
    A byte holds one 8-bit code, number + 128, or four trits + 1, at bits 0, 2, 4 and 6. Those of
    keys are one dimension of the tokens p, p + 32, p + 64 and p + 96 of a tile of 128; those of
    values are one dimension of four neighbouring tokens.
    """

    def __init__(
        self,
        layers: int,
        heads: int,
        slots: int,
        head_dim: int,
        use: Use,
        mode: Mode | None = None,
    ):
        super().__init__(layers, heads, slots, head_dim)
        self.use = use
        self.mode = mode
        self.bits = 8 if mode is None else 2
        self._dims = -(-head_dim // 8) * 8
        tiles = -(-slots // TILE)
        if use == "keys":
            shape = (tiles, self._dims, TILE * self.bits // 8)
        else:
            shape = (tiles * TILE * self.bits // 8, self._dims)
        self.data = np.zeros((layers, heads, *shape), np.uint8)
        self.scales = np.zeros((layers, heads, tiles * TILE), np.float32)

    def write(self, layer, start, x):
        self.restore(layer, start, *self._encode(np.ascontiguousarray(x, np.float32)))

    def restore(self, layer, start, codes, scales):
        self.scales[layer, :, start : start + len(codes)] = scales.T
        data = self._by_token(layer)
        byte, shift = self._places(np.arange(start, start + len(codes)))
        for place in set(shift.tolist()):  # tokens of the same byte one after the other
            here = shift == place
            where = tuple(axis[here] for axis in byte)
            others = np.uint8(255 - (((1 << self.bits) - 1) << place))
            data[where] = data[where] & others | codes[here] << np.uint8(place)

    def saved(self, layer, start, stop):
        byte, shift = self._places(np.arange(start, stop))
        mask = np.uint8((1 << self.bits) - 1)
        codes = self._by_token(layer)[byte] >> shift.astype(np.uint8)[:, None, None] & mask
        return codes, self.scales[layer, :, start:stop].T.copy()

    def read(self, layer, start, stop):
        codes, scales = self.saved(layer, start, stop)
        x = codes[..., : self.head_dim].transpose(1, 0, 2).astype(np.float32, order="C")
        x -= self._zero
        x *= scales.T[:, :, None]
        return x

    @property
    def nbytes(self):
        return self.data.nbytes + self.scales.nbytes

    @property
    def bytes_per_token(self):
        return self.layers * self.heads * (self._dims * self.bits // 8 + self.scales.itemsize)

    @property
    def _zero(self) -> int:
        """The code of 0."""
        return 128 if self.bits == 8 else 1

    def _by_token(self, layer):
        """The layer's bytes with the axes that find a token in front: (..., heads, d)."""
        if self.use == "keys":
            return self.data[layer].transpose(1, 3, 0, 2)
        return self.data[layer].transpose(1, 0, 2)

    def _places(self, slots):
        """Index of each slot's bytes in `_by_token`, and at which bit of them its codes begin."""
        if self.use == "values":
            byte, place = np.divmod(slots, 8 // self.bits)
            return (byte,), place * self.bits
        tile, token = np.divmod(slots, TILE)
        place, byte = np.divmod(token, TILE * self.bits // 8)
        return (tile, byte), place * self.bits

    def _encode(self, x):
        """Vectors (n, heads, head_dim) as codes uint8 (n, heads, d) and scales (n, heads)."""
        vectors = x.reshape(-1, self.head_dim)
        if self.mode is None:
            scales = np.abs(vectors).max(axis=1, keepdims=True) / np.float32(127)
            numbers = np.rint(vectors / np.where(scales > 0, scales, 1))
        else:
            trits = ternary.quantize(vectors, **ROUNDING[self.mode])
            numbers, scales = trits.codes, trits.scales
        codes = np.full((*x.shape[:2], self._dims), self._zero, np.uint8)
        codes[..., : self.head_dim] = (numbers + self._zero).reshape(x.shape)
        return codes, scales.reshape(x.shape[:2])


def new_stores(
    layers: int,
    heads: int,
    slots: int,
    head_dim: int,
    kind: Kind = "f32",
    mode: Mode | None = None,
    value_kind: Kind | None = None,
) -> tuple[Store, Store]:
    """A store for keys and one for values.

    Parameters
    ----------
    layers, heads, slots, head_dim : int
    kind : {"f32", "f16", "int8", "ternary"}
    mode : {"fixed", "none", "rms", "optimal"}, optional
        Of "ternary" alone: how trits are found, see `CodeStore`; by default "optimal".
    value_kind : same as kind, optional
        Of the values; by default `kind`.

    Raises
    ------
    WorkbenchError
        A kind or mode that does not exist, or more than there is memory for.
    """
    kinds = {"store": kind, "value_store": kind if value_kind is None else value_kind}
    for name, chosen in kinds.items():
        if chosen not in get_args(Kind):
            raise WorkbenchError(
                f"{name}={chosen!r} is not allowed: it is one of {', '.join(get_args(Kind))}"
            )
    if mode is not None and ("ternary" not in kinds.values() or mode not in get_args(Mode)):
        raise WorkbenchError(
            f"mode={mode!r} is not allowed with store={kind!r}: store='ternary' has the modes "
            f"{', '.join(get_args(Mode))}"
        )
    check_memory(
        layers * heads * slots * sum(_vector_bytes(chosen, head_dim) for chosen in kinds.values()),
        f"a cache of {slots} tokens",
    )
    shape = (layers, heads, slots, head_dim)
    uses = zip(kinds.values(), get_args(Use), strict=True)
    keys, values = (_new_store(shape, chosen, use, mode) for chosen, use in uses)
    return keys, values


def _vector_bytes(kind, head_dim):
    """Of one vector, see the head of this module."""
    filled = -(-head_dim // 8) * 8
    sizes = {"f32": 4 * head_dim, "f16": 2 * head_dim, "int8": filled + 4}
    return (sizes | {"ternary": filled // 4 + 4})[kind]


def _new_store(shape, kind, use, mode):
    if kind in ("f32", "f16"):
        return FloatStore(*shape, np.float32 if kind == "f32" else np.float16)
    return CodeStore(*shape, use, (mode or "optimal") if kind == "ternary" else None)
