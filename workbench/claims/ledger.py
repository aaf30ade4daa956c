"""The ledger: claims as they are written down, and the last recorded run of each."""

import difflib
import fnmatch
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path

from workbench.claims.checks import checks
from workbench.claims.models import Claim, Verdict
from workbench.errors import WorkbenchError

DATA = Path(__file__).parent / "data"
SLICE = "smollm2-slice"  # the model whose runs are recorded


def ledger(folder: Path = DATA) -> list[Claim]:
    """Every claim in the order of the seeds, with its last recorded run.

    Parameters
    ----------
    folder : Path
        Holds ``seed000.toml`` … (statements, written by hand) and ``recorded000.json`` … (runs,
        written by `record`).
    """
    known = checks()
    claims = []
    for path in sorted(folder.glob("seed*.toml")):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        seed = document["seed"]
        recorded = _recorded(
            folder, seed, {row["id"]: row["statement"] for row in document["claim"]}
        )
        for row in document["claim"]:
            check = known.get(row["id"])
            claims.append(
                Claim(
                    **row,
                    seed=seed,
                    source=document["source"],
                    executable=check is not None,
                    quick=check is not None and check.quick,
                    uses_weights=check is not None and "weights" in check.parameters,
                    recorded=recorded.get(row["id"]),
                )
            )
    return claims


def select(ids: str | Iterable[str] | None = None, folder: Path = DATA) -> list[Claim]:
    """The claims with these ids, in the order of the ledger; all of them for None.

    Parameters
    ----------
    ids : str or iterable of str
        Ids, or patterns such as ``"lut-*"``.

    Raises
    ------
    WorkbenchError
        An id or pattern that no claim has; names those that come near.
    """
    claims = ledger(folder)
    if ids is None:
        return claims
    names = [claim.id for claim in claims]
    chosen = set()
    for wanted in [ids] if isinstance(ids, str) else ids:
        matches = fnmatch.filter(names, wanted)
        if not matches:
            near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else "`workbench claims` lists them"
            raise WorkbenchError(f"no claim is called {wanted!r}; {hint}")
        chosen.update(matches)
    return [claim for claim in claims if claim.id in chosen]


def record(verdicts: Iterable[Verdict], folder: Path = DATA) -> list[Path]:
    """Write these runs down as the recorded ones; returns the files written.

    Raises
    ------
    WorkbenchError
        A run on weights other than the bundled slice, or a folder that cannot be written.
    """
    verdicts = list(verdicts)
    for verdict in verdicts:
        if verdict.weights not in ("", SLICE):
            raise WorkbenchError(
                f"{verdict.id} ran on {verdict.weights!r}, but only runs on {SLICE!r} are recorded"
            )
    written = []
    statements = {claim.id: claim.statement for claim in ledger(folder)}
    for seed in sorted({verdict.seed for verdict in verdicts}):
        runs = _recorded(folder, seed, statements)
        runs |= {verdict.id: verdict for verdict in verdicts if verdict.seed == seed}
        path = _record_file(folder, seed)
        text = "[\n" + ",\n".join(_lines(runs[name]) for name in sorted(runs)) + "\n]\n"
        temporary = path.with_name(f".{path.name}")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise WorkbenchError(f"{path}: cannot be written ({error.strerror})") from None
        written.append(path)
    return written


def changed(verdicts: Iterable[Verdict], folder: Path = DATA) -> list[Verdict]:
    """Those runs whose verdict differs from the recorded one, or that have none recorded."""
    recorded = {claim.id: claim.recorded for claim in ledger(folder)}
    return [
        verdict
        for verdict in verdicts
        if recorded.get(verdict.id) is None or recorded[verdict.id].verdict != verdict.verdict
    ]


def _record_file(folder: Path, seed: int) -> Path:
    return folder / f"recorded{seed:03d}.json"


def _recorded(folder: Path, seed: int, statements: dict[str, str]) -> dict[str, Verdict]:
    """The recorded runs by claim; those of claims that are no longer in the ledger are left out."""
    path = _record_file(folder, seed)
    if not path.exists():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {
        row["id"]: Verdict(seed=seed, statement=statements[row["id"]], **row)
        for row in rows
        if row["id"] in statements
    }


def _lines(verdict: Verdict) -> str:
    """JSON of what does not follow from the rest, a line each for facts, parts and nulls."""
    left_out = {"seed", "statement", *Verdict.model_computed_fields}
    row = _rounded(verdict.model_dump(mode="json", exclude=left_out, exclude_defaults=True))
    facts = {key: value for key, value in row.items() if not isinstance(value, list)}
    lines = [_json(facts)[:-1]]
    for key in ("parts", "null"):
        if key in row:
            items = ",\n   ".join(_json(item) for item in row[key])
            lines.append(f'  "{key}": [\n   {items}]')
    return ",\n".join(lines) + "}"


def _json(value) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _rounded(value):
    """Floats to 8 significant digits, so that records of one check differ only where it does."""
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return {k: _rounded(v) for k, v in value.items()} if isinstance(value, dict) else value
