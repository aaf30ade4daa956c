"""Seed 003: Clifford products, octonions and the groups that the document names."""

from itertools import permutations

import numpy as np

from workbench.claims.checks import check, says, shows
from workbench.claims.factoring import COMPOSITES, class_of, coordinates, prime_factors

# Lines of the Fano plane: e_i e_j = e_k for each cyclic order of (i, j, k).
LINES = ((1, 2, 4), (2, 3, 5), (3, 4, 6), (4, 5, 7), (5, 6, 1), (6, 7, 2), (7, 1, 3))


def octonion_table() -> tuple[np.ndarray, np.ndarray]:
    """Index and sign of e_i e_j, two int arrays (8, 8); e_0 is the unit."""
    index, sign = np.zeros((8, 8), int), np.ones((8, 8), int)
    index[0], index[:, 0] = range(8), range(8)
    for i in range(1, 8):
        index[i, i], sign[i, i] = 0, -1
    for line in LINES:
        for turn in range(3):
            i, j, k = line[turn:] + line[:turn]
            index[i, j] = index[j, i] = k
            sign[j, i] = -1
    return index, sign


def clifford_class(classes: list[int]) -> int | None:
    """The class of a product of lifts up to sign, None where it is no scalar or single vector.

    A lift is r^h2 (x) e_l (x) tau^d with e_0 = 1; blades multiply by symmetric difference,
    whichever sign the squares have.
    """
    h2, d, blade = 0, 0, 0
    for c in classes:
        h, e, vector = coordinates(c)
        h2, d = h2 + h, d + e
        blade ^= (1 << vector) >> 1  # e_0 is the empty blade
    if blade.bit_count() > 1:
        return None
    return class_of(h2, d, blade.bit_length())


def octonion_class(classes: list[int]) -> int:
    """The same with the octonions' product, which never leaves the classes."""
    index, _ = octonion_table()
    h2, d, unit = 0, 0, 0
    for c in classes:
        h, e, vector = coordinates(c)
        h2, d, unit = h2 + h, d + e, index[unit, vector]
    return class_of(h2, d, int(unit))


@check("fusion-lift-multiplicative")
def lift_is_not_multiplicative():
    """lift(n) against the product of the lifts of its prime factors, up to sign, all composites."""
    products = {n: clifford_class(prime_factors(n)) for n in COMPOSITES}
    same = sum(products[n] == n for n in COMPOSITES)
    yield says("composites where they agree, Clifford product", len(COMPOSITES), same)
    classes = sum(c is not None for c in products.values())
    yield shows("products that are a class at all", classes)
    same = sum(octonion_class(prime_factors(n)) == n for n in COMPOSITES)
    yield says("composites where they agree, octonion product", len(COMPOSITES), same)


@check("fusion-96-8x4x3")
def dimension():
    """Dimensions of the algebras, counted as their basis blades."""
    yield says("8 x 4 x 3", 96, 8 * 4 * 3)
    blades = len({frozenset(i for i in range(7) if mask >> i & 1) for mask in range(2**7)})
    yield says("dimension of Cl(0,7)", 8, blades)
    yield shows("of the whole algebra", blades * 4 * 3)


@check("fusion-7-odd-contexts")
def odd_contexts():
    """Odd numbers among the contexts 0 to 7, and the imaginary units."""
    odd = [i for i in range(8) if i % 2]
    yield says("odd contexts", 7, len(odd))
    index, sign = octonion_table()
    units = [i for i in range(8) if index[i, i] == 0 and sign[i, i] == -1]
    yield shows("contexts that square to -1", units)


@check("fusion-e7-automorphism")
def derivations():
    """Rank of the equations D(xy) = D(x)y + xD(y) over the octonions' basis."""
    index, sign = octonion_table()
    product = np.zeros((8, 8, 8))  # e_i e_j = sum_k product[i, j, k] e_k
    i, j = np.indices((8, 8))
    product[i, j, index] = sign
    unit = np.eye(8)
    equations = (  # of D e_m = sum_n D[m, n] e_n, one for each (i, j, k)
        np.einsum("ijm,kn->ijkmn", product, unit)  # D(e_i e_j)
        - np.einsum("njk,im->ijkmn", product, unit)  # D(e_i) e_j
        - np.einsum("ink,jm->ijkmn", product, unit)  # e_i D(e_j)
    )
    rank = np.linalg.matrix_rank(equations.reshape(512, 64))
    yield says("dimension of the automorphism group of the octonions", 133, 64 - int(rank))
    yield says("133 mod 96", 37, 133 % 96)
    yield says("prime factors of 37", [37], prime_factors(37))


@check("fusion-2048")
def signed_permutations():
    """All 5040 permutations and 128 sign changes of the units against the octonions' product."""
    index, sign = octonion_table()
    lines = {frozenset(line) for line in LINES}
    signs = np.array([[1 - 2 * (mask >> k & 1) for k in range(7)] for mask in range(128)])
    signs = np.hstack([np.ones((128, 1), int), signs])  # of e_0 to e_7
    collineations, automorphisms, sign_changes = 0, 0, 0
    i, j = np.indices((7, 7)) + 1
    apart = i != j
    i, j = i[apart], j[apart]
    for order in permutations(range(1, 8)):
        to = np.array((0, *order))
        if any(frozenset(to[list(line)].tolist()) not in lines for line in LINES):
            continue
        collineations += 1
        image = signs[:, i] * signs[:, j] * sign[to[i], to[j]]
        wanted = signs[:, index[i, j]] * sign[i, j]
        good = int((image == wanted).all(axis=1).sum())
        automorphisms += good
        if (to == np.arange(8)).all():
            sign_changes = good
    yield says("2^7 x 2^4", 2048, 2**7 * 2**4)
    yield says("sign changes that keep the product", 128, sign_changes)
    yield says(
        "a subgroup of order 16 among the symmetries of the plane", True, collineations % 16 == 0
    )
    yield shows("symmetries of the plane", collineations)
    yield shows("automorphisms among signed permutations", automorphisms)
    two_part = automorphisms & -automorphisms
    yield says("largest power of 2 in their number", 2048, two_part, relation=">=")
