"""LeRobot v3.0 datasets merged into one. Each file becomes a file: videos are copied byte for byte, so that frames stay
where meta/episodes says; tables are written under new numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from leicos_jobs.core import signals
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.files import copy_to
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.lerobot_extras import is_measured, own_schema
from leicos_jobs.formats.lerobot_merge import Part, TaskTexts, with_numbers, write_episode_lines
from leicos_jobs.formats.lerobot_stats import aggregate, column_stats
from leicos_jobs.formats.lerobot_v30 import (
    BASIC,
    DATA_PATH,
    QUANTILE_NAMES,
    STATS_PATH,
    VIDEO_PATH,
    place_of,
    write_episodes,
    write_info,
    write_tasks,
)
from leicos_jobs.formats.lerobot_v30_check import EPISODES, DatasetV30, Place

Numbers = NDArray[np.int64]


def merge_v30(
    parts: Sequence[Part], features: Mapping[str, Any], out: Path, progress: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Write the merged dataset into the new folder `out`; returns info.json, which is written last.

    parts: datasets of v3.0; features: as `require_alike` gives them. progress: called with episodes done.
    Statistics of the whole are put together from those of the episodes, quantiles as their weighted mean, as lerobot's
    aggregate_stats does. Raises InputError.
    """
    (out / "meta").mkdir(parents=True)
    files, texts = _Files(out), TaskTexts()
    meta: list[pa.Table] = []
    stats: dict[str, list[dict[str, NDArray[np.float64]]]] = defaultdict(list)
    episodes = frames = 0
    for part in parts:
        dataset = part.dataset
        if not isinstance(dataset, DatasetV30):
            raise InputError(f"{part.name}: is LeRobot {part.version}, not v3.0", fix="merge with --format v3.0")
        tasks = texts.of(part)
        table = _episode_table(part, dataset)
        table = _with_columns(table, files.copy_videos(dataset))
        data, own_tasks = files.write_data(dataset, episodes, frames, tasks)
        moved = _moved_statistics(table, {"episode_index": episodes, "index": frames}, own_tasks)
        table = _with_columns(table, data | _moved(table, episodes, frames) | moved)
        meta.append(table)
        for name, feature in features.items():
            if is_measured(feature):
                stats[name].append(_measures(dataset, table, name))
        episodes, frames = episodes + len(dataset.places), frames + sum(entry.length for entry in dataset.entries)
        if progress:
            progress(episodes)
    write_episodes(out, pa.concat_tables(meta, promote_options="permissive"))
    whole = {name: aggregate(measures) for name, measures in stats.items()}
    layout.write_json(out / STATS_PATH, {name: measures for name, measures in whole.items() if measures})
    write_tasks(out, texts.tasks)
    write_episode_lines(parts, out)
    return write_info(out, parts[0].dataset, features, episodes, frames, len(texts.numbers))


class _Files:
    """The merged dataset's files of rows and videos, numbered as they come."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._data = 0
        self._videos: dict[str, int] = defaultdict(int)

    def copy_videos(self, dataset: DatasetV30) -> dict[str, list[int]]:
        """Copy a dataset's videos; returns the columns of meta/episodes that say where they are."""
        columns: dict[str, list[int]] = {}
        for key in dataset.videos:
            numbers: dict[Path, int] = {}
            for place in dataset.places:
                path = place.videos[key][0]
                if path not in numbers:
                    numbers[path] = self._videos[key]
                    self._videos[key] += 1
                    copy_to(path, self._out / VIDEO_PATH.format(video_key=key, **place_of(numbers[path])))
                    signals.check()
            columns |= _places(f"videos/{key}", [numbers[place.videos[key][0]] for place in dataset.places])
        return columns

    def write_data(
        self, dataset: DatasetV30, first_episode: int, first_row: int, tasks: Mapping[int, int]
    ) -> tuple[dict[str, list[int]], dict[int, _Tasks]]:
        """Write a dataset's rows under new numbers; returns the columns of meta/episodes that say where they are, and
        by the dataset's episode what is known of its tasks."""
        by_file: dict[Path, list[Place]] = defaultdict(list)
        for place in dataset.places:
            by_file[place.data].append(place)
        numbers: list[int] = []
        own_tasks: dict[int, _Tasks] = {}
        for path, places in by_file.items():
            signals.check()
            rows = own_schema(layout.read_parquet(path), dataset.features, path)
            lengths = [place.entry.length for place in places]
            if len(rows) != sum(lengths):
                raise InputError(f"{path}: has {len(rows)} rows, meta/episodes says {sum(lengths)}", fix=layout.FIX)
            episode = np.repeat([first_episode + place.entry.index for place in places], lengths)
            rows = with_numbers(rows, path, episode, first_row + places[0].rows[0], tasks)
            target = self._out / DATA_PATH.format(**place_of(self._data))
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(rows, target, compression="snappy", use_dictionary=list(layout.SCALARS))
            numbers += [self._data] * len(places)
            self._data += 1
            task = rows.column("task_index").to_numpy()
            for place, end in zip(places, np.cumsum(lengths), strict=True):
                own_tasks[place.entry.index] = _Tasks(task[end - place.entry.length : end])
        return _places("data", numbers), own_tasks


def _places(prefix: str, numbers: Sequence[int]) -> dict[str, list[int]]:
    places = [place_of(number) for number in numbers]
    return {f"{prefix}/{key}": [place[key] for place in places] for key in ("chunk_index", "file_index")}


def _episode_table(part: Part, dataset: DatasetV30) -> pa.Table:
    """A dataset's meta/episodes, all columns. Raises InputError where its rows do not follow one another."""
    begin = 0
    for place in dataset.places:
        if place.rows != (begin, begin + place.entry.length):
            raise InputError(
                f"{part.name}/{EPISODES}: episode {place.entry.index} does not have rows {begin} and on",
                fix=layout.FIX,
            )
        begin = place.rows[1]
    files = sorted((dataset.root / EPISODES).rglob("*.parquet"))
    return pa.concat_tables([layout.read_parquet(path) for path in files], promote_options="permissive")


def _moved(table: pa.Table, episodes: int, frames: int) -> dict[str, Numbers]:
    offsets = {"episode_index": episodes, "dataset_from_index": frames, "dataset_to_index": frames}
    return {name: np.asarray(table.column(name).to_numpy(), np.int64) + offset for name, offset in offsets.items()}


def _moved_statistics(table: pa.Table, offsets: Mapping[str, int], tasks: Mapping[int, _Tasks]) -> dict[str, Any]:
    """Statistics of the columns that were renumbered: where they lie moves with the numbers. offsets: of a column's
    numbers; tasks: what is known of each episode's new task_index."""
    columns: dict[str, Any] = {}
    for key in (*BASIC, *QUANTILE_NAMES):
        for name, offset in offsets.items() if key not in ("std", "count") else ():
            known = table.column(place) if (place := f"stats/{name}/{key}") in table.column_names else None
            if known is not None and not known.null_count:
                columns[place] = (np.array(known.to_pylist(), dtype=np.float64) + offset).tolist()
        columns[f"stats/task_index/{key}"] = [tasks[row].statistics[key] for row in range(len(table))]
    return columns


class _Tasks:
    """Statistics of an episode's task_index under the new numbers."""

    def __init__(self, numbers: Numbers) -> None:
        if numbers[0] == numbers[-1] and (numbers == numbers[0]).all():  # one task, as nearly always
            one = [float(numbers[0])]
            self.statistics: dict[str, list[float]] = dict.fromkeys(("min", "max", "mean", *QUANTILE_NAMES), one)
            self.statistics |= {"std": [0.0], "count": [len(numbers)]}
        else:
            shares = np.quantile(numbers, list(QUANTILE_NAMES.values()))
            self.statistics = column_stats(numbers) | {
                key: [float(value)] for key, value in zip(QUANTILE_NAMES, shares, strict=True)
            }


def _with_columns(table: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    """With these columns in the places of those of the same names; statistics that were not there are not added."""
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        if at >= 0:
            table = table.set_column(at, name, pa.array(values).cast(table.schema.field(at).type))
        elif not name.startswith("stats/"):
            table = table.append_column(name, pa.array(values))
    return table


def _measures(dataset: DatasetV30, table: pa.Table, name: str) -> dict[str, NDArray[np.float64]]:
    """Statistics of a feature, (episodes, ...) each; where an episode's are not known, the dataset's, as one."""
    keys = [key for key in (*BASIC, *QUANTILE_NAMES) if f"stats/{name}/{key}" in table.column_names]
    columns = {key: table.column(f"stats/{name}/{key}") for key in keys}
    if set(BASIC) <= set(keys) and not any(column.null_count for column in columns.values()):
        return {key: np.array(column.to_pylist(), dtype=np.float64) for key, column in columns.items()}
    path = dataset.root / STATS_PATH
    whole = layout.read_json(path).get(name) if path.is_file() else None
    if not isinstance(whole, dict) or not set(BASIC) <= set(whole):
        raise InputError(f"{path}: lacks statistics of {name}", fix=layout.FIX)
    return {
        key: np.array([value], dtype=np.float64) for key, value in whole.items() if key in (*BASIC, *QUANTILE_NAMES)
    }
