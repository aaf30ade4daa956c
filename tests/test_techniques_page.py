"""docs/techniques.md says what the code says."""

import write_techniques_page


def test_page_is_what_the_techniques_say():
    assert write_techniques_page.PAGE.read_text() == write_techniques_page.page(), (
        "run tests/write_techniques_page.py"
    )
