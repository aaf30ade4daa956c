"""Seed 003: factoring the 96 classes, its table, and what may replace it."""

import json
from itertools import combinations_with_replacement
from math import gcd, prod

from workbench.claims.checks import check, says, shows
from workbench.claims.factoring import (
    COMPOSITES,
    DEFINITIONS,
    PRIMES,
    SIZE,
    class_of,
    coordinates,
    factor_a,
    factor_u,
    holds_product,
    shifts,
)


def orbits(names: str) -> list[int]:
    """Sizes of the orbits of the 96 classes under the named shifts."""
    moves = [shifts()[name] for name in names]
    left, sizes = set(range(SIZE)), []
    while left:
        reached = _reached(min(left), moves)
        sizes.append(len(reached))
        left -= set(reached)
    return sorted(sizes)


def _reached(start: int, moves: list[list[int]]) -> dict[int, int]:
    """Classes that `start` reaches, each with its number of steps."""
    steps = {start: 0}
    queue = [start]
    for at in queue:
        for move in moves:
            if move[at] not in steps:
                steps[move[at]] = steps[at] + 1
                queue.append(move[at])
    return steps


@check("fusion-one-orbit")
def one_orbit():
    """Breadth-first search over the permutations of the classes."""
    yield says("orbits under R, D, T, M", [96], orbits("RDTM"))
    yield shows("orbits under R, D, T", orbits("RDT"))
    yield shows("orbits under R, T, M", orbits("RTM"))
    moves = [shifts()[name] for name in "RDT"]
    yield shows("most steps between classes", max(_reached(0, moves).values()))
    inverses = [[move.index(c) for c in range(SIZE)] for move in moves]
    yield shows("with inverse steps", max(_reached(0, moves + inverses).values()))


@check("fusion-orbit-useless")
def orbit_carries_no_factors():
    """Classes whose common factor with 96 a shift keeps: what an orbit would have to carry."""
    for name in "TDR":
        kept = sum(gcd(move, SIZE) == gcd(c, SIZE) for c, move in enumerate(shifts()[name]))
        yield says(f"classes of 96 whose gcd with 96 is kept by {name}", SIZE, kept)
    units = [u for u in range(SIZE) if gcd(u, SIZE) == 1]
    yield shows(
        "orbits under multiplication by units",
        len({min(u * n % SIZE for u in units) for n in range(SIZE)}),
    )


@check("fusion-no-closed-formula")
def four_divisibility_tests():
    """Division by 2, 3, 5 and 7 and nothing else, against the factorization of every n."""

    def by_four(n):
        found = []
        for p in (2, 3, 5, 7):
            while n > 1 and n % p == 0:
                found.append(p)
                n //= p
        return found + [n] * (n > 1)

    left = sum(by_four(n) != factor_a(n) for n in range(1, SIZE))
    yield says("n below 96 that four trial primes do not factor", 1, left, relation=">=")
    least = max(min(factor_a(n)) for n in COMPOSITES)
    yield shows("largest least prime of a composite", least)


@check("fusion-473-bytes")
def table_size():
    """Length of the compact JSON text under each definition, and a packed table of U."""
    for name, factors in DEFINITIONS.items():
        text = json.dumps([factors(n) for n in range(SIZE)], separators=(",", ":"))
        yield says("characters of JSON", 473, len(text), under=f"text of definition {name}")
    packed = sum(len(factor_u(n)) for n in range(SIZE)) + SIZE + 1
    yield says("bytes of factors and offsets", 473, packed, under="packed table of definition U")


@check("fusion-table-optimal")
def smaller_tables():
    """The table of least prime factors: built, walked for every n, and its bytes counted."""
    least = [0, 1, *(factor_a(n)[0] for n in range(2, SIZE))]

    def walk(n):
        found = []
        while n > 1:
            found.append(least[n])
            n //= least[n]
        return found

    wrong = sum(walk(n) != factor_a(n) for n in range(1, SIZE))
    yield says("n that the table of least primes factors wrongly", 0, wrong)
    yield says("bytes that an exact table needs", 473, len(bytes(least)), relation=">=")
    small = {p for p in least if p in (2, 3, 5, 7)}
    bits = (len(small)).bit_length()  # which of four primes, or none
    yield shows("bytes with one of four primes in 3 bits", SIZE * bits / 8)


@check("fusion-product-identity")
def product_identity():
    """The product of the factors for every n below 96."""
    for name, factors in DEFINITIONS.items():
        yield says(
            "n with product(F(n)) = n", SIZE, holds_product(factors), under=f"definition {name}"
        )
    wrong = [n for n in range(SIZE) if prod(factor_u(n)) != n]
    yield shows("n where U fails", wrong)


@check("fusion-identity-domain")
def identity_domain():
    """The composition for n from 96 to 200, definition A."""
    kept = sum(prod(factor_a(n)) == n for n in range(SIZE, 201))
    yield says("n from 96 to 200 that come back", 201 - SIZE, kept)
    yield shows("100 becomes", prod(factor_a(100)))


@check("fusion-reverse-order")
def reverse_order():
    """factor96(product(list)) for all sorted pairs of primes below 96, definition A."""
    pairs = list(combinations_with_replacement(PRIMES, 2))
    kept = [pair for pair in pairs if factor_a(prod(pair)) == list(pair)]
    yield says("pairs that come back", len(pairs), len(kept))
    yield shows("[11, 11] becomes", factor_a(121))
    yield shows("[2, 2, 2, 2, 2, 3] becomes", factor_a(96))


@check("fusion-77-37")
def two_examples():
    """The two factorizations under each definition."""
    for name, factors in DEFINITIONS.items():
        yield says(f"factor96(77), {name}", [7, 11], factors(77))
        yield says(f"factor96(37), {name}", [37], factors(37))


@check("fusion-table-is-projection")
def projection_returns_the_class():
    """lift to coordinates and project back, which is all that is defined."""
    same = sum(class_of(*coordinates(c)) == c for c in range(SIZE))
    yield shows("classes that project(lift(c)) returns as they were", same)


@check("fusion-13p32x")
def constant_folding():
    """Quotients of the printed throughputs; an interval where they are rounded to millions."""
    low, high = 535.5 / 40.5, 536.5 / 39.5
    yield says("536 M/s over 40 M/s", 13.32, (low + high) / 2, tolerance=(high - low) / 2)
    yield says("536 M/s over 130 M/s", "13", 536 / 130)


@check("fusion-95pct-memory")
def memory_saved():
    """One minus the quotient, as printed."""
    yield says("less memory", "95", 100 * (1 - 24 / 473), unit="%")
    yield shows(
        "bytes of one packed entry of A, at most", max(len(factor_a(n)) for n in range(SIZE))
    )


@check("fusion-custom-patterns")
def custom_patterns():
    """Five functions of the factors: their tables against the functions, every n, U, A and C."""
    functions = {
        "count": len,
        "max": lambda f: max(f, default=1),
        "min": lambda f: min(f, default=1),
        "contains 7": lambda f: 7 in f,
        "squarefree": lambda f: len(set(f)) == len(f),
    }
    for name, function in functions.items():
        wrong = 0
        for factors in DEFINITIONS.values():
            table = [function(factors(n)) for n in range(SIZE)]
            wrong += sum(table[n % SIZE] != function(factors(n)) for n in range(2 * SIZE))
        yield says(f"entries where fused and unfused differ, {name}", 0, wrong)
    yield shows("bytes of a table of booleans", SIZE // 8)


@check("fusion-50-lines")
def fifty_lines():
    """The sum of the five steps."""
    yield says("lines", 50, 5 + 10 + 15 + 10 + 10)
