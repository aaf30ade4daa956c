"""docs/claims.md says what was recorded."""

import write_claims_page


def test_page_is_what_was_recorded():
    assert write_claims_page.PAGE.read_text() == write_claims_page.page(), (
        "run tests/write_claims_page.py"
    )
