"""The one door to the kernels: compiled where possible, plain Python otherwise, never silently.

>>> from workbench import kernels
>>> kernels.load("packing").__name__.rpartition(".")[2]
'packing'
"""

import hashlib
import importlib
import importlib.resources
import json
import os
import re
import warnings
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import pythran_kernels

COMPILED = "workbench_kernels"


class KernelWarning(UserWarning):
    """A kernel runs as plain Python, hundreds of times slower than compiled."""


@dataclass(frozen=True)
class Kernel:
    """What the door knows of one kernel module.

    Attributes
    ----------
    name : str
    compiled : bool
    reason : str
        Why it is not compiled; empty where it is.
    """

    name: str
    compiled: bool
    reason: str


def cores() -> int:
    """CPU cores that this process may use: the default number of threads."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def names() -> list[str]:
    """Names of all kernel modules, sorted."""
    folder = importlib.resources.files(pythran_kernels)
    files = (entry.name for entry in folder.iterdir())
    return sorted(f.removesuffix(".py") for f in files if f.endswith(".py") and f[0] != "_")


@cache
def build_facts() -> dict:
    """Compiler, flags and Pythran version of the compiled kernels; empty where there are none."""
    try:
        text = importlib.resources.files(COMPILED).joinpath("manifest.json").read_text()
    except (ModuleNotFoundError, FileNotFoundError):
        return {}
    return json.loads(text)


def status(name: str) -> Kernel:
    """Say whether the module `name` would be loaded compiled, and if not, why."""
    if os.environ.get("WORKBENCH_KERNELS") == "python":
        return Kernel(name, False, "WORKBENCH_KERNELS=python asks for plain Python")
    built = build_facts().get("sources", {}).get(name)
    if built is None:
        return Kernel(name, False, "it was never compiled (no C++ compiler at installation?)")
    if built != hashlib.sha256(_with_imports(name)).hexdigest():
        return Kernel(name, False, "its source has changed since it was compiled")
    return Kernel(name, True, "")


def _with_imports(name: str) -> bytes:
    """What a module is compiled from: its text and that of its siblings that it imports."""
    text = importlib.resources.files(pythran_kernels).joinpath(f"{name}.py").read_bytes()
    names = re.findall(rb"^from \.(\w+) import", text, re.MULTILINE)
    return text + b"".join(_with_imports(sibling.decode()) for sibling in names)


@cache
def load(name: str) -> ModuleType:
    """The kernel module `name`: the compiled twin, or the plain Python one with a warning.

    Raises
    ------
    KeyError
        No kernel module has this name.
    """
    if name not in names():
        raise KeyError(f"no kernel module {name!r}; there are {', '.join(names())}")
    state = status(name)
    if state.compiled:
        module = importlib.import_module(f"{COMPILED}.{name}")
        if hasattr(module, "__pythran__"):
            return module
        state = Kernel(name, False, "the compiled package holds a plain Python file")
    if os.environ.get("WORKBENCH_KERNELS") != "python":
        warnings.warn(
            f"THE KERNEL {name!r} IS NOT COMPILED: {state.reason}. It runs as plain Python, "
            "hundreds of times slower; run `make kernels` (or install the package again with a "
            "C++ compiler) to compile it.",
            KernelWarning,
            stacklevel=2,
        )
    return importlib.import_module(f"pythran_kernels.{name}")
