"""Label and truth tables: parquet files of one episode, with a fixed schema and the video's digest inside.

pyarrow is imported where it is used: a worker that finds all its samples done needs none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core.errors import DefectError


def write_table(path: Path, columns: dict[str, NDArray[np.float32]], meta: dict[str, Any]) -> None:
    """Write (rows, width) float32 arrays as fixed-size-list columns, and `meta` into the schema.

    Truth has columns at two rates: shorter ones are padded with NaN, and `read_table` takes the padding off again.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    longest = max(len(values) for values in columns.values())
    arrays, fields = [], []
    for name, values in columns.items():
        padded = np.full((longest, values.shape[1]), np.nan, dtype=np.float32)
        padded[: len(values)] = values
        kind = pa.list_(pa.float32(), values.shape[1])
        arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(padded.ravel()), type=kind))
        fields.append(pa.field(name, kind, nullable=False))
    lengths = {name: len(values) for name, values in columns.items()}
    texts = {"leicos": json.dumps(meta, sort_keys=True), "rows": json.dumps(lengths)}
    schema = pa.schema(fields, metadata=texts)
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="snappy")


def read_table(path: Path) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """Read what `write_table` wrote: columns as (rows, width) float32, and the meta data. Raises DefectError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        texts = table.schema.metadata or {}
        meta, rows = json.loads(texts[b"leicos"]), json.loads(texts[b"rows"])
        columns = {}
        for field in table.schema:
            values = table.column(field.name).combine_chunks().flatten().to_numpy(zero_copy_only=False)
            wide = np.asarray(values, dtype=np.float32).reshape(table.num_rows, -1)
            columns[field.name] = wide[: rows[field.name]]
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise DefectError(f"{path.name} cannot be read: {type(error).__name__}: {error}") from error
    return columns, meta
