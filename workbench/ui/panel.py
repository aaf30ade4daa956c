"""What the panels have in common."""

import ipywidgets
import plotly.graph_objects as go

from workbench.ui import theme
from workbench.ui.live import LiveFigure, redraw

LIBRARIES = {"_esm", "_css"}  # megabytes that a page has once it has the widget


class Panel(ipywidgets.VBox):
    """Widgets in the style of the workbench that are up to date whenever a page shows them.

    A dashboard page asks for the state of all widgets once, and sets them up for a second or two.
    What a thread changes in between never arrives. So when the page reports that it shows the
    panel, everything is sent once more.
    """

    def __init__(self, children, **traits):
        super().__init__([theme.style(), *children], **traits)
        self.add_class("wb-panel")
        self._view_count = 0  # from None: have views counted
        self.observe(self._shown, "_view_count")

    def _shown(self, change) -> None:
        if change.new > (change.old or 0):
            for child in self.children:
                _send_again(child)


def _send_again(widget) -> None:
    if isinstance(widget, LiveFigure):
        redraw(widget, go.Figure(widget))
        return
    for part in (widget, widget.layout):
        part.send_state([key for key in part.keys if key not in LIBRARIES])
    for child in getattr(widget, "children", ()):
        _send_again(child)
