"""Run in a process of its own: llama.cpp's ids of texts, by the vocabularies of GGUF files.

python llama_tokens.py < jobs.json, a list of [path, texts]; a text: [text, add_special,
parse_special]
"""

import ctypes
import json
import sys

import llama_cpp


@llama_cpp.llama_log_callback
def silent(level, text, data):
    pass


def main() -> None:
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    print(json.dumps([tokens(path, texts) for path, texts in json.load(sys.stdin)]))


def tokens(path: str, texts: list) -> list[list[int]]:
    settings = llama_cpp.llama_model_default_params()
    settings.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(path.encode(), settings)
    if not model:
        sys.exit(f"llama.cpp refuses the vocabulary of {path}")
    vocab = llama_cpp.llama_model_get_vocab(model)
    found = []
    for text, add_special, parse_special in texts:
        data = text.encode()
        ids = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(
            vocab, data, len(data), ids, len(ids), add_special, parse_special
        )
        if count < 0:
            sys.exit("llama.cpp makes more tokens than bytes")
        found.append(list(ids[:count]))
    llama_cpp.llama_model_free(model)
    return found


main()
