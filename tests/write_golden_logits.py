"""Record what llama.cpp computes on SmolLM2, for tests that run without llama.cpp.

    python tests/write_golden_logits.py

The weights are those of the file, stored as float32: from Q4_1 and Q8_0 matrices llama.cpp takes
int8 inputs, with one scale a block of 32, and its logits are then off by more (1 - cosine up to
0.001 on this text, which is printed) than some mistakes that the tests are to find. The keys and
values are float32 too. One thread, one token at a time.
"""

import tempfile
from pathlib import Path

import llama_cpp
import numpy as np
from golden_logits import PATH, GoldenLogits

from workbench.formats import export_gguf, open_gguf
from workbench.models import catalog

PROMPT = b"The lighthouse keeper kept three things in his coat: a knife, a letter, and"
CONTINUATION = 64


def main() -> None:
    """Write the file."""
    source = catalog()["smollm2-135m"].path
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "float32.gguf"
        export_gguf(source, copy, dict.fromkeys(open_gguf(source), "F32"))
        prompt, greedy, logits = run(copy, CONTINUATION)
    golden = GoldenLogits.of(prompt, greedy, logits)
    PATH.parent.mkdir(exist_ok=True)
    np.savez(PATH, **vars(golden))
    top = np.sort(logits, axis=1)[:, -2:]
    print(f"{PATH.name}: {PATH.stat().st_size} bytes, {len(logits)} positions")
    print(
        f"closest call: {(top[:, 1] - top[:, 0])[len(prompt) - 1 :].min():.4f} between two logits"
    )
    *_, rounded = run(source, 0, golden.tokens)
    cosines = golden.cosines(rounded)
    print(f"llama.cpp on the file itself: 1 - cosine is {1 - cosines.min():.2e} at most")


def run(path: Path, count: int, tokens: np.ndarray | None = None):
    """Tokens of the prompt, `count` more, and the logits after each of them (after `tokens`)."""
    model = llama_cpp.Llama(
        str(path),
        n_ctx=256,
        n_threads=1,
        n_threads_batch=1,
        logits_all=True,
        type_k=llama_cpp.GGML_TYPE_F32,
        type_v=llama_cpp.GGML_TYPE_F32,
        verbose=False,
    )
    prompt = model.tokenize(PROMPT, add_bos=False)
    for token in prompt if tokens is None else tokens.tolist():
        model.eval([token])
    greedy = []
    while len(greedy) < count:
        greedy.append(int(model.scores[model.n_tokens - 1].argmax()))
        if len(greedy) < count:
            model.eval(greedy[-1:])
    logits = np.array(model.scores[: model.n_tokens])
    if greedy:
        print(model.detokenize(greedy).decode())
    model.close()
    return prompt, greedy, logits


if __name__ == "__main__":
    main()
