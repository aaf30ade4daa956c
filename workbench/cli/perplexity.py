"""`workbench perplexity`: how well a model expects a text, as it is or with techniques."""

from typing import Annotated

import typer

from workbench.cli.arguments import Activation, Model, Replace, Runs, Threads, read_policy
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
            show_default="the window",
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
    activation: Activation = None,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Measure a model's perplexity on a text, with exact counts."""
    from workbench.lm import divergence, greedy_match, open_language_model, open_runner
    from workbench.lm import perplexity as score_text
    from workbench.lm.evaluation import Evaluation, apply_policy
    from workbench.lm.texts import read_text

    policy = read_policy(replace or [])
    text = read_text(textfile)
    if policy and weights != "reference":
        raise WorkbenchError("--replace needs --weights reference, which takes any matrix as it is")
    runner, limit = open_runner(model, weights, threads, activation=activation)
    if runner.tokenizer is not None:
        text = runner.tokenizer.encode(text)[:max_tokens]
    options = {"window": window, "stride": stride, "convention": convention}
    replaced, agreed = (), {}
    with limit, step_progress() as progress:
        scored = runner
        if policy:
            scored, replaced = apply_policy(runner, policy, progress=progress)
        score = score_text(scored, text, progress=progress, **options)
        if agreement:
            reference = open_language_model(model, activation=activation)
            found = divergence(scored, reference, text, progress=progress, **options)
            agreed = {
                "reference_perplexity": found.reference_perplexity,
                "kl_mean": found.kl_mean,
                "kl_max": found.kl_max,
                "top1": found.top1,
                "greedy_match": greedy_match(scored, reference, text[:PROMPT], GREEDY),
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
