"""Chat: messages to a prompt, by the template that the model's file carries.

>>> print(render_chat(TEMPLATES["chatml"], [{"role": "user", "content": "Hello"}]))
<|im_start|>user
Hello<|im_end|>
<|im_start|>assistant
<BLANKLINE>
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.lm.tokenizer import Tokenizer

SCRIPT = Path(__file__).with_name("_render.py")
ROLES = ("system", "user", "assistant", "tool")
SECONDS = 5  # of processor time; a template takes a thousandth of that
NBYTES = 1 << 29
LONGEST = 1_000_000  # characters of a prompt
LONGEST_ERROR = 300  # characters of what a template says is wrong

TEMPLATES = {
    "chatml": "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
}
"""For models whose file has none; used only where they are asked for by name."""


def chat_prompt(
    tokenizer: Tokenizer,
    messages: Sequence[Mapping],
    template: str | None = None,
    **variables,
) -> list[int]:
    """Ids of a prompt to which the model's answer is the continuation.

    Parameters
    ----------
    tokenizer : Tokenizer, or None
        Of a model that has one.
    messages : sequence of mappings
        With a "role" (system, user, assistant or tool) and a "content" of text.
    template : str, optional
        Jinja, or the name of one of `TEMPLATES`; by default the file's own.
    variables
        More of what the template may ask for.

    Raises
    ------
    WorkbenchError
        No vocabulary; no template, or a named one whose control tokens the vocabulary lacks;
        messages or variables that hold the text of a control token, in one piece or in several that
        the template puts together, which would let them speak for the system; or what `render_chat`
        refuses.
    """
    if tokenizer is None:
        raise WorkbenchError("this model has no vocabulary, so it cannot chat")
    name, template = template, TEMPLATES.get(template, template) or tokenizer.chat_template
    if template is None:
        raise WorkbenchError(
            "the model's file has no chat template; name one of "
            f"{', '.join(map(repr, TEMPLATES))} or pass your own"
        )
    said = {f"message {number}": message for number, message in enumerate(_checked(messages))}
    said |= {f"variable {name!r}": value for name, value in variables.items()}
    for what, value in said.items():
        for text in _strings(value):
            control = tokenizer.control_text(text)
            if control is not None:
                raise WorkbenchError(f"{what} holds {control!r}, which only the template may write")
    edges = {
        edge: tokenizer.decode([token], special=True)
        for edge, token in (("bos_token", tokenizer.bos), ("eos_token", tokenizer.eos))
        if token is not None
    }
    text = render_chat(template, messages, **{**edges, **variables})
    ids = tokenizer.encode(text, special=True, add_bos=False)
    if name in TEMPLATES and not _controls(tokenizer, ids):
        raise WorkbenchError(
            f"the vocabulary has none of the control tokens of the template {name!r}; the model "
            "was not made for it"
        )
    harmless = render_chat(template, _blunted(messages), **{**edges, **_blunted(variables)})
    if _controls(tokenizer, ids) != _controls(
        tokenizer, tokenizer.encode(harmless, special=True, add_bos=False)
    ):
        raise WorkbenchError(
            "messages or variables make a control token together, which only the template may write"
        )
    # most templates write the beginning themselves
    add_bos = tokenizer.add_bos and not text.startswith(edges.get("bos_token", "\0"))
    return [tokenizer.bos, *ids] if add_bos and tokenizer.bos is not None else ids


def render_chat(
    template: str,
    messages: Sequence[Mapping],
    *,
    add_generation_prompt: bool = True,
    **variables,
) -> str:
    """Fill in a chat template, as Hugging Face does, in a process of its own.

    A template is code out of a file: it reaches nothing but what it is given, for a few seconds
    and in half a gigabyte.

    Parameters
    ----------
    template : str
        Jinja. It has `raise_exception(message)` and `strftime_now(format)`.
    messages : sequence of mappings
        With a "role" (system, user, assistant or tool) and a "content" of text.
    add_generation_prompt : bool
        End where the assistant's answer begins.
    variables
        More of what the template may ask for, such as `bos_token`; JSON's types only.

    Raises
    ------
    TypeError
        Variables that are not of JSON's types.
    WorkbenchError
        Messages that are none, or a template that is wrong, refuses them, tries to escape, runs
        too long or writes too much.
    """
    variables = variables | {
        "messages": _checked(messages),
        "add_generation_prompt": add_generation_prompt,
    }
    job = {"template": template, "variables": variables, "seconds": SECONDS, "nbytes": NBYTES}
    # -P: the script's folder, in which modules have common names, is not searched for imports
    command = [sys.executable, "-P", str(SCRIPT)]
    try:
        done = subprocess.run(
            command, input=json.dumps(job), capture_output=True, text=True, timeout=4 * SECONDS
        )
    except subprocess.TimeoutExpired:
        raise WorkbenchError(f"the chat template ran for more than {4 * SECONDS} s") from None
    if done.returncode:
        if done.returncode > 0 and "MemoryError" not in done.stderr:
            raise RuntimeError(f"{SCRIPT.name} failed: {done.stderr}")
        raise WorkbenchError(
            f"the chat template was stopped: it took more than {SECONDS} s or {NBYTES >> 20} MB"
        )
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise WorkbenchError(_in_short(answer["error"]))
    if len(answer["text"]) > LONGEST:
        raise WorkbenchError(
            f"the chat template wrote {len(answer['text'])} characters; at most {LONGEST} are taken"
        )
    return answer["text"]


def _in_short(error: str) -> str:
    """One line of it that a terminal can show: what a template says is not ours."""
    line = " ".join(error[: 2 * LONGEST_ERROR].split())[:LONGEST_ERROR]
    return "".join(letter for letter in line if letter.isprintable())


def _strings(value: object) -> Iterator[str]:
    """Every string in a value of JSON's types, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.items():
            yield from _strings(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from _strings(each)


def _blunted(value):
    """The same with dots for brackets, bars and the like, so that it makes no control token."""
    if isinstance(value, str):
        return re.sub(r"[^\w\s/.,:;!?'\"-]", ".", value)
    if isinstance(value, Mapping):
        return {key: _blunted(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [_blunted(each) for each in value]
    return value


def _controls(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """Those of the ids that are control tokens, which only show where they are asked for."""
    return [token for token in ids if not tokenizer.piece(token) and tokenizer.piece(token, True)]


def _checked(messages: Sequence[Mapping]) -> list[dict]:
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        raise TypeError("messages must be a list of mappings with a role and a content")
    if not messages:
        raise WorkbenchError("there are no messages; at least one is needed")
    for number, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise TypeError(f"message {number} is {message!r}, but must have a role and a content")
        if message.get("role") not in ROLES:
            raise WorkbenchError(
                f"message {number} has the role {message.get('role')!r}, but there are "
                f"{', '.join(ROLES)}"
            )
        if not isinstance(message.get("content"), str):
            raise WorkbenchError(
                f"message {number} has the content {message.get('content')!r}, but it must be text"
            )
    return [dict(message) for message in messages]
