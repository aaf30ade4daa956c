"""How well a model expects a text: perplexity, and agreement with a reference.

A text is cut into windows; each is run on its own with an empty cache, and the logits after each
token are held against the token that really follows.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Float64

from workbench.errors import WorkbenchError
from workbench.lm.generation import Runner, cache_for, generate
from workbench.lm.inputs import is_whole

WINDOW = 512
CHUNK = 128  # tokens run at a time: with 49,152 tokens in the vocabulary, 25 MB of logits
Convention = Literal["all", "llama-perplexity"]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Window:
    """Tokens `begin` to `end` of a text, of which those from `first` on are scored."""

    begin: int
    end: int
    first: int

    @property
    def scored(self) -> int:
        """How many tokens are scored."""
        return self.end - self.first


@dataclass(frozen=True)
class Perplexity:
    """How surprised a model is by a text.

    Attributes
    ----------
    perplexity : float
        exp of `loss`: as unsure as among this many equally likely tokens.
    standard_error : float or None
        Of `perplexity`, as if tokens were independent (llama-perplexity prints the same); None for
        a single token.
    loss : float
        Mean of -ln p of the scored tokens, in nats.
    tokens : int
        Tokens scored, exactly.
    text_tokens : int
        Tokens of the text, those that only served as context included.
    windows, window : int
        How many, and how long.
    stride : int or None
    convention : "all" or "llama-perplexity"
    seconds : float
    run_tokens : int
        Tokens that went through the model in that time.
    """

    perplexity: float
    standard_error: float | None
    loss: float
    tokens: int
    text_tokens: int
    windows: int
    window: int
    stride: int | None
    convention: Convention
    seconds: float
    run_tokens: int

    @property
    def tokens_per_s(self) -> float:
        """Tokens through the model a second."""
        return self.run_tokens / self.seconds


@dataclass(frozen=True)
class Divergence:
    """How far a runner's predictions are from a reference's, on the same text.

    Attributes
    ----------
    kl_mean, kl_max : float
        Of sum p ln(p/q) over the vocabulary, p the reference's probabilities, q the runner's, in
        nats a token; 0 where they are the same.
    top1 : float
        Share of positions where both hold the same token for the likeliest.
    perplexity, reference_perplexity : float
    tokens : int
        Positions compared.
    """

    kl_mean: float
    kl_max: float
    top1: float
    perplexity: float
    reference_perplexity: float
    tokens: int


def plan_windows(
    tokens: int,
    window: int,
    stride: int | None = None,
    convention: Convention = "all",
) -> list[Window]:
    """Where a text of so many tokens is cut; see `perplexity` for the conventions.

    >>> [(w.begin, w.end, w.first) for w in plan_windows(10, 4)]
    [(0, 4, 1), (4, 8, 5), (8, 10, 9)]
    >>> [(w.begin, w.end, w.first) for w in plan_windows(10, 4, stride=3)]
    [(0, 4, 1), (3, 7, 4), (6, 10, 7)]
    >>> [(w.begin, w.end, w.first) for w in plan_windows(10, 4, convention="llama-perplexity")]
    [(0, 4, 3), (4, 8, 7)]
    """
    if convention not in get_args(Convention):
        raise WorkbenchError(
            f"convention is {convention!r}, but must be {' or '.join(get_args(Convention))}"
        )
    least = 2 if convention == "all" else 3
    if not is_whole(window) or window < least:
        raise WorkbenchError(f"window is {window!r}, but must be a whole number, at least {least}")
    if stride is not None and convention != "all":
        raise WorkbenchError(f"stride does not go with the convention {convention!r}")
    if stride is not None and not (is_whole(stride) and 1 <= stride < window):
        raise WorkbenchError(
            f"stride is {stride!r}, but must be a whole number, 1 to {window - 1}, below the window"
        )
    plan: list[Window] = []
    for begin in range(0, tokens, stride or window):
        end = min(begin + window, tokens)
        first = plan[-1].end if stride and plan else begin + 1
        if convention == "llama-perplexity":
            first = begin + window // 2 + 1
            end = begin + window
        if first < end <= tokens:
            plan.append(Window(begin, end, first))
    if not plan:
        least = window if convention == "llama-perplexity" else 2
        raise WorkbenchError(f"the text has {tokens} tokens, but at least {least} are needed")
    return plan


def perplexity(
    runner: Runner,
    text: str | Sequence[int],
    *,
    window: int | None = None,
    stride: int | None = None,
    convention: Convention = "all",
    cache: Mapping | None = None,
    progress: Progress | None = None,
) -> Perplexity:
    """Run a text through a model and say how well it was expected.

    Parameters
    ----------
    runner : Runner
    text : str or token ids
        A string is encoded as `Tokenizer.encode` does.
    window : int, optional
        Tokens that are run together; by default 512, or the model's context where that is less.
    stride : int, optional
        By default windows lie side by side, and every token but the first of each is scored; the
        last window may be shorter. With a stride, each window begins so many tokens after the one
        before it and scores only what that one did not reach: every token but the text's first
        once, at least ``window - stride`` tokens after its window's begin.
    convention : "all" or "llama-perplexity"
        What llama.cpp's tool of that name does, to compare numbers with it: only whole windows, of
        which the second half is scored (255 tokens of 512), the first token replaced by the
        beginning where the model wants one.
    cache : mapping, optional
        Options of the runner's `new_cache` but the context, such as ``{"store": "int8"}``.
    progress : callable (done, total, what), optional
        Called with tokens scored.

    Raises
    ------
    WorkbenchError
        Too short a text, a window or stride out of range, an option that the runner's caches do
        not have, ids out of the vocabulary, or logits that are not finite.
    """
    ids = _ids(runner, text)
    window = _window(window, runner)
    plan = plan_windows(len(ids), window, stride, convention)
    report = _Reporter(plan, progress)
    losses = []
    started = time.perf_counter()
    for logits, targets in _scored(runner, ids, plan, convention, cache):
        losses.append(log_losses(logits, targets))
        report(len(targets))
    seconds = time.perf_counter() - started
    loss = np.concatenate(losses)
    mean, value = float(loss.mean()), _exp(loss.mean())
    error = float(loss.std(ddof=1) / np.sqrt(len(loss))) * value if len(loss) > 1 else None
    return Perplexity(
        perplexity=value,
        standard_error=error,
        loss=mean,
        tokens=len(loss),
        text_tokens=len(ids),
        windows=len(plan),
        window=window,
        stride=stride,
        convention=convention,
        seconds=seconds,
        run_tokens=sum(each.end - 1 - each.begin for each in plan),
    )


def divergence(
    runner: Runner,
    reference: Runner,
    text: str | Sequence[int],
    *,
    window: int | None = None,
    stride: int | None = None,
    convention: Convention = "all",
    cache: Mapping | None = None,
    progress: Progress | None = None,
) -> Divergence:
    """Hold a runner's predictions against a reference's, position by position.

    Parameters
    ----------
    runner, reference : Runner
        Of the same vocabulary.
    cache : mapping, optional
        Options of the runner's `new_cache`; the reference has its default.
    text, window, stride, convention, progress
        As in `perplexity`.
    """
    if runner.config.vocab != reference.config.vocab:
        raise WorkbenchError(
            f"the vocabularies have {runner.config.vocab} and {reference.config.vocab} tokens; "
            "only models of one vocabulary can be held against each other"
        )
    ids = _ids(runner, text)
    plan = plan_windows(len(ids), _window(window, runner, reference), stride, convention)
    report = _Reporter(plan, progress)
    divergences, same, losses, reference_losses = [], [], [], []
    both = zip(
        _scored(runner, ids, plan, convention, cache),
        _scored(reference, ids, plan, convention, None),
        strict=True,
    )
    for (ours, targets), (theirs, _) in both:
        divergences.append(kl_divergence(theirs, ours))
        same.append(ours.argmax(axis=1) == theirs.argmax(axis=1))
        losses.append(log_losses(ours, targets))
        reference_losses.append(log_losses(theirs, targets))
        report(len(targets))
    kl = np.concatenate(divergences)
    return Divergence(
        kl_mean=float(kl.mean()),
        kl_max=float(kl.max()),
        top1=float(np.concatenate(same).mean()),
        perplexity=_exp(np.concatenate(losses).mean()),
        reference_perplexity=_exp(np.concatenate(reference_losses).mean()),
        tokens=len(kl),
    )


def greedy_match(
    runner: Runner, reference: Runner, prompt: str | Sequence[int], max_tokens: int = 64
) -> int:
    """How many tokens both continue a prompt with alike under greedy decoding.

    `max_tokens`, or fewer where both end the text, is the most.
    """
    pair = [generate(each, prompt, max_tokens).tokens for each in (runner, reference)]
    shorter = min(map(len, pair))
    different = (at for at in range(shorter) if pair[0][at] != pair[1][at])
    return next(different, shorter)


def log_losses(
    logits: Float32[np.ndarray, "n vocab"], targets: np.ndarray
) -> Float64[np.ndarray, " n"]:
    """-ln p of the token that follows, in nats; sums are float64."""
    peaks = logits.max(axis=1, keepdims=True)
    sums = np.exp(logits - peaks).sum(axis=1, dtype=np.float64)
    chosen = np.take_along_axis(logits, np.asarray(targets)[:, None], axis=1)
    return np.log(sums) - (chosen - peaks)[:, 0].astype(np.float64)


def kl_divergence(
    reference: Float32[np.ndarray, "n vocab"], logits: Float32[np.ndarray, "n vocab"]
) -> Float64[np.ndarray, " n"]:
    """sum p ln(p/q) of each row, in nats: p of the reference, q of the logits."""
    rows = zip(reference, logits, strict=True)  # one by one: float64 rows are large
    return np.array([_kl(p.astype(np.float64), q.astype(np.float64)) for p, q in rows])


def _kl(p: np.ndarray, q: np.ndarray) -> float:
    p -= p.max()
    q -= q.max()
    weights = np.exp(p)
    total = weights.sum()
    difference = p - q - np.log(total) + np.log(np.exp(q).sum())
    return max(float(weights @ difference / total), 0.0)  # rounding can make it -1e-16


def _scored(
    runner: Runner,
    ids: np.ndarray,
    plan: list[Window],
    convention: Convention,
    cache_options: Mapping | None,
) -> Iterator[tuple[Float32[np.ndarray, "n vocab"], np.ndarray]]:
    """Logits of every scored position and the tokens that follow, a chunk at a time."""
    replaced = convention == "llama-perplexity" and runner.tokenizer and runner.tokenizer.add_bos
    for window in plan:
        tokens = ids[window.begin : window.end].copy()
        if replaced:
            tokens[0] = runner.tokenizer.bos
        inputs, first = tokens[:-1], window.first - window.begin  # nothing follows the last
        cache = cache_for(runner, len(inputs), cache_options or {})
        for begin in range(0, len(inputs), CHUNK):
            end = min(begin + CHUNK, len(inputs))
            from_ = max(first - 1, begin)  # the logits after token i tell of token i + 1
            logits = runner.forward(inputs[begin:end], cache, last=from_ >= end)
            if from_ < end:
                logits = logits[from_ - begin :]
                if not np.isfinite(logits).all():
                    raise WorkbenchError(
                        f"the logits after token {window.begin + from_} of the text or later hold "
                        "NaN or infinity"
                    )
                yield logits, tokens[from_ + 1 : end + 1]


class _Reporter:
    """Turns tokens scored into calls of a progress callback."""

    def __init__(self, plan: list[Window], progress: Progress | None):
        self._progress = progress
        self._done, self._total = 0, sum(window.scored for window in plan)
        self(0)

    def __call__(self, tokens: int) -> None:
        self._done += tokens
        if self._progress is not None:
            self._progress(self._done, self._total, "tokens scored")


def _ids(runner: Runner, text: str | Sequence[int]) -> np.ndarray:
    if isinstance(text, str):
        if runner.tokenizer is None:
            raise WorkbenchError("this model has no vocabulary, so it takes token ids, not text")
        text = runner.tokenizer.encode(text)
    ids = np.asarray(text)
    if len(ids) and ids.dtype.kind not in "iu":
        raise TypeError(f"the text is {ids.dtype}, but must be a string or whole numbers")
    outside = (ids < 0) | (ids >= runner.config.vocab)
    if outside.any():
        at = int(outside.argmax())
        raise WorkbenchError(
            f"token {at} of the text is {ids[at]}, but the vocabulary has the ids 0 to "
            f"{runner.config.vocab - 1}"
        )
    return ids


def _window(window: int | None, *runners: Runner) -> int:
    """The window that is asked for, or the usual one; no longer than any context."""
    context = min(runner.config.context for runner in runners)
    if window is None:
        return min(WINDOW, context)
    if is_whole(window) and window > context:  # what is no number is for `plan_windows`
        raise WorkbenchError(f"window is {window}, but the model's context is {context}")
    return window


def _exp(loss: float) -> float:
    with np.errstate(over="ignore"):  # a broken model's perplexity is infinite
        return float(np.exp(loss))
