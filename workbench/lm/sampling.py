"""How the next token is chosen from logits.

The filters come in llama.cpp's order: top-k, then top-p, then temperature. So top-p looks at the
model's own probabilities, of what top-k left, and temperature only sets the odds among the
tokens that remain.

>>> import numpy as np
>>> sampler = Sampler(temperature=0.8, top_k=2, seed=1)
>>> logits = np.array([1, 5, 4, 0], np.float32)
>>> rng = sampler.generator()
>>> [sampler.choose(logits, rng) for _ in range(8)]
[1, 2, 1, 2, 1, 1, 2, 1]
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float32, Float64

from workbench.errors import WorkbenchError
from workbench.lm.inputs import is_whole

FEW = 1024  # tokens that nearly always hold what top-p wants


@final
@dataclass(frozen=True)
class Sampler:
    """Greedy, or random with a seed; without a filter every token can be chosen.

    Parameters
    ----------
    temperature : float
        Logits are divided by it; 0: the token with the highest logit, whatever the filters say.
    top_k : int
        Only the k tokens with the highest logits; 0: all.
    top_p : float
        Only the fewest likely tokens whose probabilities make at least p; 1: all.
    seed : int
        0 or more.

    Raises
    ------
    WorkbenchError
        A value out of range.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self):
        for name, allowed, fits in (
            ("temperature", "0 (greedy) or more", 0 <= self.temperature < np.inf),
            ("top_k", "a whole number, 0 (all) or more", is_whole(self.top_k) and self.top_k >= 0),
            ("top_p", "above 0 and at most 1 (all)", 0 < self.top_p <= 1),
            ("seed", "a whole number, 0 or more", is_whole(self.seed) and self.seed >= 0),
        ):
            if not fits:
                raise WorkbenchError(f"{name} is {getattr(self, name)}, but must be {allowed}")

    def generator(self) -> np.random.Generator:
        """A new source of randomness from the seed; one a text."""
        return np.random.default_rng(int(self.seed))

    def choose(self, logits: Float32[np.ndarray, " vocab"], rng: np.random.Generator) -> int:
        """The next token.

        Equal logits are ordered by id, and everything after the logits is float64 on one thread,
        so equal logits and seeds give equal tokens.

        Parameters
        ----------
        logits : float32 array (vocab,)
        rng : Generator
            Of `generator`; one number is drawn from it, or none where greedy.

        Raises
        ------
        WorkbenchError
            A logit is not finite.
        """
        if not np.isfinite(logits).all():
            raise WorkbenchError("the logits hold NaN or infinity, so no token can be chosen")
        if self.temperature == 0:
            return int(np.argmax(logits))  # the first of equals
        ids = self._filtered(logits)
        odds = logits[ids].astype(np.float64)
        odds -= odds.max()
        with np.errstate(over="ignore"):  # so little temperature that only the highest has a chance
            odds /= self.temperature
        sums = np.cumsum(np.exp(odds))
        drawn = np.searchsorted(sums, rng.random() * sums[-1], side="right")
        return int(ids[min(drawn, len(ids) - 1)])

    def _filtered(self, logits: Float32[np.ndarray, " vocab"]) -> np.ndarray:
        """Ids of the tokens that may be chosen; the likeliest first, where a filter is set."""
        vocab = len(logits)
        top_k = min(self.top_k or vocab, vocab)
        if self.top_p == 1:
            return np.arange(vocab) if top_k == vocab else _highest(logits, top_k)
        if top_k < vocab:
            ids = _highest(logits, top_k)
            chances = _chances(logits[ids])
            return ids[: _enough(chances, self.top_p * chances.sum())]
        share = self.top_p * _chances(logits).sum()
        ids = _highest(logits, min(FEW, vocab))
        chances = _chances(logits[ids])
        if chances.sum() < share:  # rare, and sorting all takes as long as a small model's step
            ids = _highest(logits, vocab)
            chances = _chances(logits[ids])
        return ids[: _enough(chances, share)]


def _chances(logits: Float32[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Probabilities but for a factor: the highest is 1."""
    return np.exp(logits.astype(np.float64) - logits.max())


def _enough(chances: Float64[np.ndarray, " n"], share: float) -> int:
    """How many of the falling chances make at least the share."""
    return int(np.searchsorted(np.cumsum(chances), share, side="left")) + 1


def _highest(logits: Float32[np.ndarray, " vocab"], count: int) -> np.ndarray:
    """Ids of the `count` highest logits, the highest first, equals by id."""
    if count < len(logits):  # sort only what can be among them
        least = np.partition(logits, len(logits) - count)[len(logits) - count]
        ids = np.flatnonzero(logits >= least)
    else:
        ids = np.arange(len(logits))
    return ids[np.argsort(-logits[ids], kind="stable")][:count]
