"""The fast path: a chunk of tokens through the whole model in one compiled call.

Weights are packed once (`workbench.lm.packing`) and then mapped from a file that all processes
share; activations are rounded to int8 in front of every product, with a step for 32 columns, or for
the whole token where the weights are ternary. The result does not depend on the number of threads.

>>> from workbench.lm import Engine
>>> engine = Engine("smollm2-135m", threads=2)  # doctest: +SKIP
>>> cache = engine.new_cache(512)  # doctest: +SKIP
>>> engine.forward(engine.tokenizer.encode("Hello"), cache, last=True).shape  # doctest: +SKIP
(1, 49152)
"""

import os
from functools import cached_property
from typing import TYPE_CHECKING, Literal, final, get_args

import numpy as np
from jaxtyping import Float32

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.formats.blocks import decode_blocks
from workbench.lm import rope
from workbench.lm.config import Activation, Config
from workbench.lm.inputs import checked_tokens
from workbench.lm.memory import check_memory
from workbench.lm.model import Model, open_language_model
from workbench.lm.packed_files import packed_model
from workbench.lm.packing import GROUP, KINDS, TILE, Form
from workbench.measure.machine import check_threads
from workbench.models import Weights
from workbench.ternary.packing import aligned_bytes

if TYPE_CHECKING:
    from workbench.lm.tokenizer import Tokenizer

Store = Literal["f32", "int8"]

CHUNK = 128  # tokens in a call: enough to keep every kernel busy, and little memory for its results
ROOM = 6144  # numbers of 16 bits that a thread unpacks into, see pythran_kernels/int4_tiles.py
SPREAD = 32  # times that int4_rows.py writes a number of the input into it
LANES = 64  # positions whose keys lie together
VECTOR = 64  # bytes; the kernels of ternary weights read activations in whole vectors
TERNARY = (KINDS.index("planar"), KINDS.index("base3"))
NORMS = ("attn_norm", "attn_sub_norm", "ffn_norm", "ffn_sub_norm")


@final
class EngineCache:
    """Keys and values of the tokens seen, as the kernels read them.

    Parameters
    ----------
    config : Config
    context : int
        Tokens that there is room for.
    store : {"f32", "int8"}
        Numbers as they are, or 8 bits of each and a float32 scale (the largest magnitude / 127)
        for each key and each value of a head.

    Attributes
    ----------
    length : int
        Tokens seen.
    numbers, codes, scales : pairs of arrays
        Of keys, (layers, kv_heads, blocks, head_dim up to a multiple of 8, 64), and of values,
        (layers, kv_heads, positions, head_dim): float32 numbers; or int8 codes with float32 scales
        (layers, kv_heads, positions). What the store does not use has no blocks.
    """

    def __init__(self, config: Config, context: int, store: Store = "f32"):
        if context < 1:
            raise WorkbenchError(f"context={context} is not allowed: it is a number from 1 up")
        if store not in get_args(Store):
            raise WorkbenchError(
                f"store={store!r} is not allowed: the fast path has {', '.join(get_args(Store))}"
            )
        self.config = config
        self.context = context
        self.store = store
        self.length = 0
        blocks = -(-context // LANES)
        check_memory(blocks * LANES * self.bytes_per_token, f"a cache of {context} tokens")
        # all numbers must be finite: those behind the last token are multiplied by zero
        self.numbers = self._zeros(blocks if store == "f32" else 0, np.float32)
        self.codes = self._zeros(blocks if store == "int8" else 0, np.int8)
        heads = config.layers, config.kv_heads
        slots = blocks * LANES if store == "int8" else 0
        self.scales = tuple(np.zeros((*heads, slots), np.float32) for _ in "kv")
        self.cos, self.sin = rope.tables(
            np.arange(context), config.head_dim, config.rope_base, config.rope_factors
        )

    def _zeros(self, blocks, dtype):
        heads = self.config.layers, self.config.kv_heads
        dims = self.config.head_dim
        keys = np.zeros((*heads, blocks, _filled(dims), LANES), dtype)
        return keys, np.zeros((*heads, blocks * LANES, dims), dtype)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """What the kernel gets."""
        return (*self.numbers, *self.codes, *self.scales)

    @property
    def nbytes(self) -> int:
        """Bytes of the keys and values, filled or not."""
        return sum(array.nbytes for array in self.arrays)

    @property
    def bytes_per_token(self) -> int:
        """Bytes that a token takes, over all layers."""
        dims = self.config.head_dim
        numbers = _filled(dims) + dims  # of a key and a value
        vectors = 4 * numbers if self.store == "f32" else numbers + 2 * 4
        return self.config.layers * self.config.kv_heads * vectors

    def forget(self, position: int, n: int) -> None:
        """Clear n places: what lies behind the last token must be finite."""
        first, last = position // LANES, (position + n - 1) // LANES
        for keys, values in (self.numbers, self.codes):
            keys[:, :, first : last + 1][..., (position % LANES) :] = 0
            keys[:, :, first + 1 : last + 1] = 0
            values[:, :, position : position + n] = 0
        for scales in self.scales:
            scales[:, :, position : position + n] = 0

    def advance(self, n: int) -> None:
        """Count n tokens that have gone through all layers."""
        self.length += n

    def truncate(self, length: int) -> None:
        """Forget all tokens but the first `length`."""
        if not 0 <= length <= self.length:
            raise WorkbenchError(
                f"length={length} is not allowed: the cache holds {self.length} tokens and can be "
                f"cut to 0 to {self.length}"
            )
        self.length = length


def _filled(dims: int) -> int:
    """Up to a multiple of eight."""
    return dims + -dims % 8


@final
class Engine:
    """A model that runs compiled, with the interface of `Model`.

    Parameters
    ----------
    model : Model, str, path or Weights
        What is not a Model is opened as `open_language_model` does.
    weights : {"file", "planar", "base3", "int8", "int4"}
        Form of the weights in memory, see `workbench.lm.packing`.
    threads : int, optional
        By default one a core.
    activation : "silu" or "relu2", optional
        As of `open_language_model`.
    save : bool
        Keep the packed weights in the cache folder, and share them with other processes.

    Raises
    ------
    WorkbenchError
        As `open_language_model` and `pack_model`; or a number of threads that is not allowed.
    """

    def __init__(
        self,
        model: Model | Weights | str | os.PathLike,
        weights: Form = "file",
        threads: int | None = None,
        *,
        activation: Activation | None = None,
        save: bool = True,
    ):
        if not isinstance(model, Model):
            model = open_language_model(model, activation=activation)
        self.threads = kernels.cores() if threads is None else threads
        check_threads(self.threads)
        self.model = model
        self.packed = packed_model(model, weights, save)
        self._weights = _Arguments(model, self.packed)
        self._scratch: _Scratch | None = None

    def __repr__(self) -> str:
        return (
            f"<Engine {self.model.weights.name!r}: {', '.join(self.packed.kinds)}, "
            f"{self.packed.nbytes >> 20} MB, {self.threads} threads>"
        )

    @property
    def config(self) -> Config:
        """The model's."""
        return self.model.config

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """From the file's own vocabulary."""
        return self.model.tokenizer

    @property
    def bytes_per_token(self) -> int:
        """Bytes of weights that a step reads; the keys and values seen come on top."""
        return self.packed.nbytes

    def new_cache(self, context: int | None = None, store: Store = "f32") -> EngineCache:
        """Room for the keys and values of `context` tokens, by default the model's context."""
        return EngineCache(self.config, self.config.context if context is None else context, store)

    def forward(
        self, tokens: np.ndarray, cache: EngineCache, last: bool = False
    ) -> Float32[np.ndarray, "n vocab"]:
        """Logits of the next token after each of `tokens`, which follow what `cache` has seen.

        Parameters
        ----------
        tokens : integer array or list (n,)
        cache : EngineCache
            Takes up the tokens, or stays as it was where this fails.
        last : bool
            Only after the last token: (1, vocab).

        Raises
        ------
        TypeError
            Tokens that are not whole numbers.
        WorkbenchError
            As of `Model.forward`.
        """
        tokens = checked_tokens(tokens, self.config, cache, EngineCache)
        if not last:  # asking how much memory is free takes a while
            nbytes = 4 * len(tokens) * self.config.vocab
            check_memory(nbytes, f"{self.model.weights.name}: logits of {len(tokens)} tokens")
        position = cache.length
        try:
            logits = self._chunks(tokens, cache, last)
            if not all(np.isfinite(part).all() for part in logits):
                raise WorkbenchError(
                    f"{self.model.weights.name}: its numbers outgrow float32 on these tokens"
                )
        except BaseException:  # Ctrl-C too
            cache.forget(position, len(tokens))
            raise
        cache.advance(len(tokens))
        return logits[0] if len(logits) == 1 else np.concatenate(logits)

    def _chunks(self, tokens, cache, last):
        """The logits that are asked for, as a list of arrays."""
        logits = []
        for start in range(0, len(tokens), CHUNK):
            chunk = tokens[start : start + CHUNK]
            outputs = (
                1 if last else len(chunk)
            )  # a chunk in the middle needs none: one costs little
            result = self._run(chunk, cache, cache.length + start, outputs)
            if not last or start + CHUNK >= len(tokens):
                logits.append(result)
        return logits

    def _run(self, tokens, cache, position, outputs):
        """One call of the kernel. (n,) to (outputs, vocab)."""
        scratch = self._scratch_for(len(tokens), outputs, position + len(tokens))
        weights, seen = self._weights, slice(position, position + len(tokens))
        kernels.load("decoder").forward(
            weights.embedded(tokens),
            *weights.arrays,
            *(*cache.arrays, cache.cos[seen], cache.sin[seen]),
            *scratch.arrays,
            *(position, self.config.heads, self.config.norm_eps),
            *(int(self.config.activation == "relu2"), self.threads),
        )
        return scratch.logits[:, : self.config.vocab].copy()

    def _scratch_for(self, tokens, outputs, length):
        """Room for what comes between two products; that of the last call if it fits."""
        scratch = self._scratch
        if scratch is None or not scratch.fits(tokens, outputs, length):
            self._scratch = scratch = _Scratch(
                self.config, self.packed.matrices, tokens, outputs, length, self.threads
            )
        return scratch


class _Arguments:
    """What the kernel gets of a model, and the embedding, which is read from the file itself."""

    def __init__(self, model, packed):
        self._embedding = model.tensors.stored("token_embd.weight")
        self._model = model
        arena = packed.arena
        config = model.config
        norms = [_norms(model, name) for name in NORMS]
        self.arrays = (
            *(arena, arena.view(np.uint16), arena.view(np.int16), arena.view(np.float32)),
            np.ascontiguousarray(packed.matrices[:, :6]),
            *norms,
            np.ascontiguousarray(model.tensors["output_norm.weight"]),
        )
        assert len(packed.matrices) == 4 * config.layers + 1

    def embedded(self, tokens) -> Float32[np.ndarray, "tokens width"]:
        if self._embedding is None:  # replaced
            return self._model.tensors["token_embd.weight"][tokens]
        tensor, _ = self._embedding
        raw = np.ascontiguousarray(tensor.raw()[tokens])
        return decode_blocks(tensor.quant, raw, tensor.shape[-1], scale=tensor.scale, threads=1)


def _norms(model, name):
    """The norm weights of all layers, (layers, channels); (0, 1) where there are none."""
    if name.endswith("sub_norm") and not model.config.sub_norms:
        return np.zeros((0, 1), np.float32)
    return np.stack(
        [model.tensors[f"blk.{layer}.{name}.weight"] for layer in range(model.config.layers)]
    )


class _Scratch:
    """Arrays for one chunk: five of each kind, one for each matrix of a layer and the head."""

    def __init__(self, config, matrices, tokens, outputs, length, threads):
        self.tokens, self.outputs = tokens, outputs
        self.room = -(-2 * length // LANES) * LANES  # twice, so that it lasts a while
        lists: list[list[np.ndarray]] = [[] for _ in range(8)]
        x, x16, x8, step, total, total8, sums, y = lists
        for place, count in zip((0, 1, 2, 3, -1), (*[tokens] * 4, outputs), strict=True):
            # the layers' matrices of one place differ in form at most
            same = matrices[place::4][: config.layers] if place >= 0 else matrices[-1:]
            cols = int(same[0, 7])
            ternary = same[np.isin(same[:, 0], TERNARY), 1]
            groups = -(-cols // GROUP)
            whole = count + (-count % TILE if count > 1 else 0)
            width = cols + -cols % VECTOR if len(ternary) else 0
            x16.append(np.empty((count, GROUP * groups), np.int16))
            x8.append(aligned_bytes((whole, width), np.int8))
            x8[-1][:] = 0
            step.append(np.empty((count, groups), np.float32))
            total.append(np.empty((count, groups), np.float32))
            total8.append(np.zeros(whole, np.int32))
            sums.append(np.empty((whole, int(ternary[0]) if len(ternary) else 0), np.int32))
            # eight numbers more, all zero: attention reads so far behind the last query
            y.append(np.zeros((count, int(same[:, 1].max()) + 8), np.float32))
            x.append(np.empty((count, cols), np.float32))
        self.logits = y[-1]
        numbers = max(ROOM, SPREAD * max(array.shape[1] for array in x16))
        room = aligned_bytes((threads, 2 * numbers), np.int8).view(np.int16)
        self.arrays = (*lists, room, np.zeros((threads, self.room), np.float32))

    def fits(self, tokens, outputs, length):
        return (self.tokens, self.outputs) == (tokens, outputs) and length <= self.room
