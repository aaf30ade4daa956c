"""Launching: cards, ports, copies of the notebooks, and a server that asks nobody else."""

import json
import os
import re
import signal
import socket
import stat
import time
import urllib.error
import urllib.request

import pytest
from servers import dashboard_server, running_server, write_notebook

from workbench.errors import WorkbenchError
from workbench.ui import launch
from workbench.ui.cards import cards

TEMPLATES = launch.HERE / "voila" / "templates" / "workbench"


def fetch(address):
    until, page = time.monotonic() + 60, b""
    with urllib.request.urlopen(address, timeout=60) as answer:
        while part := answer.read1():  # a page that hangs still sends a beat from time to time
            page += part
            assert time.monotonic() < until, f"{address} does not end: {page[-500:]}"
    return page.decode()


class TestCards:
    def test_a_card_says_what_its_notebook_says(self, tmp_path):
        (tmp_path / "picture.svg").write_text("<svg/>")
        write_notebook(
            tmp_path / "b.ipynb",
            ["# Title\n\n> What?"],
            question="What?",
            picture="picture.svg",
            run_time="5 s",
        )
        assert cards(tmp_path) == [
            {
                "path": "b.ipynb",
                "title": "Title",
                "question": "What?",
                "picture": "picture.svg",
                "run_time": "5 s",
            }
        ]

    def test_cards_are_in_the_order_of_their_files(self, tmp_path):
        for name in ("02", "10", "01"):
            write_notebook(tmp_path / f"{name}.ipynb", [f"# {name}"])
        assert [card["title"] for card in cards(tmp_path)] == ["01", "02", "10"]

    @pytest.mark.parametrize("picture", ["missing.svg", "b.ipynb", "../secret.svg"])
    def test_a_picture_that_cannot_be_served_is_left_out(self, tmp_path, picture):
        write_notebook(tmp_path / "b.ipynb", ["# B"], picture=picture)
        assert cards(tmp_path)[0]["picture"] == ""

    @pytest.mark.parametrize("content", ["", "{}", "[]", "\x00", '{"metadata": 1, "cells": []}'])
    def test_a_file_that_is_no_notebook_is_a_bare_card(self, tmp_path, content):
        (tmp_path / "odd.ipynb").write_text(content)
        assert cards(tmp_path)[0] | {"path": ""} == {
            "path": "",
            "title": "odd",
            "question": "",
            "picture": "",
            "run_time": "",
        }

    def test_an_empty_folder_has_none(self, tmp_path):
        assert cards(tmp_path) == []


class TestPorts:
    def test_a_free_port_is_kept(self):
        port = launch.free_port(0, "127.0.0.1")
        assert launch.free_port(port, "127.0.0.1") == port

    def test_a_port_in_use_is_one_sentence(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(WorkbenchError, match=f"--port {port} cannot be used"):
                launch.dashboards(port=port)
            with pytest.raises(WorkbenchError, match=f"--port {port} cannot be used"):
                launch.lab(port=port)

    @pytest.mark.parametrize("port", [-1, 65536])
    def test_no_port_at_all(self, port):
        with pytest.raises(WorkbenchError, match="65535"):
            launch.dashboards(port=port)

    @pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
    def test_no_address_of_this_machine(self, host):
        with pytest.raises(WorkbenchError, match=re.escape(host)):
            launch.dashboards(port=0, host=host)

    def test_no_such_folder(self, tmp_path):
        with pytest.raises(WorkbenchError, match="no folder"):
            launch.dashboards(port=0, folder=tmp_path / "nothing")


class TestNotebooksForLab:
    @pytest.fixture
    def packaged(self, tmp_path, monkeypatch):
        shipped = tmp_path / "share" / "notebooks"
        (shipped / "pictures").mkdir(parents=True)
        (shipped / "pictures" / "a.svg").write_text("<svg/>")
        write_notebook(shipped / "a.ipynb", ["# A"])
        monkeypatch.setattr(launch, "notebooks_dir", lambda: shipped)
        return shipped

    def test_those_of_a_checkout_are_edited_in_place(self, tmp_path, monkeypatch):
        own = tmp_path / "notebooks"
        own.mkdir()
        monkeypatch.setattr(launch, "notebooks_dir", lambda: own)
        assert launch.writable_notebooks(tmp_path) == own

    def test_those_of_a_package_are_copied(self, tmp_path, packaged):
        copies = launch.writable_notebooks(tmp_path)
        assert copies == tmp_path / "workbench-notebooks"
        assert (copies / "a.ipynb").read_text() == (packaged / "a.ipynb").read_text()
        assert (copies / "pictures" / "a.svg").is_file()

    def test_a_copy_that_was_edited_is_kept(self, tmp_path, packaged):
        copies = launch.writable_notebooks(tmp_path)
        (copies / "a.ipynb").write_text("edited")
        launch.writable_notebooks(tmp_path)
        assert (copies / "a.ipynb").read_text() == "edited"

    def test_a_folder_in_the_way_is_one_sentence(self, tmp_path, packaged):
        (tmp_path / "workbench-notebooks").write_text("a file")
        with pytest.raises(WorkbenchError, match="cannot be copied"):
            launch.writable_notebooks(tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that nothing can be written into."""
    folder = tmp_path_factory.mktemp("notebooks")
    write_notebook(
        folder / "one.ipynb",
        ["# One & only", "print('computed', 6 * 7)"],
        question="Is <this> safe?",
    )
    (folder / "picture.svg").write_text("<svg/>")
    (folder / "secret.txt").write_text("not to be served")
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    yield folder
    folder.chmod(stat.S_IRWXU)


@pytest.fixture(scope="module")
def address(folder):
    with dashboard_server(folder) as served:
        yield served


class TestServer:
    def test_the_landing_page_is_made_of_cards(self, address):
        page = fetch(address)
        assert "One &amp; only" in page
        assert "Is &lt;this&gt; safe?" in page
        assert "voila/render/one.ipynb" in page

    def test_pages_link_no_other_host(self, address):
        for page in (fetch(address), fetch(f"{address}voila/render/one.ipynb")):
            links = re.findall(r"""(?:src|href)=["']?(\w+:)?//([^/"']+)""", page)
            assert links == []

    def test_the_notebook_is_run(self, address):
        page = fetch(f"{address}voila/render/one.ipynb")
        assert "computed 42" in page
        assert "print(" not in page, "sources are not shown"

    def test_it_names_our_template_whatever_is_asked_for(self, address):
        page = fetch(f"{address}voila/render/one.ipynb?template=nothing&theme=nothing")
        assert "wb-navigation" in page
        assert "computed 42" in page

    def test_an_unknown_page_is_one_sentence(self, address):
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(f"{address}voila/render/nothing.ipynb")
        with caught.value as answer:
            assert answer.code == 404
            assert "There is no dashboard at this address." in answer.read().decode()

    def test_only_pictures_are_handed_out(self, address):
        assert fetch(f"{address}voila/files/picture.svg") == "<svg/>"
        for path in ("secret.txt", "one.ipynb", "../secret.txt"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                fetch(f"{address}voila/files/{path}")
            caught.value.close()
            assert caught.value.code in (403, 404)

    def test_a_finished_page_leaves_its_kernel_to_answer(self, address):
        page = fetch(f"{address}voila/render/one.ipynb")
        config = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.S)[1]
        kernel = json.loads(config)["kernelId"]
        assert json.loads(fetch(f"{address}api/kernels/{kernel}"))["id"] == kernel


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "kill"])
def test_the_server_ends_cleanly_with_its_kernels(tmp_path, sent):
    write_notebook(tmp_path / "one.ipynb", ["import os; print('kernel', os.getpid())"])
    code = (
        "from workbench.ui.launch import dashboards\n"
        f"dashboards(port=0, folder={os.fspath(tmp_path)!r})"
    )
    with running_server(code) as (process, address):
        kernel = int(re.search(r"kernel (\d+)", fetch(f"{address}voila/render/one.ipynb"))[1])
        process.send_signal(sent)
        assert process.wait(30) == 0
        assert "Traceback" not in process.stdout.read()
        until = time.monotonic() + 10
        while time.monotonic() < until and _lives(kernel):
            time.sleep(0.1)
        assert not _lives(kernel)


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.*")), ids=lambda path: path.name)
def test_the_template_names_no_other_host(path):
    text = path.read_text()
    if path.name == "index.html.j2":  # where the base template's two links are taken out
        text = re.sub(r"\| replace\('.*?', ''\)", "", text)
    assert not re.search(r"(?:https?:)?//[\w.]+\.\w", text)
