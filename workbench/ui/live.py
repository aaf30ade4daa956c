"""Live figures: widgets that show a plotly figure and take newer ones from any thread."""

import threading
from functools import cache
from pathlib import Path
from typing import final

import anywidget
import ipywidgets
import plotly
import plotly.graph_objects as go
import traitlets

SHIM = Path(__file__).with_name("live_figure.js")
CONFIG = {"displaylogo": False, "responsive": True}

_drawing = threading.Lock()  # a live figure takes changes from one thread at a time


@final
class Library(anywidget.AnyWidget):
    """The JavaScript of plotly's own widget, once for all figures of a kernel."""

    _esm = "export default {};"
    source = traitlets.Unicode().tag(sync=True)


@final
class LiveFigure(go.FigureWidget):
    """Plotly's widget, but for how its JavaScript comes to the page."""

    _esm = SHIM.read_text(encoding="utf-8")
    _library = traitlets.Instance(Library).tag(sync=True, **ipywidgets.widget_serialization)
    _library_version = traitlets.Unicode(plotly.__version__).tag(sync=True)

    @traitlets.default("_library")
    def _one_for_all(self):
        return _library()


@cache
def _library() -> Library:
    return Library(source=str(go.FigureWidget._esm))


def live(figure: go.Figure) -> LiveFigure:
    """A widget that shows `figure` and that `redraw` can change."""
    widget = LiveFigure(figure)
    widget._config = CONFIG
    return widget


def redraw(widget: LiveFigure, figure: go.Figure) -> None:
    """Make `widget` show `figure`; traces are changed in place where they are of the same kinds."""
    with _drawing:
        _redraw(widget, figure)


def _redraw(widget, figure) -> None:
    same = [trace.type for trace in widget.data] == [trace.type for trace in figure.data]
    if same:
        uids = [trace.uid for trace in widget.data]
        data = [trace.to_plotly_json() for trace in figure.data]
        _synchronise(widget, figure, [{**d, "uid": u} for d, u in zip(data, uids, strict=True)])
    with widget.batch_update():
        if same:
            for old, new in zip(widget.data, data, strict=True):
                old.update(new, overwrite=True)
        else:
            widget.data = ()
            widget.add_traces(figure.data)
        widget.update_layout(figure.layout, overwrite=True)
    if not same:
        _synchronise(widget, figure, [trace.to_plotly_json() for trace in widget.data])


def _synchronise(widget, figure, data) -> None:
    # plotly sends changes to the pages that are open, but does not put them into the state that a
    # page which opens later asks for; that page would show the figure as it was first made
    widget._widget_data = data
    widget._widget_layout = figure.layout.to_plotly_json()
