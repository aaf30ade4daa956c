"""The page and the JSON say what the verdicts say, and need nothing else."""

import json
import re

import pytest

from workbench import claims
from workbench.claims import report

LEDGER = claims.ledger()
RECORDED = report.verdicts_of(LEDGER)


@pytest.fixture(scope="module")
def page():
    return report.to_html(RECORDED, LEDGER)


def test_a_card_a_claim(page):
    assert re.findall(r'<article class="[a-z-]+" id="([^"]+)">', page) == [c.id for c in LEDGER]


def test_nothing_is_fetched(page):
    assert not re.search(r"https?:|src=|@import|<script|<link", page)
    assert "prefers-color-scheme: dark" in page


def test_counts_add_up(page):
    counts = report.counts(RECORDED)
    assert sum(count.total() for count in counts.values()) == len(LEDGER)
    for count in counts.values():
        cells = "".join(f"<td>{count[word]}</td>" for word in claims.WORDS)
        assert cells + f"<td>{count.total()}</td>" in page


def test_nulls_are_drawn_with_the_measured_value(page):
    drawn = [n for v in RECORDED for n in v.null if len(n.sample) > 1]
    assert page.count("<svg") == len(drawn) > 5
    assert page.count(">measured ") == len(drawn)


def test_statements_are_escaped():
    bad = RECORDED[0].model_copy(update={"statement": "<b>1 & 2</b>"})
    page = report.to_html([bad], LEDGER)
    assert "&lt;b&gt;1 &amp; 2&lt;/b&gt;" in page
    assert "<b>" not in page


def test_a_changed_verdict_is_shown_as_such():
    before = next(v for v in RECORDED if v.verdict == "wrong")
    page = report.to_html([before.model_copy(update={"verdict": "confirmed"})], LEDGER)
    assert "differs from the recorded one, which was: wrong" in page
    assert "differs from the recorded one" not in report.to_html([before], LEDGER)


def test_json_rows():
    rows = json.loads(report.to_json(RECORDED))
    keys = ["id", "seed", "statement", "verdict", "number", "null", "checked"]
    assert all(list(row) == keys for row in rows)
    row = next(row for row in rows if row["id"] == "trinity-radix-e4")
    assert (row["seed"], row["verdict"]) == (1, "wrong")
    assert row["number"]["E(4) / ln N"] == pytest.approx(2.885, abs=1e-3)


def test_a_claim_never_run():
    claim = LEDGER[0].model_copy(update={"recorded": None})
    [verdict] = report.verdicts_of([claim])
    assert (verdict.verdict, verdict.needs, verdict.date) == ("open", "a first run", "")
    assert "never run" in report.to_html([verdict], [claim])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.123456, "0.1235"),
        ("0x04", "0x04"),
        ([1, 2.5], "1, 2.5"),
    ],
)
def test_numbers_for_people(value, text):
    assert report.short(value) == text
