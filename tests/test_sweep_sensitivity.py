"""The built-in job `sensitivity`: a layer a job, with the numbers that the library gives."""

import pytest
from vocabularies import write_tiny_model

from workbench import sweep
from workbench.errors import WorkbenchError
from workbench.lm import open_language_model, sensitivity
from workbench.sweep.job import run_job

TEXT = "And the evening and the morning were the first day. " * 4


def test_a_job_records_what_a_layer_costs(tmp_path):
    model, text = tmp_path / "tiny.gguf", tmp_path / "text.txt"
    write_tiny_model(model, TEXT)
    text.write_text(TEXT)
    grid = {"model": str(model), "text": str(text), "layer": [0, 1], "technique": "uniform",
            "settings": [{"bits": 2}], "tokens": 50, "window": 20}  # fmt: skip
    jobs = sweep.plan("sensitivity", grid)
    assert [job.parameters["layer"] for job in jobs] == [0, 1]
    row, _ = run_job(jobs[1], 60)
    assert (row["status"], row["error"]) == ("ok", "")
    ids = open_language_model(model).tokenizer.encode(TEXT)[:50]
    [cost] = sensitivity(model, "uniform:bits=2", ids, layers=[1], window=20)
    expected = cost.row() | {"label": "uniform bits=2"}
    assert row["recorded"] == {name: expected[name] for name in row["recorded"]}
    assert set(row["recorded"]) == set(expected) - {"layer"}


def test_techniques_are_checked_before_anything_runs():
    with pytest.raises(WorkbenchError, match="bits=99"):
        sweep.plan("sensitivity", {"technique": "uniform", "settings": [{"bits": 99}]})
