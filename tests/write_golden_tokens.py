"""Store llama.cpp's ids of the texts in golden/texts.json, which our tokenizer is held against.

    python tests/write_golden_tokens.py

It needs llama-cpp-python and SmolLM2 (`workbench models fetch smollm2-135m`). Run it when the texts
or the small vocabularies change; never to make a test pass.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from vocabularies import CASES, GOLDEN, TEXTS, case

import workbench as wb
from workbench.formats import write_gguf

SCRIPT = Path(__file__).parent / "llama_tokens.py"


def llama_tokens(names, texts, folder):
    """llama.cpp's ids of (text, add_special, parse_special), by the vocabularies of these cases."""
    paths = []
    for name in names:
        if name in CASES:
            paths.append(Path(folder) / f"{name}.gguf")
            write_gguf(paths[-1], {}, case(name))
        else:
            paths.append(wb.open_model(name).path)
    jobs = json.dumps([[str(path), texts] for path in paths])
    done = subprocess.run([sys.executable, SCRIPT], input=jobs, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(zip(names, json.loads(done.stdout), strict=True))


def both_ways(texts):
    """Each text as plain text, then as one whose control tokens count."""
    return [(text, special, special) for text in texts for special in (False, True)]


def main() -> None:
    """Write golden/tokens.json."""
    with tempfile.TemporaryDirectory() as folder:
        found = llama_tokens([*CASES, "smollm2-135m"], both_ways(TEXTS), folder)
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(ids)}" for name, ids in found.items())
    (GOLDEN / "tokens.json").write_text(f"{{\n{rows}\n}}\n")


if __name__ == "__main__":
    main()
