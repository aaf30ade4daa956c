"""Published claims about low-bit weights, and the checks that say of each whether it holds.

>>> from workbench import claims
>>> claims.run("trinity-radix-e4")[0].verdict
'wrong'
"""

from workbench.claims.ledger import changed, ledger, record, select
from workbench.claims.models import WORDS, Claim, Null, Part, Verdict
from workbench.claims.report import counts, finding, rows, to_html, to_json, verdicts_of
from workbench.claims.running import run

__all__ = [
    "WORDS",
    "Claim",
    "Null",
    "Part",
    "Verdict",
    "changed",
    "counts",
    "finding",
    "ledger",
    "record",
    "rows",
    "run",
    "select",
    "to_html",
    "to_json",
    "verdicts_of",
]
