"""LeRobot v2.0 and v2.1 datasets merged into one of v2.1. Nothing is decoded but for statistics that v2.0 lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from leicos_jobs.core import signals
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.files import copy_to
from leicos_jobs.core.text import json_line
from leicos_jobs.formats import gr00t
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.lerobot_extras import PICTURE, is_measured, nested, numbers, own_schema, picture_stats
from leicos_jobs.formats.lerobot_merge import Part, TaskTexts, with_numbers, write_episode_lines
from leicos_jobs.formats.lerobot_read import Dataset, EpisodeEntry
from leicos_jobs.formats.lerobot_stats import Stats, column_stats
from leicos_jobs.formats.lerobot_v21 import META, ROW_GROUP, data_file, video_file, write_info


def merge_v21(
    parts: Sequence[Part], features: Mapping[str, Any], out: Path, progress: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Write the merged dataset into the new folder `out`; returns info.json, which is written last.

    parts: datasets of v2.0 or v2.1; features: as `require_alike` gives them. progress: called with episodes done.
    GR00T's modality.json and stats.json are there if one of the datasets has the former. Raises InputError.
    """
    modality = _modality(parts)
    texts, quantiles = TaskTexts(), gr00t.StatsBuilder()
    episodes = frames = 0
    (out / "meta").mkdir(parents=True)
    with (out / META["episodes"]).open("w", encoding="utf-8") as listed, (out / META["stats"]).open("w") as measured:
        for part in parts:
            tasks = texts.of(part)
            for dataset, entry, stats in _entries(part):
                signals.check()
                path = dataset.data_path(entry.index)
                rows = own_schema(dataset.table(entry.index), dataset.features, path)
                if len(rows) != entry.length or not entry.length:
                    raise InputError(f"{path}: has {len(rows)} rows, not {entry.length}", fix=layout.FIX)
                rows = with_numbers(rows, path, np.full(len(rows), episodes, dtype=np.int64), frames, tasks)
                target = out / data_file(episodes)
                target.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(
                    rows, target, compression="snappy", row_group_size=ROW_GROUP, use_dictionary=list(layout.SCALARS)
                )
                for camera in dataset.cameras:
                    copy_to(dataset.video_path(entry.index, camera), out / video_file(episodes, camera))
                listed.write(json_line({"episode_index": episodes, "tasks": list(entry.tasks), "length": entry.length}))
                measures = _stats(dataset, entry, rows, stats)
                measured.write(json_line({"episode_index": episodes, "stats": measures}))
                if modality is not None:
                    quantiles.add(_gr00t_columns(rows))
                episodes, frames = episodes + 1, frames + entry.length
                if progress:
                    progress(episodes)
    lines = [json_line({"task_index": number, "task": text}) for number, text in texts.tasks.items()]
    (out / META["tasks"]).write_text("".join(lines), encoding="utf-8")
    if modality is not None:
        layout.write_json(out / gr00t.MODALITY, modality)
        layout.write_json(out / gr00t.STATS, quantiles.result())
    write_episode_lines(parts, out)
    first = parts[0].dataset
    robot = first.info.get("robot_type")
    return write_info(out, robot, first.fps, features, episodes, frames, len(texts.numbers))


def _entries(part: Part) -> Iterator[tuple[Dataset, EpisodeEntry, Mapping[str, Stats]]]:
    """Episodes with what the dataset knows of their statistics: v2.0 knows nothing."""
    dataset = part.dataset
    if not isinstance(dataset, Dataset):
        raise InputError(f"{part.name}: is LeRobot {part.version}, not v2.1", fix="merge into v3.0 (--format v3.0)")
    path = dataset.root / META["stats"]
    lines = layout.read_jsonl(path) if path.is_file() else []
    stats = {line.get("episode_index"): line.get("stats") for line in lines if isinstance(line, dict)}
    for entry in dataset.entries:
        known = stats.get(entry.index)
        yield dataset, entry, known if isinstance(known, dict) else {}


def _stats(dataset: Dataset, entry: EpisodeEntry, rows: pa.Table, known: Mapping[str, Stats]) -> dict[str, Stats]:
    """An episode's statistics under its new numbers."""
    renumbered = ("episode_index", "index", "task_index")
    path = dataset.data_path(entry.index)
    stats: dict[str, Stats] = {}
    for name, feature in dataset.features.items():
        if not is_measured(feature):
            continue
        if name in known and name not in renumbered:
            stats[name] = known[name]
        elif feature["dtype"] in PICTURE:
            video = (
                dataset.video_path(entry.index, name.removeprefix(layout.IMAGES))
                if feature["dtype"] == "video"
                else path
            )
            stats[name] = picture_stats(rows, name, path, video).result()
        else:
            own = column_stats(numbers(rows.column(name), feature["shape"]))
            stats[name] = {
                key: value if key == "count" else nested(value, feature["shape"]) for key, value in own.items()
            }
    return stats


def _gr00t_columns(rows: pa.Table) -> dict[str, Any]:
    names = (layout.ACTION, layout.STATE, *layout.SCALARS)
    width = {name: len(rows.column(name)[0].as_py()) for name in (layout.ACTION, layout.STATE)}
    return {name: numbers(rows.column(name), [width.get(name, 1)]) for name in names}


def _modality(parts: Sequence[Part]) -> Any:
    """The one modality.json of all that have one, None if none has. Raises InputError naming two that differ."""
    known: tuple[str, Any] | None = None
    for part in parts:
        path = part.dataset.root / gr00t.MODALITY
        if not path.is_file():
            continue
        own = layout.read_json(path)
        if known and known[1] != own:
            raise InputError(
                f"{known[0]}/{gr00t.MODALITY} and {part.name}/{gr00t.MODALITY} differ",
                fix="make them equal, or remove one: the merged dataset then has the other",
            )
        known = known or (part.name, own)
    return known[1] if known else None
