"""Run in a process of its own: load a model step by step, and say what each step took.

    python -m workbench.lm._load_steps '{"path": ..., "route": ..., ...}'

Writes a line of JSON a step, one that says that all are done, and for each line on standard input
one with the memory in use.
"""

import json
import sys
import time
from collections import defaultdict
from contextlib import nullcontext

import psutil

PROCESS = psutil.Process()


def memory() -> dict:
    """Bytes that this process uses, as the system counts them; None where it does not."""
    used = PROCESS.memory_full_info()
    return {f"{key}_bytes": getattr(used, key, None) for key in ("rss", "pss", "uss")}


class Steps:
    """Times what happens between two calls, and writes it down.

    Parameters
    ----------
    started : float
        Of `time.time`, when this process was asked for.
    """

    def __init__(self, started: float):
        self._last = time.perf_counter() - (time.time() - started)

    def __call__(self, phase: str, nbytes: int | None = None, kind: str = "") -> None:
        """The step that ends now; looking at the memory is not in its time, nor in the next."""
        seconds = time.perf_counter() - self._last
        row = {"phase": phase, "type": kind, "time_s": seconds, "nbytes": nbytes, **memory()}
        print(json.dumps(row), flush=True)
        self._last = time.perf_counter()


def main(told: dict) -> None:
    """Go one route through the steps."""
    step = Steps(told["started"])
    from threadpoolctl import threadpool_limits

    from workbench.formats.mapped import map_file
    from workbench.lm.engine import Engine
    from workbench.lm.model import open_language_model
    from workbench.lm.packed_files import packed_model
    from workbench.models import open_model

    step("Python and imports")
    path, threads, form = told["path"], told["threads"], told["weights"]
    map_file(path)
    step("map the file")
    weights = open_model(path)
    step("read and check the header")
    model = open_language_model(weights, activation=told["activation"])
    step("check it as a model")
    runner, limit = model, threadpool_limits(threads)
    if told["route"] == "pack":
        step("pack the weights and save them", packed_model(model, form).nbytes)
    elif told["route"] == "engine":
        runner, limit = Engine(model, form, threads), nullcontext()
        step("open the packed weights", runner.packed.nbytes)
    else:
        by_type = defaultdict(list)
        for name in model.tensors:
            by_type[model.tensors.stored(name)[0].quant].append(name)
        for kind, names in by_type.items():
            decoded = sum(model.tensors[name].nbytes for name in names)
            step("decode to float32", decoded, kind)
    if told["route"] != "pack":
        tokenizer = runner.tokenizer if told["vocabulary"] else None
        step("make the tokenizer")
        with limit:
            cache = runner.new_cache(context=2)
            step("make a cache", cache.nbytes)
            for phase in ("first token", "second token"):
                runner.forward([0], cache, last=True)
                step(phase)
        del tokenizer
    print(json.dumps({"phase": ""}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(memory()), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
