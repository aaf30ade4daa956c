"""Every quick check, run: a verdict that differs from the recorded one fails."""

import math

import pytest

from workbench import claims
from workbench.claims.checks import checks
from workbench.claims.running import run_one

QUICK = [claim for claim in claims.ledger() if claim.quick]


@pytest.mark.parametrize("claim", QUICK, ids=lambda claim: claim.id)
def test_quick_check(claim):
    run = run_one(claim)
    assert claims.changed([run]) == []
    if not checks()[claim.id].alone:  # times and memory differ; all else is seeded
        for label, value in claim.recorded.number.items():
            assert close(run.number[label], value), label


def close(a, b):
    if isinstance(b, list):
        return len(a) == len(b) and all(map(close, a, b))
    if isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-9)
    return a == b


def test_quick_checks_are_few_seconds():
    assert sum(claim.recorded.seconds for claim in QUICK) < 60
