"""`workbench perplexity`: how well a model expects a text, as it is or with techniques."""

from typing import Annotated

import typer

from workbench.cli.arguments import (
    Activation,
    Cache,
    Model,
    Replace,
    Runs,
    Threads,
    read_cache,
    read_policy,
)
from workbench.cli.output import AsJson, show, step_progress
from workbench.errors import WorkbenchError

HIDDEN = ("settings", "threads")
PROMPT, GREEDY = 16, 64  # tokens of the text that greedy texts go on from, and tokens compared


def perplexity(
    model: Model,
    textfile: Annotated[
        str, typer.Argument(help="Plain text, UTF-8: a path, or a name in the workbench's data.")
    ],
    replace: Replace = None,
    window: Annotated[
        int | None,
        typer.Option(
            help="Tokens that are run together.", min=2, show_default="512, or the context"
        ),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            help="Tokens from one window's begin to the next one's.",
            min=1,
            show_default="side by side",
        ),
    ] = None,
    convention: Annotated[
        str,
        typer.Option(
            help="all: every token but the first of each window is scored; llama-perplexity: as "
            "llama.cpp's tool does."
        ),
    ] = "all",
    max_tokens: Annotated[
        int | None,
        typer.Option(help="Of the text, only so many from its begin.", min=2, show_default="all"),
    ] = None,
    agreement: Annotated[
        bool,
        typer.Option(
            "--agreement",
            help="Hold every prediction against the file's own on the reference path: divergence, "
            "share of equal likeliest tokens, and how long greedy texts are the same.",
        ),
    ] = False,
    weights: Runs = "reference",
    cache: Cache = "",
    activation: Activation = None,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Measure a model's perplexity on a text, with exact counts."""
    from workbench.lm import divergence, greedy_match, open_language_model, open_runner
    from workbench.lm import perplexity as score_text
    from workbench.lm.evaluation import Evaluation, apply_policy
    from workbench.lm.runners import NumpyThreads
    from workbench.lm.texts import read_text

    policy = read_policy(replace or [])
    text = read_text(textfile)
    if agreement and cache:
        raise WorkbenchError("--agreement is of weights; with --cache compare two perplexities")
    reference = open_language_model(model, activation=activation)
    if reference.tokenizer is not None:
        text = reference.tokenizer.encode(text)[:max_tokens]
    options = {"window": window, "stride": stride, "convention": convention}
    options["cache"] = read_cache(cache, weights, threads)
    agreed = {}
    with NumpyThreads(threads), step_progress() as progress:
        changed, replaced = apply_policy(reference, policy, progress=progress)
        runner, _ = open_runner(changed, weights, threads)
        score = score_text(runner, text, progress=progress, **options)
        if agreement:
            found = divergence(runner, reference, text, progress=progress, **options)
            alike = greedy_match(runner, reference, text[:PROMPT], GREEDY)
            agreed = {
                "reference_perplexity": found.reference_perplexity,
                "kl_mean": found.kl_mean,
                "kl_max": found.kl_max,
                "top1": found.top1,
                "greedy_match": alike,
            }
    found = Evaluation(score, replaced)
    row = {
        "model": model,
        "tokens": score.tokens,
        "perplexity": score.perplexity,
        "tokens_per_s": score.tokens_per_s,
        "threads": threads,
        "settings": {
            "weights": weights,
            "window": score.window,
            "stride": score.stride,
            "convention": score.convention,
            **({"cache": cache} if cache else {}),
            **{pattern: str(technique) for pattern, technique in policy.items()},
        },
        "standard_error": score.standard_error,
        "text_tokens": score.text_tokens,
        "replaced": len(replaced),
        "nbytes": found.nbytes,
        "bits_per_weight": found.bits_per_weight,
        **agreed,
    }
    show([row], as_json, hide=HIDDEN)
