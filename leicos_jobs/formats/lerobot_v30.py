"""LeRobot v3.0, as lerobot 0.4 to 0.6 read it: an export of a v2.1 dataset.

Many episodes share a parquet and an mp4; meta/episodes says where each one lies (docs/decisions/lerobot.md 2.2). Videos
are joined, never encoded again, so every frame is that of the v2.1 dataset; statistics gain the five quantiles.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.gr00t import StatsBuilder, quantile_name
from leicos_jobs.formats.lerobot_check import require, robot_of
from leicos_jobs.formats.lerobot_extras import PICTURE, is_measured, nested, numbers, own_schema, picture_stats
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.formats.lerobot_stats import ImageStats
from leicos_jobs.formats.lerobot_v21 import META
from leicos_jobs.media.remux import concatenate, stream_header

VERSION = "v3.0"
FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
DATA_PATH = f"data/{FILE}.parquet"
VIDEO_PATH = f"videos/{{video_key}}/{FILE}.mp4"
EPISODES_PATH = f"meta/episodes/{FILE}.parquet"
TASKS_PATH = "meta/tasks.parquet"
STATS_PATH = "meta/stats.json"
PROVENANCE = Path("meta/leicos")
"""Copied as it is: where every episode came from."""

DATA_MB, VIDEO_MB = 100, 200
"""lerobot 0.4.2's limits of a file."""

BATCH = 500
"""Rows of meta/episodes that are put into one table while they are made."""

QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
BASIC = ("min", "max", "mean", "std", "count")

Columns = dict[str, Any]


def export_v30(
    source: Path,
    out: Path,
    *,
    data_mb: int = DATA_MB,
    video_mb: int = VIDEO_MB,
    decode: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write a v2.1 dataset as v3.0 into the new folder `out`; returns info.json, which is written last.

    data_mb, video_mb: about how large a file may get. decode: look for damaged frames first, by decoding all; pictures
    that are measured are decoded in any case. progress: called with (episodes done, episodes in all).
    Statistics that the source lacks are computed. Raises InputError if the source is not sound, or `out` is not
    empty.
    """
    dataset = Dataset(source)
    require(source, decode=decode, robot=robot_of(source, dataset.info), complete=False)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out}: is not empty", fix="give a new folder")
    out.mkdir(parents=True, exist_ok=True)
    try:
        return _Export(dataset, out, data_mb << 20, video_mb << 20).run(progress or (lambda _done, _total: None))
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise


@dataclass
class _Export:
    dataset: Dataset
    out: Path
    data_bytes: int
    video_bytes: int
    builder: StatsBuilder = field(default_factory=lambda: StatsBuilder(quantiles=QUANTILES))
    images: dict[str, ImageStats] = field(default_factory=dict)

    def run(self, progress: Callable[[int, int], None]) -> dict[str, Any]:
        dataset = self.dataset
        places = [self._join_videos(camera) for camera in dataset.cameras]
        known = {int(line["episode_index"]): line["stats"] for line in layout.read_jsonl(dataset.root / META["stats"])}
        data = _ParquetFiles(self.out, DATA_PATH, self.data_bytes)
        meta: list[pa.Table] = []
        begun = 0
        for done, entry in enumerate(dataset.entries, start=1):
            table = self._table(entry.index)
            row: Columns = {"episode_index": entry.index, "tasks": list(entry.tasks), "length": entry.length}
            row |= {f"data/{key}": value for key, value in data.write(table).items()}
            row |= {"dataset_from_index": begun, "dataset_to_index": begun + entry.length}
            for place in places:
                row |= place[entry.index]
            row |= self._stats(entry.index, entry.length, table, known.get(entry.index) or {})
            meta.append(_one_row(row))
            if not done % BATCH:  # a table per row is costly to keep
                meta[-BATCH:] = [pa.concat_tables(meta[-BATCH:]).combine_chunks()]
            begun += entry.length
            progress(done, len(dataset))
        data.close()
        write_episodes(self.out, pa.concat_tables(meta), self.data_bytes)
        write_tasks(self.out, dataset.tasks)
        layout.write_json(self.out / STATS_PATH, self._all_stats())
        if (dataset.root / PROVENANCE).is_dir():
            shutil.copytree(dataset.root / PROVENANCE, self.out / PROVENANCE)
        return self._write_info(begun)

    def _table(self, index: int) -> pa.Table:
        path = self.dataset.data_path(index)
        return own_schema(self.dataset.table(index), self.dataset.features, path)

    def _join_videos(self, camera: str) -> dict[int, Columns]:
        """Join a camera's videos into files; returns each episode's place. A file also ends where encoding differs."""
        key = layout.IMAGES + camera
        places: dict[int, Columns] = {}
        for number, group in enumerate(self._groups(camera)):
            place = place_of(number)
            path = self.out / VIDEO_PATH.format(video_key=key, **place)
            path.parent.mkdir(parents=True, exist_ok=True)
            counts = concatenate([self.dataset.video_path(index, camera) for index in group], path, self.dataset.fps)
            begun = 0
            for index, count in zip(group, counts, strict=True):
                span = {
                    "from_timestamp": float(begun / self.dataset.fps),
                    "to_timestamp": float((begun + count) / self.dataset.fps),
                }
                places[index] = {f"videos/{key}/{name}": value for name, value in (place | span).items()}
                begun += count
        return places

    def _groups(self, camera: str) -> Iterator[list[int]]:
        group: list[int] = []
        size, header = 0, b""
        for entry in self.dataset.entries:
            path = self.dataset.video_path(entry.index, camera)
            own, own_header = path.stat().st_size, stream_header(path)
            if group and (size + own > self.video_bytes or own_header != header):
                yield group
                group, size = [], 0
            group.append(entry.index)
            size, header = size + own, own_header
        yield group

    def _stats(self, index: int, length: int, table: pa.Table, known: Mapping[str, Any]) -> Columns:
        """stats/<feature>/<statistic> of one episode: what v2.1 knows, the rest from its rows and frames."""
        own = StatsBuilder(quantiles=QUANTILES)
        features, path = self.dataset.features, self.dataset.data_path(index)
        data = {
            name: numbers(table.column(name), feature["shape"])
            for name, feature in features.items()
            if is_measured(feature) and feature["dtype"] not in PICTURE
        }
        own.add(data)
        self.builder.add(data)
        found: Columns = {}
        columns = own.result()
        for name, feature in features.items():
            if name in columns:
                parts = {key: nested(values, feature["shape"]) for key, values in columns[name].items()}
                parts["count"] = [length]
            elif is_measured(feature):
                video = (
                    self.dataset.video_path(index, name.removeprefix(layout.IMAGES)) if self.dataset.cameras else path
                )
                seen = picture_stats(table, name, path, video)
                self.images.setdefault(name, ImageStats()).merge(seen)
                parts = _picture_stats(seen)
            else:
                continue
            for key in BASIC if name in known else ():
                kind = np.int64 if key == "count" else np.float64
                parts[key] = np.asarray(known[name][key], dtype=kind).tolist()
            found |= {f"stats/{name}/{key}": parts[key] for key in (*BASIC, *QUANTILE_NAMES)}
        return found

    def _all_stats(self) -> dict[str, Any]:
        columns = self.builder.result()
        rows = sum(entry.length for entry in self.dataset.entries)
        found: dict[str, Any] = {}
        for name, feature in self.dataset.features.items():
            if name in columns:
                parts = {key: nested(values, feature["shape"]) for key, values in columns[name].items()}
                found[name] = parts | {"count": [rows]}
            elif is_measured(feature):
                found[name] = _picture_stats(self.images[name])
        return found

    def _write_info(self, frames: int) -> dict[str, Any]:
        sizes = (self.data_bytes >> 20, self.video_bytes >> 20)
        dataset = self.dataset
        return write_info(self.out, dataset, dataset.features, len(dataset), frames, len(dataset.tasks), sizes)


class Described(Protocol):
    """What the metadata of a dataset of any version says."""

    @property
    def info(self) -> Mapping[str, Any]:
        """info.json."""

    @property
    def fps(self) -> Fraction:
        """Frames per second."""


def write_episodes(out: Path, table: pa.Table, limit: int = DATA_MB << 20) -> None:
    """meta/episodes, in files of at most about `limit` bytes; the columns that name the file are written here."""
    rows = max(1, limit * len(table) // max(1, table.nbytes))
    for number, begin in enumerate(range(0, len(table), rows)):
        part = table.slice(begin, rows)
        for key, value in place_of(number).items():
            name, values = f"meta/episodes/{key}", pa.array([value] * len(part), pa.int64())
            at = part.schema.get_field_index(name)
            part = part.append_column(name, values) if at < 0 else part.set_column(at, name, values)
        path = out / EPISODES_PATH.format(**place_of(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(part, path, compression="snappy")


def write_tasks(out: Path, tasks: Mapping[int, str]) -> None:
    """meta/tasks.parquet: a pandas frame indexed by the task's text; lerobot looks tasks up by position and by
    index."""
    ordered = sorted(tasks.items())
    columns = [_pandas_column("task_index", "int64"), _pandas_column("task", "unicode")]
    described = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.2.0"}
    schema = pa.schema([("task_index", pa.int64()), ("task", pa.string())], metadata={"pandas": json.dumps(described)})
    rows = {"task_index": [index for index, _ in ordered], "task": [text for _, text in ordered]}
    pq.write_table(pa.table(rows, schema=schema), out / TASKS_PATH)


def write_info(
    out: Path,
    described: Described,
    features: Mapping[str, Any],
    episodes: int,
    frames: int,
    tasks: int,
    sizes: tuple[int, int] = (DATA_MB, VIDEO_MB),
) -> dict[str, Any]:
    """Write info.json, which makes it a dataset; returns it. described: what is the same as in the source. episodes,
    frames, tasks: how many. sizes: of data and video files at most, MiB."""
    fps = layout.plain_rate(described.fps)
    written = {
        key: dict(feature) if feature["dtype"] == "video" else feature | {"fps": fps}
        for key, feature in features.items()
    }
    for feature in written.values():
        if feature["dtype"] in PICTURE and not feature.get("names"):  # lerobot looks for the channels by name
            feature["names"] = ["height", "width", "channels"]
    info = {
        "codebase_version": VERSION,
        "robot_type": described.info.get("robot_type"),
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": layout.CHUNKS_SIZE,
        "data_files_size_in_mb": sizes[0],
        "video_files_size_in_mb": sizes[1],
        "fps": fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if any(feature["dtype"] == "video" for feature in features.values()) else None,
        "features": written,
    }
    part = out / "meta" / "info.json.part"
    layout.write_json(part, info)
    part.replace(out / layout.INFO)
    return info


QUANTILE_NAMES = {quantile_name(share): share for share in QUANTILES}
"""Statistic -> the share of rows that do not exceed it."""


def _picture_stats(seen: ImageStats) -> dict[str, Any]:
    return seen.result() | {name: seen.quantile(share) for name, share in QUANTILE_NAMES.items()}


def place_of(number: int) -> dict[str, int]:
    """Chunk and file of the n-th file."""
    return {"chunk_index": number // layout.CHUNKS_SIZE, "file_index": number % layout.CHUNKS_SIZE}


def _pandas_column(name: str, kind: str) -> dict[str, Any]:
    numpy_type = "int64" if kind == "int64" else "object"
    return {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_type, "metadata": None}


def _one_row(row: Columns) -> pa.Table:
    """A row of meta/episodes; statistics are doubles, however whole, but counts are integers."""
    arrays, names = [], []
    for key, value in row.items():
        kind = None
        if key.startswith("stats/"):
            inner = pa.int64() if key.endswith("/count") else pa.float64()
            kind, part = inner, value
            while isinstance(part, list):
                kind, part = pa.list_(kind), part[0]
        arrays.append(pa.array([value], type=kind))
        names.append(key)
    return pa.Table.from_arrays(arrays, names=names)


class _ParquetFiles:
    """Tables appended to files of a limited size, a row group each."""

    def __init__(self, root: Path, template: str, limit: int) -> None:
        self._root, self._template, self._limit = root, template, limit
        self._writer: pq.ParquetWriter | None = None
        self._number, self._size = 0, 0

    def write(self, table: pa.Table) -> dict[str, int]:
        """Append a table, to a new file if the current one would get too large; returns its place."""
        if self._writer and self._size + table.nbytes > self._limit:
            self.close()
            self._number, self._size = self._number + 1, 0
        place = place_of(self._number)
        if self._writer is None:
            path = self._root / self._template.format(**place)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, table.schema, compression="snappy")
        self._writer.write_table(table)
        self._size += table.nbytes
        return place

    def close(self) -> None:
        """Finish the current file: without its footer it cannot be read."""
        if self._writer:
            self._writer.close()
            self._writer = None
