"""The panel of claims in a real Chromium: the list leads, the card follows, a check runs."""

import pytest
from servers import dashboard_server, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WAIT_MS = 120_000


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("claims")
    write_notebook(
        folder / "claims.ipynb",
        [
            "# Claims",
            "from workbench.ui.claims_panel import ClaimsPanel",
            "ClaimsPanel(seed=1, claim='trinity-radix-e4')",
        ],
    )
    with dashboard_server(folder) as at:
        yield f"{at}voila/render/claims.ipynb"


@pytest.mark.parametrize(("width", "theme"), [(1200, "light"), (700, "dark")])
def test_filter_walk_and_run(address, visit, screenshots, width, theme):
    visited = visit(address, width, theme)
    page = visited.page
    page.wait_for_selector("#loading", state="detached", timeout=WAIT_MS)
    page.get_by_text("E(4) = 3.000 ln N").first.wait_for(timeout=WAIT_MS)
    page.get_by_role("button", name="Run this check").click()
    page.get_by_text("wrong, as recorded").wait_for(timeout=WAIT_MS)

    page.get_by_label("document").select_option("004 Golden-ratio truth space")
    page.get_by_label("text").fill("60.1% of errors")
    names = page.locator(".wb-claim-list option")
    page.wait_for_function("document.querySelectorAll('.wb-claim-list option').length === 1")
    assert names.first.inner_text().split() == ["✗", "phi-60p1"]
    page.locator(".claims article svg").nth(1).wait_for()
    assert page.get_by_label("model", exact=True).is_visible()

    page.get_by_label("text").fill("")
    page.wait_for_function("document.querySelectorAll('.wb-claim-list option').length > 9")
    page.locator(".wb-claim-list select").focus()
    page.keyboard.press("ArrowDown")
    page.locator("#phi-z-3p10").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=screenshots / f"claims-panel-{theme}-{width}.png", full_page=True)
    visited.check()
