"""What the ledger holds: claims, and the verdicts that runs reached.

A check yields parts: a statement's number as printed beside the number that was computed. The
verdict follows from the parts by one rule (`workbench.claims.checks.judge`), never from a literal.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field

Word = Literal["confirmed", "wrong", "depends", "open", "not testable"]
WORDS: tuple[Word, ...] = ("confirmed", "wrong", "depends", "open", "not testable")
Value = bool | int | float | str | list[int | float | str]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Row):
    """One number of a claim: what was computed, and what was said about it.

    Attributes
    ----------
    what : str
    measured : bool, number, text or list
    claimed : same, or None
        None: the number is evidence, nothing was said about it.
    unit : str
    relation : "=", "<=" or ">="
        How `measured` must stand to `claimed`.
    tolerance : float
        Absolute, in the unit of the number.
    under : str
        The reading or setting this part belongs to; a claim that holds under some and fails under
        others depends on it.
    """

    what: str
    measured: Value
    claimed: Value | None = None
    unit: str = ""
    relation: Literal["=", "<=", ">="] = "="
    tolerance: float = 0.0
    under: str = ""

    @property
    def label(self) -> str:
        """What was measured, with its condition."""
        return f"{self.what} ({self.under})" if self.under else self.what

    @property
    def holds(self) -> bool | None:
        """Whether the number is as claimed; None where nothing was claimed."""
        if self.claimed is None:
            return None
        if self.relation == "<=":
            return self.measured <= self.claimed + self.tolerance
        if self.relation == ">=":
            return self.measured >= self.claimed - self.tolerance
        if self.tolerance:
            return abs(self.measured - self.claimed) <= self.tolerance
        return self.measured == self.claimed


class Null(_Row):
    """The same statistic where there can be no structure: shuffled, Gaussian, a random model.

    Attributes
    ----------
    name : str
    numbers : dict of float
    of : str
        Label of the part that `sample` is to be held against.
    sample : list of float
        Values of that statistic, one a repetition; for the figure.
    """

    name: str
    numbers: dict[str, float]
    of: str = ""
    sample: list[float] = Field(default_factory=list)


class Verdict(_Row):
    """Result of one run of one check.

    Attributes
    ----------
    id, seed, statement
        Of the claim.
    verdict : str
        "confirmed", "wrong", "depends", "open" or "not testable".
    parts : list of Part
    null : list of Null
    condition : str
        Under which readings it holds and fails, where it depends.
    reason : str
        Why it is not testable.
    needs : str
        What would settle it, where it is open.
    seconds : float
    date : str
        ISO date of the run.
    machine : str
    weights : str
        Name of the model whose weights were used; empty: none.
    """

    id: str
    seed: int
    statement: str
    verdict: Word
    parts: list[Part] = Field(default_factory=list)
    null: list[Null] = Field(default_factory=list)
    condition: str = ""
    reason: str = ""
    needs: str = ""
    seconds: float = 0.0
    date: str = ""
    machine: str = ""
    weights: str = ""

    @computed_field
    @property
    def number(self) -> dict[str, Value]:
        """Every measured number by its label."""
        return {part.label: part.measured for part in self.parts}

    @computed_field
    @property
    def right(self) -> dict[str, Value]:
        """The measured numbers of those parts that are not as claimed."""
        return {part.label: part.measured for part in self.parts if part.holds is False}

    @computed_field
    @property
    def tolerance(self) -> dict[str, float]:
        """Tolerances of the judged parts."""
        return {part.label: part.tolerance for part in self.parts if part.claimed is not None}


class Claim(_Row):
    """A row of the ledger: one published statement.

    Attributes
    ----------
    id : str
    seed : int
        Number of the seed document that makes it.
    statement : str
    source : str
        The document.
    place : str
        Section of the document.
    kind : str
    definition : str
        The reading that the check uses, where the document leaves one open.
    check : str
        How it is checked.
    analysis : str
        Verdict of the written analysis that came before the checks.
    notes : str
        Where the check's numbers differ from that analysis, and anything else worth knowing.
    needs : str
        What would settle it (a module, a technique, a model, hardware); empty: nothing is missing.
    reason : str
        Why it cannot be tested; empty: it can.
    executable, quick, uses_weights : bool
        There is a check; it is fast enough for the test suite; it takes a model.
    recorded : Verdict or None
        The last recorded run.
    """

    id: str
    seed: int
    statement: str
    source: str
    place: str
    kind: Literal[
        "count", "size arithmetic", "theorem", "measured quality", "measured speed", "projection"
    ]
    check: str
    analysis: Word
    definition: str = ""
    notes: str = ""
    needs: str = ""
    reason: str = ""
    executable: bool = False
    quick: bool = False
    uses_weights: bool = False
    recorded: Verdict | None = None
