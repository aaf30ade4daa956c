"""The ledger of claims: what was said, what a run found, and the run itself, on your model too."""

import html
from collections import Counter
from collections.abc import Sequence
from typing import final

import ipywidgets
import traitlets

from workbench import claims
from workbench.claims import Claim, Verdict
from workbench.claims.ledger import SLICE
from workbench.claims.report import CARD_STYLE, SEEDS, to_card
from workbench.errors import WorkbenchError
from workbench.ui.controls import FULL, STYLE, ModelPicker, help_line
from workbench.ui.panel import Panel
from workbench.ui.progress import Job, Problem, shows_problems

# a verdict is never told by colour alone
SIGNS = {"confirmed": "✓", "wrong": "✗", "depends": "±", "open": "?", "not testable": "-"}
ROWS = 22  # of the list that are seen at once
ALL = ("all", "all")  # label and value; a list with the value None shows nothing


@final
class ClaimsPanel(Panel):
    """Filter the claims, pick one, read its card, run its check.

    Parameters
    ----------
    seed : int, optional
        Show the claims of this document only, to begin with.
    claim : str, optional
        Id of the claim to begin with; by default the first that is shown. Filters that would hide
        it are cleared.
    model : str
        Name or path of a model, for checks that take weights.

    Attributes
    ----------
    claim : str
        Id of the claim on the card; empty where no claim passes the filters. Settable.
    shown : tuple of str
        Ids of the claims that pass the filters.
    ran : dict of Verdict by id
        The last run of each claim that was run here.
    running : bool

    Raises
    ------
    WorkbenchError
        No such document, claim or model.

    Examples
    --------
    >>> panel = ClaimsPanel(claim="trinity-radix-e4")
    >>> panel.run()
    >>> panel.wait()
    >>> panel.verdict.verdict, panel.as_recorded
    ('wrong', True)
    """

    claim = traitlets.Unicode()
    shown = traitlets.Tuple()
    running = traitlets.Bool(False)

    def __init__(self, seed: int | None = None, claim: str = "", model: str = SLICE):
        if seed is not None and seed not in SEEDS:
            raise WorkbenchError(
                f"there is no document {seed!r}; they are {min(SEEDS)} to {max(SEEDS)}"
            )
        if claim:
            claims.select([claim])  # refuses what does not exist
        self.ledger: dict[str, Claim] = {row.id: row for row in claims.ledger()}
        self._recorded = {row.id: row for row in claims.verdicts_of(self.ledger.values())}
        self.ran: dict[str, Verdict] = {}
        self._listing = False

        self.seed = _dropdown(
            "document", [ALL, *((_title(s), s) for s in SEEDS)], ALL[1] if seed is None else seed
        )
        self.word = _dropdown("verdict", [ALL, *((_word(w), w) for w in claims.WORDS)])
        self.text = ipywidgets.Text(
            description="text", placeholder="phi, cache, 44", style=STYLE, layout=FULL
        )
        self.counts = ipywidgets.HTML()
        self.list = ipywidgets.Select(rows=ROWS, layout=FULL)
        self.list.add_class("wb-claim-list")
        self.models = ModelPicker(model)
        self.button = _button("Run this check", "play", "primary")
        self.every = _button("Run all quick ones shown", "forward")
        self.job = Job()
        self.problem = Problem()
        self.said = ipywidgets.HTML()
        self.card = ipywidgets.HTML()
        self.table = ipywidgets.HTML()

        fields = ipywidgets.Box([_field(w) for w in (self.seed, self.word, self.text)])
        fields.add_class("wb-fields")
        found = help_line("Up and Down walk through the claims; the card follows.")
        controls = ipywidgets.VBox([self.list, found, self.every])
        controls.add_class("wb-controls")
        start = ipywidgets.HBox([self.button, self.said], layout={"align_items": "center"})
        results = ipywidgets.VBox([start, self.models, self.job, self.problem, self.card])
        results.add_class("wb-results")
        columns = ipywidgets.Box([controls, results])
        columns.add_class("wb-columns")
        super().__init__([_card_style(), self.counts, fields, columns, self.table])

        traitlets.dlink((self.job, "running"), (self, "running"))
        traitlets.dlink((self.job, "running"), (self.button, "disabled"))
        traitlets.dlink((self.job, "running"), (self.every, "disabled"))
        for control in (self.seed, self.word, self.text):
            control.observe(self._filter, "value")
        self.list.observe(self._picked, "value")
        self.button.on_click(lambda _: self.run())
        self.every.on_click(lambda _: self.run_shown())
        self._filter()
        if claim:
            self.claim = next(row.id for row in claims.select([claim]))

    @property
    def verdict(self) -> Verdict | None:
        """What the card shows: the last run here, else the recorded one."""
        return self.ran.get(self.claim, self._recorded.get(self.claim))

    @property
    def as_recorded(self) -> bool | None:
        """Whether the run of the claim on the card reached the recorded verdict; None: not run."""
        if self.claim not in self.ran:
            return None
        return self.ran[self.claim].verdict == self._recorded[self.claim].verdict

    @shows_problems
    def run(self) -> None:
        """Start the check of the claim on the card."""
        if not self.claim:
            raise WorkbenchError("no claim is chosen; clear a filter")
        if not self.ledger[self.claim].executable:
            raise WorkbenchError(f"{self.claim} has no check yet: its card says what it needs")
        self._start([self.claim])

    @shows_problems
    def run_shown(self) -> None:
        """Start the quick checks of all claims that pass the filters."""
        ids = [id for id in self.shown if self.ledger[id].executable and self.ledger[id].quick]
        if not ids:
            raise WorkbenchError("none of the claims shown has a quick check; clear a filter")
        self._start(ids)

    def wait(self, timeout: float = 600.0) -> None:
        """Return when the run has ended; TimeoutError if it has not."""
        self.job.wait(timeout)

    def cancel(self) -> None:
        """Stop after the check that runs now; what ended before stays."""
        self.job.cancel()

    def _start(self, ids: Sequence[str]) -> None:
        takes_weights = any(self.ledger[id].uses_weights for id in ids)
        weights = self.models.weights if takes_weights else None

        def work(run):
            def took(verdict, done, total):
                self.ran[verdict.id] = verdict
                run.progress(done, total, verdict.id)

            try:
                claims.run(ids, weights, workers=1, progress=took)
            finally:  # what ended before an error or Cancel is not lost
                self._show()
                self._list()

        self.said.value = ""
        self.job.start(work, f"running {ids[0]}" if len(ids) == 1 else f"running {len(ids)} checks")

    @shows_problems
    def _filter(self, _change=None) -> None:
        wanted = self.text.value.strip().casefold()
        self.shown = tuple(
            row.id
            for row in self.ledger.values()
            if self.seed.value in (ALL[1], row.seed)
            and self.word.value in (ALL[1], self._latest(row.id).verdict)
            and wanted in f"{row.id} {row.statement} {row.definition} {row.place}".casefold()
        )
        self._list()
        self.claim = self.list.value or ""

    def _latest(self, id: str) -> Verdict:
        return self.ran.get(id, self._recorded[id])

    def _list(self) -> None:
        """Put the claims that pass the filters into list, counts and table."""
        latest = [self._latest(id) for id in self.shown]
        kept = self.claim if self.claim in self.shown else next(iter(self.shown), None)
        options = [(f"{SIGNS[v.verdict]} {v.id}{self._mark(v.id)}", v.id) for v in latest]
        self._listing = True  # new options make the list choose for itself; that is no click
        self.list.options = options
        self.list.value = kept
        self._listing = False
        self.counts.value = _counts(latest, len(self.ledger))
        self.table.value = _table(latest)

    def _mark(self, id: str) -> str:
        """What a run here adds to a line of the list."""
        if id not in self.ran:
            return ""
        recorded = self._recorded[id].verdict
        return ", just run" if self.ran[id].verdict == recorded else f", was {recorded}"

    def _picked(self, change) -> None:
        if change.new and not self._listing:
            self.claim = change.new

    @traitlets.validate("claim")
    def _known(self, proposal):
        if proposal.value and proposal.value not in self.ledger:
            claims.select([proposal.value])  # says which come near
        return proposal.value

    @traitlets.observe("claim")
    def _follow_claim(self, change):
        if change.new and change.new not in self.shown:
            self.seed.value = self.word.value = ALL[1]
            self.text.value = ""
            self.claim = change.new
        self.list.value = change.new or None
        self.said.value = ""
        self.problem.clear()
        self._show()

    def _show(self) -> None:
        """Put the claim on the card, and its controls below."""
        row = self.ledger.get(self.claim)
        executable = row is not None and row.executable
        self.button.layout.display = "" if executable else "none"
        self.models.layout.display = "" if executable and row.uses_weights else "none"
        if row is None:
            self.card.value = '<div class="claims">No claim passes these filters.</div>'
            return
        self.card.value = (
            f'<div class="claims" aria-live="polite">{to_card(self.verdict, row)}</div>'
        )
        if self.as_recorded is not None:
            run, recorded = self.verdict, self._recorded[self.claim]
            on = f" on {run.weights}" if run.weights else ""
            self.said.value = _note(
                f"Run{on} in {run.seconds:.2g} s: {run.verdict}, "
                + (
                    "as recorded."
                    if self.as_recorded
                    else f"which differs from the recorded verdict: {recorded.verdict}."
                ),
                self.as_recorded,
            )


def _dropdown(name: str, options, value=ALL[1]) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(
        options=options, value=value, description=name, style=STYLE, layout=FULL
    )


def _button(text: str, icon: str, style: str = "") -> ipywidgets.Button:
    return ipywidgets.Button(
        description=text, icon=icon, button_style=style, layout={"width": "auto"}
    )


def _field(control: ipywidgets.Widget) -> ipywidgets.VBox:
    field = ipywidgets.VBox([control])
    field.add_class("wb-field")
    return field


def _title(seed: int) -> str:
    return f"{seed:03d} {SEEDS[seed]}"


def _word(word: str) -> str:
    return f"{SIGNS[word]} {word}"


def _card_style() -> ipywidgets.HTML:
    sheet = ipywidgets.HTML(f"<style>{CARD_STYLE.read_text(encoding='utf-8')}</style>")
    sheet.layout.display = "none"
    return sheet


def _class(word: str) -> str:
    return word.replace(" ", "-")


def _note(text: str, good: bool) -> str:
    kind = "wb-help" if good else "wb-note"
    return f'<div class="{kind}" role="status">{html.escape(text)}</div>'


def _counts(latest: Sequence[Verdict], total: int) -> str:
    """A bar of the verdicts, and their numbers in words."""
    count = Counter(verdict.verdict for verdict in latest)
    used = [word for word in claims.WORDS if count[word]]
    bar = "".join(f'<span class="{_class(w)}" style="flex:{count[w]}"></span>' for w in used)
    words = "".join(
        f'<span class="{_class(w)}"><b>{SIGNS[w]} {count[w]}</b> {w}</span>' for w in claims.WORDS
    )
    return (
        f'<div class="claims"><div class="wb-verdicts" aria-hidden="true">{bar}</div>'
        f'<div class="wb-counts"><span><b>{len(latest)}</b> of {total} claims</span>{words}</div>'
        "</div>"
    )


def _table(latest: Sequence[Verdict]) -> str:
    """All claims shown, a line each, folded away."""
    rows = "".join(
        f'<tr class="{_class(v.verdict)}"><td class="word">{_word(v.verdict)}</td>'
        f'<td class="id">{v.id}</td><td>{html.escape(v.statement)}</td>'
        f"<td>{html.escape(claims.finding(v))}</td></tr>"
        for v in latest
    )
    head = "".join(f"<th>{name}</th>" for name in ("verdict", "claim", "statement", "found"))
    return (
        f'<details class="claims"><summary>All shown, as a table</summary>'
        f'<div class="wb-all"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        "</div></details>"
    )
