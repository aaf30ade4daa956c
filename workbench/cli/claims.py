"""`workbench claims`: what was published, what a run found, and the runs themselves."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.output import AsJson, quiet_pipe, show, step_progress
from workbench.errors import WorkbenchError

CHANGED = 1  # exit status where a verdict differs from the recorded one


def claims(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids or patterns such as 'lut-*'.")
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Run the checks named, or else all quick ones.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Run the slow checks too.")] = False,
    verdict: Annotated[str | None, typer.Option(help="Only claims with this verdict.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=4, help="Only this document.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Run on this model: a name or a path.", metavar="MODEL")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Write these runs down.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a report that needs no network.", metavar="FILE")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Published claims, each with its verdict; exit status 1 if a run changes one."""
    from workbench import claims as ledger
    from workbench.formats.writing import replacing

    if verdict is not None and verdict not in ledger.WORDS:
        raise WorkbenchError(f"--verdict {verdict!r} is not one of {', '.join(ledger.WORDS)}")
    if record and weights is not None:
        raise WorkbenchError("--record keeps runs on the bundled weights only: leave out --weights")
    chosen = [c for c in ledger.select(ids or None) if seed is None or c.seed == seed]
    running = run or everything or record or weights is not None
    if running:
        wanted = [c.id for c in chosen if everything or ids or c.quick]
        with step_progress() as progress:
            verdicts = ledger.run(
                *(wanted, weights),
                workers=workers,
                progress=lambda verdict, done, total: progress(done, total, verdict.id),
            )
    else:
        verdicts = ledger.verdicts_of(chosen)
    changed = {v.id for v in ledger.changed(verdicts)} if running else set()
    if record:
        ledger.record(verdicts)
    verdicts = [v for v in verdicts if verdict is None or v.verdict == verdict]
    if html is not None:
        with replacing(html) as temporary:
            temporary.write_text(ledger.to_html(verdicts, chosen), encoding="utf-8")
    if as_json:
        with quiet_pipe():
            print(ledger.to_json(verdicts))
    else:
        show([_table_row(v, v.id in changed) for v in verdicts], False)
    if changed and weights is None:
        raise typer.Exit(CHANGED)


def _table_row(verdict, changed) -> dict:
    from workbench.claims import finding

    return {
        "id": verdict.id,
        "verdict": f"{verdict.verdict} (was another)" if changed else verdict.verdict,
        "statement": verdict.statement,
        "found": finding(verdict),
    }
