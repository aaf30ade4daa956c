"""How fast a model runs: our fast path and llama.cpp, in turn, in one run."""

import ctypes
import random
import statistics
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from workbench import kernels
from workbench.errors import WorkbenchError
from workbench.lm.engine import Engine, Store
from workbench.lm.model import Model, open_language_model
from workbench.lm.packing import Form
from workbench.measure import machine, peers

PEER = "llama.cpp"
READING = "ceiling: reading as many bytes"
LEAST_ROUNDS = 3


@dataclass
class _Racer:
    """One runner at one number of threads, and what was measured of it: seconds a token.

    nbytes: of its weights. cached: bytes of a token in its cache.
    """

    name: str
    threads: int
    nbytes: int
    cached: int
    prefill: Callable[[np.ndarray], None]
    decode: Callable[[int], None]
    prefill_s: list[float] = field(default_factory=list)
    decode_s: list[float] = field(default_factory=list)


def bench_decode(
    model: Model | str | Path,
    threads: Iterable[int] = (1,),
    *,
    weights: Iterable[Form] = ("file",),
    store: Store = "f32",
    prompt: int = 128,
    tokens: int = 32,
    seconds: float = 10.0,
    peers_too: bool = True,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[dict]:
    """Race the fast path against llama.cpp on one file, in turn, with the same threads.

    A turn of a runner is a prompt of `prompt` tokens with logits after the last, then `tokens`
    single tokens after it. Token ids are random: speed does not depend on them.

    Parameters
    ----------
    model : Model, name or path
    threads : iterable of int
    weights : iterable of {"file", "planar", "base3", "int8", "int4"}
        Forms of the fast path to race.
    store : {"f32", "int8"}
        Of its keys and values; llama.cpp keeps float16.
    prompt, tokens : int
    seconds : float
        For all turns, but each runner gets at least three.
    peers_too : bool
        Race llama.cpp where it is installed.
    progress : function of (done, total, what), optional

    Returns
    -------
    list of dict
        runner, threads, prompt, tokens, prefill_tokens_s, prefill_min, prefill_max (tokens a
        second: median, slowest and fastest turn), decode_tokens_s, decode_min, decode_max,
        bytes_per_token (weights, and keys and values half-way through the decoded tokens), gb_s
        (10^9 of these bytes a second), read_gb_s (the rate at which a buffer as large as the
        weights was read in the same run, front to back), bandwidth_share (their quotient),
        memory_gb_s (the same for a buffer far larger than the caches), ratio_to, prefill_ratio,
        decode_ratio (speed over that of the peer with as many threads, pairs of the same round:
        median; and _min, _max; None without a peer), turns, machine.

    Raises
    ------
    WorkbenchError
        Numbers that are not allowed, kernels that are not compiled, a context that is too short, or
        what `Engine` refuses.
    """
    for name, number in (("prompt", prompt), ("tokens", tokens)):
        if number < 1:
            raise WorkbenchError(f"{name}={number} is not allowed: it is a number from 1 up")
    if not kernels.status("decoder").compiled:
        raise WorkbenchError("a race needs compiled kernels: run `make kernels`")
    if not isinstance(model, Model):
        model = open_language_model(model)
    context = prompt + tokens
    if context > model.config.context:
        raise WorkbenchError(
            f"prompt={prompt} and tokens={tokens} are not allowed: together they are more than "
            f"the context of {model.config.context}"
        )
    racers = []
    for count in threads:
        racers += [_ours(model, form, count, context, store) for form in weights]
        if peers_too and peers.available():
            racers.append(_llama(model, count, context))
    ids = np.random.default_rng(0).integers(0, model.config.vocab, context).astype(np.int32)
    _run(racers, ids, prompt, seconds, progress)
    reading = {
        (racer.threads, racer.nbytes): machine.read_gb_s(racer.nbytes, racer.threads, 0.3)
        for racer in racers
    }
    memory = {
        racer.threads: machine.read_gb_s(machine.memory_buffer_bytes(), racer.threads, 0.5)
        for racer in racers
    }
    seen = prompt + tokens / 2
    rows = []
    for racer in racers:
        peer = next((r for r in racers if (r.name, r.threads) == (PEER, racer.threads)), None)
        nbytes = int(racer.nbytes + seen * racer.cached)
        gb_s = nbytes / statistics.median(racer.decode_s) / 1e9
        read_gb_s = reading[racer.threads, racer.nbytes]
        rows.append(
            {
                "runner": racer.name,
                "threads": racer.threads,
                "prompt": prompt,
                "tokens": tokens,
                **_speeds("prefill", "prefill_tokens_s", racer.prefill_s),
                **_speeds("decode", "decode_tokens_s", racer.decode_s),
                "bytes_per_token": nbytes,
                "gb_s": gb_s,
                "read_gb_s": read_gb_s,
                "bandwidth_share": gb_s / read_gb_s,
                "memory_gb_s": memory[racer.threads],
                "ratio_to": PEER if peer else None,
                **_ratios("prefill_ratio", peer and peer.prefill_s, racer.prefill_s),
                **_ratios("decode_ratio", peer and peer.decode_s, racer.decode_s),
                "turns": len(racer.decode_s),
                "machine": machine.summary(),
            }
        )
    return rows


def _run(racers, ids, prompt, seconds, progress):
    """Turns in a shuffled order, round by round, until the time is over."""
    order, stop, done = random.Random(0), time.perf_counter() + seconds, 0
    warm = 1  # the first round finds cold caches, and is not counted
    while done < LEAST_ROUNDS + warm or time.perf_counter() < stop:
        for racer in order.sample(racers, len(racers)):
            start = time.perf_counter()
            racer.prefill(ids[:prompt])
            middle = time.perf_counter()
            for token in ids[prompt:]:
                racer.decode(int(token))
            end = time.perf_counter()
            if done >= warm:
                racer.prefill_s.append((middle - start) / prompt)
                racer.decode_s.append((end - middle) / (len(ids) - prompt))
            if progress is not None:
                left = max(0.0, stop - end)
                progress(round(seconds - left), round(seconds), f"{racer.name}, {racer.threads}")
        done += 1


def _speeds(label, median, taken):
    return {
        median: 1 / statistics.median(taken),
        f"{label}_min": 1 / max(taken),
        f"{label}_max": 1 / min(taken),
    }


def _ratios(name, theirs, ours):
    if not theirs:
        return dict.fromkeys((name, f"{name}_min", f"{name}_max"))
    pairs = [a / b for a, b in zip(theirs, ours, strict=True)]
    return {name: statistics.median(pairs), f"{name}_min": min(pairs), f"{name}_max": max(pairs)}


def _ours(model, form, threads, context, store):
    engine = Engine(model, form, threads)
    caches = [engine.new_cache(context, store)]

    def prefill(ids):
        caches[0].truncate(0)
        engine.forward(ids, caches[0], last=True)

    def decode(token):
        engine.forward([token], caches[0], last=True)

    cached = caches[0].bytes_per_token
    name = f"workbench {form}" if store == "f32" else f"workbench {form}, {store} cache"
    return _Racer(name, threads, engine.bytes_per_token, cached, prefill, decode)


def _llama(model, threads, context):
    """llama.cpp with its own defaults but for threads and the length of the context."""
    import llama_cpp

    _silence(llama_cpp)
    llama_cpp.llama_backend_init()
    path = str(model.weights.path).encode()
    loaded = llama_cpp.llama_model_load_from_file(path, llama_cpp.llama_model_default_params())
    if not loaded:
        raise WorkbenchError(f"{model.weights.name}: llama.cpp refuses this model")
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = context
    settings.n_threads = settings.n_threads_batch = threads
    settings.no_perf = True
    running = llama_cpp.llama_init_from_model(loaded, settings)
    if not running:
        llama_cpp.llama_model_free(loaded)
        raise WorkbenchError(f"{model.weights.name}: llama.cpp finds no room for {context} tokens")

    def decode(ids):
        room = (llama_cpp.llama_token * len(ids))(*map(int, ids))  # the batch has only its address
        if llama_cpp.llama_decode(running, llama_cpp.llama_batch_get_one(room, len(ids))):
            raise WorkbenchError(f"{model.weights.name}: llama.cpp cannot run it")
        llama_cpp.llama_get_logits_ith(running, -1)  # waits until they are there

    def prefill(ids):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(running), False)
        decode(ids)

    stored = model.weights
    skipped = () if model.config.tied else ("token_embd.weight",)
    nbytes = sum(tensor.nbytes for name, tensor in stored.items() if name not in skipped)
    config = model.config  # keys and values are float16
    cached = 2 * 2 * config.layers * config.kv_heads * config.head_dim
    racer = _Racer(PEER, threads, nbytes, cached, prefill, lambda token: decode([token]))
    weakref.finalize(racer, llama_cpp.llama_model_free, loaded)
    weakref.finalize(racer, llama_cpp.llama_free, running)  # runs first: the last one made
    return racer


def _silence(llama_cpp):
    global _QUIET
    _QUIET = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(_QUIET, ctypes.c_void_p(0))


_QUIET = None  # kept, since llama.cpp keeps only its address
