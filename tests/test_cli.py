"""The command line: its promises to scripts, its tables, and one line for every error."""

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from workbench.cli import main
from workbench.cli.output import show
from workbench.models import catalog

WORKBENCH = [sys.executable, "-c", "from workbench.cli import main; main()"]
MATRIX = "blk.14.attn_k.weight"
ONE = ["smollm2-slice", "--tensors", MATRIX]
FAST = ["--no-nulls", "--no-plain", "--no-timing"]


@pytest.fixture
def rows(run):
    """Runs a command line with --json; returns its rows."""

    def call(*words):
        status, out, err = run(*words, "--json")
        assert (status, err) == (0, "")
        found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert isinstance(found, list)
        for row in found:
            assert not [key for key, value in row.items() if isinstance(value, list | dict)]
            assert list(row) == list(found[0])
        return found

    return call


def apart(*words, **environment):
    """Runs a command line in a process of its own."""
    return subprocess.run(
        [*WORKBENCH, *words],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )


def test_help_names_every_verb(run):
    status, out, _ = run("--help")
    assert status == 0
    verbs = ["doctor", "models", "techniques", "encode", "compare", "bench", "lab", "dashboards"]
    verbs += ["sweep", "claims"]
    assert [verb for verb in verbs if verb not in out] == []


def test_help_needs_none_of_the_heavy_libraries():
    heavy = ("numpy", "pydantic", "pandas", "plotly", "safetensors", "IPython", "huggingface_hub")
    code = (
        "import sys\nfrom workbench.cli import main\n"
        "try:\n    main()\nfinally:\n"
        f"    print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=60
    )
    assert result.stderr.strip() == "[]"


def test_version(run):
    status, out, _ = run("--version")
    assert status == 0
    assert out.startswith("workbench ")


# --- what scripts rely on ---


def test_models_list_keys(rows):
    found = rows("models", "list")
    assert list(found[0])[:4] == ["name", "source", "bundled", "architecture"]
    assert {row["name"]: row["bundled"] for row in found} == {
        "smollm2-slice": True,
        "english-ternary": True,
        "english-float": True,
        "smollm2-135m": False,
    }


def test_models_inspect_keys(rows):
    found = rows("models", "inspect", "smollm2-slice")
    assert list(found[0])[:4] == ["tensor", "shape", "type", "nbytes"]
    (row,) = [row for row in found if row["tensor"] == "blk.14.ffn_down.weight"]
    assert (row["shape"], row["type"], row["nbytes"]) == ("576x1536", "Q4_1", 552_960)
    assert 0 < row["zeros"] < 0.01
    assert row["ternary"] == ""


def test_models_inspect_without_values(rows):
    found = rows("models", "inspect", "smollm2-slice", "--no-values")
    assert {row["zeros"] for row in found} == {None}


def test_models_fetch_of_what_is_here(rows):
    (row,) = rows("models", "fetch", "smollm2-slice")
    assert row == {
        "name": "smollm2-slice",
        "path": str(catalog()["smollm2-slice"].path),
        "nbytes": 3_326_528,
        "sha256": catalog()["smollm2-slice"].sha256,
    }


def test_techniques_lists_all(rows):
    assert [row["technique"] for row in rows("techniques")] == sorted(wb.techniques())


def test_techniques_shows_what_is_allowed(rows):
    found = {row["parameter"]: row for row in rows("techniques", "uniform")}
    assert found["bits"]["allowed"] == "integer from 2 to 8"
    assert found["bits"]["default"] == "4"
    assert found["group"]["default"] == "none"


def test_compare_keys_and_values(rows):
    found = rows(
        "compare", *ONE, "--techniques", "planar*,q8_0", "--technique", "uniform:bits=3", *FAST
    )
    assert list(found[0])[:9] == [
        *["tensor", "technique", "parameters", "nbytes", "bits_per_weight"],
        *["rel_mse", "snr_db", "cosine", "matmul_s"],
    ]
    assert [row["technique"] for row in found] == ["planar-ternary", "q8_0", "uniform"]
    encoded = wb.technique("uniform", bits=3).encode(wb.open_model("smollm2-slice")[MATRIX].read())
    assert found[2]["nbytes"] == encoded.nbytes
    assert found[2]["parameters"].startswith("bits=3,")


def test_compare_takes_back_the_parameters_that_it_prints(rows):
    chosen = "uniform:bits=5,levels=asymmetric,group=64"
    (row,) = rows("compare", *ONE, "--technique", chosen, *FAST)
    again = f"{row['technique']}:{row['parameters']}"
    assert rows("compare", *ONE, "--technique", again, *FAST) == [row]


def test_compare_without_a_choice_takes_every_technique(rows):
    found = rows("compare", *ONE, *FAST)
    assert [row["technique"] for row in found] == sorted(wb.techniques())


def test_encode_writes_what_it_says(rows, tmp_path):
    found = rows(
        "encode",
        *["smollm2-slice", "--tensors", "blk.14.attn_[kv]*"],
        *["--technique", "planar-ternary:group=64", "-o", tmp_path / "out"],
    )
    assert [row["tensor"] for row in found] == ["blk.14.attn_k.weight", "blk.14.attn_v.weight"]
    for row in found:
        assert Path(row["file"]).stat().st_size == row["nbytes"]
        encoded = wb.load_encoded(row["file"])
        assert encoded.technique == wb.technique("planar-ternary", group=64)
        assert encoded.shape == (192, 576)


def test_encode_into_one_file(rows, tmp_path):
    file = tmp_path / "k.safetensors"
    rows("encode", *ONE, "--technique", "q4_0", "-o", file)
    assert wb.load_encoded(file).technique == wb.technique("q4_0")


def test_infinity_becomes_null(capsys):
    show([{"snr_db": float("inf"), "nbytes": np.int64(3), "cosine": np.float32(0.5)}], as_json=True)
    assert json.loads(capsys.readouterr().out) == [{"snr_db": None, "nbytes": 3, "cosine": 0.5}]


# --- what people read ---


def test_tables_lose_no_character_when_piped(run):
    status, out, _ = run("compare", *ONE, "--technique", "uniform:bits=3,group=64", *FAST)
    assert status == 0
    for word in (MATRIX, "uniform", "bits=3,group=64", "48,744", "3.526"):
        assert word in out
    assert "…" not in out


def test_a_narrow_terminal_wraps_prose_and_loses_no_character(monkeypatch, run):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    status, out, _ = run("models", "list")
    assert status == 0
    assert "…" not in out
    assert "smollm2-slice" in out
    assert "98,362,432" in out


def test_durations_have_units(capsys):
    show([{"median_s": value} for value in (2.5, 2.5e-3, 2.5e-6, 2.5e-9, 0.0)], as_json=False)
    out = capsys.readouterr().out
    for text in ("2.5 s", "2.5 ms", "2.5 us", "2.5 ns", "0 ns"):
        assert text in out


def test_progress_stays_off_standard_output(run):
    status, out, err = run("models", "inspect", "smollm2-slice")
    assert (status, err) == (0, "")
    assert "inspecting" not in out


# --- errors ---

ERRORS = {
    "unknown verb": (["nonsense"], 2, r"No such command 'nonsense' \(see workbench --help\)"),
    "unknown option": (["compare", "--foo"], 2, r"--foo.*see workbench compare --help"),
    "no argument": (["encode"], 2, r"(?i)Missing argument 'model'"),
    "bad number": (["compare", "--threads", "0"], 2, r"--threads"),
    "unknown model": (["models", "inspect", "nope"], 1, r"'nope' is neither a file or folder nor"),
    "unknown tensor": (["compare", "--tensors", "zzz"], 1, r"'zzz'; there are blk\.0\.attn_k"),
    "unknown technique": (["compare", "--techniques", "z*"], 1, r"'z\*'; there are .*uniform"),
    "unknown to show": (["techniques", "z"], 1, r"'z'; there are .*uniform"),
    "unknown parameter": (["compare", "--technique", "uniform:x=1"], 1, r"no parameter 'x'.*bits"),
    "value out of bounds": (["compare", "--technique", "uniform:bits=99"], 1, r"bits=99 is not"),
    "not key=value": (["compare", "--technique", "uniform:bits"], 1, r"'bits' is not of the form"),
    "key twice": (["compare", "--technique", "uniform:bits=2,bits=3"], 1, r"'bits' is given twice"),
    "nowhere to write": (["encode", *ONE, "--technique", "nf4"], 2, r"Missing option '--output'"),
    "nothing to change": (["export", "smollm2-slice", "x.gguf"], 1, r"give --replace PATTERN="),
    "no policy": (["export", "smollm2-slice", "x.gguf", "--replace", "q4_0"], 1, r"of the form P"),
    "one file for all": (
        ["encode", "smollm2-slice", "--technique", "nf4", "-o", "x.safetensors"],
        1,
        r"is one file, but 12 matrices match",
    ),
    "no shape": (["bench", "matmul", "--shape", "2048"], 1, r"'2048' is not ROWSxCOLS"),
    "empty shape": (["bench", "matmul", "--shape", "0x5"], 1, r"'0x5' is not ROWSxCOLS"),
    "no count": (["bench", "matmul", "--threads", "1,x"], 1, r"--threads '1,x' is not a list"),
    "no port": (["dashboards", "--port", "70000"], 1, r"--port 70000 is no port"),
}


@pytest.mark.parametrize(("words", "status", "message"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_one_line(run, words, status, message):
    found, out, err = run(*words)
    assert (found, out) == (status, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert re.search(message, err), err


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\x00\x00\x00" + b"\xff" * 16])
def test_a_broken_file_is_named_with_the_position(run, tmp_path, content):
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    status, out, err = run("models", "inspect", path, "--json")
    assert (status, out) == (1, "")
    assert err.startswith(f"error: {path}, byte ")


def test_nothing_is_replaced_without_force(run, tmp_path):
    file = tmp_path / "k.safetensors"
    file.write_bytes(b"precious")
    words = ["encode", *ONE, "--technique", "q4_0", "-o", file]
    status, _, err = run(*words)
    assert status == 1
    assert "is there already; --force replaces it" in err
    assert file.read_bytes() == b"precious"
    assert run(*words, "--force")[0] == 0
    assert wb.load_encoded(file).shape == (192, 576)


def test_no_traceback_unless_asked_for(monkeypatch, run):
    def broken():
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("workbench.models.catalog", broken)
    status, out, err = run("models", "list")
    assert (status, out) == (1, "")
    assert err == (
        "error: ZeroDivisionError: a fault (a fault of the workbench; WORKBENCH_DEBUG=1 shows it)\n"
    )
    monkeypatch.setenv("WORKBENCH_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["workbench", "models", "list"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_an_error_of_several_lines_becomes_one(monkeypatch, run):
    def refuse():
        raise wb.WorkbenchError("two\nlines")

    monkeypatch.setattr("workbench.models.catalog", refuse)
    assert run("models", "list") == (1, "", "error: two lines\n")


def test_ctrl_c_ends_quietly(monkeypatch, run):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.models.catalog", interrupted)
    status, out, err = run("models", "list")
    assert (status, out, err.strip()) == (130, "", "")


def test_a_reader_that_stops_early_is_no_error():
    process = subprocess.Popen(
        [*WORKBENCH, "models", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


def test_a_warning_is_one_line_on_standard_error(monkeypatch, run):
    def warns():
        warnings.warn("two\nlines", stacklevel=2)
        return {}

    monkeypatch.setattr("workbench.models.catalog", warns)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        status, out, err = run("models", "list", "--json")
    assert (status, out, err) == (0, "[]\n", "warning: two lines\n")


# --- doctor, servers, completion ---


def test_doctor_says_that_all_is_compiled(rows):
    found = {row["check"]: row for row in rows("doctor", "--no-measure")}
    assert list(next(iter(found.values()))) == ["check", "ok", "value", "mend"]
    kernels = [row for check, row in found.items() if check.startswith("kernel ")]
    assert kernels
    assert all(row["ok"] and row["value"] == "compiled" for row in kernels)
    assert found["optional: smollm2-135m"]["ok"] == catalog()["smollm2-135m"].present


def test_doctor_fails_where_kernels_are_not_compiled():
    result = apart("doctor", "--no-measure", "--json", WORKBENCH_KERNELS="python")
    assert result.returncode == 1
    kernels = [row for row in json.loads(result.stdout) if row["check"].startswith("kernel ")]
    assert all(not row["ok"] and "make kernels" in row["mend"] for row in kernels)


@pytest.mark.parametrize("verb", ["lab", "dashboards"])
def test_servers_get_their_options(monkeypatch, run, verb):
    asked = {}
    monkeypatch.setattr(f"workbench.ui.launch.{verb}", asked.update)
    status, _, _ = run(verb, "--port", "0", "--open", "--host", "localhost")
    assert status == 0
    assert asked == {"port": 0, "open_browser": True, "host": "localhost"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("workbench models inspect smollm2-", "smollm2-slice"),
        ("workbench techniques plan", "planar-ternary"),
        ("workbench compare --technique uni", "uniform"),
        ("workbench comp", "compare"),
    ],
)
def test_shell_completion(words, expected):
    environment = {
        "_WORKBENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    code = "import sys; sys.argv = ['workbench']; from workbench.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )
    assert expected in result.stdout.split()


def test_claims_are_listed_as_recorded(run):
    status, out, err = run("claims", "trinity-radix-*", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert [row["id"] for row in found] == ["trinity-radix-e", "trinity-radix-e4"]
    assert list(found[0]) == ["id", "seed", "statement", "verdict", "number", "null", "checked"]
    assert found[0]["number"]["E(3) / ln N"] == pytest.approx(3 / np.log(3), abs=1e-6)


def test_claims_run_filter_and_report(run, tmp_path):
    page = tmp_path / "claims.html"
    status, out, _ = run("claims", "trinity-radix-*", "--run", "--verdict", "wrong", "--html", page)
    assert status == 0
    assert "trinity-radix-e4" in out
    assert "confirmed" not in out
    assert "trinity-radix-e4" in page.read_text()


def test_a_changed_verdict_is_told_and_fails(run, monkeypatch):
    monkeypatch.setattr("workbench.claims.changed", list)
    status, out, _ = run("claims", "trinity-radix-e4", "--run")
    assert status == 1
    assert "wrong (was another)" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lut-tier1-sze"], "lut-tier1-size"),
        (["--verdict", "maybe"], "confirmed, wrong, depends, open, not testable"),
        (["--record", "--weights", "smollm2-slice"], "leave out --weights"),
    ],
    ids=["unknown id", "unknown verdict", "recording another model"],
)
def test_claims_refusals(run, words, said):
    status, out, err = run("claims", *words)
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err
