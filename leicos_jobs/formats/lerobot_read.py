"""Reading a LeRobot v2.1 dataset, or v2.0: metadata at once, episodes when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.lerobot_meta import FIX, EpisodeLine, Model, TaskLine, read_info, validated
from leicos_jobs.formats.lerobot_v21 import META, VERSION
from leicos_jobs.media.rates import as_rate

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class EpisodeEntry:
    """A line of episodes.jsonl."""

    index: int
    length: int
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Episode:
    """One episode. actions: (n, action width), states: (n, state width), float32 motor units; task: its text;
    videos: camera -> file."""

    index: int
    actions: F32
    states: F32
    timestamps: F32
    task: str
    videos: dict[str, Path]

    def __len__(self) -> int:
        return len(self.actions)


class Dataset:
    """A LeRobot v2.1 folder. Opening it reads info, tasks and episodes; nothing is checked against the files yet.

    info: info.json. entries: by episode index. tasks: task_index -> text. cameras: names without prefix.
    """

    def __init__(self, root: Path, versions: Sequence[str] = (VERSION,)) -> None:
        """Open. versions: which ones will do. Raises InputError if it is no finished one of them, naming the file."""
        self.root = root
        fix = "bring it there first: leicos to-lerobot DATASET --format v2.1"
        self.info, described = read_info(root, versions, fix)
        self.fps: Fraction = as_rate(described.fps)
        self.features: dict[str, Any] = self.info["features"]
        self.widths = {name: described.features[name].shape[0] for name in (layout.ACTION, layout.STATE)}
        self.entries = [
            EpisodeEntry(line.episode_index, line.length, tuple(line.tasks))
            for line in _lines(root / META["episodes"], EpisodeLine)
        ]
        self.entries.sort(key=lambda entry: entry.index)
        self.tasks = {line.task_index: line.task for line in _lines(root / META["tasks"], TaskLine)}
        self.cameras = tuple(
            key.removeprefix(layout.IMAGES) for key, item in described.features.items() if item.dtype == "video"
        )

    def __len__(self) -> int:
        return len(self.entries)

    def data_path(self, index: int) -> Path:
        """Parquet of an episode."""
        return self._path(str(self.info["data_path"]), index)

    def video_path(self, index: int, camera: str) -> Path:
        """Video of an episode and camera."""
        return self._path(str(self.info["video_path"]), index, video_key=layout.IMAGES + camera)

    def _path(self, template: str, index: int, **names: str) -> Path:
        size = int(self.info.get("chunks_size", layout.CHUNKS_SIZE))
        return self.root / layout.fill_path(template, {"episode_chunk": index // size, "episode_index": index, **names})

    def table(self, index: int) -> pa.Table:
        """An episode's parquet as it is. Raises InputError if it is missing or broken."""
        return layout.read_parquet(self.data_path(index))

    def episode(self, index: int) -> Episode:
        """Read an episode. Raises InputError if it does not exist, or its table lacks a column or has other widths."""
        path, rows = self.data_path(index), self.table(index)
        if wrong := layout.column_problem(rows):
            raise InputError(f"{path}: {wrong}", fix=FIX)
        task = rows.column("task_index")[0].as_py() if len(rows) else -1
        if task not in self.tasks:
            raise InputError(f"{path}: task_index {task} is not in {META['tasks']}", fix=FIX)
        return Episode(
            index=index,
            actions=layout.vectors(rows.column(layout.ACTION), self.widths[layout.ACTION], path),
            states=layout.vectors(rows.column(layout.STATE), self.widths[layout.STATE], path),
            timestamps=np.asarray(rows.column("timestamp").to_numpy(), dtype=np.float32),
            task=self.tasks[task],
            videos={camera: self.video_path(index, camera) for camera in self.cameras},
        )

    def episodes(self) -> Iterator[Episode]:
        """All episodes in order."""
        return (self.episode(entry.index) for entry in self.entries)


def _lines(path: Path, model: type[Model]) -> list[Model]:
    return [validated(path, model, line) for line in layout.read_jsonl(path)]
