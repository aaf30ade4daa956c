"""Run in a process of its own: a model in llama.cpp, asked for tokens.

    python -m workbench.claims._llama_cpp MODEL THREADS

Writes a line of JSON once the first token is computed, and one for each number of tokens that it
reads from standard input: the seconds that decoding them greedily took, in a context of its own.
"""

import ctypes
import json
import sys
import time


def opened(llama_cpp, path: str):
    """The model, or the end of this process."""
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(
        path.encode(), llama_cpp.llama_model_default_params()
    )
    if not model:
        sys.exit("llama.cpp refuses the model")
    return model


def decode(llama_cpp, model, tokens: int, threads: int) -> float:
    """Seconds that so many tokens take one after the other, the likeliest each time."""
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = max(tokens + 1, 8)
    settings.n_threads = settings.n_threads_batch = threads
    context = llama_cpp.llama_init_from_model(model, settings)
    vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    sampler = llama_cpp.llama_sampler_init_greedy()
    token, seconds = 0, 0.0
    for _ in range(tokens):
        start = time.perf_counter()
        batch = llama_cpp.llama_batch_get_one((llama_cpp.llama_token * 1)(token), 1)
        if llama_cpp.llama_decode(context, batch):
            sys.exit("llama.cpp cannot run the model")
        token = llama_cpp.llama_sampler_sample(sampler, context, -1)
        seconds += time.perf_counter() - start
        assert 0 <= token < vocab
    llama_cpp.llama_sampler_free(sampler)
    llama_cpp.llama_free(context)
    return seconds


def main(path: str, threads: int) -> None:
    """Answer until standard input ends."""
    import llama_cpp

    # it says much on standard error otherwise
    silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    model = opened(llama_cpp, path)
    decode(llama_cpp, model, 1, threads)
    print(json.dumps({"ready": time.time()}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"seconds": decode(llama_cpp, model, int(line), threads)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
