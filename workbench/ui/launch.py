"""Serve the notebooks: as dashboards (Voila) or to work in (JupyterLab), both without a download.

Both servers run in this process until Ctrl-C, listen on this machine only unless told otherwise,
and use nothing from the network.
"""

import os
import secrets
import shutil
import socket
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.paths import notebooks_dir
from workbench.ui.cards import cards

HERE = Path(__file__).parent
LOCAL = {"127.0.0.1", "localhost", "::1"}


def dashboards(
    port: int = 8866,
    open_browser: bool = False,
    host: str = "127.0.0.1",
    folder: str | os.PathLike | None = None,
) -> None:
    """Serve every notebook of a folder as a dashboard; returns after Ctrl-C.

    Parameters
    ----------
    port : int
        0 takes any free one.
    open_browser : bool
        Open the landing page.
    host : str
        Address to listen on. Whoever reaches it can use the dashboards.
    folder : path, optional
        Folder of notebooks; the workbench's own by default. Nothing is written into it.

    Raises
    ------
    WorkbenchError
        The port is taken or no port, the host is no address of this machine, or there is no
        such folder.
    """
    folder = Path(folder or notebooks_dir()).absolute()
    if not folder.is_dir():
        raise WorkbenchError(f"there is no folder {folder} to serve notebooks from")
    port = free_port(port, host)
    _share_template()

    from tornado.ioloop import IOLoop  # these take a second, and only a server needs them
    from voila.app import Voila

    def add_cards(page_config, notebook_path, **_):
        if not notebook_path.endswith(".ipynb"):
            page_config["workbenchCards"] = cards(folder)
        return page_config

    def set_cookie(handler, **_):
        # a page sends it back when it is closed, to end its kernel; Voila sets it on the landing
        # page only
        handler.xsrf_token  # noqa: B018

    server = Voila(log_level="ERROR")
    server.config_file_paths = [str(HERE / "voila")]
    server.initialize(
        [
            str(folder),
            f"--port={port}",
            f"--Voila.ip={host}",
            "--Voila.port_retries=0",
            f"--Voila.open_browser={open_browser}",
            "--template=workbench",
        ]
    )
    server.voila_configuration.page_config_hook = add_cards
    server.voila_configuration.prelaunch_hook = set_cookie
    url = f"http://{_in_url(host)}:{port}/"
    IOLoop.current().add_callback(_announce, f"Dashboards: {url}", host)
    server.start()


def lab(port: int = 8888, open_browser: bool = False, host: str = "127.0.0.1") -> None:
    """Open the notebooks in JupyterLab; returns after Ctrl-C.

    The notebooks of a checkout are opened where they are. Those of an installed package are
    copied into ``./workbench-notebooks`` first; a copy that is there already is kept.

    Raises
    ------
    WorkbenchError
        As for `dashboards`.
    """
    port = free_port(port, host)
    folder = writable_notebooks(Path.cwd())

    from jupyterlab.labapp import LabApp

    token = secrets.token_hex(16)
    page = "/lab/tree/00-start-here.ipynb"
    server = LabApp.initialize_server(
        [
            f"--ServerApp.root_dir={folder}",
            f"--ServerApp.port={port}",
            f"--ServerApp.ip={host}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.open_browser={open_browser}",
            f"--ServerApp.allow_root={_is_root()}",
            "--ServerApp.answer_yes=True",
            "--Application.log_level=ERROR",
            f"--IdentityProvider.token={token}",
            # its pages would ask a CDN for MathJax; `dashboards` is the way to see one
            "--ServerApp.jpserver_extensions={'voila.server_extension': False}",
            f"--LabApp.app_settings_dir={HERE / 'lab'}",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.extension_manager=readonly",
            f"--LabApp.default_url={page}",
        ]
    )
    url = f"http://{_in_url(host)}:{port}{page}?token={token}"
    server.io_loop.add_callback(_announce, f"JupyterLab: {url}", host)
    server.start()


def free_port(port: int, host: str) -> int:
    """`port` if a server can listen there (any free one for 0).

    Raises
    ------
    WorkbenchError
        It cannot; says why.
    """
    if not 0 <= port <= 65535:
        raise WorkbenchError(f"--port {port} is no port; it must be 0 (any free one) to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise WorkbenchError(f"--host {host!r} is no address; 127.0.0.1 is this machine") from None
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError:
            raise WorkbenchError(
                f"--port {port} is reserved for the system; take one from 1024 to 65535"
            ) from None
        except OSError as error:
            raise WorkbenchError(
                f"--port {port} cannot be used on {host} ({error.strerror}); "
                "give another with --port, or 0 for any free one"
            ) from None
        return probe.getsockname()[1]


def writable_notebooks(here: Path) -> Path:
    """The shipped notebooks where they can be edited: in place, or copied below `here`."""
    shipped = notebooks_dir()
    packaged = shipped.parent.name == "share"
    if not packaged and os.access(shipped, os.W_OK):
        return shipped
    own = here / "workbench-notebooks"
    try:
        own.mkdir(exist_ok=True)
        for source in sorted(shipped.rglob("*")):
            target = own / source.relative_to(shipped)
            if source.is_dir():
                target.mkdir(exist_ok=True)
            elif not target.exists():
                shutil.copyfile(source, target)
    except OSError as error:
        raise WorkbenchError(
            f"the notebooks cannot be copied to {own} ({error.strerror}); "
            "run this in a folder that you may write to"
        ) from None
    return own


def _share_template() -> None:
    """Let Voila, and the kernels it starts, find the page template of this package."""
    known = os.environ.get("JUPYTER_PATH", "")
    folders = [str(HERE), *(path for path in known.split(os.pathsep) if path)]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(dict.fromkeys(folders))


def _announce(line: str, host: str) -> None:
    print(f"{line}\nCtrl-C stops the server.", flush=True)
    if host not in LOCAL:
        print(f"It listens on {host}: whoever reaches that address can use it.", flush=True)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
