"""What the panels of language models share: a choice of model that can run, and text on a page."""

import html
from collections.abc import Mapping

import ipywidgets

from workbench.errors import WorkbenchError
from workbench.lm import open_language_model
from workbench.models import Entry
from workbench.ui.controls import ModelPicker


def language_model_picker(start: str | Mapping) -> ModelPicker:
    """A choice among the models of the catalog that run, and any GGUF file."""
    return ModelPicker(
        start,
        is_language_model,
        "Whose text to read; any .gguf file of architecture llama or bitnet on the machine where "
        "this runs will do.",
    )


def is_language_model(entry: Entry) -> bool:
    """Is a whole model in this file, as far as one can know before it is fetched?"""
    if not entry.present:
        return True
    try:
        open_language_model(entry.name)  # reads the header only
    except WorkbenchError:
        return False
    return True


class Writing(ipywidgets.HTML):
    """Text that a model writes, with what it was given in front."""

    def __init__(self):
        super().__init__()
        self.add_class("wb-writing")
        self.show("", "", "nothing is written yet")

    def show(self, prompt: str, text: str, otherwise: str = "") -> None:
        """Put this text in place of what was there; `otherwise` where there is none at all."""
        self.value = writing(prompt, text, otherwise)


def writing(prompt: str, text: str, otherwise: str = "") -> str:
    """A prompt and what was written after it, as HTML."""
    if not prompt and not text:
        return f'<div class="wb-text wb-none">{html.escape(otherwise)}</div>'
    return (
        f'<div class="wb-text"><span class="wb-prompt">{html.escape(prompt)}</span>'
        f"{html.escape(text)}</div>"
    )
