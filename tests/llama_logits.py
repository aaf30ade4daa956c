"""Run in a process of its own: load a GGUF file in llama.cpp, print the logits of one token.

python llama_logits.py MODEL TOKEN
"""

import ctypes
import json
import sys

import llama_cpp


@llama_cpp.llama_log_callback
def silent(level, text, data):
    pass


def main(path: str, token: int) -> None:
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(
        path.encode(), llama_cpp.llama_model_default_params()
    )
    if not model:
        sys.exit("llama.cpp refuses the model")
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = 8
    context = llama_cpp.llama_init_from_model(model, settings)
    tokens = (llama_cpp.llama_token * 1)(token)
    if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, 1)):
        sys.exit("llama.cpp cannot run the model")
    count = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    print(json.dumps(llama_cpp.llama_get_logits(context)[:count]))


main(sys.argv[1], int(sys.argv[2]))
