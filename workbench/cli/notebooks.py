"""`workbench lab` and `workbench dashboards`: the notebooks, to work in or to look at."""

from typing import Annotated

import typer

Open = Annotated[bool, typer.Option("--open/--no-open", help="Open a browser.")]
Host = Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")]


def lab(
    port: Annotated[int, typer.Option(help="0 takes any free one.")] = 8888,
    open_browser: Open = False,
    host: Host = "127.0.0.1",
) -> None:
    """Open the notebooks in JupyterLab; Ctrl-C stops it."""
    from workbench.ui.launch import lab as launch

    launch(port=port, open_browser=open_browser, host=host)


def dashboards(
    port: Annotated[int, typer.Option(help="0 takes any free one.")] = 8866,
    open_browser: Open = False,
    host: Host = "127.0.0.1",
) -> None:
    """Serve every notebook as a dashboard; Ctrl-C stops it."""
    from workbench.ui.launch import dashboards as launch

    launch(port=port, open_browser=open_browser, host=host)
