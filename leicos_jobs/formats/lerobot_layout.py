"""Names, paths and schemas that LeRobot v2.1 and v3.0 share: features, parquet columns, the `huggingface` metadata.

As a run of lerobot 0.3.3 and 0.6.1 writes them (docs/decisions/lerobot.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import from_json, json_lines
from leicos_jobs.media.probe import VideoInfo

F32 = NDArray[np.float32]
T = TypeVar("T")

ACTION = "action"
STATE = "observation.state"
IMAGES = "observation.images."
CHUNKS_SIZE = 1000
"""Episodes (v2.1) or files (v3.0) a chunk folder."""

FIX = "write the dataset again"

INFO = Path("meta/info.json")
PROVENANCE = Path("meta/leicos/provenance.jsonl")
"""Of a dataset that leicos made: where each episode's video came from."""
STARTS = "meta/leicos/starts.jsonl"
"""Of a dataset that leicos made: the simulator state in which each episode begins (`formats/episode_starts`)."""
SCALARS = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
"""Columns that every LeRobot table has after the user's, with their types."""

MAX_ROWS = 20_000_000
"""Of a file; lerobot's hold about a million. A few bytes can stand for any number of equal rows."""

DataRow = Mapping[str, NDArray[Any]]


_PLACE = re.compile(r"\{([a-z_]+)(?::0([1-9])d)?\}")


def fill_path(template: str, values: Mapping[str, int | str]) -> str:
    """A path out of info.json's data_path or video_path, e.g. `data/chunk-{episode_chunk:03d}/a.parquet`.

    Only the names in `values` and widths of one digit are filled in: `str.format` would look up attributes and make
    texts of any width. Raises ValueError for every other brace.
    """
    if set("{}") & set(_PLACE.sub("", template)):
        raise ValueError("it may hold {name} and {name:06d} only")

    def fill(match: re.Match[str]) -> str:
        name, width = match.groups()
        if name not in values:
            raise ValueError(f"{{{name}}} is none of {', '.join(sorted(values))}")
        value = values[name]
        if width and not isinstance(value, int):
            raise ValueError(f"{{{name}}} is not a number")
        return f"{value:0{width}d}" if width else str(value)

    return _PLACE.sub(fill, template)


def plain_rate(fps: Fraction) -> int | float:
    """fps as lerobot writes it: an integer where it is one."""
    return fps.numerator if fps.denominator == 1 else float(fps)


def features(names: Mapping[str, Sequence[str]], cameras: Mapping[str, VideoInfo], fps: Fraction) -> dict[str, Any]:
    """The `features` of info.json, in lerobot's order. names: joint features of ACTION and STATE; cameras: name -> its
    probed video."""
    found: dict[str, Any] = {
        key: {"dtype": "float32", "shape": [len(names[key])], "names": list(names[key])} for key in (ACTION, STATE)
    }
    for camera, info in cameras.items():
        facts = {
            "video.height": info.height,
            "video.width": info.width,
            "video.codec": info.codec,
            "video.pix_fmt": info.pix_fmt,
            "video.is_depth_map": False,
            "video.fps": plain_rate(fps),
            "video.channels": 3,
            "has_audio": info.has_audio,
        }
        found[IMAGES + camera] = {
            "dtype": "video",
            "shape": [info.height, info.width, 3],
            "names": ["height", "width", "channels"],
            "info": facts,
        }
    return found | {key: {"dtype": dtype, "shape": [1], "names": None} for key, dtype in SCALARS.items()}


@cache
def schema(action: int, state: int) -> pa.Schema:
    """Arrow schema of a data file, with the `huggingface` metadata from which `datasets` restores its features.

    action, state: their widths.
    """
    widths = {ACTION: action, STATE: state}
    fields = [pa.field(key, pa.list_(pa.float32(), width)) for key, width in widths.items()]
    fields += [pa.field(key, pa.float32() if dtype == "float32" else pa.int64()) for key, dtype in SCALARS.items()]
    value = {"dtype": "float32", "_type": "Value"}
    described: dict[str, Any] = {
        key: {"feature": value, "length": width, "_type": "Sequence"} for key, width in widths.items()
    }
    described |= {key: {"dtype": dtype, "_type": "Value"} for key, dtype in SCALARS.items()}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": described}})})


def columns(
    actions: F32, states: F32, fps: Fraction, *, episode_index: int, first_index: int, task_index: int
) -> dict[str, NDArray[Any]]:
    """The columns of one episode, in order. actions: (n, action width), states: (n, state width), float32."""
    rows = len(actions)
    steps = np.arange(rows, dtype=np.int64)
    return {
        ACTION: actions,
        STATE: states,
        "timestamp": (steps / float(fps)).astype(np.float32),
        "frame_index": steps,
        "episode_index": np.full(rows, episode_index, dtype=np.int64),
        "index": steps + first_index,
        "task_index": np.full(rows, task_index, dtype=np.int64),
    }


def table(data: DataRow) -> pa.Table:
    """Columns as an Arrow table of the `schema` of their widths."""
    layout = schema(data[ACTION].shape[1], data[STATE].shape[1])
    arrays = []
    for field in layout:
        values = data[field.name]
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1), type=pa.float32())
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=field.type))
        else:
            arrays.append(pa.array(values, type=field.type))
    return pa.Table.from_arrays(arrays, schema=layout)


def vectors(column: pa.ChunkedArray, width: int, path: Path) -> F32:
    """A list column as (rows, width) float32. Raises InputError if a row has another width or is missing."""
    listed = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
    if not listed or not (pa.types.is_floating(column.type.value_type) or pa.types.is_integer(column.type.value_type)):
        raise InputError(f"{path}: a column of vectors holds {column.type}", fix="write the dataset again")
    lengths = set(pc.unique(pc.list_value_length(column)).to_pylist()) - {width}
    if lengths or column.null_count:
        raise InputError(f"{path}: a row holds {lengths or None} numbers, not {width}", fix="write the dataset again")
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    joined = np.concatenate(flat) if flat else np.empty(0, np.float32)
    return joined.astype(np.float32, copy=False).reshape(-1, width)


def column_problem(rows: pa.Table) -> str | None:
    """Why a table is not one of a dataset's: a column is missing, or one of `SCALARS` has another type or no value."""
    missing = {ACTION, STATE, *SCALARS} - set(rows.column_names)
    if missing:
        return f"has no column {', '.join(sorted(missing))}"
    for name, dtype in SCALARS.items():
        column = rows.column(name)
        fits = pa.types.is_floating if dtype == "float32" else pa.types.is_integer
        if not fits(column.type):
            return f"column {name} holds {column.type}, not {dtype}"
        if column.null_count:
            return f"column {name} has rows without a value"
    return None


def write_json(path: Path, value: Any) -> None:
    """A .json file as lerobot writes it: 4 spaces, no trailing newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=4, ensure_ascii=False), encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises InputError naming it if it is missing or not JSON."""
    return from_json(_text(path, "give the folder of a finished LeRobot dataset"), str(path), FIX)


def read_jsonl(path: Path) -> list[Any]:
    """Read a .jsonl file. Raises InputError naming the line that is not JSON."""
    return [value for _, value in json_lines(_text(path, FIX), str(path), FIX)]


def _text(path: Path, fix: str) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would be read without end
            raise InputError(f"{path}: is not a file", fix=FIX)
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", fix=fix) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})", fix=FIX) from error


def read_parquet(path: Path, names: Sequence[str] | None = None, *, equal: tuple[str, int] | None = None) -> pa.Table:
    """Read a parquet file, or some of its columns. equal: (column, value) of the rows that are wanted, if not all.

    Raises InputError naming it if it is missing or broken.
    """
    wanted = [(equal[0], "=", equal[1])] if equal else None

    def read() -> pa.Table:
        if (rows := pq.read_metadata(path).num_rows) > MAX_ROWS:
            raise InputError(f"{path}: holds {rows} rows", fix=f"split it into files of under {MAX_ROWS}")
        table = pq.read_table(path, columns=names, filters=wanted, use_threads=False)  # small files: threads only cost
        _ = table.column_names  # decoded when asked for: bytes that are not text must fail here
        return table

    return _parquet(path, read)


def parquet_rows(path: Path, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The rows of a parquet file as plain values, of all columns or some. Raises InputError as `read_parquet`."""
    return _parquet(path, lambda: list(pq.read_table(path, columns=names, use_threads=False).to_pylist()))


def parquet_columns(path: Path) -> list[str]:
    """Names of a parquet file's columns. Raises InputError naming it if it is missing or broken."""
    return _parquet(path, lambda: list(pq.read_schema(path).names))


def _parquet(path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", fix="write the dataset again") from None
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise InputError(f"{path}: is not a parquet file ({error})", fix="write the dataset again") from error
