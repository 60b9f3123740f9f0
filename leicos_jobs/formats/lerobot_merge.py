"""Several LeRobot datasets as one: what must be equal, the tasks of all, and where each episode came from.

v2.0 and v2.1 merge into v2.1 (`lerobot_merge_v21`), v3.0 into v3.0 (`lerobot_merge_v30`). Videos are copied, byte for
byte; rows are copied with new numbers; statistics of the whole are those of the episodes put together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import json_line
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.episode_lines import FOLDER, KEY, read_episode_lines
from leicos_jobs.formats.lerobot_extras import PICTURE
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.formats.lerobot_v21 import VERSION as V21
from leicos_jobs.formats.lerobot_v30 import VERSION as V30
from leicos_jobs.formats.lerobot_v30_check import DatasetV30

V20 = "v2.0"
MERGED = "merged.jsonl"
"""In meta/leicos: the dataset, and the episode in it, that each episode came from; of datasets that were merged before,
their own."""


@dataclass(frozen=True)
class Part:
    """One of the datasets. name: as the user gave it, for messages and for meta/leicos/merged.jsonl."""

    name: str
    dataset: Dataset | DatasetV30

    @property
    def version(self) -> str:
        """LeRobot's."""
        return str(self.dataset.info["codebase_version"])

    @property
    def info(self) -> str:
        """What messages call its info.json."""
        return f"{self.name}/{layout.INFO}"


def open_part(name: str, root: Path) -> Part:
    """Open a dataset of any version. Raises InputError if it is none, or its episodes are not numbered from 0."""
    version = layout.read_json(root / layout.INFO)
    version = version.get("codebase_version") if isinstance(version, dict) else None
    dataset = DatasetV30(root) if version == V30 else Dataset(root, (V20, V21))
    if [entry.index for entry in dataset.entries] != list(range(len(dataset.entries))):
        raise InputError(f"{name}: its episodes are not numbered from 0 without gaps", fix="write the dataset again")
    if not dataset.entries:
        raise InputError(f"{name}: has no episode", fix="leave it out")
    return Part(name, dataset)


def require_alike(parts: Sequence[Part]) -> dict[str, Any]:
    """The features of the merged dataset: the first's, and of its videos what is said of all (one codec, if all have
    the same). Raises InputError that names both files where rate, robot or features differ."""
    first = parts[0]
    for part in parts[1:]:
        for what, one, other in (
            ("fps", first.dataset.fps, part.dataset.fps),
            ("robot_type", first.dataset.info.get("robot_type"), part.dataset.info.get("robot_type")),
            *_features(first.dataset.features, part.dataset.features),
        ):
            if one != other:
                shown = [f"{float(value):g}" if what == "fps" else f"{value!r:.200}" for value in (one, other)]
                raise InputError(
                    f"{first.info} and {part.info} differ in {what}: {shown[0]} there, {shown[1]} here",
                    fix="merge only recordings of one robot with the same cameras, sizes and rate",
                )
    return {name: _common(feature, [part.dataset.features[name] for part in parts]) for name, feature in
            first.dataset.features.items()}  # fmt: skip


def _features(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(what, there, here) of all that must be the same."""
    names = sorted(one.keys() | other.keys())
    pairs: list[tuple[str, Any, Any]] = [("features", sorted(one), sorted(other))]
    for name in names:
        if name in one and name in other:
            keys = ("dtype", "shape") if one[name]["dtype"] in PICTURE else ("dtype", "shape", "names")
            pairs += [
                (f"features.{name}.{key}", _plain(one[name].get(key)), _plain(other[name].get(key))) for key in keys
            ]
    return pairs


def _plain(names: Any) -> Any:
    """Names as a list: older versions of lerobot had {"motors": [...]}."""
    return next(iter(names.values()), []) if isinstance(names, dict) else names


def _common(feature: Mapping[str, Any], all_of_it: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    facts = [other.get("info") or other.get("video_info") or {} for other in all_of_it]
    kept = {key: value for key, value in facts[0].items() if all(other.get(key) == value for other in facts)}
    plain = {key: value for key, value in feature.items() if key not in ("info", "video_info", "fps")}
    return plain | ({"info": kept} if feature["dtype"] == "video" else {})


@dataclass
class TaskTexts:
    """The tasks of all datasets, by text, numbered as they come."""

    numbers: dict[str, int] = field(default_factory=dict)

    def of(self, part: Part) -> dict[int, int]:
        """A dataset's task_index -> that of the merged dataset."""
        tasks = sorted(part.dataset.tasks.items())
        return {index: self.numbers.setdefault(text, len(self.numbers)) for index, text in tasks}

    @property
    def tasks(self) -> dict[int, str]:
        """task_index -> text."""
        return {number: text for text, number in self.numbers.items()}


def with_numbers(
    rows: pa.Table, path: Path, episode: NDArray[np.int64], first_index: int, tasks: Mapping[int, int]
) -> pa.Table:
    """Rows under their new numbers. episode: (n,) new episode_index; tasks: old task_index -> new one.

    Raises InputError naming the file if a task is unknown.
    """
    seen, inverse = np.unique(rows.column("task_index").to_numpy(), return_inverse=True)
    if unknown := [int(number) for number in seen if int(number) not in tasks]:
        raise InputError(f"{path}: task_index {unknown[0]} is in no list of tasks", fix=layout.FIX)
    columns = {
        "episode_index": episode,
        "index": first_index + np.arange(len(rows), dtype=np.int64),
        "task_index": np.array([tasks[int(number)] for number in seen], dtype=np.int64)[inverse.reshape(-1)],
    }
    for name, values in columns.items():
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), pa.array(values, pa.int64()))
    return rows


def write_episode_lines(parts: Sequence[Part], out: Path) -> None:
    """meta/leicos of the merged dataset: every line that belongs to an episode, under its new number."""
    files: dict[str, list[str]] = {MERGED: []}
    first = 0
    for part in parts:
        episodes = len(part.dataset.entries)
        lines = read_episode_lines(part.dataset.root)
        earlier = lines.pop(MERGED, {})
        for index in range(episodes):
            origin = {"dataset": part.name, "dataset_episode": index}
            files[MERGED].append(json_line({KEY: first + index, **origin, **_other(earlier.get(index, {}))}))
        for name, by_episode in lines.items():
            listed = [json_line({KEY: first + index, **_other(by_episode[index])}) for index in sorted(by_episode)]
            files.setdefault(name, []).extend(listed)
        first += episodes
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (out / FOLDER / name).write_text("".join(text), encoding="utf-8")


def _other(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != KEY}
