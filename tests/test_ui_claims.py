"""The panel of claims without a browser: what it lists, shows, runs and refuses."""

import threading

import numpy as np
import pytest
from safetensors.numpy import save_file

from workbench import claims
from workbench.claims import Verdict
from workbench.errors import WorkbenchError
from workbench.ui import claims_lesson
from workbench.ui.claims_panel import ClaimsPanel

LEDGER = {claim.id: claim for claim in claims.ledger()}
QUICK = "trinity-radix-e4"


@pytest.fixture
def panel():
    return ClaimsPanel(claim=QUICK)


def test_every_claim_is_listed_and_counted(panel):
    assert panel.shown == tuple(LEDGER)
    assert [id for _, id in panel.list.options] == list(LEDGER)
    assert f"<b>{len(LEDGER)}</b> of {len(LEDGER)} claims" in panel.counts.value
    assert panel.table.value.count("<tr") == len(LEDGER) + 1


@pytest.mark.parametrize("seed", range(5))
def test_filters_narrow_the_list(seed):
    panel = ClaimsPanel(seed=seed)
    panel.word.value = "wrong"
    recorded = {id: row.recorded.verdict for id, row in LEDGER.items() if row.seed == seed}
    assert panel.shown == tuple(id for id, word in recorded.items() if word == "wrong")
    assert panel.claim == panel.list.value == panel.shown[0]


def test_text_is_looked_for_in_statements_too(panel):
    panel.text.value = "28/44/28"
    assert "lut-zeros-44" in panel.shown
    assert all(id not in panel.shown for id in ("phi-60p1", QUICK))


def test_nothing_found_is_said_and_can_be_undone(panel):
    panel.text.value = "no claim says this"
    assert (panel.claim, panel.list.value, panel.shown) == ("", None, ())
    assert "No claim passes" in panel.card.value
    panel.run()
    assert "no claim is chosen" in panel.problem.message
    panel.text.value = ""
    assert panel.claim == next(iter(LEDGER))


def test_a_claim_that_filters_hide_clears_them(panel):
    panel.seed.value = 4
    panel.claim = "lut-466x"
    assert panel.list.value == "lut-466x"
    assert panel.shown == tuple(LEDGER)
    assert ClaimsPanel(seed=1, claim="phi-60p1").claim == "phi-60p1"


def test_the_card_follows_the_list(panel):
    panel.list.value = "phi-60p1"
    assert panel.claim == "phi-60p1"
    assert LEDGER["phi-60p1"].statement in panel.card.value
    assert panel.card.value.count("<svg") == 2  # two nulls with a sample


def test_a_run_reaches_the_recorded_verdict(panel):
    assert panel.as_recorded is None
    panel.button.click()
    panel.wait(60)
    assert panel.as_recorded
    assert panel.verdict.right == {"E(4) / ln N": pytest.approx(2.8853900818)}
    assert "wrong, as recorded" in panel.said.value
    assert panel.list.label.endswith("just run")


def test_a_run_that_differs_is_shown_as_such(panel, monkeypatch):
    other = Verdict(id=QUICK, seed=1, statement="s", verdict="confirmed")

    def run(ids, weights, workers, progress):
        progress(other, 1, 1)
        return [other]

    monkeypatch.setattr("workbench.ui.claims_panel.claims.run", run)
    panel.run()
    panel.wait(60)
    assert panel.as_recorded is False
    assert "differs from the recorded verdict: wrong" in panel.said.value
    assert "differs from the recorded one" in panel.card.value
    assert panel.list.label.endswith("was wrong")


def test_a_model_is_offered_where_a_check_takes_weights(panel):
    assert panel.models.layout.display == "none"
    panel.claim = "lut-hamming"
    assert panel.models.layout.display == ""


def test_a_check_runs_on_the_model_that_is_chosen(panel, tmp_path):

    rng = np.random.default_rng(0)
    matrices = {f"blk.{i}.w": rng.standard_normal((256, 512), np.float32) for i in range(2)}
    save_file(matrices, tmp_path / "own.safetensors")
    panel.claim = "lut-hamming"
    panel.models.name.value = "another file ..."
    panel.models.path.value = str(tmp_path / "own.safetensors")
    panel.run()
    panel.wait(60)
    assert panel.job.outcome == "done"
    assert panel.verdict.weights == panel.models.weights.name
    assert "Run on own" in panel.said.value


def test_a_claim_without_a_check_has_no_button(panel):
    panel.claim = next(id for id, row in LEDGER.items() if not row.executable)
    assert panel.button.layout.display == "none"
    panel.run()
    assert "has no check yet" in panel.problem.message


def test_all_shown_can_be_run_and_cancelled(panel, monkeypatch):
    panel.text.value = "trinity-radix-e"
    assert len(panel.shown) == 2
    panel.every.click()
    panel.wait(60)
    assert set(panel.ran) == {"trinity-radix-e", QUICK}
    panel.ran.clear()
    first, go_on = threading.Event(), threading.Event()
    run = claims.run

    def slow(ids, weights, workers, progress):
        def wait(verdict, done, total):
            first.set()
            go_on.wait(30)
            progress(verdict, done, total)

        return run(ids, weights, workers=workers, progress=wait)

    monkeypatch.setattr("workbench.ui.claims_panel.claims.run", slow)
    panel.run_shown()
    assert first.wait(60)
    panel.cancel()
    go_on.set()
    panel.wait(60)
    assert panel.job.outcome == "cancelled"
    assert len(panel.ran) == 1  # what had ended stays


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"seed": 7}, "no document 7; they are 0 to 4"),
        ({"claim": "phi-60p2"}, "no claim is called 'phi-60p2'; did you mean phi-60p1"),
        ({"model": "no-such.gguf"}, "no-such.gguf"),
    ],
    ids=str,
)
def test_what_does_not_exist_is_refused(arguments, match):
    with pytest.raises(WorkbenchError, match=match):
        ClaimsPanel(**arguments)


def test_an_unknown_claim_leaves_the_card(panel):
    with pytest.raises(WorkbenchError, match="no claim is called"):
        panel.claim = "phi-60p2"
    assert panel.claim == QUICK


class TestLesson:
    golden = LEDGER["phi-60p1"].recorded

    def test_numbers_that_fail_are_set_off(self):
        shown = claims_lesson.claim_table(self.golden).data
        assert shown.count('class="wb-own"') == sum(p.holds is False for p in self.golden.parts)
        assert shown.count("<tr") == len(self.golden.parts) + 1

    def test_nulls_with_a_sample_are_tabled_and_drawn(self):
        sampled = [null for null in self.golden.null if len(null.sample) > 1]
        assert claims_lesson.null_table(self.golden).data.count("<tr") == len(sampled) + 1
        figure = claims_lesson.null_figure(self.golden)
        assert [len(trace.x) for trace in figure.data] == [len(n.sample) for n in sampled]
        assert figure.layout.shapes[0].x0 == self.golden.number[sampled[0].of]

    def test_no_null_is_one_sentence(self):
        with pytest.raises(WorkbenchError, match="no null with a sample"):
            claims_lesson.null_figure(LEDGER[QUICK].recorded)

    def test_counts_are_drawn_whole(self):
        verdicts = claims.verdicts_of(LEDGER.values())
        figure = claims_lesson.counts_figure(verdicts)
        assert sum(sum(trace.x) for trace in figure.data) == len(LEDGER)
