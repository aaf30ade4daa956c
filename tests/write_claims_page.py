"""Write the generated part of docs/claims.md: counts, and a row a claim with its recorded verdict.

    python tests/write_claims_page.py

Everything comes from the ledger; a test compares.
"""

from pathlib import Path

from workbench import claims
from workbench.claims.report import SEEDS

PAGE = Path(__file__).parents[1] / "docs" / "claims.md"
MARK = "<!-- below: written by tests/write_claims_page.py from the recorded runs -->\n"


def page() -> str:
    """The page as it should be: what is written by hand up to the mark, the rest recorded."""
    by_hand, _, _ = PAGE.read_text().partition(MARK)
    ledger = claims.ledger()
    verdicts = claims.verdicts_of(ledger)
    lines = ["", "## What was found", "", "| document |" + "".join(f" {w} |" for w in claims.WORDS)]
    lines += ["|---" * (1 + len(claims.WORDS)) + "|"]
    for seed, count in claims.counts(verdicts).items():
        cells = "".join(f" {count[word]} |" for word in claims.WORDS)
        lines.append(f"| {seed:03d} {SEEDS[seed]} |{cells}")
    for seed, title in SEEDS.items():
        lines += ["", f"### {seed:03d} {title}", ""]
        lines += ["| claim | verdict | found |", "|---|---|---|"]
        lines += [_row(verdict) for verdict in verdicts if verdict.seed == seed]
    lines += ["", "## Where a run and the earlier analysis disagree", ""]
    lines += ["| claim | analysis | run | note |", "|---|---|---|---|"]
    for claim, verdict in zip(ledger, verdicts, strict=True):
        if claim.analysis != verdict.verdict:
            cells = (f"`{claim.id}`", claim.analysis, verdict.verdict, claim.notes)
            lines.append("| " + " | ".join(cells) + " |")
    return by_hand + MARK + "\n".join(lines) + "\n"


def _row(verdict: claims.Verdict) -> str:
    cells = (verdict.statement, verdict.verdict, claims.finding(verdict))
    statement, word, found = (cell.replace("|", "\\|").replace("*", "\\*") for cell in cells)
    return f"| `{verdict.id}` {statement} | {word} | {found} |"


if __name__ == "__main__":
    PAGE.write_text(page())
