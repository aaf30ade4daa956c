"""Text from a model, token by token.

A runner is whatever has `config`, `tokenizer`, `new_cache` and `forward`, as the reference `Model`
and the fast `Engine` have.

>>> from workbench.lm import generate, open_language_model
>>> model = open_language_model("smollm2-135m")  # doctest: +SKIP
>>> generate(model, "The capital of France is", max_tokens=5).text  # doctest: +SKIP
' Paris.\\n\\nThe'
"""

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Float32

from workbench.errors import WorkbenchError
from workbench.lm.config import Config
from workbench.lm.inputs import is_whole
from workbench.lm.sampling import Sampler
from workbench.lm.tokenizer import Tokenizer

Stopped = Literal["eos", "stop", "length", "context"]


class Runner(Protocol):
    """What can run: the reference path and the fast one, by one interface."""

    config: Config
    tokenizer: Tokenizer | None

    def new_cache(self, context: int | None = None, **options):
        """An empty cache for `context` tokens."""

    def forward(
        self, tokens: np.ndarray, cache, last: bool = False
    ) -> Float32[np.ndarray, "n vocab"]:
        """Logits after each of the tokens, or only after the last."""


def cache_for(runner: Runner, tokens: int, options: Mapping):
    """A cache of a runner for so many tokens, with options of its `new_cache`.

    Raises
    ------
    WorkbenchError
        An option that the runner lacks, or `context`.
    """
    known = signature(runner.new_cache).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in known.values())  # and sees for itself
    for name in options:
        if name == "context":
            raise WorkbenchError("cache has 'context', but that follows from the text")
        if not takes_any and name not in known:
            names = ", ".join(each for each in known if each != "context") or "none"
            raise WorkbenchError(f"cache has the option {name!r}, but this runner has {names}")
    # a ring may come with its own size
    return runner.new_cache(context=None if "window" in options else tokens, **options)


@dataclass(frozen=True)
class Piece:
    """What one chosen token adds.

    Attributes
    ----------
    token : int
    text : str
        Empty while a character is incomplete, while it may be the start of a stop string, and for
        the token that ends the text.
    """

    token: int
    text: str


@dataclass(frozen=True)
class Generation:
    """A generated text and how it came about.

    Attributes
    ----------
    text : str
        Without the prompt, and up to where a stop string begins. Bytes at the very end that make
        no whole character are left away.
    tokens : tuple of int
        Every token chosen, one that ends the text included.
    prompt_tokens : int
    stopped : "eos", "stop", "length" or "context"
        The model ended the text; a stop string came; `max_tokens` were made; the cache was full.
    prefill_s : float
        From the first prompt token to the logits after the last.
    decode_s : float
        From there to the end, choosing included.
    """

    text: str
    tokens: tuple[int, ...] = field(repr=False)
    prompt_tokens: int
    stopped: Stopped
    prefill_s: float
    decode_s: float

    @property
    def prefill_tokens_per_s(self) -> float:
        """Prompt tokens a second."""
        return self.prompt_tokens / self.prefill_s

    @property
    def decode_tokens_per_s(self) -> float | None:
        """Tokens a second after the first, which comes from the prompt; None where there are none.

        The model runs once for each of them, on one token.
        """
        return (len(self.tokens) - 1) / self.decode_s if len(self.tokens) > 1 else None


def generate(
    runner: Runner,
    prompt: str | Sequence[int],
    max_tokens: int = 128,
    sampler: Sampler | None = None,
    *,
    stop: str | Iterable[str] = (),
    cache=None,
    on_token: Callable[[Piece], None] | None = None,
) -> Generation:
    """Continue a prompt.

    Parameters
    ----------
    runner : Runner
    prompt : str or token ids
        A string is encoded as plain text, with a beginning where the file asks for one; see
        `workbench.lm.chat.chat_prompt` for messages.
    max_tokens : int
        At least 1.
    sampler : Sampler, optional
        By default greedy.
    stop : str or several
        The text ends before the first of these to be complete, wherever tokens begin and end.
    cache : cache of this runner, or mapping, optional
        The prompt follows what it has seen. By default a new one with room for prompt and text, or
        with these options of the runner's `new_cache`.
    on_token : callable (Piece), optional
        Called after each token.

    Raises
    ------
    WorkbenchError
        An empty prompt, one that is longer than the context, ids out of the vocabulary, a value out
        of range, or text for a model without a vocabulary.
    """
    pieces = stream(runner, prompt, max_tokens, sampler, stop=stop, cache=cache)
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            return end.value
        if on_token is not None:
            on_token(piece)


def stream(
    runner: Runner,
    prompt: str | Sequence[int],
    max_tokens: int = 128,
    sampler: Sampler | None = None,
    *,
    stop: str | Iterable[str] = (),
    cache=None,
) -> Generator[Piece, None, Generation]:
    """The pieces of `generate` as they come; returns (to ``yield from``) its result.

    Nothing runs before the first piece is asked for, and whoever stops asking ends it.
    """
    sampler = sampler or Sampler()
    text = _Text(runner.tokenizer, _stops(stop))
    tokens = _tokens(runner.tokenizer, prompt)
    if not is_whole(max_tokens) or max_tokens < 1:
        raise WorkbenchError(
            f"max_tokens is {max_tokens!r}, but must be a whole number, at least 1"
        )
    if cache is None or isinstance(cache, Mapping):
        cache = _cache(runner, len(tokens), max_tokens, cache or {})
    ends = runner.tokenizer.ends if runner.tokenizer else frozenset()
    rng = sampler.generator()
    chosen: list[int] = []
    stopped: Stopped | None = None

    started = time.perf_counter()
    logits = runner.forward(np.asarray(tokens), cache, last=True)[-1]
    prefilled = time.perf_counter()
    while True:
        token = sampler.choose(logits, rng)
        chosen.append(token)
        if token in ends:
            added, stopped = "", "eos"
        else:
            added = text.feed(token)
            if text.stopped:
                stopped = "stop"
            elif len(chosen) == max_tokens:
                stopped = "length"
            elif cache.length == cache.context:
                stopped = "context"
        if stopped:
            added += text.rest()
            decoded = time.perf_counter()
        yield Piece(token, added)
        if stopped:
            break
        logits = runner.forward(np.array([token]), cache, last=True)[-1]
    return Generation(
        text="".join(text.parts),
        tokens=tuple(chosen),
        prompt_tokens=len(tokens),
        stopped=stopped,
        prefill_s=prefilled - started,
        decode_s=decoded - prefilled,
    )


class _Text:
    """Text of tokens that come one by one, without the stop string or what may become one."""

    def __init__(self, tokenizer: Tokenizer | None, stops: tuple[str, ...]):
        if tokenizer is None and stops:
            raise WorkbenchError("stop strings need a vocabulary, which this model does not have")
        self._decoder = tokenizer.stream() if tokenizer else None
        self._stops = stops
        self._held = ""  # the longest end of the text that some stop string begins with
        self.parts: list[str] = []
        self.stopped = False

    def feed(self, token: int) -> str:
        """What is certain now."""
        if self._decoder is None:
            return ""
        text = self._held + self._decoder.feed(token)
        found = [(at + len(s), at) for s in self._stops if (at := text.find(s)) >= 0]
        if found:  # the first to be complete, wherever tokens end; of several, the longest
            self.stopped = True
            certain, self._held = text[: min(found)[1]], ""
        else:
            hold = max((_overlap(text, stop) for stop in self._stops), default=0)
            certain, self._held = text[: len(text) - hold], text[len(text) - hold :]
        self.parts.append(certain)
        return certain

    def rest(self) -> str:
        """What was held back, once nothing follows."""
        rest, self._held = self._held, ""
        self.parts.append(rest)
        return rest


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` begins with, short of all of it."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


def _stops(stop: str | Iterable[str]) -> tuple[str, ...]:
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    for item in stops:
        if not isinstance(item, str):
            raise TypeError(f"stop holds {item!r}, but must hold strings")
        if not item:
            raise WorkbenchError("a stop string is empty, which would stop before the first token")
    return stops


def _tokens(tokenizer: Tokenizer | None, prompt: str | Sequence[int]) -> Sequence[int]:
    if isinstance(prompt, str):
        if tokenizer is None:
            raise WorkbenchError(
                "this model has no vocabulary, so the prompt must be token ids, not text"
            )
        prompt = tokenizer.encode(prompt)
    if len(prompt) == 0:
        raise WorkbenchError("the prompt is empty; it must hold at least one token")
    return prompt


def _cache(runner: Runner, prompt: int, max_tokens: int, options: Mapping):
    """A cache with room for both, as far as the model's context goes, or a ring."""
    context = runner.config.context
    if prompt > context and options.get("layout") != "ring":
        raise WorkbenchError(
            f"the prompt has {prompt} tokens, but the model's context is {context}"
        )
    return cache_for(runner, min(prompt + max_tokens, context), options)
