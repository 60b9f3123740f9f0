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
    DATA_MB,
    DATA_PATH,
    EPISODES_PATH,
    QUANTILE_NAMES,
    STATS_PATH,
    VIDEO_PATH,
    place_of,
    write_info,
    write_tasks,
)
from leicos_jobs.formats.lerobot_v30_check import EPISODES, DatasetV30, Place

RENUMBERED = ("episode_index", "index", "task_index")
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
        data, measured = files.write_data(dataset, episodes, frames, tasks)
        table = _with_columns(table, data | _moved(table, episodes, frames) | measured)
        meta.append(table)
        for name, feature in features.items():
            if is_measured(feature):
                stats[name].append(_measures(dataset, table, name))
        episodes, frames = episodes + len(dataset.places), frames + sum(entry.length for entry in dataset.entries)
        if progress:
            progress(episodes)
    _write_episodes(out, pa.concat_tables(meta, promote_options="permissive"))
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
    ) -> tuple[dict[str, list[int]], dict[str, list[Any]]]:
        """Write a dataset's rows under new numbers; returns the columns of meta/episodes that say where they are, and
        those of statistics that change with the numbers."""
        by_file: dict[Path, list[Place]] = defaultdict(list)
        for place in dataset.places:
            by_file[place.data].append(place)
        numbers: list[int] = []
        measured: dict[str, list[Any]] = defaultdict(list)
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
            pq.write_table(rows, target, compression="snappy")
            numbers += [self._data] * len(places)
            self._data += 1
            _measure(rows, lengths, measured)
        return _places("data", numbers), measured


def _measure(rows: pa.Table, lengths: Sequence[int], measured: dict[str, list[Any]]) -> None:
    """Append the statistics of the renumbered columns of each episode of a file."""
    ends = np.cumsum(lengths)
    for name in RENUMBERED:
        column = rows.column(name).to_numpy()
        for begin, end in zip(ends - lengths, ends, strict=True):
            own = column[begin:end]
            for key, value in column_stats(own).items():
                measured[f"stats/{name}/{key}"].append(value)
            for key, share in QUANTILE_NAMES.items():
                measured[f"stats/{name}/{key}"].append([float(np.quantile(own, share))])


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


def _write_episodes(out: Path, table: pa.Table) -> None:
    """meta/episodes, in files of a limited size."""
    rows = max(1, (DATA_MB << 20) * len(table) // max(1, table.nbytes))
    for number, begin in enumerate(range(0, len(table), rows)):
        part, place = table.slice(begin, rows), place_of(number)
        own = {f"meta/episodes/{key}": [value] * len(part) for key, value in place.items()}
        path = out / EPISODES_PATH.format(**place)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(_with_columns(part, own), path, compression="snappy")
