"""The served dashboards in a real Chromium: they show, they move, they ask nobody else."""

import json
import os
import signal
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError
from servers import dashboard_server, running_server, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
LATE = 100  # changes, a tenth of a second apart
NOTEBOOK_S = 180_000  # milliseconds that a notebook may take to run and show on a busy machine
WIDTHS_AND_THEMES = [(1200, "light"), (700, "dark")]
FIGURES = """() => JSON.stringify([...document.querySelectorAll('.js-plotly-plot')].map(
    plot => plot.data.map(trace => [trace.y, trace.z].map(v => v && Array.from(v).flat()))))"""


def wait_until_run(page):
    """The notebook behind a page has run, and nothing was left out."""
    try:
        page.wait_for_selector("#loading", state="detached", timeout=NOTEBOOK_S)
    except TimeoutError as error:
        said = page.locator("#loading").inner_text()
        raise AssertionError(f"the page still says: {said}") from error
    page.wait_for_selector(".widget-dropdown, .widget-slider, .wb-problem", timeout=NOTEBOOK_S)
    assert page.locator(".wb-problem").all_inner_texts() == []
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=NOTEBOOK_S)


def change(page, selector, act):
    """Do `act` and wait until figures and numbers have both changed."""
    page.locator(".wb-numbers").first.wait_for()
    figures, numbers = page.evaluate(FIGURES), page.locator(selector).first.inner_text()
    act()
    page.wait_for_function(f"before => ({FIGURES})() !== before", arg=figures)
    page.wait_for_function(
        "([selector, before]) => document.querySelector(selector).innerText !== before",
        arg=[selector, numbers],
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A server of small pages: one that explores, one that compares, one that is broken."""
    folder = tmp_path_factory.mktemp("small")
    write_notebook(
        folder / "0-explore.ipynb",
        [
            "# Explore\n\nSome prose with $x^2$.",
            "from workbench.ui.explorer import Explorer",
            "Explorer('uniform', tensor='blk.0.attn_k.weight')",
        ],
        question="Does it move?",
        run_time="5 s",
    )
    write_notebook(
        folder / "1-compare.ipynb",
        [
            "# Compare",
            "from workbench.ui.compare_panel import ComparePanel",
            "ComparePanel(tensors='blk.0.*', techniques=['q4_0', 'uniform'])",
        ],
    )
    write_notebook(
        folder / "3-late.ipynb",
        [
            "# Changes from a thread, all the while the page is set up",
            "import threading, time, ipywidgets\n"
            "from workbench.ui.panel import Panel\n"
            f"labels = [ipywidgets.Label('not yet') for _ in range({LATE})]\n"
            "def late():\n"
            "    for label in labels:\n"
            "        time.sleep(0.1)\n"
            "        label.value = 'arrived'\n"
            "threading.Thread(target=late, daemon=True).start()\n"
            "Panel(labels)",
        ],
    )
    write_notebook(
        folder / "2-broken.ipynb",
        ["# Broken", "raise ValueError('no <b>such</b> thing')", "# Never reached"],
    )
    with dashboard_server(folder) as address:
        yield address


@pytest.fixture(scope="module")
def real():
    """The workbench's own dashboards."""
    with dashboard_server(NOTEBOOKS[0].parent) as address:
        yield address


@pytest.mark.parametrize(("width", "theme"), WIDTHS_AND_THEMES)
def test_landing_page_has_a_card_a_notebook(real, visit, screenshots, width, theme):
    visited = visit(real, width, theme, height=900)
    page = visited.page
    page.wait_for_load_state("networkidle")
    assert page.locator(".wb-card").count() == len(NOTEBOOKS)
    for path, card in zip(NOTEBOOKS, page.locator(".wb-card").all(), strict=True):
        about = json.loads(path.read_text())["metadata"]["workbench"]
        assert about["question"] in card.inner_text()
        assert about["run_time"] in card.inner_text()
        assert card.locator("img").evaluate("image => image.naturalWidth") > 0
    page.screenshot(path=screenshots / f"landing-{theme}-{width}.png")
    page.locator(".wb-card").first.click(no_wait_after=True)
    page.wait_for_url(f"**/voila/render/{NOTEBOOKS[0].name}", wait_until="commit")
    visited.check()


def explore(page):
    page.get_by_label("tensor").select_option(index=0)


def explored(page):
    page.wait_for_function("!document.querySelector('.wb-numbers').innerText.includes('...')")


def race(page):
    page.get_by_label("rows").fill("512")
    page.get_by_label("columns").fill("768")
    page.get_by_role("button", name="Race").click()
    page.get_by_text("512 × 768").first.wait_for()


def raced(page):
    page.get_by_text("GB/s").nth(2).wait_for(state="attached")


def compare(page):
    page.get_by_role("button", name="none", exact=True).click()
    page.locator(".wb-checks input:checked").first.wait_for(state="detached")
    page.get_by_label("q4_0", exact=True).check()
    page.get_by_role("button", name="Compare").click()
    page.locator("table.dataTable tbody tr:only-child td", has_text="q4_0").first.wait_for()


def compared(page):
    page.get_by_role("button", name="all", exact=True).click()
    page.get_by_role("button", name="Compare").click()
    page.locator("table.dataTable tbody tr").nth(9).wait_for()


def look_up(page):
    page.get_by_label("weights", exact=True).select_option("shuffled rows")
    page.locator("table.wb-table tr.wb-own", has_text="shuffled rows").wait_for()
    page.get_by_role("button", name="Measure").click()
    page.get_by_text("The fastest lookup").last.wait_for()


def looked_up(page):
    page.get_by_role("button", name="Add up the layers", disabled=False).click()
    page.get_by_role("button", name="Add up the layers", disabled=True).wait_for()
    page.get_by_role("button", name="Add up the layers", disabled=False).wait_for()


def write(page):
    page.get_by_label("prompt").fill("In the beginning")
    page.get_by_role("button", name="Write").click()
    page.locator(".wb-text", has_text="In the beginning").wait_for()


def written(page):
    ended = page.locator(".wb-tile[data-key=tokens]").get_by_text("not at its end")
    ended.wait_for(state="hidden")


def tick(page):
    page.get_by_label("embedding", exact=True).check()
    page.locator("table.wb-table tbody tr.wb-own", has_text="embedding").last.wait_for()


def ticked(page):
    page.wait_for_timeout(1000)


def round_otherwise(page):
    page.get_by_label("rounding", exact=True).select_option("rms")
    page.locator(".wb-writings", has_text="rounding=rms").wait_for()


def rounded(page):
    page.locator("table.wb-table tbody", has_text="rounding=rms").wait_for()


# what changes figures and numbers, and what then waits for a page worth a picture
MOVES = {
    "00-start-here": (explore, explored),
    "01-ternary-weights": (explore, explored),
    "02-ternary-matmul": (race, raced),
    "03-compare": (compare, compared),
    "10-lookup-tables": (look_up, looked_up),
    "20-run-a-model": (write, written),
    "21-ternary-transformer": (tick, ticked),
    "22-train-a-ternary-model": (round_otherwise, rounded),
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_dashboard_shows_and_moves(real, visit, screenshots, path):
    visited = visit(f"{real}voila/render/{path.name}")
    page = visited.page
    wait_until_run(page)
    page.wait_for_timeout(1500)  # figures fade in
    page.screenshot(path=screenshots / f"{path.stem}-light-1200.png", full_page=True)

    if path.stem in MOVES:
        move, settle = MOVES[path.stem]
        before = page.evaluate(FIGURES), page.locator("#rendered_cells").inner_text()
        move(page)
        page.wait_for_function(f"before => ({FIGURES})() !== before", arg=before[0])
        text = "before => document.querySelector('#rendered_cells').innerText !== before"
        page.wait_for_function(text, arg=before[1])
        settle(page)
        page.get_by_role("button", name="Cancel").wait_for(state="hidden")

    panel = page.locator(".wb-panel").last
    panel.screenshot(path=screenshots / f"{path.stem}-panel-light-1200.png")
    page.get_by_role("button", name="Dark theme").click()
    panel.screenshot(path=screenshots / f"{path.stem}-panel-dark-1200.png")
    page.set_viewport_size({"width": 700, "height": 1400})
    page.wait_for_timeout(1500)
    page.screenshot(path=screenshots / f"{path.stem}-dark-700.png", full_page=True)
    assert page.locator(".wb-problem").all_inner_texts() == []
    visited.check()


def test_a_moved_slider_changes_figure_and_numbers(small, visit, screenshots):
    visited = visit(f"{small}voila/render/0-explore.ipynb")
    page = visited.page
    wait_until_run(page)
    slider = page.get_by_role("slider").first

    def move():
        slider.focus()
        page.keyboard.press("ArrowLeft")

    change(page, ".wb-tile[data-key=bits_per_weight]", move)
    assert page.locator(".wb-tile[data-key=bits_per_weight] b").inner_text().startswith("3.")
    page.screenshot(path=screenshots / "explorer-moved.png", full_page=True)

    def choose():
        page.get_by_label("technique").select_option("planar-ternary")

    change(page, ".wb-tile[data-key=bits_per_weight]", choose)
    assert page.locator(".wb-tile[data-key=bits_per_weight] b").inner_text().startswith("2.")
    visited.check()


def test_what_is_not_allowed_is_said_beside_the_control(small, visit):
    visited = visit(f"{small}voila/render/0-explore.ipynb")
    page = visited.page
    wait_until_run(page)
    page.get_by_label("all of them").uncheck()
    page.get_by_label("scale", exact=True).select_option("tensor")
    problem = page.locator(".wb-problem")
    problem.wait_for()
    assert "groups lie within rows" in problem.inner_text()
    page.get_by_label("scale", exact=True).select_option("row")
    problem.wait_for(state="detached")
    visited.check()


def test_compare_grows_and_can_be_cancelled(small, visit, screenshots):
    visited = visit(f"{small}voila/render/1-compare.ipynb")
    page = visited.page
    wait_until_run(page)
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Take the files away").wait_for(timeout=NOTEBOOK_S)
    rows = page.locator("table.dataTable tbody tr")
    rows.nth(7).wait_for(timeout=NOTEBOOK_S)  # 4 matrices, 2 techniques
    page.screenshot(path=screenshots / "compare-done.png", full_page=True)
    page.get_by_role("button", name="all", exact=True).click()
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel").wait_for(state="hidden", timeout=NOTEBOOK_S)
    assert page.get_by_role("button", name="Compare").is_enabled()
    visited.check()


def test_what_a_thread_changes_while_a_page_is_set_up_arrives(small, visit):
    visited = visit(f"{small}voila/render/3-late.ipynb")
    arrived = visited.page.get_by_text("arrived")
    arrived.nth(LATE - 1).wait_for()
    assert visited.page.get_by_text("not yet").count() == 0
    visited.check()


def test_the_theme_button_switches_page_and_figures_and_is_remembered(small, visit):
    visited = visit(f"{small}voila/render/0-explore.ipynb")
    page = visited.page
    wait_until_run(page)
    look = """() => [getComputedStyle(document.body).backgroundColor,
        getComputedStyle(document.querySelector('.gtitle')).fill]"""
    light = page.evaluate(look)
    page.get_by_role("button", name="Dark theme").click()
    dark = page.evaluate(look)
    assert all(before != after for before, after in zip(light, dark, strict=True))
    page.goto(small)
    assert page.get_by_role("button", name="Light theme").is_visible()
    page.goto(f"{small}?theme=light")
    assert page.get_by_role("button", name="Dark theme").is_visible()
    visited.check()


def test_a_broken_notebook_says_so_in_place(small, visit):
    page = visit(f"{small}voila/render/2-broken.ipynb").page
    problem = page.locator(".wb-problem")
    problem.wait_for(timeout=NOTEBOOK_S)
    assert "ValueError: no <b>such</b> thing" in problem.inner_text()
    assert "The rest of this page was not run." in problem.inner_text()
    assert page.get_by_text("Never reached").count() == 0


def test_an_unknown_page_is_one_sentence(small, visit):
    page = visit(f"{small}voila/render/nothing.ipynb").page
    assert page.locator(".wb-problem").inner_text() == "There is no dashboard at this address."


def test_a_killed_kernel_is_told_of(small, visit):
    page = visit(f"{small}voila/render/0-explore.ipynb").page
    wait_until_run(page)
    config = json.loads(page.locator("#jupyter-config-data").inner_text())
    kill_kernel(config["kernelId"])
    notice = page.locator("#wb-notice")
    notice.wait_for(timeout=30_000)
    assert "kernel that computes this page has ended" in notice.inner_text()


def kill_kernel(kernel_id):
    """End the process whose connection file carries this id, and no other."""
    import psutil

    found = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(kernel_id in part for part in process.info["cmdline"] or [])
    ]
    assert len(found) == 1
    os.kill(found[0].pid, signal.SIGKILL)


def test_jupyterlab_opens_a_notebook_without_the_network(visit, screenshots, tmp_path):
    code = (
        "import workbench.ui.launch as launch\n"
        f"launch.writable_notebooks = lambda here: {os.fspath(tmp_path)!r}\n"
        "launch.lab(port=0)"
    )
    write_notebook(
        tmp_path / "00-start-here.ipynb",
        [
            "# Lab",
            "from workbench.ui.explorer import Explorer",
            "Explorer('uniform', tensor='blk.0.attn_k.weight')",
        ],
    )
    with running_server(code, HOME=os.fspath(tmp_path)) as (_, address):
        visited = visit(address)
        page = visited.page
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=NOTEBOOK_S)
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=NOTEBOOK_S)
        page.wait_for_timeout(2000)  # it says so a moment before it can be asked
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.wait_for_selector(".js-plotly-plot .main-svg", timeout=NOTEBOOK_S)
        assert page.locator(".wb-tile").first.is_visible()
        page.wait_for_timeout(1500)
        page.screenshot(path=screenshots / "lab.png")
        visited.check()
