"""Columns of a dataset beyond action, state and lerobot's own: rewards, marks, texts, images stored in parquet.

leicos needs none of them; those who recorded them do, so an export carries them with their types and statistics.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.lerobot_stats import ImageStats, sample_indices, sampled_stats
from leicos_jobs.media.decode import read_frames

Features = Mapping[str, Mapping[str, Any]]

PICTURE = ("video", "image")
"""Types of a camera's feature: a file of its own, or encoded images in the table."""

_TYPES = {name: getattr(pa, name)() for name in (
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "string",
)} | {"bool": pa.bool_()}  # fmt: skip
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How `datasets` stores an image."""


def extras(features: Features) -> list[str]:
    """Names of the columns that are not lerobot's own."""
    own = {layout.ACTION, layout.STATE, *layout.SCALARS}
    return [name for name, feature in features.items() if name not in own and feature["dtype"] != "video"]


def stored_images(features: Features) -> list[str]:
    """Names without prefix of cameras whose images lie in the tables."""
    return [name.removeprefix(layout.IMAGES) for name, feature in features.items() if feature["dtype"] == "image"]


def is_measured(feature: Mapping[str, Any]) -> bool:
    """Whether lerobot has statistics of a feature: of numbers and pictures, not of texts."""
    return feature["dtype"] in PICTURE or (feature["dtype"] in _TYPES and feature["dtype"] != "string")


def extra_problems(path: Path, rows: pa.Table, features: Features) -> Iterator[str]:
    """What is wrong with the extra columns of a table, one sentence each."""
    for name in extras(features):
        if name not in rows.column_names:
            yield f"{path}: has no column {name}, which info.json names"
            continue
        try:
            typed(rows.column(name), features[name], path, name)
        except InputError as error:
            yield error.message


def typed(column: pa.ChunkedArray, feature: Mapping[str, Any], path: Path, name: str) -> pa.ChunkedArray:
    """A column in the one type that its feature has, whatever list type its file uses. Raises InputError."""
    dtype, shape = feature["dtype"], feature["shape"]
    try:
        if dtype == "image":
            found = column.cast(_IMAGE)
            if pc.struct_field(found, "bytes").null_count:
                raise InputError(f"{path}: {name} holds paths of images, not images", fix="embed them in the table")
            return found
        if dtype not in _TYPES:
            return column
        kind = _TYPES[dtype]
        if list(shape) != [1] or pa.types.is_nested(column.type):
            for size in reversed(shape):
                kind = pa.list_(kind, size)
        return column.cast(kind)
    except (pa.ArrowException, TypeError, OverflowError, ValueError) as error:
        what = f"{dtype} of shape {list(shape)}"
        raise InputError(f"{path}: {name} holds {column.type}, not {what} ({error})", fix=layout.FIX) from None


def carried(table: pa.Table, rows: pa.Table, features: Features, path: Path) -> pa.Table:
    """A table of lerobot's own columns with the extra ones of `rows` appended, and described for `datasets`."""
    names = extras(features)
    if not names:
        return table
    described = json.loads(table.schema.metadata[b"huggingface"])
    for name in names:
        table = table.append_column(name, typed(rows.column(name), features[name], path, name))
        described["info"]["features"][name] = _description(features[name])
    return table.replace_schema_metadata({"huggingface": json.dumps(described)})


def own_schema(rows: pa.Table, features: Features, path: Path) -> pa.Table:
    """A dataset's rows in the schema that we write, whatever list type their file uses, extra columns included.

    Raises InputError naming the file if a column is missing or holds something else than its feature says.
    """
    if wrong := layout.column_problem(rows):
        raise InputError(f"{path}: {wrong}", fix=layout.FIX)
    data = {
        name: layout.vectors(rows.column(name), features[name]["shape"][0], path)
        for name in (layout.ACTION, layout.STATE)
    }
    scalars = {key: rows.column(key).to_numpy() for key in layout.SCALARS}
    return carried(layout.table(data | scalars), rows, features, path)


def _description(feature: Mapping[str, Any]) -> dict[str, Any]:
    """What `datasets` calls a feature, as lerobot's get_hf_features_from_features chooses it."""
    dtype, shape = feature["dtype"], list(feature["shape"])
    if dtype == "image":
        return {"_type": "Image"}
    value = {"dtype": dtype, "_type": "Value"}
    if shape == [1]:
        return value
    if len(shape) == 1:
        return {"feature": value, "length": shape[0], "_type": "Sequence"}
    return {"shape": shape, "dtype": dtype, "_type": f"Array{len(shape)}D"}


def numbers(column: pa.ChunkedArray, shape: Sequence[int]) -> NDArray[Any]:
    """A column of numbers or marks as (rows, numbers of a row)."""
    width = math.prod(shape)
    while pa.types.is_nested(column.type):
        column = pc.list_flatten(column)
    return np.asarray(column.to_numpy()).reshape(-1, width)


def image_stats(column: pa.ChunkedArray, path: Path, name: str) -> ImageStats:
    """Statistics of encoded images, of which only the sampled ones are decoded. Raises InputError."""
    stats = ImageStats()
    for row in sample_indices(len(column)):
        try:
            image = imagecodecs.imread(column[row]["bytes"].as_py())
        except Exception as error:  # noqa: BLE001 - each codec has errors of its own
            raise InputError(f"{path}: {name} of row {row} is not an image ({error})", fix=layout.FIX) from None
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InputError(f"{path}: {name} of row {row} is {image.dtype} {image.shape}, not RGB", fix=layout.FIX)
        stats.add(image)
    return stats


def picture_stats(rows: pa.Table, name: str, path: Path, video: Path) -> ImageStats:
    """Statistics of an episode's pictures of a feature, which lie in its table (`rows`, read from `path`) or its video.
    Raises InputError (VideoError)."""
    if name in rows.column_names:
        return image_stats(rows.column(name), path, name)
    return sampled_stats(read_frames(video), len(rows))


def nested(values: Sequence[float], shape: Sequence[int]) -> list[Any]:
    """Statistics of a row's numbers in the feature's shape."""
    found: list[Any] = np.asarray(values).reshape(shape).tolist()
    return found
