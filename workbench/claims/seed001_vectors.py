"""Seed 001: noise on ternary vectors, and its evolution towards a target."""

import numpy as np

from workbench.claims.attention import cosine
from workbench.claims.checks import Needs, check, null, says, shows
from workbench.claims.material import TERNARY, TRITS, held_out, present
from workbench.lm import divergence, open_language_model, perplexity
from workbench.lm.model import Model
from workbench.lm.scoring import Divergence
from workbench.lm.tensors import PROJECTIONS

NOISES = ("resampled", "another value", "negated")


def with_noise(trits: np.ndarray, share: float, kind: str, rng: np.random.Generator) -> np.ndarray:
    """A share of trits replaced: by a uniform trit, another one, or the negative."""
    hit = rng.random(trits.shape) < share
    if kind == "resampled":
        new = rng.choice(TRITS, size=trits.shape)
    elif kind == "another value":
        new = _another(trits, rng)
    else:
        new = -trits
    return np.where(hit, new, trits).astype(np.int8)


@check("trinity-noise-98", quick=False)
def noise(rng):
    """Cosine, nearest stored vector, largest output, and a language model, 30% of trits flipped."""
    for kind in NOISES:
        vector = rng.choice(TRITS, size=100_000)
        kept = cosine(vector.astype(float), with_noise(vector, 0.3, kind, rng).astype(float))
        yield says("accuracy", 0.98, kept, relation=">=", under=f"cosine, {kind}")
    for width, items in ((32, 100), (256, 100), (256, 1000), (10_240, 100)):
        for kind in NOISES:
            stored = rng.choice(TRITS, size=(items, width)).astype(np.float32)
            asked = with_noise(stored.astype(np.int8), 0.3, kind, rng).astype(np.float32)
            length = np.linalg.norm(stored, axis=1)
            right = ((asked @ (stored / length[:, None]).T).argmax(axis=1) == range(items)).mean()
            under = f"nearest of {items} of {width} trits, {kind}"
            yield says("accuracy", 0.98, right, relation=">=", under=under)
    agreed = []
    for _ in range(10):
        layer = rng.choice(TRITS, size=(1024, 512))
        x = rng.normal(size=(512, 50)).astype(np.float32)
        noisy = with_noise(layer, 0.3, "resampled", rng)
        same = (layer.astype(np.float32) @ x).argmax(0) == (noisy.astype(np.float32) @ x).argmax(0)
        agreed.append(same.mean())
    under = "largest of 1024 outputs of a random layer, resampled"
    yield says("accuracy", 0.98, np.mean(agreed), relation=">=", under=under)
    yield null("layers of 512 inputs", of=f"accuracy ({under})", sample=agreed)
    if not present(TERNARY):
        yield Needs(f"a natively ternary language model ({TERNARY})")
        return
    model, text = open_language_model(TERNARY), held_out(TERNARY, 2049)
    yield shows("perplexity of our ternary model", perplexity(model, text).perplexity)
    for kind in NOISES:
        found = divergence(flipped(model, 0.3, kind, rng), model, text)
        under = f"likeliest next token of our ternary model, {kind}"
        yield says("accuracy", 0.98, found.top1, relation=">=", under=under)
        yield shows("perplexity, times that before", _times(found), under=under)
    for share in (0.01, 0.03, 0.1):
        found = divergence(flipped(model, share, "resampled", rng), model, text)
        under = f"{share:.0%} of its trits resampled"
        yield shows("likeliest next token, as before", found.top1, under=under)
        yield shows("perplexity, times that before", _times(found), under=under)
    found = divergence(flipped(model, 1.0, "resampled", rng), model, text)
    yield null(
        "the same model of random trits", {"accuracy": found.top1, "perplexity": found.perplexity}
    )


def flipped(model: Model, share: float, kind: str, rng: np.random.Generator) -> Model:
    """The model with a share of the trits of its natively ternary matrices replaced."""
    noisy = {}
    for layer in range(model.config.layers):
        for projection in PROJECTIONS:
            name = f"blk.{layer}.{projection}"
            if model.ternary(name):
                weights = model.tensors[f"{name}.weight"]
                scale = np.abs(weights).max()  # one for the whole matrix, as it was trained
                trits = with_noise(np.sign(weights).astype(np.int8), share, kind, rng)
                noisy[f"{name}.weight"] = scale * trits.astype(np.float32)
    return model.with_tensors(noisy)


def _times(found: Divergence) -> float:
    return found.perplexity / found.reference_perplexity


@check("trinity-evolution-fitness", quick=False)
def evolution(rng):
    """The stored algorithm with and without copying genes from the target."""
    runs = ((10_000, 100), (50_000, 50), (100_000, 25))
    for width, generations in runs:
        for copies, under in ((True, "genes copied from the target"), (False, "no copying")):
            fitness, similarity = evolve(width, generations, copies, rng)
            name = f"{width:,} trits, {generations} generations"
            yield says(
                f"fitness, {name}", 0.80, fitness, relation=">=", tolerance=0.005, under=under
            )
            yield shows(f"cosine to the target, {name}", similarity, under=under)


def fitness_of(similarity: np.ndarray) -> np.ndarray:
    """The document's fitness: best where the cosine is 0.85, little for 0.95 and more."""
    s = similarity
    pieces = [s < 0.7, s <= 0.85, s <= 0.95]
    values = [s / 0.7, 1 + (s - 0.7) / 2, 1 - 2 * (s - 0.85)]
    return np.clip(np.select(pieces, values, 0.5 - 5 * (s - 0.95)), 0, 1.1)


def evolve(
    width: int, generations: int, copies: bool, rng: np.random.Generator, population: int = 30
) -> tuple[float, float]:
    """Fitness and cosine of the best trit vector.

    A third survives; others descend from the best of 3 drawn, crossed with another with
    probability 0.0618. Each gene is then copied from the target with probability
    0.2 (1 - 0.8 f_best) if `copies`, and changed to another value with probability 0.0382.
    """
    target = rng.choice(TRITS, size=width)
    people = rng.choice(TRITS, size=(population, width))
    for _ in range(generations):
        fitness = fitness_of(_similarities(people, target))
        order = np.argsort(-fitness)
        kept = population // 3
        children = people[order].copy()
        for child in range(kept, population):
            first, second = (max(rng.choice(population, 3), key=fitness.__getitem__) for _ in "ab")
            genes = people[first]
            if rng.random() < 0.0618:
                genes = np.where(rng.random(width) < 0.5, genes, people[second])
            chance = rng.random(width, np.float32)
            guided = 0.2 * (1 - 0.8 * fitness.max()) if copies else 0.0
            genes = np.where(chance < guided, target, genes)
            children[child] = np.where(chance > 1 - 0.0382, _another(genes, rng), genes)
        people = children
    similarity = _similarities(people, target)
    best = np.argmax(fitness_of(similarity))
    return float(fitness_of(similarity)[best]), float(similarity[best])


def _another(trits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of the two other values in each place."""
    return (trits + 1 + rng.integers(1, 3, trits.shape, np.int8)) % 3 - 1


def _similarities(people: np.ndarray, target: np.ndarray) -> np.ndarray:
    people, target = people.astype(np.float32), target.astype(np.float32)
    return people @ target / (np.linalg.norm(people, axis=1) * np.linalg.norm(target))
