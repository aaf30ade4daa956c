"""Real activations: what enters some matrices of SmolLM2 on a text, recorded once in llama.cpp."""

import json
from functools import cache

import numpy as np
from jaxtyping import Float32
from safetensors import safe_open

from workbench.models.weights import Weights, open_model
from workbench.paths import data_dir

FILE = "smollm2-135m-activations.safetensors"
SLICE = "smollm2-slice"


def activations(weights: Weights, tensor: str) -> Float32[np.ndarray, "tokens cols"] | None:
    """The recorded inputs of the matrix `tensor`, or None where there are none.

    They belong to the matrices of the bundled slice, and so to the same matrices of the whole
    model, from whatever path it was opened: what counts is that the stored bytes are the same.

    Parameters
    ----------
    weights : Weights
    tensor : str
        Its name, such as "blk.14.ffn_down.weight".

    Returns
    -------
    float32 array (tokens, cols), or None
        A fresh copy. ``weights[tensor].read() @ x.T`` is what the model computes.
    """
    site = recording()["inputs"].get(tensor)
    if site is None or tensor not in weights:
        return None
    if not np.array_equal(weights[tensor].raw(), _slice()[tensor].raw()):
        return None
    with safe_open(data_dir() / FILE, framework="numpy") as file:
        return file.get_tensor(site).astype(np.float32)


@cache
def recording() -> dict:
    """What was recorded: text, its source, tokens, model and its hash, and the site of each matrix.

    Treat it as read-only.
    """
    with safe_open(data_dir() / FILE, framework="numpy") as file:
        return json.loads(file.metadata()["recording"])


@cache
def _slice() -> Weights:
    return open_model(SLICE)
