"""The 96 classes of seed 003: their coordinates, and what its "factor96" may mean.

A class c has coordinates h2 = c div 24, d = (c mod 24) div 8, l = c mod 8. The document never
defines factor96; three definitions are told apart:

U  prime factors above 3 with multiplicity, or [n] where there are none; F(0) = [0], F(1) = [1].
   This is the table that a later version of the document's project stores.
A  integer factorization; F(0) = [0], F(1) = [].
C  numbers coprime to 96 factored, every other kept as [n].
"""

from math import gcd, prod

SIZE = 96
PRIMES = [n for n in range(2, SIZE) if all(n % k for k in range(2, n))]
COMPOSITES = [n for n in range(4, SIZE) if n not in PRIMES]


def prime_factors(n: int) -> list[int]:
    """Prime factors of n with multiplicity, ascending; none for 0 and 1."""
    found = []
    for p in PRIMES:
        while n and n % p == 0:
            found.append(p)
            n //= p
    return found


def factor_u(n: int) -> list[int]:
    """Definition U, of n mod 96."""
    n %= SIZE
    return [n] if n < 2 else [p for p in prime_factors(n) if p > 3] or [n]


def factor_a(n: int) -> list[int]:
    """Definition A, of n mod 96."""
    n %= SIZE
    return prime_factors(n) if n else [0]


def factor_c(n: int) -> list[int]:
    """Definition C, of n mod 96."""
    n %= SIZE
    return prime_factors(n) if gcd(n, SIZE) == 1 and n > 1 else [n]


DEFINITIONS = {"U": factor_u, "A": factor_a, "C": factor_c}


def coordinates(c: int) -> tuple[int, int, int]:
    """(h2, d, l) of a class."""
    return c // 24, c % 24 // 8, c % 8


def class_of(h2: int, d: int, l: int) -> int:  # noqa: E741  (the document's letter)
    """The class with these coordinates, each reduced to its range."""
    return 24 * (h2 % 4) + 8 * (d % 3) + l % 8


def shifts() -> dict[str, list[int]]:
    """The permutations R, D, T (a step in h2, d, l) and M (d to -d) of the 96 classes."""
    places = [coordinates(c) for c in range(SIZE)]
    return {
        "R": [class_of(h + 1, d, i) for h, d, i in places],
        "D": [class_of(h, d + 1, i) for h, d, i in places],
        "T": [class_of(h, d, i + 1) for h, d, i in places],
        "M": [class_of(h, -d, i) for h, d, i in places],
    }


def holds_product(definition) -> int:
    """For how many n below 96 the product of the factors is n."""
    return sum(prod(definition(n)) == n for n in range(SIZE))
