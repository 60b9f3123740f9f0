"""Label and truth tables: parquet files of one episode, with a fixed schema and the video's digest inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from leicos_jobs.core.errors import DefectError


def write_table(path: Path, columns: dict[str, NDArray[np.float32]], meta: dict[str, Any]) -> None:
    """Write (rows, width) float32 arrays of equal length as fixed-size-list columns, and `meta` into the schema."""
    arrays, fields = [], []
    for name, values in columns.items():
        flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
        kind = pa.list_(pa.float32(), values.shape[1])
        arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=kind))
        fields.append(pa.field(name, kind, nullable=False))
    schema = pa.schema(fields, metadata={"leicos": json.dumps(meta, sort_keys=True)})
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="snappy", store_schema=False)


def read_table(path: Path) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """Read what `write_table` wrote: columns as (rows, width) float32, and the meta data. Raises DefectError."""
    try:
        table = pq.read_table(path)
        meta = json.loads((table.schema.metadata or {}).get(b"leicos", b"{}"))
        columns = {}
        for field in table.schema:
            column = table.column(field.name).combine_chunks()
            values = column.flatten().to_numpy(zero_copy_only=False)
            columns[field.name] = np.asarray(values, dtype=np.float32).reshape(table.num_rows, -1)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DefectError(f"{path.name} cannot be read: {error}") from error
    return columns, meta
