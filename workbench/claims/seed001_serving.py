"""Seed 001: speculative decoding, batching, prefix caching and chunked prefill, simulated."""

import numpy as np

from workbench.claims.checks import check, null, says, shows

ROUNDS = 100_000


def accepted(acceptance: float, drafted: int, rng: np.random.Generator) -> np.ndarray:
    """Drafted tokens accepted in each of many rounds, independently."""
    kept = rng.random((ROUNDS, drafted)) < acceptance
    return np.cumprod(kept, axis=1).sum(axis=1)


@check("trinity-spec-formula")
def speculation_formula(rng):
    """Rounds of 4 drafted tokens with one batched verification, against the formula."""
    for a, said in ((0.8, "2.2"), (0.9, "2.9")):
        yield says(f"formula as computed, acceptance {a}", said, 4 / (1 + (1 - a) * 4))
    for a in (0.5, 0.8, 0.9):
        formula = 4 / (1 + (1 - a) * 4)
        tokens = (accepted(a, 4, rng) + 1).mean()
        yield shows(f"tokens a round, acceptance {a}", tokens)
        yield shows(f"(1 - a^5) / (1 - a), acceptance {a}", (1 - a**5) / (1 - a))
        for cost in (0, 1 / 8, 1 / 4):
            name = f"speed-up, acceptance {a}, draft cost {cost:g}"
            yield says(name, formula, tokens / (1 + 4 * cost), tolerance=0.05 * formula)


@check("trinity-spec-sequential")
def sequential_verification(rng):
    """One full pass for each drafted token up to the first rejected one, and one for the bonus."""
    for a in (0.8, 0.9):
        kept = accepted(a, 4, rng)
        emitted = kept + 1
        passes = np.minimum(kept + 1, 4) + (kept == 4)  # the bonus token takes a pass of its own
        speed = emitted.sum() / (passes + 4 / 8).sum()
        yield says(f"speed-up, acceptance {a}, draft cost 1/8", 2.0, speed, relation=">=")


@check("trinity-spec-lossless")
def lossless_speculation(rng):
    """Distribution of the emitted token against the target's, random pairs over 8 tokens."""
    distances = {"standard residual": [], "as stored": []}
    for _ in range(4000):
        p, q = rng.dirichlet(np.ones(8), 2)
        accept = np.minimum(1, p / q)
        standard = np.maximum(0, p - q) / np.maximum(0, p - q).sum()
        exact = q * accept + (q * (1 - accept)).sum() * standard
        stored = q * accept
        for token in range(8):  # the draft's probability is taken off at the drafted token alone
            residual = p.copy()
            residual[token] = max(0, p[token] - q[token])
            stored = stored + q[token] * (1 - accept[token]) * residual / residual.sum()
        distances["standard residual"].append(np.abs(exact - p).sum() / 2)
        distances["as stored"].append(np.abs(stored - p).sum() / 2)
    label = "total variation as stored, mean"
    yield says(label, 0.0, np.mean(distances["as stored"]), tolerance=1e-9)
    yield shows("largest", np.max(distances["as stored"]))
    yield null("standard residual max(0, p - q)", of=label, sample=distances["standard residual"])


@check("trinity-cont-batching")
def continuous_batching(rng):
    """2000 requests in fixed batches, which wait for their longest, and in refilled slots."""
    draws = {
        "exponential": lambda: rng.exponential(200, 2000),
        "uniform": lambda: rng.uniform(0, 400, 2000),
        "equal": lambda: np.full(2000, 200.0),
    }
    for name, draw in draws.items():
        for batch in (4, 8, 32):
            lengths = np.maximum(1, np.ceil(draw()))
            speed = _static(lengths, batch) / _continuous(lengths, batch)
            under = f"{name} lengths, batch of {batch}"
            yield says("throughput over static batching", 2.0, speed, relation=">=", under=under)


@check("trinity-prefix-90p1")
def prefix_caching():
    """100 requests of 100 shared and 10 own tokens, the shared ones computed once."""
    plain = sum(100 + 10 for _ in range(100))
    cached = 100 + sum(10 for _ in range(100))
    yield says("tokens without cache", 11_000, plain)
    yield says("tokens with cache", 1_090, cached)
    yield says("reduction", "90.1", 100 * (1 - cached / plain), unit="%")
    other = 100 * (1 - (100 + 100 * 100) / (100 * 200))
    yield shows("reduction with 100 own tokens", other, unit="%")


@check("trinity-chunked-33")
def chunked_prefill():
    """Mean time to the end of prefill, one request after the other and chunks of 512 in turn."""
    loads = {
        "4 of 2048": [2048] * 4,
        "2048, then 3 of 64": [2048, 64, 64, 64],
        "3 of 2048, then 64": [2048, 2048, 2048, 64],
    }
    for name, load in loads.items():
        in_order, in_turn = np.mean(np.cumsum(load)), np.mean(_round_robin(load, 512))
        change = 100 * (in_turn / in_order - 1)
        if name == "4 of 2048":
            yield shows("in order", in_order, unit="token-times")
            yield shows("chunks in turn", in_turn, unit="token-times")
            yield says("change of the time to first token", "-33", change, unit="%")
        else:
            yield shows(f"change, {name}", change, unit="%")
    waiting = np.mean(np.cumsum([0, 2048, 2048, 2048]))
    yield shows("waiting before the start, in order, which the 33% compares", waiting)


def _static(lengths: np.ndarray, batch: int) -> float:
    return sum(lengths[start : start + batch].max() for start in range(0, len(lengths), batch))


def _continuous(lengths: np.ndarray, batch: int) -> float:
    free = np.zeros(batch)  # when each slot is free
    for length in lengths:
        free[np.argmin(free)] += length
    return free.max()


def _round_robin(load: list[int], chunk: int) -> list[int]:
    """When each request's prefill ends."""
    left, clock, ends = list(load), 0, [0] * len(load)
    while any(left):
        for request, tokens in enumerate(left):
            if tokens:
                done = min(chunk, tokens)
                clock, left[request] = clock + done, tokens - done
                ends[request] = clock
    return ends
