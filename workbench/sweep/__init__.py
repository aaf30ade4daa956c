"""A notebook, or `compare`, over a grid of parameters, on this machine or on a Dask cluster.

>>> from workbench import sweep
>>> jobs = sweep.plan("compare", {"technique": "q4_0", "tensor": sweep.Tensors("blk.0.*")})
>>> [job.parameters["tensor"] for job in jobs][:2]
['blk.0.attn_k.weight', 'blk.0.attn_output.weight']

``sweep.run(jobs, "runs/first")`` runs them; called again, it runs only what is missing or failed.
"""

import importlib

# public name: module that has it; loaded when first asked for, since every notebook imports
# `record` from this package and needs neither Dask nor papermill for it
_HOMES = {
    "Folder": "workbench.sweep.folder",
    "Job": "workbench.sweep.job",
    "Notebook": "workbench.sweep.parameters",
    "Parameter": "workbench.sweep.parameters",
    "Tensors": "workbench.sweep.grid",
    "expand": "workbench.sweep.grid",
    "finish": "workbench.sweep.running",
    "notebook_names": "workbench.sweep.parameters",
    "open_notebook": "workbench.sweep.parameters",
    "plan": "workbench.sweep.running",
    "read_table": "workbench.sweep.table",
    "read_values": "workbench.sweep.grid",
    "record": "workbench.sweep.recording",
    "recorded": "workbench.sweep.recording",
    "run": "workbench.sweep.running",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'workbench.sweep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
