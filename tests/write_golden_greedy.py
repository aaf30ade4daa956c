"""Record how llama.cpp goes on with prompts in our own ternary model, always the likeliest token.

    python tests/write_golden_greedy.py

llama.cpp rounds the inputs of `ffn_down` a block of 256, the model's training a token, and its keys
and values are float16 there; so where two tokens are nearly as likely, it may choose another. This
prints how close the closest call of each prompt was. One thread, one token at a time.
"""

import json
from pathlib import Path

import numpy as np

from workbench.models import catalog

PATH = Path(__file__).parent / "golden" / "english-greedy.json"
MODEL = "english-ternary"
PROMPTS = (  # none with a call closer than 0.04
    "The LORD said unto Moses,",
    "And the LORD spake",
    "Moreover take thou up",
    "Now Peter and John",
    "Blessed are",
    ":on the gripping hand:",
)
TOKENS = 64


def main() -> None:
    """Write the file."""
    recorded = []
    for prompt in PROMPTS:
        tokens, logits = greedy(catalog()[MODEL].path, prompt, TOKENS)
        best = np.sort(logits, axis=1)[:, -2:]
        print(f"{prompt!r}: closest call {(best[:, 1] - best[:, 0]).min():.4f}")
        recorded.append({"prompt": prompt, "tokens": tokens})
    PATH.write_text(json.dumps(recorded, indent=1) + "\n")


def greedy(path: Path, prompt: str, count: int) -> tuple[list[int], np.ndarray]:
    """The `count` tokens that llama.cpp chooses, and the logits that it chose each by."""
    import llama_cpp  # here: the tests take the prompts from this file without it

    model = llama_cpp.Llama(
        str(path), n_ctx=256, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False
    )
    for token in model.tokenize(prompt.encode(), add_bos=False):
        model.eval([token])
    tokens, logits = [], []
    for _ in range(count):
        logits.append(np.array(model.scores[model.n_tokens - 1]))
        tokens.append(int(logits[-1].argmax()))
        model.eval(tokens[-1:])
    return tokens, np.stack(logits)


if __name__ == "__main__":
    main()
