"""Sweeps on a real scheduler and real workers: what ends, ends once, and stays."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from sweep_clusters import running_cluster, write_sweep_notebook

from workbench import WorkbenchError, sweep
from workbench.sweep import folder as folders
from workbench.sweep import running

pytestmark = pytest.mark.slow
MAIN = "if __name__ == '__main__': from workbench.cli import main; main()"
TEXTS = ["", 'it\'s "quoted"\nin two lines', "back\\slash # {braces} %s é ∞ \\"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running_cluster(tmp_path_factory.mktemp("cluster"), workers=2) as (address, _):
        yield address


@pytest.fixture
def notebook(tmp_path):
    return write_sweep_notebook(tmp_path / "trivial.ipynb")


def test_strings_arrive_as_they_are(cluster, notebook, tmp_path):
    jobs = sweep.plan(notebook, {"text": TEXTS})
    table = sweep.run(jobs, tmp_path / "out", scheduler=cluster)
    assert list(table["job.status"]) == ["ok"] * len(TEXTS)
    assert list(table["text"]) == list(table["text_again"]) == TEXTS
    assert list(table["text_length"]) == [len(text) for text in TEXTS]


def test_a_failing_and_a_slow_job_leave_the_others_alone(cluster, notebook, tmp_path):
    grid = [{"x": [2, 3]}, {"x": 4, "fail": True}, {"x": 5, "seconds": 600.0}]
    seen = []
    out = tmp_path / "out"
    jobs = sweep.plan(notebook, grid)
    table = sweep.run(jobs, out, scheduler=cluster, limit_s=5, found=seen.append)
    table = table.set_index("x")
    assert dict(table["job.status"]) == {2: "ok", 3: "ok", 4: "failed", 5: "failed"}
    assert table["job.error"][4] == "cell 3: AssertionError: as asked"
    assert table["job.error"][5] == "not done after 5 s, the time limit of a job"
    assert dict(table["square"]) == {2: 4, 3: 9, 4: 16, 5: 25}  # recorded before the error, too
    assert table["job.seconds"][5] < 15
    assert len(seen) == 4
    for x in (2, 4, 5):
        kept = json.loads((out / table["job.file"][x]).read_text())
        assert ["injected-parameters"] in [cell["metadata"].get("tags") for cell in kept["cells"]]
    report = (out / "report.html").read_text()
    assert "as asked" in report
    assert "http" not in report.replace("http://www.w3.org", "")

    # again: those that failed, and no other
    again = []
    sweep.run(jobs[:3], out, scheduler=cluster, limit_s=5, found=again.append)
    before = {row["id"]: row["started"] for row in seen}
    assert Counter(row["status"] for row in again) == {"ok": 2, "failed": 1}
    assert [r["id"] for r in again if r["started"] != before[r["id"]]] == [jobs[2].id]
    assert len(sweep.read_table(out)) == 4


def test_workers_that_share_the_folder_write_into_it(cluster, notebook, tmp_path):
    jobs = sweep.plan(notebook, {"x": range(3)})
    table = sweep.run(jobs, tmp_path / "out", scheduler=cluster, shared=True)
    assert list(table["square"]) == [0, 1, 4]
    assert all((tmp_path / "out" / file).is_file() for file in table["job.file"])


def test_results_go_to_any_filesystem(cluster, notebook):
    address = "memory://sweep-test/out"
    jobs = sweep.plan(notebook, {"x": [7]})
    sweep.run(jobs, address, scheduler=cluster)
    assert list(sweep.read_table(address)["square"]) == [49]
    rows = []
    sweep.run(jobs, address, scheduler="tcp://127.0.0.1:9", found=rows.append)  # none is needed
    assert [row["recorded"]["square"] for row in rows] == [49]


def test_a_killed_worker_costs_no_job_and_doubles_none(notebook, tmp_path):
    seen = []
    with running_cluster(tmp_path, workers=2) as (address, (_, victim, _)):
        kernels = []

        def found(row):
            seen.append(row["id"])
            if len(seen) == 2:  # both workers have their next job by now, or soon
                until = time.monotonic() + 20
                while not kernels and time.monotonic() < until:
                    kernels.extend(psutil.Process(victim.pid).children())
                    time.sleep(0.1)
                os.kill(victim.pid, signal.SIGKILL)

        jobs = sweep.plan(notebook, {"x": range(6), "seconds": 0.3})
        table = sweep.run(jobs, tmp_path / "out", scheduler=address, found=found)
        victim.wait(10)
    assert victim.returncode == -signal.SIGKILL
    assert kernels, "the worker that was killed had no kernel"
    assert psutil.wait_procs(kernels, timeout=15)[1] == []
    assert sorted(seen) == sorted(job.id for job in jobs)
    assert list(table["job.status"]) == ["ok"] * 6
    assert list(table["square"]) == [x * x for x in range(6)]
    assert sorted(sweep.read_table(tmp_path / "out")["job.id"]) == sorted(seen)


def test_a_scheduler_that_goes_away_leaves_what_ended(notebook, tmp_path):
    jobs = sweep.plan(notebook, {"x": range(4)})
    with running_cluster(tmp_path, workers=1) as (address, (scheduler, _)):
        started = time.monotonic()
        with pytest.raises(WorkbenchError, match="went away"):
            sweep.run(jobs, tmp_path / "out", scheduler=address, found=lambda row: scheduler.kill())
        assert time.monotonic() - started < 60
    assert len(sweep.read_table(tmp_path / "out")) >= 1


def test_a_scheduler_that_does_not_answer_is_told_soon(notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "CONNECT_S", 1.0)
    jobs = sweep.plan(notebook)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        started = time.monotonic()
        with pytest.raises(WorkbenchError, match=f"no Dask scheduler answers at {address}"):
            sweep.run(jobs, tmp_path / "out", scheduler=address)
        assert time.monotonic() - started < 10


def test_a_scheduler_without_workers_is_told(notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "WORKERS_S", 0.5)
    with (
        running_cluster(tmp_path, workers=0) as (address, _),
        pytest.raises(WorkbenchError, match=r"has no workers after 0\.5 s"),
    ):
        sweep.run(sweep.plan(notebook), tmp_path / "out", scheduler=address)


def test_a_full_disk_ends_the_sweep_and_keeps_what_ended(cluster, notebook, tmp_path, monkeypatch):
    jobs = sweep.plan(notebook, {"x": range(4)})
    written = []
    whole = os.replace

    def full_after_two(source, target):
        if str(target).endswith((".json", ".parquet")):
            if len(written) == 2:
                raise OSError(28, "No space left on device", target)
            written.append(target)
        whole(source, target)

    monkeypatch.setattr(folders.os, "replace", full_after_two)
    with pytest.raises(WorkbenchError, match="out cannot be written: No space left on device"):
        sweep.run(jobs, tmp_path / "out", scheduler=cluster)
    monkeypatch.undo()
    assert len(list((tmp_path / "out" / "results").iterdir())) == 2
    ran = []
    table = sweep.run(
        jobs, tmp_path / "out", scheduler=cluster, progress=lambda done, *_: ran.append(done)
    )
    assert ran[0] == 2
    assert list(table["square"]) == [0, 1, 4, 9]


def test_cancel_returns_what_ended(cluster, notebook, tmp_path):
    rows = []
    jobs = sweep.plan(notebook, {"x": range(30), "seconds": 0.1})
    table = sweep.run(
        jobs, tmp_path / "out", scheduler=cluster, found=rows.append, cancel=lambda: len(rows) >= 2
    )
    assert 2 <= len(table) == len(rows) < 10


def test_a_kernel_that_failed_to_start_is_started_again(tmp_path, monkeypatch):
    """Once: the first start of this kernel ends at once, and the second one works."""
    spec = tmp_path / "jupyter" / "kernels" / "shy"
    spec.mkdir(parents=True)
    script = (
        f"import os, sys; flag = {str(tmp_path / 'flag')!r}\n"
        "if not os.path.exists(flag): open(flag, 'w').close(); sys.exit(1)\n"
        "from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"
    )
    argv = [sys.executable, "-c", script, "-f", "{connection_file}"]
    spec.joinpath("kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "Shy", "language": "python"})
    )
    path = write_sweep_notebook(tmp_path / "shy.ipynb")
    path.write_text(path.read_text().replace('"name": "python3"', '"name": "shy"'))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    table = sweep.run(sweep.plan(path), tmp_path / "out", workers=1)
    assert list(table["job.status"]) == ["ok"], table["job.error"][0]
    assert list(table["job.attempts"]) == [2]


def test_ctrl_c_leaves_a_sweep_that_goes_on(notebook, tmp_path):
    command = [sys.executable, "-c", MAIN, "sweep", str(notebook), "--set", "x=0..5"]
    command += ["--set", "seconds=0.5", "--out", str(tmp_path / "out"), "--workers", "1"]
    results = tmp_path / "out" / "results"
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 60
    while not (results.is_dir() and list(results.glob("*.json"))):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.05)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does: to it and to its workers
    _, said = process.communicate(timeout=40)
    assert process.returncode == 130, said
    assert said.strip() == ""
    ended = {path.stem for path in results.glob("*.json")}
    assert 1 <= len(ended) < 6
    assert set(sweep.read_table(tmp_path / "out")["job.id"]) == ended
    assert len(family) >= 2  # a worker and its kernel, at least
    assert psutil.wait_procs(family, timeout=15)[1] == []


def test_two_sweeps_into_one_folder(cluster, notebook, tmp_path):
    code = (
        "import sys; from workbench import sweep\n"
        "if __name__ == '__main__':\n"
        " jobs = sweep.plan(sys.argv[1], {'x': range(3)})\n"
        " sweep.run(jobs, sys.argv[2], scheduler=sys.argv[3])\n"
    )
    script = tmp_path / "two.py"
    script.write_text(code)
    command = [sys.executable, script, notebook, tmp_path / "out", cluster]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(90) for process in both] == [0, 0]
    table = sweep.read_table(tmp_path / "out")
    assert sorted(table["square"]) == [0, 1, 4]
    assert len(list((tmp_path / "out" / "results").iterdir())) == 3
    assert not list(Path(tmp_path / "out").rglob("*.part"))


def test_a_folder_that_cannot_be_written_is_told_first(notebook, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkbenchError, match="file/out cannot be written: "):
        sweep.run(sweep.plan(notebook), tmp_path / "file" / "out")
    with pytest.raises(WorkbenchError, match="nosuch://x is no folder that can be used"):
        sweep.run(sweep.plan(notebook), "nosuch://x")
