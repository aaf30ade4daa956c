"""Run in a process of its own: perplexity as llama.cpp's tool of that name computes it.

python llama_perplexity.py MODEL WINDOW TEXTFILE. The loop is that of tools/perplexity: windows side
by side, the second half of each scored, its first token the beginning where the vocabulary adds
one.
"""

import ctypes
import json
import sys
from pathlib import Path

import llama_cpp
import numpy as np


@llama_cpp.llama_log_callback
def silent(level, text, data):
    pass


def main(path: str, window: int, textfile: str) -> None:
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(
        path.encode(), llama_cpp.llama_model_default_params()
    )
    if not model:
        sys.exit("llama.cpp refuses the model")
    vocab = llama_cpp.llama_model_get_vocab(model)
    data = Path(textfile).read_bytes()
    tokens = (llama_cpp.llama_token * (len(data) + 8))()
    count = llama_cpp.llama_tokenize(vocab, data, len(data), tokens, len(tokens), True, False)
    losses = []
    for begin in range(0, count - window + 1, window):
        ids = list(tokens[begin : begin + window])
        if llama_cpp.llama_vocab_get_add_bos(vocab):
            ids[0] = llama_cpp.llama_vocab_bos(vocab)
        logits = run(model, vocab, ids)[window // 2 : window - 1].astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        chosen = np.array(ids[window // 2 + 1 :])
        losses += (np.log(np.exp(logits).sum(axis=1)) - logits[range(len(chosen)), chosen]).tolist()
    print(json.dumps({"tokens": len(losses), "perplexity": float(np.exp(np.mean(losses)))}))


def run(model, vocab, ids: list[int]) -> np.ndarray:
    """Logits after each token of a new context, float32 (tokens, vocab)."""
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = len(ids)
    settings.type_k = settings.type_v = llama_cpp.GGML_TYPE_F32
    settings.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_init_from_model(model, settings)
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for at, token in enumerate(ids):
        batch.token[at], batch.pos[at], batch.logits[at] = token, at, 1
        batch.n_seq_id[at], batch.seq_id[at][0] = 1, 0
    if llama_cpp.llama_decode(context, batch):
        sys.exit("llama.cpp cannot run the model")
    size = len(ids) * llama_cpp.llama_vocab_n_tokens(vocab)
    found = np.ctypeslib.as_array(llama_cpp.llama_get_logits(context), (size,)).copy()
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    return found.reshape(len(ids), -1)


main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
