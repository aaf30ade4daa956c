"""What enters the matrices of a model while it reads a text.

>>> from workbench.lm import open_language_model
>>> from workbench.lm.recording import record_inputs
>>> model = open_language_model("english-ternary")
>>> tokens = model.tokenizer.encode("In the beginning")
>>> inputs = record_inputs(model, tokens)
>>> inputs["blk.0.ffn_down.weight"].shape == (len(tokens), 512)
True
"""

from collections.abc import Sequence
from copy import copy

import numpy as np
from jaxtyping import Float32

from workbench.lm.model import Model


def record_inputs(
    model: Model, tokens: np.ndarray | Sequence[int]
) -> dict[str, Float32[np.ndarray, "tokens cols"]]:
    """Run a model over tokens and keep what every matrix of its layers multiplies.

    Parameters
    ----------
    model : Model
    tokens : integer array or list (tokens,)
        At most the model's context.

    Returns
    -------
    dict by tensor name
        Before they are rounded to int8, where the model does so
        (`workbench.ternary.quantize_activations` is the rule).

    Raises
    ------
    TypeError, WorkbenchError
        As `Model.forward`.
    """
    found: dict[str, np.ndarray] = {}
    listening = copy(model)

    def project(name, x):
        found[f"{name}.weight"] = x.astype(np.float32)
        return model._project(name, x)

    listening._project = project
    listening.forward(tokens, listening.new_cache(len(tokens)), last=True)
    return found
