"""Where a cache keeps keys or values: float32 or float16, a slot a token, all layers."""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float32

Slots = slice | np.ndarray
LARGEST_HALF = np.float32(np.finfo(np.float16).max)


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
    def write(self, layer: int, slots: Slots, x: Float32[np.ndarray, "n heads head_dim"]) -> None:
        """Put the vectors of n tokens into as many slots of a layer."""

    @abstractmethod
    def read(self, layer: int, slots: Slots) -> Float32[np.ndarray, "heads n head_dim"]:
        """The vectors in these slots as they are used: with what storing them has lost."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes of the arrays."""

    @property
    @abstractmethod
    def bytes_per_token(self) -> int:
        """Bytes that one more slot takes, over all layers."""


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

    def write(self, layer, slots, x):
        if self.data.dtype == np.float16:
            x = np.clip(x, -LARGEST_HALF, LARGEST_HALF)
        self.data[layer][:, slots] = x.transpose(1, 0, 2)

    def read(self, layer, slots):
        return self.data[layer][:, slots].astype(np.float32, copy=False)

    @property
    def nbytes(self):
        return self.data.nbytes

    @property
    def bytes_per_token(self):
        return self.layers * self.heads * self.head_dim * self.data.itemsize
