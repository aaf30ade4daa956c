"""Claims and verdicts as JSON rows and as one self-contained HTML page."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import jinja2
import numpy as np

from workbench.claims.models import WORDS, Claim, Null, Verdict

SEEDS = {
    0: "Lookup-table compression",
    1: "TRINITY engine",
    2: "Pattern storage",
    3: "Model fusion",
    4: "Golden-ratio truth space",
}
_RELATIONS = {"=": "", "<=": "≤ ", ">=": "≥ "}
WIDTH, HEIGHT, BINS = 360, 72, 30  # of the figure of a null distribution
_DATA = Path(__file__).parent / "data"
CARD_STYLE = _DATA / "card.css"


def verdicts_of(claims: Iterable[Claim]) -> list[Verdict]:
    """The recorded run of each claim; where there is none, what the ledger says without a run."""
    return [claim.recorded or _without_run(claim) for claim in claims]


def rows(verdicts: Iterable[Verdict]) -> list[dict]:
    """JSON rows with the keys that scripts are promised.

    Returns
    -------
    list of dict
        id, seed, statement, verdict, number (dict of measured numbers), null (list of controls),
        checked (date of the run; empty: never).
    """
    return [
        {
            "id": verdict.id,
            "seed": verdict.seed,
            "statement": verdict.statement,
            "verdict": verdict.verdict,
            "number": verdict.number,
            "null": [null.model_dump() for null in verdict.null],
            "checked": verdict.date,
        }
        for verdict in verdicts
    ]


def to_json(verdicts: Iterable[Verdict]) -> str:
    """`rows` as text."""
    return json.dumps(rows(verdicts), indent=1, ensure_ascii=False, allow_nan=False)


def to_html(verdicts: Iterable[Verdict], claims: Iterable[Claim]) -> str:
    """One page that needs nothing else: counts, and a card a claim with its numbers and nulls.

    Parameters
    ----------
    verdicts : iterable of Verdict
    claims : iterable of Claim
        The ledger, for the place, definition and recorded verdict of each.
    """
    verdicts = list(verdicts)
    ledger = {claim.id: claim for claim in claims}
    return _template("report.html.jinja").render(
        words=WORDS,
        relations=_RELATIONS,
        counts=counts(verdicts),
        seeds=SEEDS,
        verdicts=verdicts,
        claims=ledger,
        all_figures={verdict.id: _figures(verdict) for verdict in verdicts},
    )


def to_card(verdict: Verdict, claim: Claim) -> str:
    """The card of one claim as HTML; `CARD_STYLE` is its look inside of an element `.claims`."""
    return _template("card.html.jinja").render(
        relations=_RELATIONS, verdict=verdict, claim=claim, figures=_figures(verdict)
    )


def finding(verdict: Verdict, most: int = 3) -> str:
    """What a run found, in a line: the numbers that decide, or what keeps it from being decided.

    Parameters
    ----------
    verdict : Verdict
    most : int
        Numbers to name at most.
    """
    if verdict.reason:
        return verdict.reason
    if verdict.needs:
        return f"needs {verdict.needs}"
    if verdict.condition:
        return verdict.condition
    holds = verdict.verdict == "confirmed"
    parts = [part for part in verdict.parts if part.holds is holds]
    told = [
        f"{part.label}: {short(part.measured)} {part.unit}".rstrip()
        + ("" if holds else f" (said {_RELATIONS[part.relation]}{short(part.claimed)})")
        for part in parts[:most]
    ]
    return "; ".join(told) + ("; …" if len(parts) > most else "")


def counts(verdicts: Iterable[Verdict]) -> dict[int, Counter]:
    """How many claims of each seed have each verdict."""
    found: dict[int, Counter] = {}
    for verdict in verdicts:
        found.setdefault(verdict.seed, Counter())[verdict.verdict] += 1
    return found


def short(value) -> str:
    """A number as people read it: four digits, thousands apart."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        shown = ", ".join(short(item) for item in value[:8])
        return f"{shown}, … ({len(value)})" if len(value) > 8 else shown
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.4g}"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:,.4g}"
    return str(value)


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_DATA),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short
    return environment.get_template(name)


def _without_run(claim: Claim) -> Verdict:
    word = "not testable" if claim.reason else "open"
    needs = "" if claim.reason else claim.needs or "a first run"
    return Verdict(
        id=claim.id,
        seed=claim.seed,
        statement=claim.statement,
        verdict=word,
        reason=claim.reason,
        needs=needs,
    )


def _figures(verdict: Verdict) -> list[dict]:
    """A histogram for each null with a sample, in the coordinates of an SVG."""
    return [
        _histogram(null, verdict.number[null.of])
        for null in verdict.null
        if len(null.sample) > 1 and isinstance(verdict.number.get(null.of), int | float)
    ]


def _histogram(null: Null, measured: float) -> dict:
    low, high = min(*null.sample, measured), max(*null.sample, measured)
    margin = 0.05 * (high - low) or abs(high) or 1.0
    low, high = low - margin, high + margin
    heights, edges = np.histogram(null.sample, bins=BINS, range=(low, high))
    scale = HEIGHT / heights.max()
    left = (edges[:-1] - low) / (high - low) * WIDTH
    bars = [
        {"x": round(x, 1), "height": round(height * scale, 1)}
        for x, height in zip(left.tolist(), heights.tolist(), strict=True)
        if height
    ]
    return {
        "name": null.name,
        "of": null.of,
        "measured": measured,
        "at": round((measured - low) / (high - low) * WIDTH, 1),
        "low": low,
        "high": high,
        "bars": bars,
        "bar": round(WIDTH / BINS - 1, 1),
        "width": WIDTH,
        "height": HEIGHT,
        "size": len(null.sample),
    }
