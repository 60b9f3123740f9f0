"""What a LeRobot dataset's metadata must hold, v2.1 and v3.0: held against it once, where it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import printable
from leicos_jobs.core.validation import describe_errors
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.lerobot_extras import PICTURE, is_measured

FIX = layout.FIX
_CAMERA = re.compile(r"[\w.-]*[\w-]")
"""A camera's key is part of its videos' paths."""
STATISTICS = frozenset({"min", "max", "mean", "std", "count"})
"""lerobot's keys of a feature's statistics; v3.0 adds quantiles."""

_ANY_EPISODE: dict[str, dict[str, Any]] = {
    "v2.0": {"episode_chunk": 0, "episode_index": 0, "video_key": "any"},
    "v2.1": {"episode_chunk": 0, "episode_index": 0, "video_key": "any"},
    "v3.0": {"chunk_index": 0, "file_index": 0, "video_key": "any"},
}
"""What each version fills into its templates of paths."""

MOST = 1 << 31
"""No number of episodes or rows is as large; what is would not fit the columns."""

Model = TypeVar("Model", bound=BaseModel)


class _Described(BaseModel):
    """JSON says its own types, so nothing is converted; what lerobot adds is left alone."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")


class Feature(_Described):
    """A feature of info.json. info, video_info: of a camera, by lerobot's older name too."""

    dtype: str
    shape: list[int] = Field(min_length=1)
    info: dict[str, Any] | None = None
    video_info: dict[str, Any] | None = None


class Info(_Described):
    """info.json. video_path may be missing where there is no camera."""

    codebase_version: str
    robot_type: str | None = None
    fps: float = Field(gt=0, allow_inf_nan=False)
    chunks_size: int = Field(layout.CHUNKS_SIZE, gt=0)
    data_path: str
    video_path: str | None = None
    features: dict[str, Feature]

    @model_validator(mode="after")
    def _belongs_together(self) -> Info:
        for vector in (layout.ACTION, layout.STATE):
            if vector not in self.features:
                raise ValueError(f"features: has no {vector}")
        cameras = [key for key, item in self.features.items() if item.dtype == "video"]
        if wrong := [key for key in cameras if not key.startswith(layout.IMAGES)]:
            raise ValueError(f"features: {wrong[0]} is a video and not {layout.IMAGES}NAME")
        if wrong := [key for key in cameras if not _CAMERA.fullmatch(key)]:
            raise ValueError(f"features: {printable(wrong[0])} is not a name for a folder of videos")
        if cameras and self.video_path is None:
            raise ValueError("video_path is missing")
        for name, template in (("data_path", self.data_path), ("video_path", self.video_path)):
            if template is not None:
                _require_inside(name, template, _ANY_EPISODE.get(self.codebase_version, {}))
        return self


class EpisodeLine(_Described):
    """A line of episodes.jsonl, and the part of a row of v3.0's meta/episodes that says the same."""

    episode_index: int = Field(ge=0, lt=MOST)
    length: int = Field(ge=0, lt=MOST)
    tasks: list[str]


class TaskLine(_Described):
    """A line of tasks.jsonl."""

    task_index: int = Field(ge=0, lt=MOST)
    task: str


def read_info(root: Path, versions: Sequence[str], fix: str) -> tuple[dict[str, Any], Info]:
    """info.json as it is, and as checked. Raises InputError with `fix` if it is of none of these versions."""
    path = root / layout.INFO
    read = layout.read_json(path)
    found = read.get("codebase_version") if isinstance(read, dict) else None
    if found not in versions:
        raise InputError(f"{root}: is LeRobot {found}, not {' or '.join(versions)}", fix=fix)
    return read, validated(path, Info, read)


def validated(path: Path, model: type[Model], value: Any) -> Model:
    """A part of the metadata as its model. Raises InputError that names the file and every field that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InputError(
            f"{path}: its metadata lacks something or has a wrong type:\n{describe_errors(error)}", fix=FIX
        ) from None


def statistics_problems(where: str, features: Mapping[str, Any], stats: Any, *, complete: bool = True) -> Iterator[str]:
    """What is wrong with the statistics of all features of an episode or a dataset. complete: none may lack."""
    for name, feature in features.items():
        parts = stats.get(name) if isinstance(stats, dict) else None
        if not is_measured(feature) or (parts is None and not complete):
            continue
        if not isinstance(parts, dict) or not set(parts) >= STATISTICS:
            yield f"{where} lacks statistics of {name}"
            continue
        if not all(is_finite(part) for part in parts.values()):
            yield f"{where}: statistics of {name} are not finite"
            continue
        shape = (3, 1, 1) if feature["dtype"] in PICTURE else tuple(feature["shape"])
        wanted = dict.fromkeys(parts, shape) | {"count": (1,)}
        if wrong := [key for key, part in parts.items() if np.shape(part) != wanted[key]]:
            found = np.shape(parts[wrong[0]])
            yield f"{where}: {wrong[0]} of {name} has shape {list(found)}, not {list(wanted[wrong[0]])}"
        elif not 0 <= parts["count"][0] < MOST:
            yield f"{where}: count of {name} is {parts['count'][0]}"


def is_finite(values: Any) -> bool:
    """Whether it is a number or a regular nest of lists of numbers, all of them finite."""
    try:
        return bool(np.isfinite(np.asarray(values, dtype=np.float64)).all())
    except (TypeError, ValueError):
        return False


def _require_inside(name: str, template: str, episode: Mapping[str, Any]) -> None:
    """A path template may name only what lerobot puts into it."""
    try:
        path = PurePosixPath(layout.fill_path(template, episode))
    except ValueError as error:
        raise ValueError(f"{name}: {template!r:.200} is not a template that lerobot fills in ({error})") from None
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name}: {template!r:.200} leads out of the dataset")
