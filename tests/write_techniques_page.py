"""Write the generated part of docs/techniques.md: the table and a section a technique.

    python tests/write_techniques_page.py

Everything comes from `workbench techniques --json` and the docstrings; a test compares.
"""

import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from typer.testing import CliRunner

import workbench as wb
from workbench.cli.app import app

PAGE = Path(__file__).parents[1] / "docs" / "techniques.md"
MARK = "<!-- below: written by tests/write_techniques_page.py from the techniques themselves -->\n"


def page() -> str:
    """The page as it should be: what is written by hand up to the mark, the rest from the code."""
    by_hand, _, _ = PAGE.read_text().partition(MARK)
    rows = _listed("techniques")
    table = ["| technique | what it is |", "|---|---|"]
    table += [
        f"| [`{row['technique']}`](#{row['technique']}) | {row['description']} |" for row in rows
    ]
    sections = [_section(row["technique"]) for row in rows]
    return by_hand + MARK + "\n" + "\n".join(table) + "\n\n" + "\n".join(sections)


def _section(name: str) -> str:
    parts = _docstring_parts(inspect.getdoc(wb.techniques()[name]))
    lines = [f"## `{name}`", "", parts[""], ""]
    parameters = _listed("techniques", name)
    if parameters:
        lines += ["| parameter | default | allowed | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{row['parameter']}` | {row['default']} | {row['allowed']} | {row['description']} |"
            for row in parameters
        ]
        lines += ["", *_remarks(parts["Parameters"]), ""]
    lines += [_prose(parts["Notes"]), "", "```python", parts["Examples"], "```", ""]
    return "\n".join(lines)


def _docstring_parts(text: str) -> dict[str, str]:
    """A numpydoc docstring by section title; what comes first is under ""."""
    pieces = re.split(r"^(\w+)\n-+\n", text, flags=re.MULTILINE)
    titles = ["", *pieces[1::2]]
    return {title: piece.strip() for title, piece in zip(titles, pieces[::2], strict=True)}


def _remarks(text: str) -> Iterator[str]:
    """What a docstring adds to the table: the names that share a description, and that."""
    for heads, body in re.findall(r"((?:^\w+ : .*\n)+)((?:^ +.*\n)+)", text + "\n", re.MULTILINE):
        names = ", ".join(f"`{line.split()[0]}`" for line in heads.splitlines())
        yield f"- {names}: {' '.join(body.split())}"


def _prose(text: str) -> str:
    """reStructuredText as Markdown: a literal block after `::` becomes a fenced one."""
    text = text.replace("``", "`")
    return re.sub(r"::\n\n((?: {4}.*\n|\n)+)", _fenced, text + "\n").rstrip()


def _fenced(match: re.Match) -> str:
    return ":\n\n```text\n" + textwrap.dedent(match[1]).strip("\n") + "\n```\n\n"


def _listed(*arguments: str) -> list[dict]:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


if __name__ == "__main__":
    PAGE.write_text(page())
