"""The verdict follows from the parts, by one rule."""

import numpy as np
import pytest

from workbench.claims.checks import check, judge, null, says, shows

HOLDS = says("a", 1, 1)
FAILS = says("b", 1, 2)
UNDER_GOOD = says("c", 1, 1, under="one reading")
UNDER_BAD = says("c", 1, 2, under="another")
EVIDENCE = shows("d", 3)


@pytest.mark.parametrize(
    ("parts", "needs", "reason", "word"),
    [
        ([HOLDS], "", "", "confirmed"),
        ([HOLDS, EVIDENCE], "", "", "confirmed"),
        ([HOLDS, FAILS], "", "", "wrong"),
        ([HOLDS, FAILS], "a model", "", "wrong"),
        ([HOLDS], "a model", "", "open"),
        ([EVIDENCE], "a model", "", "open"),
        ([], "a model", "", "open"),
        ([FAILS], "", "undefined", "not testable"),
        ([UNDER_GOOD, UNDER_BAD], "", "", "depends"),
        ([HOLDS, UNDER_GOOD, UNDER_BAD], "", "", "depends"),
        ([FAILS, UNDER_GOOD, UNDER_BAD], "", "", "wrong"),
        ([UNDER_BAD], "", "", "wrong"),
        ([UNDER_GOOD], "", "", "confirmed"),
    ],
)
def test_rule(parts, needs, reason, word):
    assert judge(parts, needs, reason)[0] == word


def test_condition_names_both_sides():
    assert judge([UNDER_GOOD, UNDER_BAD])[1] == "holds under: one reading; fails under: another"


def test_a_reading_holds_only_as_a_whole():
    parts = [UNDER_GOOD, says("e", 1, 2, under="one reading"), says("c", 1, 1, under="third")]
    assert judge(parts) == ("depends", "holds under: third; fails under: one reading")


def test_nothing_judged_is_refused():
    with pytest.raises(ValueError, match="must say what it needs"):
        judge([EVIDENCE])


@pytest.mark.parametrize(
    ("claimed", "measured", "holds"),
    [
        ("44", 44.08, True),
        ("466", 466.67, True),
        ("5.2", 5.38, False),
        ("1.25", 1.28, False),
        ("90.1", 90.0, False),
        ("3.3e6", 3_294_720, True),
        ("-33", 45.0, False),
        ("2.00", 1.785, False),
    ],
)
def test_printed_numbers_stand_for_what_rounds_or_truncates_to_them(claimed, measured, holds):
    assert says("size", claimed, measured).holds is holds


@pytest.mark.parametrize(
    ("relation", "measured", "holds"),
    [("<=", 9, True), ("<=", 11, False), (">=", 11, True), (">=", 9, False), ("=", 10.4, True)],
)
def test_relations(relation, measured, holds):
    assert says("x", 10, measured, relation=relation, tolerance=0.5).holds is holds


def test_text_and_lists_are_compared_whole():
    assert says("factors", [7, 11], np.array([7, 11])).holds
    assert not says("word", "table", "tables").holds


def test_numbers_become_plain():
    part = says("x", 1, np.float32(1))
    assert type(part.measured) is float
    assert type(shows("y", np.bool_(True)).measured) is bool


def test_null_keeps_a_bounded_sample_and_its_spread():
    found = null("control", {"mean of another": 1}, of="x", sample=np.arange(1001))
    assert len(found.sample) == 200
    assert (found.sample[0], found.sample[-1]) == (0, 1000)
    assert found.numbers == {"mean of another": 1, "mean": 500, "5%": 50, "95%": 950}


def test_a_second_check_of_a_claim_is_refused():
    with pytest.raises(TypeError, match="'lut-466x' has two checks"):

        @check("lut-466x")
        def another():
            yield EVIDENCE
