"""Ternary workbench: what a compression idea is really worth, measured on your own weights.

>>> import workbench as wb
>>> sorted(name for name in dir(wb) if not name.startswith("_"))  # doctest: +NORMALIZE_WHITESPACE
['Encoded', 'Report', 'Technique', 'Trits', 'WorkbenchError', 'claims', 'compare', 'evaluate',
 'export_model', 'load_encoded', 'measure', 'open_model', 'pareto', 'record', 'sweep',
 'technique', 'techniques', 'ternary']
"""

import importlib

# public name: module that has it; loaded when first asked for, so that importing stays light
_HOMES = {
    "Encoded": "workbench.techniques.base",
    "Report": "workbench.measure.report",
    "Technique": "workbench.techniques.base",
    "Trits": "workbench.ternary.rounding",
    "WorkbenchError": "workbench.errors",
    "compare": "workbench.measure.compare",
    "evaluate": "workbench.lm.evaluation",
    "export_model": "workbench.techniques.policy",
    "load_encoded": "workbench.techniques.base",
    "open_model": "workbench.models",
    "pareto": "workbench.measure.compare",
    "record": "workbench.sweep.recording",
    "technique": "workbench.techniques.base",
}
# packages; `measure` and `techniques` are functions too
_PACKAGES = ("claims", "measure", "sweep", "techniques", "ternary")

__all__ = sorted([*_HOMES, *_PACKAGES])


def __getattr__(name: str):
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _PACKAGES:
        return importlib.import_module(f"workbench.{name}")
    raise AttributeError(f"module 'workbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
