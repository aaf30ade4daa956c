"""A panel sends everything again when a page says that it shows it."""

import ipywidgets
import plotly.graph_objects as go
import pytest

from workbench.ui import figures, panel, theme
from workbench.ui.live import live
from workbench.ui.panel import LIBRARIES, Panel


@pytest.fixture
def sent(monkeypatch):
    """Names of the traits that are sent, by widget."""
    record = {}
    monkeypatch.setattr(
        ipywidgets.Widget, "send_state", lambda self, key=None: record.update({self: key})
    )
    return record


def test_showing_a_panel_sends_its_widgets_and_their_layouts(sent):
    label = ipywidgets.Label("text")
    shown = Panel([ipywidgets.HBox([label])])
    sent.clear()
    shown._view_count = 1
    assert {"value"} <= set(sent[label])
    assert {"display"} <= set(sent[label.layout])


def test_libraries_are_not_sent_again(sent):
    from itables.widget import ITable

    table = ITable()
    shown = Panel([table])
    sent.clear()
    shown._view_count = 1
    assert "_dt_args" in sent[table]
    assert not LIBRARIES & set(sent[table])


def test_figures_are_drawn_again(monkeypatch):
    figure = live(figures.pareto([]))
    shown = Panel([figure])
    drawn = []
    monkeypatch.setattr(panel, "redraw", lambda widget, new: drawn.append((widget, new)))
    shown._view_count = 1
    [(widget, new)] = drawn
    assert widget is figure
    assert isinstance(new, go.Figure)
    assert new.layout.title.text == figure.layout.title.text


def test_closing_a_view_sends_nothing(sent):
    shown = Panel([ipywidgets.Label()])
    shown._view_count = 1
    sent.clear()
    shown._view_count = 0
    assert not any(isinstance(widget, ipywidgets.Label) for widget in sent)


def test_the_style_sheet_comes_with_it():
    shown = Panel([])
    assert theme.STYLE_SHEET.read_text() in shown.children[0].value
