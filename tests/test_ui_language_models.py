"""The panels of running models without a browser: what they write, measure, show and refuse."""

import threading

import pytest
from vocabularies import write_tiny_model

import workbench as wb
from workbench.lm import (
    Engine,
    Sampler,
    generate,
    make_random_model,
    open_language_model,
    perplexity,
)
from workbench.lm.parts import CACHE, PARTS, READING
from workbench.lm.texts import spread
from workbench.models import catalog
from workbench.ui import run_panel
from workbench.ui.language_models import is_language_model, writing
from workbench.ui.run_panel import RunPanel, gauge
from workbench.ui.transformer_panel import TransformerPanel
from workbench.ui.twins_panel import TRAINED, TWIN, TwinsPanel

TEXT = "Of the first words of a text, and of the last ones."


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return str(write_tiny_model(folder / "tiny.gguf", TEXT, layers=1))


@pytest.fixture
def panel(path):
    return RunPanel(path, "Of", weights="reference", max_tokens=12)


def run(panel):
    panel.run()
    panel.wait(60)


# --- a model that writes ---


def test_nothing_is_written_before_it_is_asked_for(panel):
    assert (panel.text, panel.tokens, panel.row) == ("", 0, {})
    assert "nothing is written yet" in panel.writing.value
    assert "cache: empty" in panel.numbers.value


def test_it_writes_what_the_model_writes(panel, path):
    run(panel)
    assert panel.job.outcome == "done"
    expected = generate(open_language_model(path), "Of", 12)
    assert panel.text == expected.text
    assert panel.tokens == panel.row["tokens"] == len(expected.tokens)
    assert panel.row["stopped"] == expected.stopped
    assert len(panel.chart.data[0].x) == panel.tokens - 1


def test_bytes_are_those_of_weights_and_cache(panel, path):
    run(panel)
    model, row = open_language_model(path), panel.row
    weights = 4 * (4 * 32 * 32 + 3 * 32 * 32 + model.config.vocab * 32)
    assert model.bytes_per_token == weights
    seen = row["prompt_tokens"] + row["tokens"] / 2
    assert row["bytes_per_token"] == weights + round(seen * 2 * 4 * 32)
    assert row["gb_s"] == pytest.approx(row["tokens_per_s"] * row["bytes_per_token"] / 1e9)
    assert row["cache_bytes"] == row["cache_tokens"] * 2 * 4 * 32


def test_the_cache_is_a_choice_of_which_each_path_has_its_own(panel):
    run(panel)
    floats = panel.row["cache_bytes"]
    panel.store.value = "ternary"
    run(panel)
    assert panel.row["cache_bytes"] < floats / 4
    panel.weights.value = "file"
    assert (panel.store.value, panel.store.options) == ("f32", ("f32", "int8"))
    panel.store.value = "int8"
    run(panel)
    assert panel.row["cache_bytes"] == pytest.approx(floats * (1 / 4 + 1 / 16), rel=0.5)
    panel.weights.value = "reference"
    assert panel.store.value == "int8"


def test_an_activation_that_the_file_does_not_say(tmp_path):
    path = write_tiny_model(tmp_path / "bitnet.gguf", TEXT, architecture="bitnet", layers=1)
    panel = RunPanel(str(path), "Of", weights="reference", max_tokens=2)
    run(panel)
    assert "tells its activation" in panel.problem.message + panel.job.problem.message
    panel.activation.value = "relu2"
    run(panel)
    assert panel.tokens == 2


def test_the_compiled_path_and_the_sampler_are_used(panel, path):
    panel.weights.value = "int8"
    panel.temperature.value, panel.seed.value = 1.0, 3
    run(panel)
    engine = Engine(path, "int8", 1, save=False)
    assert panel.text == generate(engine, "Of", 12, Sampler(1.0, seed=3)).text


def test_stop_keeps_what_is_written(panel, monkeypatch):
    monkeypatch.setattr(run_panel, "TEXT_S", 0)
    panel.max_tokens.value = 40
    first, go_on = threading.Event(), threading.Event()

    def look(change):
        if change.new == 3:
            first.set()
            go_on.wait(30)

    panel.observe(look, "tokens")
    panel.run()
    assert first.wait(60)
    panel.cancel()
    go_on.set()
    panel.wait(60)
    assert panel.job.outcome == "cancelled"
    assert 3 <= panel.tokens < 40
    assert panel.row["stopped"] == ""


@pytest.mark.parametrize(
    ("prompt", "chat", "said"),
    [
        (" ", False, "the prompt is empty"),
        ("Of", True, "no chat template"),
        ("x" * 200, False, "more than the context of 64"),
    ],
    ids=["empty", "no template", "too long"],
)
def test_what_cannot_be_written_is_explained(path, prompt, chat, said):
    panel = RunPanel(path, prompt, weights="reference", chat=chat)
    run(panel)
    assert said in panel.problem.message + panel.job.problem.message


@pytest.fixture
def wordless(tmp_path):
    """A model without a vocabulary."""
    sizes = {"layers": 1, "width": 32, "ff": 32, "heads": 2, "vocab": 12, "quant": "F32"}
    return str(make_random_model(tmp_path / "random.gguf", "llama", embedding="F32", **sizes))


@pytest.mark.parametrize("chat", [False, True], ids=["text", "chat"])
def test_without_a_vocabulary_nothing_can_be_written(wordless, chat):
    panel = RunPanel(wordless, "Of", weights="reference", chat=chat)
    run(panel)
    assert "this model has no vocabulary" in panel.problem.message + panel.job.problem.message


def test_the_gauge_says_how_full_the_cache_is():
    row = {"cache_tokens": 3, "cache_context": 12, "cache_bytes": 5_000_000}
    assert "width:25.0%" in gauge(row)
    assert "3 of 12 tokens, 5 MB" in gauge(row)


def test_a_slice_of_a_model_is_not_offered(panel):
    assert not is_language_model(catalog()["smollm2-slice"])
    assert "smollm2-slice" not in dict(panel.models.name.options).values()
    assert "smollm2-135m" in dict(panel.models.name.options).values()


def test_text_is_shown_as_text():
    shown = writing("<b>", "a & b")
    assert "&lt;b&gt;</span>a &amp; b" in shown


# --- parts made ternary ---


def test_each_combination_is_measured_once(path):
    panel = TransformerPanel(path, TEXT * 4, ["norms"], windows=1)
    panel.wait(60)
    assert [row["parts"] for row in panel.rows] == [(), ("norms",)]
    panel.boxes["embedding"].value = True
    panel.wait(60)
    panel.parts = ("norms",)
    panel.wait(60)
    assert [row["parts"] for row in panel.rows] == [(), ("norms",), ("embedding", "norms")]
    assert panel.numbers.value.count("<tr") == 1 + 3
    assert sum(len(trace.x) for trace in panel.chart.data) == 3


def test_without_a_vocabulary_nothing_can_be_measured(wordless):
    panel = TransformerPanel(wordless, TEXT, windows=1)
    panel.wait(60)
    assert "this model has no vocabulary" in panel.job.problem.message


def test_attention_needs_the_cache(path):
    panel = TransformerPanel(path, TEXT * 4, windows=1)
    panel.wait(60)
    panel.parts = (READING,)
    assert "tick the cache too" in panel.problem.message
    panel.parts = (CACHE, READING)
    panel.wait(60)
    assert panel.problem.message == ""
    assert panel.rows[-1]["parts"] == (CACHE, READING)
    assert panel.rows[-1]["nbytes"][CACHE] < panel.rows[0]["nbytes"][CACHE]


def test_only_parts_that_exist(path):
    panel = TransformerPanel(path, TEXT * 4, windows=1)
    panel.wait(60)
    with pytest.raises(wb.WorkbenchError, match="no part is called 'wings'"):
        panel.parts = ("wings",)
    assert "wings" not in panel.parts
    assert list(panel.boxes) == list(PARTS)


# --- a trained model beside its twin ---


def test_twins_are_measured_and_written_from(path):
    panel = TwinsPanel(path, path, TEXT * 4, "Of", "q8_0", windows=1, tokens=4)
    panel.wait(60)
    assert panel.job.problem.message == ""
    assert [row["name"] for row in panel.rows] == [TRAINED, TWIN, "q8_0"]
    model = open_language_model(path)
    tokens = spread(model.tokenizer.encode(TEXT * 4), 1, 64)
    assert panel.rows[0]["perplexity"] == panel.rows[1]["perplexity"]
    assert panel.rows[1]["perplexity"] == perplexity(model, tokens).perplexity
    assert panel.rows[1]["bits_per_weight"] == 32
    assert panel.texts[TWIN] == generate(model, "Of", 4).text
    panel.technique = wb.technique("uniform", bits=2)
    panel.wait(60)
    assert [row["name"] for row in panel.rows][3:] == ["uniform bits=2"]
    assert panel.rows[3]["perplexity"] != panel.rows[1]["perplexity"]
    assert set(panel.texts) == {TRAINED, TWIN, "twin, uniform bits=2"}
    panel.prompt = ""
    assert "the prompt is empty" in panel.problem.message


def test_twins_without_a_vocabulary_cannot_be_measured(wordless):
    panel = TwinsPanel(wordless, wordless, TEXT, windows=1)
    panel.run()
    panel.wait(60)
    assert "has no vocabulary" in panel.job.problem.message
