"""`workbench generate`: continue a prompt, or answer a message."""

import sys
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
from workbench.cli.output import AsJson, quiet_pipe, show
from workbench.errors import WorkbenchError


def generate(
    model: Model,
    prompt: Annotated[str, typer.Option(help="The text to continue.")],
    max_tokens: Annotated[int, typer.Option(help="Stop after so many.", min=1)] = 128,
    temperature: Annotated[
        float, typer.Option(help="0: always the likeliest token. Higher: more daring.", min=0)
    ] = 0.0,
    top_k: Annotated[int, typer.Option(help="Of the k likeliest tokens; 0: of all.", min=0)] = 0,
    top_p: Annotated[
        float,
        typer.Option(help="Of the likeliest tokens that make this share; 1: of all.", max=1),
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    stop: Annotated[
        list[str] | None, typer.Option(help="End the text before this string; repeatable.")
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="The prompt is a message; the model answers it.")
    ] = False,
    template: Annotated[
        str | None,
        typer.Option(help="With --chat: chatml, or Jinja.", show_default="the model's own"),
    ] = None,
    weights: Runs = "file",
    replace: Replace = None,
    cache: Cache = "",
    activation: Activation = None,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Print what a model makes of a prompt, as it comes."""
    from workbench.lm import Sampler, chat_prompt, open_language_model, open_runner
    from workbench.lm import generate as generate_text
    from workbench.lm.evaluation import apply_policy

    if template and not chat:
        raise WorkbenchError("--template has a meaning with --chat alone")
    policy, options = read_policy(replace or []), read_cache(cache, weights, threads)
    sampler = Sampler(temperature, top_k, top_p, seed)
    opened = open_language_model(model, activation=activation)
    changed, _ = apply_policy(opened, policy)
    runner, limit = open_runner(changed, weights, threads)
    words = prompt
    if chat:
        words = chat_prompt(runner.tokenizer, [{"role": "user", "content": prompt}], template)
    found = None
    with limit, quiet_pipe():
        found = generate_text(
            runner,
            words,
            max_tokens,
            sampler,
            cache=options,
            stop=stop or (),
            on_token=None if as_json else lambda piece: print(piece.text, end="", flush=True),
        )
        if not as_json:
            print(flush=True)
    if found is None:  # whoever read it has had enough
        return
    row = {
        "model": model,
        "prompt_tokens": found.prompt_tokens,
        "tokens": len(found.tokens),
        "stopped": found.stopped,
        "prefill_tokens_per_s": found.prefill_tokens_per_s,
        "decode_tokens_per_s": found.decode_tokens_per_s,
        "threads": threads,
        "settings": {
            "weights": weights,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "seed": seed,
            "max_tokens": max_tokens,
            **({"cache": cache} if cache else {}),
            **policy,
        },
        "text": found.text,
    }
    if as_json:
        show([row], True)
        return
    speed = found.decode_tokens_per_s
    print(
        f"{found.prompt_tokens} tokens read at {found.prefill_tokens_per_s:.4g} a second, "
        f"{len(found.tokens)} written"
        + (f" at {speed:.4g} a second" if speed else "")
        + f", ended by {found.stopped}",
        file=sys.stderr,
    )
