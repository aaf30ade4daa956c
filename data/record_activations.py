"""Record real activations at the inputs of the slice's matrices.

    python data/record_activations.py

Runs SmolLM2-135M-Instruct in llama.cpp on the opening of a novel of 1851 and keeps, for each
token, the vector that enters each matrix of data/smollm2-135m-slice.gguf. Needs the whole model
(`workbench models fetch smollm2-135m`) and the optional extra `peers`. Afterwards the hash in
data/NOTICE must be the one that this prints.
"""

import ctypes
import hashlib
import json
from pathlib import Path

import llama_cpp
import numpy as np
import safetensors.numpy

from workbench.models import catalog, fetch

HERE = Path(__file__).parent
TARGET = HERE / "smollm2-135m-activations.safetensors"

SOURCE = "Herman Melville, Moby-Dick; or, The Whale (1851), opening of chapter 1"
TEXT = (
    "Call me Ishmael. Some years ago--never mind how long precisely--having little or no money in "
    "my purse, and nothing particular to interest me on shore, I thought I would sail about a "
    "little and see the watery part of the world. It is a way I have of driving off the spleen "
    "and regulating the circulation. Whenever I find myself growing grim about the mouth; whenever "
    "it is a damp, drizzly November in my soul;"
)
TOKENS = 80  # of 7 sites, in half precision: just under a megabyte

# matrix of the slice: the node of llama.cpp's graph that is its input
INPUTS = {
    "blk.0.attn_q.weight": "attn_norm-0",
    "blk.0.attn_k.weight": "attn_norm-0",
    "blk.0.attn_v.weight": "attn_norm-0",
    "blk.0.attn_output.weight": "kqv_out-0",
    "blk.14.attn_q.weight": "attn_norm-14",
    "blk.14.attn_k.weight": "attn_norm-14",
    "blk.14.attn_v.weight": "attn_norm-14",
    "blk.14.attn_output.weight": "kqv_out-14",
    "blk.14.ffn_gate.weight": "ffn_norm-14",
    "blk.14.ffn_up.weight": "ffn_norm-14",
    "blk.14.ffn_down.weight": "ffn_swiglu-14",
    "blk.29.ffn_down.weight": "ffn_swiglu-29",
}


class GraphReader:
    """Callback of llama.cpp's scheduler that copies the wanted nodes out (all of them float32)."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.found = {}
        libraries = Path(llama_cpp.__file__).parent / "lib"
        self.ggml = ctypes.CDLL(str(next(libraries.glob("libggml-base.*"))))
        self.ggml.ggml_get_name.restype = ctypes.c_char_p
        self.ggml.ggml_get_name.argtypes = [ctypes.c_void_p]
        self.ggml.ggml_nbytes.restype = ctypes.c_size_t
        self.ggml.ggml_nbytes.argtypes = [ctypes.c_void_p]
        self.ggml.ggml_backend_tensor_get.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_size_t,
        ]
        self.callback = llama_cpp.ggml_backend_sched_eval_callback(self.read)

    def read(self, node, ask, _user_data):
        name = self.ggml.ggml_get_name(node).decode()
        if ask:  # "will you want this one?": only then is it computed separately
            return name in self.wanted
        size = self.ggml.ggml_nbytes(node)
        values = np.empty((TOKENS, size // (4 * TOKENS)), np.float32)
        self.ggml.ggml_backend_tensor_get(node, values.ctypes.data, 0, size)
        self.found[name] = values
        return True


def tokenize(model):
    vocabulary = llama_cpp.llama_model_get_vocab(model)
    text = TEXT.encode()
    room = (llama_cpp.llama_token * len(text))()
    count = llama_cpp.llama_tokenize(vocabulary, text, len(text), room, len(text), True, False)
    if count < TOKENS:
        raise SystemExit(f"the text has {count} tokens, but {TOKENS} are wanted")
    return room[:TOKENS]


def run(model, tokens, reader):
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = 256
    settings.n_threads = settings.n_threads_batch = 1
    settings.cb_eval = reader.callback
    context = llama_cpp.llama_init_from_model(model, settings)
    batch = llama_cpp.llama_batch_init(TOKENS, 0, 1)
    batch.n_tokens = TOKENS
    for i, token in enumerate(tokens):
        batch.token[i] = token
        batch.pos[i] = i
        batch.n_seq_id[i] = 1
        batch.seq_id[i][0] = 0
        batch.logits[i] = True  # else the last block computes only the last token
    if status := llama_cpp.llama_decode(context, batch):
        raise SystemExit(f"llama.cpp could not run the model (status {status})")
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)


def main():
    llama_cpp.llama_backend_init()
    path = fetch("smollm2-135m")
    model = llama_cpp.llama_model_load_from_file(
        str(path).encode(), llama_cpp.llama_model_default_params()
    )
    reader = GraphReader(set(INPUTS.values()))
    run(model, tokenize(model), reader)
    llama_cpp.llama_model_free(model)

    sites = {name: values.astype(np.float16) for name, values in sorted(reader.found.items())}
    assert set(sites) == set(INPUTS.values())
    assert all(np.isfinite(values).all() for values in sites.values())
    recording = {
        "inputs": INPUTS,
        "model": "SmolLM2-135M-Instruct.Q4_1.gguf",
        "model_sha256": catalog()["smollm2-135m"].sha256,
        "recorded_with": f"llama-cpp-python {llama_cpp.__version__}",
        "source": SOURCE,
        "text": TEXT,
        "tokens": TOKENS,
    }
    # one key: safetensors writes several in an order that changes from run to run
    content = safetensors.numpy.save(sites, metadata={"recording": json.dumps(recording)})
    TARGET.write_bytes(content)
    print(f"{TARGET.name}: {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
