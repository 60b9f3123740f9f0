"""Is a LeRobot v3.0 folder what it says it is? As `lerobot_check` asks of v2.1; here many episodes share a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.lerobot_check import TIME_TOLERANCE, row_problems, video_problems
from leicos_jobs.formats.lerobot_meta import FIX, MOST, EpisodeLine, TaskLine, read_info, statistics_problems, validated
from leicos_jobs.formats.lerobot_read import EpisodeEntry
from leicos_jobs.formats.lerobot_v30 import STATS_PATH, TASKS_PATH, VERSION
from leicos_jobs.media.rates import as_rate
from leicos_jobs.robots.embodiment import Embodiment

EPISODES = Path("meta/episodes")


@dataclass(frozen=True)
class Place:
    """Where an episode lies. rows: [begin, end) of all rows; videos: feature -> file and [begin, end) in seconds."""

    entry: EpisodeEntry
    rows: tuple[int, int]
    data: Path
    videos: Mapping[str, tuple[Path, float, float]]


class DatasetV30:
    """A LeRobot v3.0 folder's metadata; nothing is held against the files yet. Attributes as those of `Dataset`."""

    def __init__(self, root: Path) -> None:
        """Read it. Raises InputError if it is not a finished v3.0 dataset, naming the file."""
        self.root = root
        self.info, described = read_info(root, (VERSION,), "export it again")
        self.fps: Fraction = as_rate(described.fps)
        self.features: dict[str, Any] = self.info["features"]
        self.widths = {name: described.features[name].shape[0] for name in (layout.ACTION, layout.STATE)}
        self.videos = tuple(key for key, item in described.features.items() if item.dtype == "video")
        self.tasks = self._tasks()
        files = sorted((root / EPISODES).rglob("*.parquet"))
        self.places = [self._place(file, row) for file in files for row in _without_stats(file)]

    @property
    def entries(self) -> list[EpisodeEntry]:
        """Of all episodes, in order."""
        return [place.entry for place in self.places]

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names without prefix."""
        return tuple(key.removeprefix(layout.IMAGES) for key in self.videos)

    def _tasks(self) -> dict[int, str]:
        """The texts are the index of a pandas frame, whose column pandas names as it likes."""
        path = self.root / TASKS_PATH
        names = layout.parquet_columns(path)
        texts = [name for name in names if name != "task_index"]
        if len(texts) != 1 or len(names) != 2:
            raise InputError(f"{path}: its columns are {', '.join(names)}", fix=FIX)
        rows = layout.parquet_rows(path)
        lines = [validated(path, TaskLine, {"task_index": row["task_index"], "task": row[texts[0]]}) for row in rows]
        return {line.task_index: line.task for line in lines}

    def _place(self, file: Path, row: Mapping[str, Any]) -> Place:
        line = validated(file, EpisodeLine, row)
        try:
            videos = {}
            for key in self.videos:
                begin, end = (float(row[f"videos/{key}/{name}_timestamp"]) for name in ("from", "to"))
                videos[key] = (self._path("video_path", row, f"videos/{key}", video_key=key), begin, end)
            rows = (int(row["dataset_from_index"]), int(row["dataset_to_index"]))
            data = self._path("data_path", row, "data")
            if not 0 <= rows[0] <= rows[1] < MOST:
                raise ValueError(f"rows {rows[0]} to {rows[1]}")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            what = f"episode {line.episode_index} has no place ({type(error).__name__}: {error})"
            raise InputError(f"{file}: {what}", fix=FIX) from error
        return Place(EpisodeEntry(line.episode_index, line.length, tuple(line.tasks)), rows, data, videos)

    def _path(self, template: str, row: Mapping[str, Any], prefix: str, **names: str) -> Path:
        numbers = {name: int(row[f"{prefix}/{name}"]) for name in ("chunk_index", "file_index")}
        return self.root / layout.fill_path(str(self.info[template]), {**numbers, **names})


def check_v30(dataset: DatasetV30, *, decode: bool = True, robot: Embodiment | None = None) -> list[str]:
    """Everything that is wrong, one sentence each that begins with the file; empty if all is well.

    decode: decode every frame of every video; otherwise its packets are counted. robot: actions and states must be
    possible for it.
    """
    found = [*_totals(dataset), *_stats(dataset)]
    by_data: dict[Path, list[Place]] = defaultdict(list)
    by_video: dict[tuple[str, Path], list[Place]] = defaultdict(list)
    for place in dataset.places:
        by_data[place.data].append(place)
        for key, (path, _, _) in place.videos.items():
            by_video[key, path].append(place)
    for path, places in by_data.items():
        found += _rows(dataset, path, places, robot)
    for (key, path), places in by_video.items():
        rows = sum(place.entry.length for place in places)
        found += video_problems(path, dataset.features[key], rows, dataset.fps, decode)
        found += _spans(dataset, key, places)
    for kind, folder, known in (
        ("parquet", "data", set(by_data)),
        ("mp4", "videos", {path for _, path in by_video}),
    ):
        strays = sorted(set((dataset.root / folder).rglob(f"*.{kind}")) - known)
        found += [f"{stray}: belongs to no episode" for stray in strays]
    return found


def _totals(dataset: DatasetV30) -> Iterator[str]:
    path, entries = dataset.root / layout.INFO, dataset.entries
    wanted: dict[str, Any] = {
        "total_episodes": len(entries),
        "total_frames": sum(entry.length for entry in entries),
        "total_tasks": len(dataset.tasks),
    }
    for key, value in wanted.items():
        if dataset.info.get(key) != value:
            yield f"{path}: {key} is {dataset.info.get(key)}, counted {value}"
    if [entry.index for entry in entries] != list(range(len(entries))):
        yield f"{dataset.root / EPISODES}: episode indices are not 0 to {len(entries) - 1}, in order"
    begin = 0
    for place in dataset.places:
        if place.rows != (begin, begin + place.entry.length):
            yield f"{dataset.root / EPISODES}: episode {place.entry.index} does not have rows {begin} and on"
        begin = place.rows[1]


def _rows(dataset: DatasetV30, path: Path, places: list[Place], robot: Embodiment | None) -> Iterator[str]:
    try:
        table = layout.read_parquet(path)
    except InputError as error:
        yield error.message
        return
    wanted = sum(place.entry.length for place in places)
    if len(table) != wanted:
        yield f"{path}: has {len(table)} rows, meta/episodes says {wanted}"
        return
    begin = 0
    for place in places:
        rows = table.slice(begin, place.entry.length)
        yield from row_problems(path, rows, place.entry, place.rows[0], dataset, robot)
        begin += place.entry.length


def _spans(dataset: DatasetV30, key: str, places: list[Place]) -> Iterator[str]:
    """Episodes follow each other in their file without a gap: lerobot seeks by these times."""
    frames = 0
    for place in places:
        path, *span = place.videos[key]
        wanted = [frames / dataset.fps, (frames + place.entry.length) / dataset.fps]
        if not all(abs(one - float(other)) <= TIME_TOLERANCE for one, other in zip(span, wanted, strict=True)):
            said, due = (" to ".join(f"{float(one):.3f}" for one in pair) for pair in (span, wanted))
            yield f"{path}: episode {place.entry.index} lies at {due} s, meta/episodes says {said}"
        frames += place.entry.length


def _stats(dataset: DatasetV30) -> Iterator[str]:
    path = dataset.root / STATS_PATH
    try:
        stats = layout.read_json(path)
    except InputError as error:
        yield error.message
        return
    yield from statistics_problems(str(path), dataset.features, stats)


def _without_stats(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of meta/episodes; its statistics, hundreds of columns, are left unread."""
    names = [name for name in layout.parquet_columns(path) if not name.startswith("stats/")]
    return layout.parquet_rows(path, names)
