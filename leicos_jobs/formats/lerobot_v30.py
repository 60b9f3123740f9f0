"""LeRobot v3.0, as lerobot 0.4 to 0.6 read it: an export of a v2.1 dataset.

Many episodes share a parquet and an mp4; meta/episodes says where each one lies (docs/decisions/lerobot.md 2.2). Videos
are joined, never encoded again, so every frame is that of the v2.1 dataset; statistics gain the five quantiles.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.gr00t import StatsBuilder, quantile_name
from leicos_jobs.formats.lerobot_check import require, robot_of
from leicos_jobs.formats.lerobot_extras import PICTURE, carried, image_stats, is_measured, nested, numbers
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.formats.lerobot_stats import ImageStats, sampled_stats
from leicos_jobs.formats.lerobot_v21 import META
from leicos_jobs.media.decode import read_frames
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

ROW_BYTES = 4096
"""What an episode's row in meta/episodes is taken to cost, as its size is not known before."""

QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
BASIC = ("min", "max", "mean", "std", "count")

Columns = dict[str, Any]


def export_v30(
    source: Path,
    out: Path,
    *,
    data_mb: int = DATA_MB,
    video_mb: int = VIDEO_MB,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write a v2.1 dataset as v3.0 into the new folder `out`; returns info.json, which is written last.

    data_mb, video_mb: about how large a file may get. progress: called with (episodes done, episodes in all).
    Statistics that the source lacks are computed. Raises InputError if the source is not sound, each of its frames
    included, or `out` is not empty.
    """
    dataset = Dataset(source)
    require(source, robot=robot_of(source, dataset.info), complete=False)
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
        meta = _ParquetFiles(self.out, EPISODES_PATH, self.data_bytes)
        begun = 0
        for done, entry in enumerate(dataset.entries, start=1):
            table = self._table(entry.index)
            row: Columns = {"episode_index": entry.index, "tasks": list(entry.tasks), "length": entry.length}
            row |= {f"data/{key}": value for key, value in data.write(table).items()}
            row |= {"dataset_from_index": begun, "dataset_to_index": begun + entry.length}
            for place in places:
                row |= place[entry.index]
            row |= self._stats(entry.index, entry.length, table, known.get(entry.index) or {})
            row |= {f"meta/episodes/{key}": value for key, value in meta.next_place(ROW_BYTES).items()}
            meta.write(_one_row(row), ROW_BYTES)
            begun += entry.length
            progress(done, len(dataset))
        data.close()
        meta.close()
        self._write_tasks()
        layout.write_json(self.out / STATS_PATH, self._all_stats())
        if (dataset.root / PROVENANCE).is_dir():
            shutil.copytree(dataset.root / PROVENANCE, self.out / PROVENANCE)
        return self._write_info(begun)

    def _table(self, index: int) -> pa.Table:
        """An episode's rows in our own schema, whatever list type its file uses, and its other columns after them."""
        episode, rows = self.dataset.episode(index), self.dataset.table(index)
        data = {layout.ACTION: episode.actions, layout.STATE: episode.states}
        data |= {key: rows.column(key).to_numpy() for key in layout.SCALARS}
        own = layout.table(data)
        return carried(own, rows, self.dataset.features, self.dataset.data_path(index))

    def _join_videos(self, camera: str) -> dict[int, Columns]:
        """Join a camera's videos into files; returns each episode's place. A file also ends where encoding differs."""
        key = layout.IMAGES + camera
        places: dict[int, Columns] = {}
        for number, group in enumerate(self._groups(camera)):
            place = _place(number)
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
                seen = self._seen(index, length, name, table, path)
                self.images.setdefault(name, ImageStats()).merge(seen)
                parts = _picture_stats(seen)
            else:
                continue
            for key in BASIC if name in known else ():
                kind = np.int64 if key == "count" else np.float64
                parts[key] = np.asarray(known[name][key], dtype=kind).tolist()
            found |= {f"stats/{name}/{key}": parts[key] for key in (*BASIC, *_QUANTILE_NAMES)}
        return found

    def _seen(self, index: int, length: int, name: str, table: pa.Table, path: Path) -> ImageStats:
        """Statistics of an episode's pictures, in a video or in the table."""
        if name in table.column_names:
            return image_stats(table.column(name), path, name)
        camera = name.removeprefix(layout.IMAGES)
        return sampled_stats(read_frames(self.dataset.video_path(index, camera)), length)

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

    def _write_tasks(self) -> None:
        """A pandas frame indexed by the task's text: lerobot looks tasks up by position and by index."""
        tasks = sorted(self.dataset.tasks.items())
        columns = [_pandas_column("task_index", "int64"), _pandas_column("task", "unicode")]
        described = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.2.0"}
        schema = pa.schema(
            [("task_index", pa.int64()), ("task", pa.string())], metadata={"pandas": json.dumps(described)}
        )
        rows = {"task_index": [index for index, _ in tasks], "task": [text for _, text in tasks]}
        pq.write_table(pa.table(rows, schema=schema), self.out / TASKS_PATH)

    def _write_info(self, frames: int) -> dict[str, Any]:
        dataset, old = self.dataset, self.dataset.info
        fps = layout.plain_rate(dataset.fps)
        features = {
            key: dict(feature) if feature["dtype"] == "video" else feature | {"fps": fps}
            for key, feature in dataset.features.items()
        }
        for feature in features.values():
            if feature["dtype"] in PICTURE and not feature.get("names"):  # lerobot looks for the channels by name
                feature["names"] = ["height", "width", "channels"]
        info = {
            "codebase_version": VERSION,
            "robot_type": old.get("robot_type"),
            "total_episodes": len(dataset),
            "total_frames": frames,
            "total_tasks": len(dataset.tasks),
            "chunks_size": layout.CHUNKS_SIZE,
            "data_files_size_in_mb": self.data_bytes >> 20,
            "video_files_size_in_mb": self.video_bytes >> 20,
            "fps": fps,
            "splits": old.get("splits"),
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH if dataset.cameras else None,
            "features": features,
        }
        part = self.out / "meta" / "info.json.part"
        layout.write_json(part, info)
        part.replace(self.out / layout.INFO)
        return info


_QUANTILE_NAMES = tuple(quantile_name(share) for share in QUANTILES)


def _picture_stats(seen: ImageStats) -> dict[str, Any]:
    return seen.result() | {quantile_name(one): seen.quantile(one) for one in QUANTILES}


def _place(number: int) -> dict[str, int]:
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

    def next_place(self, size: int) -> dict[str, int]:
        """Where a table of `size` bytes will go; begins a new file if the current one would get too large."""
        if self._writer and self._size + size > self._limit:
            self.close()
            self._number, self._size = self._number + 1, 0
        return _place(self._number)

    def write(self, table: pa.Table, size: int | None = None) -> dict[str, int]:
        """Append a table; returns its place."""
        size = table.nbytes if size is None else size
        place = self.next_place(size)
        if self._writer is None:
            path = self._root / self._template.format(**place)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, table.schema, compression="snappy")
        self._writer.write_table(table)
        self._size += size
        return place

    def close(self) -> None:
        """Finish the current file: without its footer it cannot be read."""
        if self._writer:
            self._writer.close()
            self._writer = None
