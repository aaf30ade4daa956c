"""Runs in one process and in several, on other weights, with progress."""

from dataclasses import dataclass

import numpy as np
import pytest

from workbench import claims
from workbench.claims import running
from workbench.errors import WorkbenchError


@dataclass
class Matrix:
    """As much of a tensor as checks use."""

    values: np.ndarray

    @property
    def shape(self):
        return self.values.shape

    def read(self, rows=slice(None)):
        return self.values[rows]


@pytest.fixture
def ternary():
    rng = np.random.default_rng(0)
    trits = rng.choice([-1, 0, 1], (128, 128), p=[0.28, 0.44, 0.28])
    return {"blk.0.ffn_up.weight": Matrix((0.3 * trits).astype(np.float32))}


def test_processes_reach_what_one_process_does():
    ids = ["lut-canonical-count", "trinity-noise-98", "phi-5bit-goal", "phi-fractal-1p92"]
    done = []
    alone = claims.run(ids, workers=1)
    pool = claims.run(ids, workers=2, progress=lambda verdict, n, of: done.append((n, of)))
    assert [v.id for v in pool] == [v.id for v in alone]
    assert [v.parts for v in pool] == [v.parts for v in alone]
    assert done == [(n, 4) for n in range(1, 5)]


def test_claims_without_a_check_are_as_the_ledger_has_them():
    open_one, untestable = claims.run(["pattern-fine-tune", "phi-fractal-1p92"], workers=1)
    assert (open_one.verdict, open_one.parts) == ("open", [])
    assert "training of a small model" in open_one.needs
    assert untestable.verdict == "not testable"
    assert "not defined" in untestable.reason


@pytest.mark.parametrize("quick", [True, False])
def test_quick_or_not(quick):
    found = claims.run("pattern-3*", quick=quick, workers=1)
    assert len(found) == quick


def test_a_model_of_ones_own_settles_what_the_slice_leaves_open(ternary):
    verdict = claims.run("lut-zeros-44", weights=ternary)[0]
    assert verdict.verdict == "confirmed"
    assert verdict.number["share of zeros"] == pytest.approx(0.44, abs=0.02)
    assert verdict.weights == "a model in memory"


def test_a_natively_ternary_model_is_judged_by_what_enters_its_own_matrices():
    verdict = claims.run("lut-output-dist", weights="english-ternary")[0]
    assert "largest (all matrices)" in verdict.number
    assert not any("our natively" in part.label for part in verdict.parts)
    assert 0 < verdict.number["largest (behind the activation function)"] <= 2048


def test_a_model_that_a_check_cannot_use_leaves_the_claim_open(ternary):
    verdict = claims.run("lut-output-dist", weights=ternary)[0]
    assert verdict.verdict == "open"
    assert "recorded activations" in verdict.needs


def test_a_model_without_matrices():
    vector = {"norm.weight": Matrix(np.ones(64, np.float32))}
    verdict = claims.run("lut-zero-runs-rle", weights=vector)[0]
    assert verdict.verdict == "open"
    assert "at least 64 x 64" in verdict.needs


def test_weights_that_cannot_be_opened_are_refused_before_anything_runs():
    done = []
    with pytest.raises(WorkbenchError, match="no-such-model"):
        claims.run("lut-zeros-44", weights="no-such-model", progress=lambda *_: done.append(1))
    assert not done


def test_a_fault_in_a_check_is_not_hidden(monkeypatch):
    check = running.checks()["trinity-58p5"]

    def broken():
        yield 1 / 0

    monkeypatch.setitem(
        running.checks(), check.id, type(check)(check.id, broken, True, False, set())
    )
    with pytest.raises(ZeroDivisionError):
        claims.run(check.id)
