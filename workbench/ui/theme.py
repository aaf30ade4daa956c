"""Light and dark: one style sheet for JupyterLab and the dashboards, one plotly template each.

A browser colours everything by the theme's CSS variables, figures included (`widgets.css`), so a
change of theme shows at once, with no kernel in between. What Python picks here is the look of a
figure outside a themed page: in a file, on GitHub, in an exported HTML.
"""

import math
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs

import ipywidgets
import plotly.graph_objects as go

Theme = Literal["light", "dark"]

# each has a contrast of at least 3:1 on both backgrounds, and stays apart for colour-blind eyes
BLUE, ORANGE, TEAL, MAGENTA, OCHRE, VIOLET, GREY = PALETTE = (
    "#2a86d1",
    "#dd6b1a",
    "#12967f",
    "#d4487f",
    "#9c7f10",
    "#8a6fd1",
    "#858585",
)
BACKGROUND: dict[Theme, str] = {"light": "#ffffff", "dark": "#111111"}
TEXT: dict[Theme, str] = {"light": "#212121", "dark": "#e6e6e6"}
GRID: dict[Theme, str] = {"light": "#e0e0e0", "dark": "#424242"}

# zero is dark in both themes: a matrix reads as a picture, bright where weights are large
ZERO = "#161616"
SIGNED = ((0.0, "#8fd0ff"), (0.25, BLUE), (0.5, ZERO), (0.75, ORANGE), (1.0, "#ffd08f"))
MAGNITUDE = ((0.0, ZERO), (0.5, VIOLET), (1.0, "#ffd9f0"))

STYLE_SHEET = Path(__file__).parent / "voila/templates/workbench/static/widgets.css"


def current_theme() -> Theme:
    """The theme asked for: ``WORKBENCH_THEME``, else ``?theme=`` of the page, else light."""
    query = parse_qs(os.environ.get("QUERY_STRING", ""))
    for asked in (os.environ.get("WORKBENCH_THEME"), *query.get("theme", ())):
        if asked in BACKGROUND:
            return asked
    return "light"


@cache
def template(theme: Theme) -> go.layout.Template:
    """Plotly template of a theme: background, text, grid, palette, margins."""
    axis = {
        "gridcolor": GRID[theme],
        "zerolinecolor": GRID[theme],
        "linecolor": GRID[theme],
        "automargin": True,
        "title": {"standoff": 8},
    }
    return go.layout.Template(
        layout={
            "paper_bgcolor": BACKGROUND[theme],
            "plot_bgcolor": BACKGROUND[theme],
            "font": {"color": TEXT[theme], "size": 13},
            "title": {"x": 0, "xref": "container", "xanchor": "left", "font": {"size": 16}},
            "colorway": PALETTE,
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 60, "r": 16, "t": 56, "b": 48},
            "hoverlabel": {"align": "left"},
            "legend": {"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0},
        }
    )


def finish(figure: go.Figure, title: str, height: int, theme: Theme | None = None) -> go.Figure:
    """The figure with title, height in pixels and the look of a theme, by default the page's."""
    return figure.update_layout(
        title=title, height=height, autosize=True, template=template(theme or current_theme())
    )


def log_axis(values: Iterable[float]) -> dict:
    """A logarithmic axis over positive values whose labels are whole numbers, not single digits."""
    found = [math.log10(value) for value in values if value > 0] or [0.0]
    low, high = min(found), max(found)
    if high - low > 2.5:
        return {"type": "log", "dtick": 1, "exponentformat": "power"}
    steps = (1, 2, 5) if high - low > 0.7 else (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8)
    decades = range(math.floor(low) - 1, math.ceil(high) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def style() -> ipywidgets.HTML:
    """The style sheet as a widget, for front ends other than our dashboards."""
    sheet = ipywidgets.HTML(f"<style>{STYLE_SHEET.read_text()}</style>")
    sheet.layout.display = "none"
    return sheet
