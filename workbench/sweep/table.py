"""The tidy table of a sweep: a row a job."""

import io
import json
from collections.abc import Iterable
from os import PathLike

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from workbench.errors import WorkbenchError
from workbench.sweep.folder import TABLE, Folder, notebook_path

PARAMETERS = b"workbench.parameters"  # which columns are parameters, in the file's metadata
OURS = ("job.", "version.", "machine.", "recorded.")  # how columns begin that are no numbers
JOB = ("id", "notebook", "status", "error", "seconds", "started", "attempts", "source")


def newest(rows: Iterable[dict]) -> list[dict]:
    """One row for each notebook and parameters: of several versions of a notebook, the last run."""
    found: dict = {}
    for row in rows:
        key = json.dumps([row["notebook"], row["parameters"]], sort_keys=True)
        if key not in found or row["started"] > found[key]["started"]:
            found[key] = row
    return sorted(found.values(), key=lambda row: (row["notebook"], row["started"], row["id"]))


def tidy(rows: Iterable[dict]) -> pa.Table:
    """Rows of jobs as a table.

    Parameters
    ----------
    rows : iterable of dict
        As `run_job` returns them.

    Returns
    -------
    pyarrow.Table
        Parameters under their names; recorded values under theirs, with ``recorded.`` before a
        name that a parameter has too, or that begins like the columns after them: ``job.*``,
        ``version.*`` and ``machine.*``. A column is boolean, integer or float where all its values
        are, else text; lists are JSON.
    """
    rows = list(rows)
    parameters = _keys(row["parameters"] for row in rows)
    columns = {name: [row["parameters"].get(name) for row in rows] for name in parameters}
    for name in _keys(row["recorded"] for row in rows):
        own = f"recorded.{name}" if name in parameters or name.startswith(OURS) else name
        columns[own] = [row["recorded"].get(name) for row in rows]
    for name in JOB:
        columns[f"job.{name}"] = [row.get(name) for row in rows]
    columns["job.file"] = [notebook_path(row) for row in rows]
    for part, prefix in (("versions", "version"), ("machine", "machine")):
        for name in _keys(row.get(part, {}) for row in rows):
            columns[f"{prefix}.{name}"] = [row.get(part, {}).get(name) for row in rows]
    table = pa.table({name: _column(values) for name, values in columns.items()})
    return table.replace_schema_metadata({PARAMETERS: json.dumps(parameters)})


def to_parquet(table: pa.Table) -> bytes:
    """The table as a file."""
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def read_table(folder: str | PathLike | Folder) -> pd.DataFrame:
    """The table of a sweep.

    Parameters
    ----------
    folder : str or path
        The sweep's output folder.

    Raises
    ------
    WorkbenchError
        It has no table.
    """
    folder = folder if isinstance(folder, Folder) else Folder(folder)
    content = folder.read(TABLE)
    if content is None:
        raise WorkbenchError(f"{folder} has no {TABLE}; it is no folder of a sweep that ended")
    return to_frame(pyarrow.parquet.read_table(pa.BufferReader(content)))


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The table for pandas; ``attrs["parameters"]`` names the columns that are parameters."""
    frame = table.to_pandas()
    frame.attrs["parameters"] = json.loads(table.schema.metadata[PARAMETERS])
    return frame


def _keys(mappings: Iterable[dict]) -> list[str]:
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _column(values: list) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool}:
        return pa.array(values, pa.bool_() if kinds else pa.null())
    if kinds <= {int}:
        return pa.array(values, pa.int64())
    if kinds <= {int, float}:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
    return pa.array(texts, pa.string()).dictionary_encode()
