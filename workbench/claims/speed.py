"""How fast language models run, ours and llama.cpp's, for the checks that ask it."""

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from workbench import kernels
from workbench.lm import Engine, load_profile, make_random_model, open_language_model
from workbench.measure import peers
from workbench.measure.asking import Asked
from workbench.models import open_model

RUNS, TOKENS = 5, 24
WAYS = ("engine", "engine on all cores", "engine after 1,024 tokens", "reference path")


def decode_speeds(model: str | os.PathLike, ways=WAYS) -> dict[str, list[float]]:
    """Tokens a second of several runs, one thread unless said otherwise, after a warm-up.

    Parameters
    ----------
    model : str or path
    ways : names of `WAYS`, or "engine, 128 tokens a call"
        The likeliest token follows each time, but for the last, which reads given ones.
    """
    opened, found = open_language_model(model), {}
    for way in ways:
        runner = opened
        if way != "reference path":
            runner = Engine(opened, threads=kernels.cores() if way.endswith("cores") else 1)
        before = 1024 if "after" in way else 1
        if way.endswith("a call"):
            found[way] = [_read(runner) for _ in range(RUNS + 1)][1:]
        else:
            found[way] = [_decode(runner, before) for _ in range(RUNS + 1)][1:]
    return found


def toy(folder: str | os.PathLike) -> tuple[Path, int]:
    """Seed 001's toy, 32 words, width 64, 2 layers, 4 heads, ternary; and its parameters."""
    path = make_random_model(
        Path(folder, "toy.gguf"),
        "llama",
        layers=2,
        width=64,
        ff=256,
        heads=4,
        vocab=32,
        context=256,
        quant="Q2_0",
        embedding="F16",
    )
    return path, sum(int(np.prod(tensor.shape)) for tensor in open_model(path).values())


def beside_llama_cpp(model: str, rounds: int = 3) -> Iterator[tuple[str, float | list, str]]:
    """Name, value and unit of what compares us with llama.cpp, one thread, in turn; or nothing.

    Both start in fresh processes with all files in memory, and then decode the same number of
    tokens from an empty context.
    """
    if not peers.available():
        return
    path = str(open_model(model).path)
    engine = Engine(model, threads=1)
    ours, theirs, first, ratios = [], [], [], []
    for _ in range(rounds):
        start = time.time()
        with Asked(["-m", "workbench.claims._llama_cpp", path, "1"]) as peer:
            first.append(peer.line()["ready"] - start)
            theirs.append(TOKENS / peer.ask(str(TOKENS))["seconds"])
        ours.append(_decode(engine, 1))
        ratios.append(ours[-1] / theirs[-1])
    steps = load_profile(model, routes=["engine"], states=["warm"], repeats=rounds)
    own = sum(step["time_s"] for step in steps if step["phase"] != "second token")
    yield "to the first token, ours, from the start of Python", own, "s"
    yield "to the first token, llama.cpp, from the start of Python", statistics.median(first), "s"
    yield "tokens/s, ours over llama.cpp, one thread", statistics.median(ratios), ""
    yield "least and most of that", [min(ratios), max(ratios)], ""


def _decode(runner, before: int) -> float:
    """Tokens a second from `before` tokens on."""
    cache = runner.new_cache(context=before + TOKENS)
    token = int(runner.forward(np.zeros(before, np.int32), cache, last=True)[0].argmax())
    start = time.perf_counter()
    for _ in range(TOKENS):
        token = int(runner.forward([token], cache, last=True)[0].argmax())
    return TOKENS / (time.perf_counter() - start)


def _read(runner, tokens: int = 128) -> float:
    """Tokens a second of one call."""
    cache = runner.new_cache(context=tokens)
    start = time.perf_counter()
    runner.forward(np.zeros(tokens, np.int32), cache)
    return tokens / (time.perf_counter() - start)
