"""The keys and values of the tokens seen so far, and attention over them.

A cache owns storage, rotation and attention: a model hands it unrotated queries and keys.
"""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float32

from workbench.errors import WorkbenchError
from workbench.lm import attention, rope
from workbench.lm.config import Config
from workbench.lm.stores import FloatStore


class Cache(ABC):
    """What a model remembers of the tokens that it has seen.

    Parameters
    ----------
    config : Config
    slots : int
        Tokens that the stores have room for.

    Attributes
    ----------
    length : int
        Tokens seen.
    keys, values : Store
        Keys are stored rotated.
    """

    def __init__(self, config: Config, slots: int):
        self.config = config
        self.length = 0
        shape = (config.layers, config.kv_heads, slots, config.head_dim)
        self.keys = FloatStore(*shape)
        self.values = FloatStore(*shape)

    @property
    @abstractmethod
    def context(self) -> int:
        """Tokens that can be seen in all."""

    @property
    def nbytes(self) -> int:
        """Bytes of the stores, filled or not."""
        return self.keys.nbytes + self.values.nbytes

    @property
    def bytes_per_token(self) -> int:
        """Bytes that a token takes, over all layers."""
        return self.keys.bytes_per_token + self.values.bytes_per_token

    @abstractmethod
    def attend(
        self,
        layer: int,
        q: Float32[np.ndarray, "n heads head_dim"],
        k: Float32[np.ndarray, "n kv_heads head_dim"],
        v: Float32[np.ndarray, "n kv_heads head_dim"],
    ) -> Float32[np.ndarray, "n heads*head_dim"]:
        """Store the keys and values of the next n tokens in a layer and attend causally.

        Parameters
        ----------
        layer : int
        q, k, v : float32 arrays (n, heads or kv_heads, head_dim)
            Not rotated. After the last layer, `advance(n)` ends the step.

        Raises
        ------
        WorkbenchError
            There is no room for n more tokens; nothing has been stored then.
        """

    def advance(self, n: int) -> None:
        """Count the n tokens that all layers have attended to."""
        self.length += n

    @abstractmethod
    def truncate(self, length: int) -> None:
        """Forget all tokens but the first `length`.

        Raises
        ------
        WorkbenchError
            It cannot, or has not seen that many.
        """

    def _check_truncation(self, length: int) -> None:
        if not 0 <= length <= self.length:
            raise WorkbenchError(
                f"length={length} is not allowed: the cache holds {self.length} tokens and can be "
                f"cut to 0 to {self.length}"
            )


class ContiguousCache(Cache):
    """Every token seen, each in the slot of its position."""

    def __init__(self, config: Config, context: int):
        super().__init__(config, context)
        self._tables = rope.tables(
            np.arange(context), config.head_dim, config.rope_base, config.rope_factors
        )

    @property
    def context(self):
        return self.keys.slots

    def attend(self, layer, q, k, v):
        start, stop = self.length, self.length + len(q)
        if stop > self.context:
            raise WorkbenchError(
                f"the context of {self.context} tokens is full: {self.length} are in it and "
                f"{len(q)} more do not fit"
            )
        cos, sin = (table[start:stop] for table in self._tables)
        q = rope.rotate(q, cos, sin, self.config.rope_order)
        k = rope.rotate(k, cos, sin, self.config.rope_order)
        self.keys.write(layer, slice(start, stop), k)
        self.values.write(layer, slice(start, stop), v)
        last = np.arange(start + 1, stop + 1, dtype=np.int32)
        first = np.zeros_like(last)
        span = attention.Span(self.keys, self.values, layer, 0, stop, q, first, last)
        return attention.plain([span])

    def truncate(self, length):
        self._check_truncation(length)
        self.length = length


def new_cache(config: Config, context: int | None = None) -> Cache:
    """An empty cache for a model.

    Parameters
    ----------
    config : Config
    context : int, optional
        Tokens it can hold; by default as many as the model was trained for.
    """
    return ContiguousCache(config, config.context if context is None else context)
