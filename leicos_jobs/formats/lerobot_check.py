"""Is a LeRobot v2.1 folder what it says it is? Every claim of its metadata is held against the files.

The loaders find some of this late and in their own words, or not at all: lerobot asserts on counts, decord fails on
AV1, a video one frame short fails in the middle of an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.lerobot_extras import extra_problems
from leicos_jobs.formats.lerobot_meta import statistics_problems, validated
from leicos_jobs.formats.lerobot_read import Dataset, EpisodeEntry
from leicos_jobs.formats.lerobot_v21 import META
from leicos_jobs.media.errors import VideoError
from leicos_jobs.media.probe import VideoInfo, probe, verify
from leicos_jobs.robots.embodiment import Embodiment, shipped

TIME_TOLERANCE = 1e-4
"""Seconds; lerobot's own."""

SHOWN = 10


def require(root: Path, *, decode: bool = True, robot: Embodiment | None = None, complete: bool = True) -> None:
    """Raise InputError that lists what `check` finds, if anything."""
    found = _problems(Dataset(root), decode, robot, complete)
    if found:
        more = f"\n  ... and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        listed = "\n  ".join(found[:SHOWN])
        raise InputError(f"{root}: not a sound LeRobot v2.1 dataset:\n  {listed}{more}", fix="write it again")


def robot_of(root: Path, info: Mapping[str, Any]) -> Embodiment | None:
    """The robot whose limits a dataset's recorded values must keep; None if it is none that we know.

    Nor is one of labels that leicos made: `curate` judged them, and lets a share lie outside.
    """
    made = (root / layout.PROVENANCE).is_file()
    known = [robot for robot in shipped().values() if robot.robot_type == info.get("robot_type")]
    return known[0] if known and not made else None


def check(root: Path, *, decode: bool = True, robot: Embodiment | None = None) -> list[str]:
    """Everything that is wrong, one sentence each that begins with the file; empty if all is well.

    decode: decode every frame of every video; otherwise its packets are counted. robot: actions and states must be
    possible for it.
    """
    try:
        dataset = Dataset(root)
    except InputError as error:
        return [error.message]
    return _problems(dataset, decode, robot)


def _problems(dataset: Dataset, decode: bool, robot: Embodiment | None, complete: bool = True) -> list[str]:
    """complete: the statistics of every feature must be there."""
    found = list(_totals(dataset))
    first_index = 0
    stats = _stats_lines(dataset, found)
    for entry in dataset.entries:
        found += _episode(dataset, entry, first_index, robot)
        for camera in dataset.cameras:
            found += _video(dataset, entry, camera, decode)
        found += _stats(dataset, entry, stats.get(entry.index), complete)
        first_index += entry.length
    return found


def _totals(dataset: Dataset) -> Iterator[str]:
    info, entries = dataset.info, dataset.entries
    path = dataset.root / layout.INFO
    chunks = math.ceil(len(entries) / int(info.get("chunks_size", layout.CHUNKS_SIZE)))
    wanted: dict[str, Any] = {
        "total_episodes": len(entries),
        "total_frames": sum(entry.length for entry in entries),
        "total_tasks": len(dataset.tasks),
        "total_videos": len(entries) * len(dataset.cameras),
        "total_chunks": chunks,
        "splits": {"train": f"0:{len(entries)}"},
    }
    for key, value in wanted.items():
        if info.get(key) != value:
            yield f"{path}: {key} is {info.get(key)}, counted {value}"
    if [entry.index for entry in entries] != list(range(len(entries))):
        yield f"{dataset.root / META['episodes']}: episode indices are not 0 to {len(entries) - 1}"
    files = {
        "parquet": {dataset.data_path(entry.index) for entry in entries},
        "mp4": {dataset.video_path(entry.index, camera) for entry in entries for camera in dataset.cameras},
    }
    for kind, known in files.items():
        # lerobot counts files below the root, so a stray one breaks it
        for stray in sorted(set(dataset.root.rglob(f"*.{kind}")) - known):
            yield f"{stray}: belongs to no episode"


def _episode(dataset: Dataset, entry: EpisodeEntry, first_index: int, robot: Embodiment | None) -> Iterator[str]:
    path = dataset.data_path(entry.index)
    try:
        rows = dataset.table(entry.index)
    except InputError as error:
        yield error.message
        return
    if len(rows) != entry.length:
        yield f"{path}: has {len(rows)} rows, episodes.jsonl says {entry.length}"
        return
    yield from row_problems(path, rows, entry, first_index, dataset, robot)


class Described(Protocol):
    """What a dataset's metadata says of its rows."""

    @property
    def fps(self) -> Fraction:
        """Frames per second."""

    @property
    def widths(self) -> Mapping[str, int]:
        """Numbers of an action and of a state, by column."""

    @property
    def tasks(self) -> Mapping[int, str]:
        """task_index -> text."""

    @property
    def features(self) -> Mapping[str, Any]:
        """Of info.json."""


def row_problems(
    path: Path,
    rows: pa.Table,
    entry: EpisodeEntry,
    first_index: int,
    described: Described,
    robot: Embodiment | None = None,
) -> Iterator[str]:
    """What is wrong with an episode's rows, which are as many as its entry says. first_index: its place in all rows."""
    if not entry.length:
        yield f"{path}: episode {entry.index} has no rows"
        return
    if wrong := layout.column_problem(rows):
        yield f"{path}: {wrong}"
        return
    steps = np.arange(entry.length)
    wanted = {"frame_index": steps, "index": steps + first_index, "episode_index": np.full(entry.length, entry.index)}
    for key, values in wanted.items():
        if not np.array_equal(_numbers(rows, key), values):
            yield f"{path}: {key} does not count from {values[0]} (episode {entry.index})"
    drift = np.abs(_numbers(rows, "timestamp") - steps / float(described.fps))
    if not (drift <= TIME_TOLERANCE).all():
        yield f"{path}: timestamp is not frame_index/{float(described.fps):g}, off by up to {drift.max():.4g} s"
    tasks = {int(one) for one in np.unique(_numbers(rows, "task_index"))}
    named = {described.tasks.get(one) for one in tasks}
    if unknown := sorted(tasks - set(described.tasks)):
        yield f"{path}: task_index {unknown[0]} is not in meta/tasks (episode {entry.index})"
    elif named != set(entry.tasks):
        yield f"{path}: its tasks {sorted(map(str, named))} are not those of meta/episodes {sorted(entry.tasks)}"
    for name in (layout.ACTION, layout.STATE):
        try:
            table = layout.vectors(rows.column(name), described.widths[name], path)
        except InputError as error:
            yield error.message
            continue
        if not np.isfinite(table).all():
            row = int(np.argwhere(~np.isfinite(table))[0][0])
            yield f"{path}: {name} is not finite at row {row} (episode {entry.index})"
        elif robot and (text := _impossible(robot, name, table)):
            yield f"{path}: {name}: {text} (episode {entry.index})"
    yield from extra_problems(path, rows, described.features)


def _impossible(robot: Embodiment, column: str, table: layout.F32) -> str | None:
    """What is wrong with a column's values; nothing is said of one that has another width than the robot."""
    vector = robot.action if column == layout.ACTION else robot.state
    if table.shape[1] != vector.width:
        return None
    return vector.impossible(table.min(axis=0), table.max(axis=0), robot.name, motor=True)


def _numbers(rows: pa.Table, key: str) -> np.ndarray[Any, Any]:
    return np.asarray(rows.column(key).to_numpy())


def _video(dataset: Dataset, entry: EpisodeEntry, camera: str, decode: bool) -> Iterator[str]:
    path = dataset.video_path(entry.index, camera)
    return video_problems(path, dataset.features[layout.IMAGES + camera], entry.length, dataset.fps, decode)


def video_problems(
    path: Path, feature: Mapping[str, Any], rows: int, fps: Fraction, decode: bool = True
) -> Iterator[str]:
    """What is wrong with a video of so many rows. feature: what info.json says of its camera."""
    try:
        info: VideoInfo = verify(path, codec=None, pix_fmt=None) if decode else probe(path)
    except VideoError as error:
        yield error.message
        return
    if info.frames != rows:
        yield f"{path}: has {info.frames} frames for {rows} rows"
    if info.fps != fps or not info.constant:
        yield f"{path}: plays at {float(info.fps):g} frames/s, info.json says {float(fps):g}"
    if list(feature.get("shape", [])) != [info.height, info.width, 3]:
        yield f"{path}: is {info.width}x{info.height}, info.json says shape {feature.get('shape')}"
    claims = feature.get("info") or feature.get("video_info") or {}
    for key, real in (("video.codec", info.codec), ("video.pix_fmt", info.pix_fmt)):
        if claims.get(key, real) != real:  # where videos differ, a merged dataset says nothing
            yield f"{path}: {key} is {real}, info.json says {claims[key]}"


def _stats_lines(dataset: Dataset, found: list[str]) -> dict[int, Any]:
    path = dataset.root / META["stats"]
    try:
        lines = [validated(path, _StatsLine, line) for line in layout.read_jsonl(path)]
    except InputError as error:
        found.append(error.message)
        return {}
    return {line.episode_index: line.stats for line in lines}


class _StatsLine(BaseModel):
    episode_index: int
    stats: dict[str, Any]


def _stats(dataset: Dataset, entry: EpisodeEntry, stats: Any, complete: bool) -> Iterator[str]:
    path = dataset.root / META["stats"]
    if not isinstance(stats, dict) and complete:
        yield f"{path}: has no statistics of episode {entry.index}"
        return
    yield from statistics_problems(f"{path}: episode {entry.index}", dataset.features, stats, complete=complete)
