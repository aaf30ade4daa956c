"""The keys and values of the tokens seen so far, and attention over them.

A cache owns storage, rotation and attention: a model hands it unrotated queries and keys.
"""

from abc import ABC, abstractmethod
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.lm import attention, rope
from workbench.lm.attention import Method, Span
from workbench.lm.config import Config
from workbench.lm.inputs import is_whole
from workbench.lm.stores import FloatStore, Kind, Mode, Store, new_stores

Layout = Literal["contiguous", "ring"]
Positions = Literal["cache", "absolute"]

ENDLESS = 2**31 - 1  # what a ring says of its context
SEED_SKIP = 1e-6  # weight below which seed 001 leaves values out


class Cache(ABC):
    """What a model remembers of the tokens that it has seen.

    Parameters
    ----------
    config : Config
    stores : (Store, Store)
        For keys, which are stored rotated, and for values.
    attention : dict
        Options of `workbench.lm.attention.attend`.

    Attributes
    ----------
    length : int
        Tokens seen.
    keys, values : Store
    """

    def __init__(self, config: Config, stores: tuple[Store, Store], attention: dict):
        self.config = config
        self.length = 0
        self.keys, self.values = stores
        self._attention = attention
        self._overwritten: dict[int, list] = {}  # by layer: what was seen, since `advance`

    @property
    @abstractmethod
    def context(self) -> int:
        """Tokens that can be taken in."""

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
            There is no room for n more tokens, or keys or values that are not finite. `undo` then
            takes back what layers before this one have stored.
        """

    def advance(self, n: int) -> None:
        """Count the n tokens that all layers have attended to."""
        self.length += n
        self._overwritten.clear()

    def undo(self) -> None:
        """Take back what `attend` has stored since `advance`."""
        for layer, runs in self._overwritten.items():
            for slot, keys, values in runs:
                self.keys.restore(layer, slot, *keys)
                self.values.restore(layer, slot, *values)
        self._overwritten.clear()

    def truncate(self, length: int) -> None:
        """Forget all tokens but the first `length`.

        Raises
        ------
        WorkbenchError
            It has not seen that many, or no longer has what it would have to go back to.
        """
        if not 0 <= length <= self.length:
            raise WorkbenchError(
                f"length={length} is not allowed: the cache has seen {self.length} tokens and can "
                f"be cut to 0 to {self.length}"
            )
        self.length = length

    def _rotate(self, x, positions):
        """Turn heads (n, heads, head_dim) as tokens at these positions."""
        config = self.config
        cos, sin = rope.tables(positions, config.head_dim, config.rope_base, config.rope_factors)
        return rope.rotate(x, cos, sin, config.rope_order)

    def _write(self, layer, start, k, v):
        # also what is not seen must be finite, as tiles are read whole and 0 * NaN is not 0
        if not (np.isfinite(k).all() and np.isfinite(v).all()):
            raise WorkbenchError(f"the keys or values of layer {layer} outgrow float32")
        self.keys.write(layer, start, k)
        self.values.write(layer, start, v)


class ContiguousCache(Cache):
    """Every token seen, each in the slot of its position."""

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
        positions = np.arange(start, stop)
        self._write(layer, start, self._rotate(k, positions), v)
        q = self._rotate(q, positions)
        span = Span(self.keys, self.values, layer, 0, stop, q, np.zeros(len(q), int), positions + 1)
        return attention.attend([span], **self._attention)


class RingCache(Cache):
    """The first tokens (sinks) and the last ones (a window), in a number of slots that stays.

    Token p lies in slot p while p < sinks, and from then on in slot
    sinks + (p - sinks) mod window, so that the sinks are never overwritten. Each token sees the
    sinks and the `window` last tokens, itself among them (StreamingLLM; Xiao et al. 2023,
    arXiv:2309.17453).

    Parameters
    ----------
    config : Config
    stores : (Store, Store)
        Of sinks + window slots.
    attention : dict
    sinks : int
    positions : {"cache", "absolute"}
        "cache": a token's position is its place among those that are kept, so that none is ever
        further away than sinks + window, as StreamingLLM does it; a model stays within the
        distances it was trained for however long the text gets. "absolute": its place in the
        text; a sink gets further and further away. Both are the same until the ring is full.

    Notes
    -----
    Scores depend on how far apart two positions are. From one kept token to another of the window
    that is the same number in both ways of counting, so keys are stored rotated by their place in
    the text, and "cache" only turns the query of a token differently for the sinks: as if it stood
    at sinks + window - 1. That saves StreamingLLM's rotation of all keys at every step.
    """

    def __init__(
        self,
        config: Config,
        stores: tuple[Store, Store],
        attention: dict,
        sinks: int,
        positions: Positions,
    ):
        super().__init__(config, stores, attention)
        self.sinks = sinks
        self.window = self.keys.slots - sinks
        self.positions = positions

    @property
    def context(self):
        return ENDLESS

    def attend(self, layer, q, k, v):
        first = max(self.length, self.keys.slots)  # from here on, tokens overwrite others
        last = min(self.length + len(q), first + self.window)
        self._overwritten[layer] = [
            (slot, *(each.saved(layer, slot, slot + n) for each in (self.keys, self.values)))
            for slot, n in self._runs(first, last)
        ]
        outputs, done = [], 0
        while done < len(q):  # what is left of the first filling, then at most a window at a time
            room = self.keys.slots - self.length - done
            part = slice(done, done + min(len(q) - done, room if room > 0 else self.window))
            outputs.append(self._attend(layer, self.length + done, q[part], k[part], v[part]))
            done = part.stop
        return np.concatenate(outputs)

    def truncate(self, length):
        if self.length > self.keys.slots and 0 < length < self.length:
            raise WorkbenchError(
                f"length={length} is not allowed: a ring that has forgotten tokens (it has seen "
                f"{self.length} and keeps {self.keys.slots}) can only be cut to 0"
            )
        super().truncate(length)

    def _attend(self, layer, start, q, k, v):
        """Tokens from position `start` on, which fit into the free slots or into the window."""
        n, slots = len(q), self.keys.slots
        positions = np.arange(start, start + n)
        k = self._rotate(k, positions)
        turned = self._rotate(q, positions)
        zero = np.zeros(n, int)
        if start + n <= slots:
            self._write(layer, start, k, v)
            span = Span(self.keys, self.values, layer, 0, start + n, turned, zero, positions + 1)
            return attention.attend([span], **self._attention)

        to_sinks = turned
        if self.positions == "cache":
            to_sinks = self._rotate(q, np.minimum(positions, slots - 1))
        of_sinks = Span(
            self.keys, self.values, layer, 0, self.sinks, to_sinks, zero, zero + self.sinks
        )
        if n == 1:
            self._write_around(layer, start, k, v)
            of_window = Span(
                self.keys, self.values, layer, self.sinks, slots, turned, zero, zero + slots
            )
        else:
            of_window = self._window_and_more(layer, start, turned, k, v)
        spans = [of_sinks, of_window] if self.sinks else [of_window]
        return attention.attend(spans, **self._attention)

    def _window_and_more(self, layer, start, q, k, v):
        """A span of its own: the window as it was, and behind it the new tokens, which are stored.

        New tokens overwrite what the first of them still see, hence the copy. All are read back
        from the stores, so that tokens see the same keys and values as one by one.
        """
        before = self._read_around(layer, start - self.window, start)
        self._write_around(layer, start, k, v)
        after = self._read_around(layer, start, start + len(k))
        stores = [
            FloatStore(1, self.keys.heads, self.window + len(k), self.keys.head_dim) for _ in "kv"
        ]
        for store, old, new in zip(stores, before, after, strict=True):
            store.data[0] = np.concatenate([old, new], axis=1)
        first = np.arange(1, len(k) + 1)
        return Span(*stores, 0, 0, self.window + len(k), q, first, first + self.window)

    def _runs(self, start, stop):
        """Slots of the tokens at these positions, as runs (first slot, number of tokens)."""
        while start < stop:
            slot = self.sinks + (start - self.sinks) % self.window
            count = min(stop - start, self.keys.slots - slot)
            yield slot, count
            start += count

    def _write_around(self, layer, start, k, v):
        done = 0
        for slot, count in self._runs(start, start + len(k)):
            self._write(layer, slot, k[done : done + count], v[done : done + count])
            done += count

    def _read_around(self, layer, start, stop):
        runs = list(self._runs(start, stop))
        return [
            np.concatenate([store.read(layer, slot, slot + n) for slot, n in runs], axis=1)
            for store in (self.keys, self.values)
        ]


def new_cache(
    config: Config,
    context: int | None = None,
    *,
    store: Kind = "f32",
    value_store: Kind | None = None,
    mode: Mode | None = None,
    layout: Layout = "contiguous",
    sinks: int | None = None,
    window: int | None = None,
    positions: Positions | None = None,
    attention: Method | None = None,
    tile: int = 256,
    skip: float | None = None,
    threads: int | None = None,
) -> Cache:
    """An empty cache for a model.

    Parameters
    ----------
    config : Config
    context : int, optional
        Tokens it keeps; by default as many as the model was trained for. A ring with a `window`
        keeps sinks + window, and takes no other number.
    store : {"f32", "f16", "int8", "ternary"}
    value_store : same, optional
        Of the values, where they are stored otherwise than the keys.
    mode : {"fixed", "none", "rms", "optimal"}, optional
        How a ternary store finds trits, see `workbench.lm.stores.CodeStore`; "optimal".
    layout : {"contiguous", "ring"}
        All tokens until the context is full, or the first and the last ones without end.
    sinks : int, optional
        Of a ring: first tokens that are always kept; 4.
    window : int, optional
        Of a ring: last tokens that are kept; `context` less the sinks.
    positions : {"cache", "absolute"}, optional
        Of a ring, see `RingCache`; "cache".
    attention : {"plain", "tiled", "packed"}, optional
        See `workbench.lm.attention.attend`; "packed" for int8 and ternary, otherwise "plain".
    tile : int
        Tokens at a time, for "tiled".
    skip : float, optional
        Weight below which "packed" leaves values out; 1e-6.
    threads : int, optional
        For "packed"; the cores that this process may use.

    Raises
    ------
    WorkbenchError
        An option that does not exist or has no meaning beside the others, or too little memory.
    """
    _check(layout, Layout, "layout")
    ring = layout == "ring"
    for name, value in {"sinks": sinks, "window": window, "positions": positions}.items():
        if value is not None and not ring:
            raise WorkbenchError(f"{name}={value!r} is not allowed with layout={layout!r}: 'ring'")
    codes = {store, value_store or store} <= {"int8", "ternary"}
    attention = ("packed" if codes else "plain") if attention is None else attention
    _check(attention, Method, "attention")
    if attention == "packed" and not codes:
        raise WorkbenchError(
            f"attention='packed' is not allowed with store={store!r}, value_store={value_store!r}: "
            "it reads int8 and ternary"
        )
    if skip is not None and (attention != "packed" or not 0 <= skip < 1):
        raise WorkbenchError(
            f"skip={skip!r} is not allowed with attention={attention!r}: it is a number from 0 to "
            "below 1, for 'packed' alone"
        )
    threads = kernels.cores() if threads is None else threads
    for name, value in {"tile": tile, "threads": threads}.items():
        _check_number(name, value, 1)
    options = {"method": attention, "tile": tile, "threads": threads}
    options["skip"] = SEED_SKIP if skip is None else skip

    slots = config.context if context is None else context
    _check_number("context", slots, 1)
    if ring:
        positions = "cache" if positions is None else positions
        _check(positions, Positions, "positions")
        sinks = min(4, slots - 1) if sinks is None else sinks
        _check_number("sinks", sinks, 0)
        window = slots - sinks if window is None else window
        _check_number("window", window, 1)
        slots = sinks + window
        if context not in (None, slots):
            raise WorkbenchError(
                f"context={context} is not allowed with sinks={sinks} and window={window}: such a "
                f"ring keeps {slots} tokens, and takes in any number"
            )
    shape = (config.layers, config.kv_heads, slots, config.head_dim)
    stores = new_stores(*shape, store, mode, value_store)
    if ring:
        return RingCache(config, stores, options, sinks, positions)
    return ContiguousCache(config, stores, options)


def _check(value, allowed, name):
    if value not in get_args(allowed):
        raise WorkbenchError(
            f"{name}={value!r} is not allowed: it is one of {', '.join(get_args(allowed))}"
        )


def _check_number(name, value, least):
    if not is_whole(value) or not least <= value < ENDLESS:
        raise WorkbenchError(
            f"{name}={value!r} is not allowed: it is a whole number from {least} up"
        )
