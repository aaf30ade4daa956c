"""Run in a process of its own: fill in a chat template that somebody else wrote.

python _render.py < job.json, with template, variables, and the limits on seconds and bytes.
Jinja's sandbox keeps the template from Python's objects; the limits of this process keep it from
the machine's time and memory. Prints {"text": ...} or {"error": ...}.
"""

import json
import sys
from contextlib import suppress
from datetime import datetime

from jinja2 import TemplateError, Undefined
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment


class RefusedError(Exception):
    """The template itself says that these messages cannot be."""


class Sandbox(ImmutableSandboxedEnvironment):
    """What Hugging Face offers to chat templates, and nothing that leads out of it."""

    def __init__(self):
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        self.filters["tojson"] = tojson
        self.globals["raise_exception"] = raise_exception
        self.globals["strftime_now"] = strftime_now

    def unsafe_undefined(self, obj: object, attribute: str) -> Undefined:
        """Refuse at once what Jinja would print as nothing."""
        raise SecurityError(f"access to attribute {attribute!r} is unsafe")


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False) -> str:
    """JSON as it is; Jinja's own filter escapes it for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def raise_exception(message: str) -> None:
    """For templates: refuse the messages."""
    raise RefusedError(message)


def strftime_now(format: str) -> str:
    """For templates: the date and time, in this format."""
    return datetime.now().strftime(format)


def limit(seconds: int, nbytes: int) -> None:
    """Ask the system to stop this process where it takes more."""
    try:
        import resource
    except ImportError:  # no such thing on Windows: there the caller's time-out is all
        return
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    with suppress(ValueError, OSError):  # macOS knows the limit and does not let it be set
        resource.setrlimit(resource.RLIMIT_AS, (nbytes, nbytes))


def render(template: str, variables: dict) -> dict:
    """The text, or one sentence that says what is wrong."""
    try:
        return {"text": Sandbox().from_string(template).render(variables)}
    except RefusedError as error:
        return {"error": f"the chat template refuses these messages: {error}"}
    except SecurityError as error:
        return {"error": f"the chat template tries to escape its sandbox: {error}"}
    except TemplateError as error:
        where = f" in line {error.lineno}" if hasattr(error, "lineno") else ""
        return {"error": f"the chat template is wrong{where}: {error.message}"}
    except MemoryError:
        return {"error": "the chat template takes too much memory"}
    except Exception as error:  # whatever its code does with what it was given
        return {"error": f"the chat template fails: {type(error).__name__}: {error}"}


if __name__ == "__main__":
    job = json.load(sys.stdin)
    limit(job["seconds"], job["nbytes"])
    json.dump(render(job["template"], job["variables"]), sys.stdout)
