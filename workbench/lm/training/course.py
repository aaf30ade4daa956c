"""A whole course of training: from the text to a GGUF file, in a folder that it can go on from."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.formats.writing import replacing
from workbench.lm.training.corpus import Corpus, debian_corpus, files_corpus
from workbench.lm.training.export import export_trained
from workbench.lm.training.plan import Plan
from workbench.lm.training.vocabulary import (
    encode_documents,
    gguf_vocabulary,
    learn_vocabulary,
    open_vocabulary,
)

MODEL, LOG, HELD_OUT = "model.gguf", "log.csv", "held-out.txt"
VOCABULARY, CHECKPOINT = "vocabulary.json", "checkpoint.safetensors"
CHECKPOINT_S = 180  # what an interruption costs at most
EVALUATE_EVERY = 100  # updates

Progress = Callable[[int, int, str], None]


def train(
    output: str | os.PathLike,
    plan: Plan | None = None,
    *,
    packages: str | os.PathLike | None = None,
    texts: Sequence[str | os.PathLike] = (),
    threads: int = 1,
    progress: Progress | None = None,
) -> list[dict]:
    """Train a small BitNet b1.58, or its float twin, on public-domain English.

    Called again with the same folder it goes on where it was cut, and gives the same weights as
    without the cut. The same plan, text, machine and number of threads give the same weights.

    Parameters
    ----------
    output : path
        Folder of the course, made where it is missing. In it: model.gguf (once it is done),
        log.csv, held-out.txt (the text that is never trained on), vocabulary.json and
        checkpoint.safetensors.
    plan : Plan, optional
        By default the ternary model that is in data/.
    packages : path, optional
        See `debian_corpus`.
    texts : sequence of paths, optional
        Text files to learn instead of the King James Bible and the Jargon File.
    threads : int
    progress : callable (done, total, what), optional

    Returns
    -------
    list of dict
        The log: a row an evaluation, with `step`, `tokens`, `cpu_s`, `learning_rate`,
        `training_loss`, `held_out_loss` (nats a token) and `held_out_perplexity`.

    Raises
    ------
    WorkbenchError
        PyTorch or a text is missing, or the folder holds a course of another plan or text.
    """
    plan = Plan() if plan is None else plan
    if type(threads) is not int or threads < 1:
        raise WorkbenchError(f"threads is {threads!r}, but must be a whole number from 1 up")
    loop = _loop()
    loop.use_threads(threads)
    corpus = files_corpus(texts) if texts else debian_corpus(packages)
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkbenchError(f"--output {folder}: cannot be made ({error.strerror})") from None
    tokenizer = _vocabulary(folder, corpus, plan.vocab)
    held_out = encode_documents(tokenizer, [corpus.held_out_text])
    run = loop.Run(plan, encode_documents(tokenizer, corpus.training), held_out)
    if (folder / CHECKPOINT).is_file():
        run.load(folder / CHECKPOINT)
    _keep_training(run, folder, progress)

    with replacing(folder / HELD_OUT) as temporary:
        temporary.write_text(corpus.held_out_text, encoding="utf-8", newline="")
    export_trained(
        folder / MODEL,
        run.arrays(),
        plan.config,
        plan.weights == "ternary",
        _about(plan, corpus),
        gguf_vocabulary(tokenizer),
    )
    return run.log


def _loop():
    """The module that needs PyTorch."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise WorkbenchError(
            "training needs PyTorch, which is not installed: run `pip install torch==2.13.0` "
            "(docs/training.md says how to get the smaller build for CPUs)"
        ) from None
    from workbench.lm.training import loop

    return loop


def _vocabulary(folder: Path, corpus: Corpus, size: int):
    path = folder / VOCABULARY
    if path.is_file():
        tokenizer = open_vocabulary(path)
        if tokenizer.get_vocab_size() != size:
            raise WorkbenchError(
                f"{path} has {tokenizer.get_vocab_size()} tokens, not {size}; choose another "
                "--output for another plan"
            )
        return tokenizer
    tokenizer = learn_vocabulary(corpus.training, size)
    if tokenizer.get_vocab_size() < size:
        raise WorkbenchError(
            f"vocab is {size}, but the text has pairs for no more than "
            f"{tokenizer.get_vocab_size()} tokens"
        )
    with replacing(path) as temporary:
        tokenizer.save(str(temporary))
    return tokenizer


def _keep_training(run, folder: Path, progress: Progress | None) -> None:
    saved = time.monotonic()
    while run.step < run.plan.steps:
        run.advance()
        done = run.step == run.plan.steps
        if done or run.step % EVALUATE_EVERY == 0:
            run.evaluate()
            run.write_log(folder / LOG)
        if done or time.monotonic() - saved > CHECKPOINT_S:
            run.save(folder / CHECKPOINT)
            saved = time.monotonic()
        if progress:
            lately = f"held-out perplexity {run.log[-1]['held_out_perplexity']}" if run.log else ""
            progress(run.step, run.plan.steps, lately or "training")


def _about(plan: Plan, corpus: Corpus) -> dict[str, str]:
    kind = "BitNet b1.58" if plan.weights == "ternary" else "float twin of a BitNet b1.58"
    texts = "; ".join(f"{source.name}, SHA-256 {source.sha256}" for source in corpus.sources)
    return {
        "name": f"English, {plan.weights}",
        "description": f"A small {kind}, trained by the ternary workbench on: {texts}",
        "license": "Apache-2.0",
    }
