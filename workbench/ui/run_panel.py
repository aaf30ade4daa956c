"""A model that writes: type a prompt, see the tokens come and what each of them costs."""

import time
from collections.abc import Mapping
from functools import cache
from typing import final, get_args

import ipywidgets
import plotly.graph_objects as go
import traitlets

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.lm import Sampler, chat_prompt, open_runner, stream
from workbench.lm.config import Activation
from workbench.lm.engine import Store
from workbench.lm.generation import Runner, cache_for
from workbench.lm.packing import Form
from workbench.lm.runners import REFERENCE
from workbench.lm.stores import Kind
from workbench.measure.machine import read_gb_s
from workbench.ui import lm_figures, tables
from workbench.ui.controls import FULL, STYLE, dropdown, field, help_line, slider
from workbench.ui.language_models import Writing, language_model_picker
from workbench.ui.live import live, redraw
from workbench.ui.panel import Panel
from workbench.ui.progress import Job, Problem, shows_problems

TEXT_S = 0.1  # how often the page gets new text: often enough to look like writing
REDRAW_S = 0.5
MOST_TOKENS = 2048
AS_FILE = "what the file says"
PLAIN, CHAT = "continue the text", "answer it"
ENDINGS = {
    "eos": "the model ended the text",
    "stop": "a stop string came",
    "length": "as many as asked for",
    "context": "the context was full",
    "": "not at its end",
}


@final
class RunPanel(Panel):
    """Choose model, runner, cache and sampler, type a prompt, press Write.

    Parameters
    ----------
    model : str or Weights
        Name or path of a model, or an open one.
    prompt : str
    weights : str
        "reference", or a form of the fast path: "file", "planar", "base3", "int8" or "int4".
    store : {"f32", "f16", "int8", "ternary"}
        Of the cache; the fast path has f32 and int8.
    threads, max_tokens : int
    sampler : Sampler, optional
        By default greedy.
    chat : bool
        Whether the prompt is a message to be answered.

    Attributes
    ----------
    prompt : str
        Settable.
    text : str
        What was written, as far as it has come.
    tokens : int
        How many.
    row : dict
        Of the last text that ended or was stopped: `tokens`, `prompt_tokens`, `stopped`,
        `tokens_per_s`, `prompt_tokens_per_s`, `bytes_per_token`, `gb_s`, `read_gb_s`, `cache_bytes`
        and `cache_context`; empty before.
    running : bool

    Examples
    --------
    >>> panel = RunPanel("english-ternary", "In the beginning", max_tokens=8)  # doctest: +SKIP
    >>> panel.run()  # doctest: +SKIP
    >>> panel.wait()  # doctest: +SKIP
    """

    prompt = traitlets.Unicode()
    text = traitlets.Unicode()
    tokens = traitlets.Int()
    row = traitlets.Dict()
    running = traitlets.Bool(False)

    def __init__(
        self,
        model: str | Mapping = "english-ternary",
        prompt: str = "",
        weights: str = "file",
        store: str = "f32",
        threads: int = 1,
        max_tokens: int = 128,
        sampler: Sampler | None = None,
        chat: bool = False,
    ):
        sampler = sampler or Sampler()
        self.models = language_model_picker(model)
        self.weights = dropdown("runner", [REFERENCE, *get_args(Form)], weights)
        self.store = dropdown("cache", get_args(Kind), store)
        self.activation = dropdown("activation", [AS_FILE, *get_args(Activation)], AS_FILE)
        self.threads = slider("threads", 1, max(kernels.cores(), threads), threads)
        self.max_tokens = slider("tokens", 1, max(MOST_TOKENS, max_tokens), max_tokens)
        self.temperature = ipywidgets.FloatSlider(
            min=0, max=2, step=0.05, value=sampler.temperature, description="temperature",
            continuous_update=False, style=STYLE, layout=FULL,
        )  # fmt: skip
        self.top_k = slider("top k", 0, 200, sampler.top_k)
        self.top_p = ipywidgets.FloatSlider(
            min=0.05, max=1, step=0.05, value=sampler.top_p, description="top p",
            continuous_update=False, style=STYLE, layout=FULL,
        )  # fmt: skip
        self.seed = ipywidgets.BoundedIntText(
            sampler.seed, min=0, max=2**31 - 1, description="seed", style=STYLE, layout=FULL
        )
        self.mode = ipywidgets.ToggleButtons(
            options=[PLAIN, CHAT], value=CHAT if chat else PLAIN, style={"button_width": "auto"}
        )
        self.input = ipywidgets.Textarea(
            prompt, description="prompt", rows=3, continuous_update=False, style=STYLE, layout=FULL
        )
        self.button = ipywidgets.Button(
            description="Write", button_style="primary", icon="play", layout={"width": "auto"}
        )
        self.job = Job()
        self.job.stop.description = "Stop"
        self.job.stop.tooltip = "stop after this token; what is written stays"
        self.problem = Problem()
        self.writing = Writing()
        self.numbers = tables.Numbers()
        self.chart = live(lm_figures.step_times([], []))
        self._runner: tuple | None = None
        super().__init__([self._arranged()], prompt=prompt)

        traitlets.link((self, "prompt"), (self.input, "value"))
        traitlets.dlink((self.job, "running"), (self, "running"))
        traitlets.dlink((self.job, "running"), (self.button, "disabled"))
        self.weights.observe(self._follow_runner, "value")
        self.button.on_click(lambda _: self.run())
        self._follow_runner()
        self._say({})

    @shows_problems
    def run(self) -> None:
        """Start writing what follows the prompt."""
        if not self.prompt.strip():
            raise WorkbenchError("the prompt is empty; type what the model shall go on from")
        sampler = Sampler(
            self.temperature.value, self.top_k.value, self.top_p.value, self.seed.value
        )
        chosen = (self.models.weights, self.weights.value, self.threads.value)
        activation = None if self.activation.value == AS_FILE else self.activation.value
        options = {"store": self.store.value}
        chat, words, most = self.mode.value == CHAT, self.prompt, self.max_tokens.value
        self.job.start(
            lambda run: self._work(run, chosen, activation, options, sampler, words, chat, most),
            "opening the model",
        )

    def wait(self, timeout: float = 300.0) -> None:
        """Return when the text has ended; TimeoutError if it has not."""
        self.job.wait(timeout)

    def cancel(self) -> None:
        """Stop after this token; what is written stays."""
        self.job.cancel()

    @property
    def _is_fast(self) -> bool:
        return self.weights.value != REFERENCE

    def _follow_runner(self, _change=None) -> None:
        options = get_args(Store if self._is_fast else Kind)
        chosen = self.store.value if self.store.value in options else "f32"
        self.store.options = options
        self.store.value = chosen

    def _arranged(self) -> ipywidgets.Widget:
        fields = ipywidgets.VBox(
            [
                field(
                    self.weights,
                    "reference: float32, to be read. Others: compiled, activations in int8, "
                    "weights as near to the file as possible, or in the form named.",
                ),
                field(self.activation, "For a bitnet model whose file does not say it."),
                field(self.threads, "Of the compiled path; NumPy's for the reference."),
                field(
                    self.store,
                    "How keys and values are kept; the compiled path has fewer choices.",
                ),
                field(self.max_tokens, "At most so many."),
                field(self.temperature, "0: always the likeliest token. Higher: more daring."),
                field(self.top_k, "Only of the k likeliest tokens; 0: of all."),
                field(self.top_p, "Only of the likeliest that make this share; 1: of all."),
                field(self.seed, "The same seed gives the same text."),
            ]
        )
        controls = ipywidgets.VBox([self.models, fields])
        controls.add_class("wb-controls")
        prompt = ipywidgets.VBox(
            [self.input, self.mode, help_line("Answering needs a model with a chat template.")]
        )
        prompt.add_class("wb-field")
        results = ipywidgets.VBox(
            [
                prompt,
                ipywidgets.HBox([self.button]),
                self.job,
                self.problem,
                self.writing,
                self.numbers,
                self.chart,
            ]
        )
        results.add_class("wb-results")
        columns = ipywidgets.Box([controls, results])
        columns.add_class("wb-columns")
        return columns

    def _work(self, run, chosen, activation, options, sampler, words, chat, most) -> None:
        self.text, self.tokens = "", 0
        self.writing.show(words, "")
        runner, limit = self._opened(chosen, activation)
        if runner.tokenizer is None:
            raise WorkbenchError("this model has no vocabulary, so it cannot read what you type")
        if chat:
            prompt = chat_prompt(runner.tokenizer, [{"role": "user", "content": words}])
            words += "\n\n"
        else:
            prompt = runner.tokenizer.encode(words)
        store = cache_for(runner, min(len(prompt) + most, runner.config.context), options)
        pieces = stream(runner, prompt, most, sampler, cache=store)
        written = _Written(runner, store, words, len(prompt))
        said = drawn = time.monotonic()
        try:
            with limit:
                while written.take(pieces):
                    run.progress(len(written.seconds), most, f"{len(written.seconds)} tokens")
                    if time.monotonic() - said > TEXT_S:
                        self._write(written)
                        said = time.monotonic()
                    if time.monotonic() - drawn > REDRAW_S:
                        self._measure(written)
                        drawn = time.monotonic()
            self._write(written)
            run.progress(most, most, "measuring how fast so many bytes can be read")
            if kernels.status("peak").compiled:
                written.read_gb_s = reading_gb_s(runner.bytes_per_token, chosen[2])
        finally:  # what was written before Stop or an error stays
            if written.seconds:
                self._write(written)
                self._measure(written)
                self.row = written.row()

    def _opened(self, chosen, activation):
        """The runner, kept while only prompt, cache or sampler change."""
        key = (*chosen, activation)
        if self._runner is None or self._runner[0] != key:
            self._runner = (key, *open_runner(*chosen, activation=activation))
        return self._runner[1:]

    def _write(self, written: "_Written") -> None:
        self.text, self.tokens = "".join(written.parts), len(written.seconds)
        self.writing.show(written.words, self.text)

    def _measure(self, written: "_Written") -> None:
        self._say(written.row())
        redraw(self.chart, written.chart())

    def _say(self, row: Mapping) -> None:
        self.numbers.show(gauge(row), tables.tiles(_tiles(row)))


@cache
def reading_gb_s(nbytes: int, threads: int) -> float:
    """10^9 bytes a second at which this machine reads so many, measured when first asked for."""
    return read_gb_s(nbytes, threads)


class _Written:
    """A text as it comes, and how long each token took: the model's own time, not the page's."""

    def __init__(self, runner: Runner, store, words: str, prompt_tokens: int):
        self.runner = runner
        self.store = store
        self.words = words
        self.prompt_tokens = prompt_tokens
        self.parts: list[str] = []
        self.seconds: list[float] = []
        self.stopped = ""
        self.read_gb_s: float | None = None

    def take(self, pieces) -> bool:
        """One more token, if there is one."""
        started = time.perf_counter()
        try:
            piece = next(pieces)
        except StopIteration as end:
            self.stopped = end.value.stopped
            return False
        self.seconds.append(time.perf_counter() - started)
        self.parts.append(piece.text)
        return True

    def row(self) -> dict:
        first, *others = self.seconds
        speed = len(others) / sum(others) if others else None
        # on average, a step sees the prompt and half of what is written
        seen = self.prompt_tokens + len(self.seconds) / 2
        nbytes = round(self.runner.bytes_per_token + seen * self.store.bytes_per_token)
        return {
            "tokens": len(self.seconds),
            "prompt_tokens": self.prompt_tokens,
            "stopped": self.stopped,
            "tokens_per_s": speed,
            "prompt_tokens_per_s": self.prompt_tokens / first,
            "bytes_per_token": nbytes,
            "gb_s": speed and speed * nbytes / 1e9,
            "read_gb_s": self.read_gb_s,
            "cache_tokens": self.store.length,
            "cache_context": self.store.context,
            "cache_bytes": self.store.length * self.store.bytes_per_token,
        }

    def chart(self) -> go.Figure:
        bound = None
        if self.read_gb_s:
            read = (self.runner.bytes_per_token, self.store.bytes_per_token)
            bound = tuple(nbytes / 1e9 / self.read_gb_s for nbytes in read)
        steps = self.seconds[1:]
        seen = range(self.prompt_tokens, self.prompt_tokens + len(steps))
        return lm_figures.step_times(seen, steps, bound)


def _tiles(row: Mapping):
    yield tables.rate(row.get("tokens_per_s")), "tokens a second, after the first", "speed"
    yield (
        tables.rate(row.get("prompt_tokens_per_s")),
        f"prompt tokens a second, of {row.get('prompt_tokens', 0)}",
        "prompt_speed",
    )
    nbytes = row.get("bytes_per_token")
    yield tables.number(nbytes and nbytes / 1e6), "megabytes read for a token", "bytes_per_token"
    yield tables.number(row.get("gb_s")), "10⁹ bytes a second at that speed", "gb_s"
    yield (
        tables.number(row.get("read_gb_s")),
        "10⁹ bytes a second where they are only read",
        "read_gb_s",
    )
    ended = ENDINGS[row["stopped"]] if row else "-"
    yield f"{row.get('tokens', 0)}", f"tokens written; {ended}", "tokens"


def gauge(row: Mapping) -> str:
    """How full the cache is, as a bar."""
    seen, room = row.get("cache_tokens", 0), row.get("cache_context", 0)
    nbytes = row.get("cache_bytes", 0)
    share = 100 * seen / room if room else 0
    said = f"cache: {seen} of {room} tokens, {nbytes / 1e6:.3g} MB" if room else "cache: empty"
    return (
        f'<div class="wb-gauge" role="meter" aria-label="cache" aria-valuemin="0" '
        f'aria-valuemax="{room}" aria-valuenow="{seen}"><span style="width:{share:.1f}%"></span>'
        f"</div><p class='wb-gauge-said'>{said}</p>"
    )
