"""The ledger is complete, says where each claim stands, and records runs without losing any."""

import json
import shutil

import pytest

from workbench import claims
from workbench.claims.checks import checks
from workbench.claims.ledger import DATA
from workbench.errors import WorkbenchError

PREFIXES = {0: "lut-", 1: "trinity-", 2: "pattern-", 3: "fusion-", 4: "phi-"}
COUNTS = {0: 41, 1: 55, 2: 14, 3: 23, 4: 23}
LEDGER = claims.ledger()


@pytest.fixture
def folder(tmp_path):
    """A copy of the ledger that a test may write into."""
    return shutil.copytree(DATA, tmp_path / "ledger")


@pytest.fixture
def verdict():
    return claims.run("trinity-radix-e4")[0]


def test_every_claim_once():
    ids = [claim.id for claim in LEDGER]
    assert len(set(ids)) == len(ids) == sum(COUNTS.values())
    found = {seed: sum(claim.seed == seed for claim in LEDGER) for seed in COUNTS}
    assert found == COUNTS
    assert all(claim.id.startswith(PREFIXES[claim.seed]) for claim in LEDGER)


def test_every_check_has_a_claim():
    assert set(checks()) <= {claim.id for claim in LEDGER}


@pytest.mark.parametrize("claim", LEDGER, ids=lambda claim: claim.id)
def test_claim_is_whole(claim):
    assert all([claim.statement, claim.place, claim.check])
    assert claim.executable or claim.needs or claim.reason
    assert not (claim.needs and claim.reason)
    assert claim.recorded is not None
    assert all([claim.recorded.date, claim.recorded.machine])


@pytest.mark.parametrize("claim", LEDGER, ids=lambda claim: claim.id)
def test_record_says_why(claim):
    run = claim.recorded
    assert bool(run.condition) == (run.verdict == "depends")
    assert bool(run.reason) == (run.verdict == "not testable")
    assert bool(run.needs) == (run.verdict == "open")
    assert bool(run.right) or run.verdict != "wrong"
    labels = [part.label for part in run.parts]
    assert len(set(labels)) == len(labels), "two numbers of one name"
    assert {null.of for null in run.null} <= {"", *labels}


def test_selection_by_pattern():
    found = claims.select(["fusion-*", "trinity-gflops"])
    assert len(found) == COUNTS[3] + 1
    assert [claim.seed for claim in found] == [1] + [3] * COUNTS[3], "in the ledger's order"


def test_unknown_id_names_its_neighbours():
    with pytest.raises(
        WorkbenchError, match="no claim is called 'phi-60p2'; did you mean phi-60p1"
    ):
        claims.run("phi-60p2")
    with pytest.raises(
        WorkbenchError, match="no claim is called '12345'; `workbench claims` lists"
    ):
        claims.select("12345")


def test_a_record_comes_back_equal(folder, verdict):
    before = {claim.id: claim.recorded for claim in claims.ledger(folder)}
    claims.record([verdict], folder)
    after = {claim.id: claim.recorded for claim in claims.ledger(folder)}
    assert after.pop(verdict.id).number == before.pop(verdict.id).number
    assert after == before


def test_a_first_record(folder, verdict):
    (folder / "recorded001.json").unlink()
    assert claims.changed([verdict], folder) == [verdict]
    claims.record([verdict], folder)
    assert claims.changed([verdict], folder) == []
    assert len(json.loads((folder / "recorded001.json").read_text())) == 1


def test_a_changed_verdict_shows(folder, verdict):
    other = verdict.model_copy(update={"verdict": "confirmed"})
    assert claims.changed([verdict, other], folder) == [other]


def test_only_runs_on_the_bundled_model_are_recorded(folder, verdict):
    foreign = verdict.model_copy(update={"weights": "mine.gguf"})
    with pytest.raises(WorkbenchError, match=r"ran on 'mine.gguf', but only runs on 'smollm2-sl"):
        claims.record([foreign], folder)


def test_a_folder_that_cannot_be_written(folder, verdict):
    (folder / ".recorded001.json").mkdir()
    with pytest.raises(WorkbenchError, match=r"recorded001\.json: cannot be written"):
        claims.record([verdict], folder)
