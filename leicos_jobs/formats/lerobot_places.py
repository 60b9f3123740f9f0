"""Where the episodes of a LeRobot dataset lie, whatever its version: v2.0, v2.1 or v3.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.lerobot_extras import stored_images
from leicos_jobs.formats.lerobot_read import Dataset, EpisodeEntry
from leicos_jobs.formats.lerobot_v21 import VERSION as V21
from leicos_jobs.formats.lerobot_v30 import VERSION as V30
from leicos_jobs.formats.lerobot_v30_check import DatasetV30
from leicos_jobs.media.spans import Span

V20 = "v2.0"
VERSIONS = (V20, V21, V30)


@dataclass(frozen=True)
class Place:
    """Where an episode lies. shared: its table has rows of others too. videos: camera -> part of a file."""

    entry: EpisodeEntry
    data: Path
    shared: bool
    videos: Mapping[str, Span]


@dataclass(frozen=True)
class Places:
    """A dataset's metadata. features: of info.json. tasks: task_index -> text. places: by episode index, in order.

    cameras: those with videos, then those whose images lie in the tables (`stored`), names without prefix.
    """

    root: Path
    version: str
    robot_type: str | None
    fps: Fraction
    features: Mapping[str, Any]
    tasks: Mapping[int, str]
    cameras: Sequence[str]
    stored: frozenset[str]
    places: Mapping[int, Place] = field(repr=False)

    def names(self, vector: str) -> list[str]:
        """Names of a vector's numbers, empty where it has none: a list, or one list in a mapping, as lerobot had it."""
        given = self.features[vector].get("names")
        flat = next(iter(given.values()), []) if isinstance(given, dict) else given
        return [str(one) for one in flat] if isinstance(flat, list) else []

    def width(self, vector: str) -> int:
        """Numbers per row of a vector."""
        return int(self.features[vector]["shape"][0])

    def size(self, camera: str) -> tuple[int, int]:
        """(width, height) in pixels that info.json says of a camera, whose shape may begin with the channels."""
        feature = self.features[layout.IMAGES + camera]
        shape = [int(number) for number in feature["shape"]]
        if len(shape) != 3:
            return (0, 0)
        named = feature.get("names")
        first = str(named[0]) if isinstance(named, list) and named else ""
        if first.startswith("channel") or (shape[0] in (1, 3) and shape[2] not in (1, 3)):
            return shape[2], shape[1]
        return shape[1], shape[0]


def is_dataset(path: Path) -> bool:
    """Whether a folder is a LeRobot dataset."""
    return (path / layout.INFO).is_file()


def read_places(root: Path) -> Places:
    """The metadata of a dataset. Raises InputError that names the file and what is wrong with it."""
    info = root / layout.INFO
    changed = info.stat().st_mtime_ns if info.is_file() else 0
    return _read(root, changed)


@lru_cache(maxsize=8)
def _read(root: Path, _changed: int) -> Places:
    info = layout.read_json(root / layout.INFO)
    version = info.get("codebase_version") if isinstance(info, dict) else None
    if version not in VERSIONS:
        raise InputError(f"{root}: is LeRobot {version}; known are {', '.join(VERSIONS)}", fix="use a newer leicos")
    dataset = DatasetV30(root) if version == V30 else Dataset(root, (V20, V21))
    places = _shared(dataset) if isinstance(dataset, DatasetV30) else _own(dataset)
    stored = stored_images(dataset.features)
    return Places(
        root=root,
        version=str(version),
        robot_type=dataset.info.get("robot_type"),
        fps=dataset.fps,
        features=dataset.features,
        tasks=dataset.tasks,
        cameras=(*dataset.cameras, *stored),
        stored=frozenset(stored),
        places={place.entry.index: place for place in sorted(places, key=lambda place: place.entry.index)},
    )


def _own(dataset: Dataset) -> list[Place]:
    """v2: a table and a video per episode and camera."""
    return [
        Place(
            entry,
            dataset.data_path(entry.index),
            False,
            {camera: Span(dataset.video_path(entry.index, camera)) for camera in dataset.cameras},
        )
        for entry in dataset.entries
    ]


def _shared(dataset: DatasetV30) -> list[Place]:
    """v3.0: many episodes per file."""
    prefix = layout.IMAGES
    return [
        Place(
            place.entry,
            place.data,
            True,
            {key.removeprefix(prefix): Span(path, begin, end) for key, (path, begin, end) in place.videos.items()},
        )
        for place in dataset.places
    ]
