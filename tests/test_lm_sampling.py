"""The sampler: what may be chosen, how often, and that a seed says it all."""

import numpy as np
import pytest

import workbench as wb
from workbench.lm.sampling import Sampler

LOGITS = np.log(np.array([0.1, 0.4, 0.2, 0.25, 0.05], np.float32))


def drawn(sampler, logits=LOGITS, count=4000):
    rng = sampler.generator()
    return np.bincount([sampler.choose(logits, rng) for _ in range(count)], minlength=len(logits))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"temperature": 1}, [0.1, 0.4, 0.2, 0.25, 0.05]),
        ({"temperature": 1, "top_k": 2}, [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0]),
        ({"temperature": 1, "top_k": 1}, [0, 1, 0, 0, 0]),
        ({"temperature": 1, "top_k": 99}, [0.1, 0.4, 0.2, 0.25, 0.05]),
        ({"temperature": 1, "top_p": 0.6}, [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0]),
        ({"temperature": 1, "top_p": 0.39}, [0, 1, 0, 0, 0]),
        ({"temperature": 1, "top_p": 1e-9}, [0, 1, 0, 0, 0]),
        # 0.4 of what top-k left is 0.62 of it, enough for top-p 0.6
        ({"temperature": 1, "top_k": 2, "top_p": 0.6}, [0, 1, 0, 0, 0]),
        # top-p before temperature: a high one does not let more tokens in
        ({"temperature": 1e6, "top_p": 0.6}, [0, 0.5, 0, 0.5, 0]),
        ({"temperature": 0.5, "top_k": 2}, [0, 0.16 / 0.2225, 0, 0.0625 / 0.2225, 0]),
        ({"temperature": 0, "top_k": 3, "top_p": 0.5, "seed": 7}, [0, 1, 0, 0, 0]),
    ],
    ids=str,
)
def test_shares(settings, expected):
    counts, expected = drawn(Sampler(**settings)), np.array(expected)
    assert (counts[expected == 0] == 0).all()
    # four standard deviations
    assert (np.abs(counts - 4000 * expected) <= 4 * np.sqrt(4000 * expected) + 1e-9).all()


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_equal_logits_go_by_id(top_k):
    logits = np.array([0, 3, 3, 3, 3, 1], np.float32)
    assert Sampler().choose(logits, None) == 1
    counts = drawn(Sampler(temperature=1, top_k=top_k), logits, 200)
    assert set(np.flatnonzero(counts)) == set(range(1, 1 + top_k))


def test_a_seed_says_it_all():
    def draws(seed):
        sampler = Sampler(temperature=1, seed=seed)
        rng = sampler.generator()
        return [sampler.choose(LOGITS, rng) for _ in range(50)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


@pytest.mark.parametrize("filters", [{}, {"top_k": 40}, {"top_p": 0.9}], ids=str)
def test_filters_change_no_draw_that_they_let_through(filters):
    logits = np.random.default_rng(0).normal(size=500).astype(np.float32) * 8
    sampler = Sampler(temperature=0.7, **filters)
    allowed = set(np.argsort(-logits, kind="stable")[: 40 if "top_k" in filters else 500])
    assert {sampler.choose(logits, sampler.generator()) for _ in range(20)} <= allowed


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 0.999999, 1 - 1e-12])
@pytest.mark.parametrize("spread", [0, 0.01, 1, 8])
def test_top_p_takes_the_fewest_that_make_the_share(top_p, spread):
    logits = (np.random.default_rng(0).normal(size=3000) * spread).astype(np.float32)
    sampler = Sampler(temperature=1, top_p=top_p)
    order = np.argsort(-logits, kind="stable")
    chances = np.exp(logits[order].astype(np.float64) - logits.max())
    fewest = int((np.cumsum(chances) / chances.sum() < top_p - 1e-14).sum()) + 1
    found = sampler._filtered(logits)
    assert abs(len(found) - fewest) <= 1  # the last may hang on rounding
    np.testing.assert_array_equal(found, order[: len(found)])


@pytest.mark.parametrize("temperature", [1e-3, 1e-300, 1e-310, 5e-324])
@pytest.mark.parametrize("filters", [{}, {"top_k": 5}, {"top_p": 0.9}], ids=str)
def test_next_to_no_temperature_is_greedy(temperature, filters):
    logits = np.random.default_rng(0).normal(size=50).astype(np.float32)
    counts = drawn(Sampler(temperature, **filters), logits, 20)
    assert counts[logits.argmax()] == 20


def test_one_token_is_always_chosen():
    assert (
        Sampler(temperature=1, top_k=5, top_p=0.5).choose(np.zeros(1, np.float32), drawn_rng()) == 0
    )


def drawn_rng():
    return Sampler().generator()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("temperature", [0, 1])
def test_logits_that_are_not_finite_are_refused(value, temperature):
    logits = LOGITS.copy()
    logits[3] = value
    with pytest.raises(wb.WorkbenchError, match="NaN or infinity"):
        Sampler(temperature).choose(logits, drawn_rng())


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"temperature": -0.1}, "temperature is -0.1, but must be 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"top_k": -1}, "top_k is -1, but must be a whole number, 0"),
        ({"top_k": 1.5}, "top_k is 1.5"),
        ({"top_k": 2.0}, "top_k is 2.0"),
        ({"top_k": float("inf")}, "top_k is inf"),
        ({"top_k": "a"}, "top_k is a, but must be a whole number"),
        ({"top_p": 0}, "top_p is 0, but must be above 0"),
        ({"top_p": 1.01}, "top_p is 1.01"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.0}, "seed is 1.0, but must be a whole number"),
        ({"seed": float("inf")}, "seed is inf"),
    ],
    ids=str,
)
def test_refusals(settings, match):
    with pytest.raises(wb.WorkbenchError, match=match):
        Sampler(**settings)
