"""Run in a process of its own: load a GGUF file in llama.cpp, print the logits after each token.

python llama_logits.py MODEL TOKEN [TOKEN ...]
"""

import ctypes
import json
import sys

import llama_cpp


@llama_cpp.llama_log_callback
def silent(level, text, data):
    pass


def main(path: str, ids: list[int]) -> None:
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(
        path.encode(), llama_cpp.llama_model_default_params()
    )
    if not model:
        sys.exit("llama.cpp refuses the model")
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = max(8, len(ids))
    settings.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED  # it rounds to float16
    settings.type_k = settings.type_v = llama_cpp.GGML_TYPE_F32
    context = llama_cpp.llama_init_from_model(model, settings)
    count = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    logits = []
    for token in ids:
        batch = llama_cpp.llama_batch_get_one((llama_cpp.llama_token * 1)(token), 1)
        if llama_cpp.llama_decode(context, batch):
            sys.exit("llama.cpp cannot run the model")
        logits.append(llama_cpp.llama_get_logits(context)[:count])
    print(json.dumps(logits))


main(sys.argv[1], [int(token) for token in sys.argv[2:]])
