"""A v3.0 folder held against its own files: nothing to say of an export, and every planted error is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.leisaac import paint

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.lerobot_v21 import DatasetWriter
from leicos_jobs.formats.lerobot_v30 import export_v30
from leicos_jobs.formats.lerobot_v30_check import DatasetV30, check_v30
from leicos_jobs.inspect.facts import DatasetFacts, inspect
from leicos_jobs.media.encode import write_video

LENGTHS = (12, 20, 15)
DATA = "data/chunk-000/file-000.parquet"
META = "meta/episodes/chunk-000/file-000.parquet"
KEY = "observation.images.front"
VIDEO = f"videos/{KEY}/chunk-000/file-000.mp4"


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("check_v30")
    writer = DatasetWriter(root / "v21", SO101, ("front",), 30)
    random = np.random.default_rng(0)
    for episode, length in enumerate(LENGTHS):
        actions, states = (random.normal(0, 50, (length, 6)).astype(np.float32) for _ in range(2))
        pictures = [paint(episode, k) for k in range(length)]
        writer.add_episode(actions, states, f"Task {episode % 2}.", {"front": pictures})
    writer.finish()
    export_v30(root / "v21", root / "v30")
    return root / "v30"


@pytest.fixture
def copy(export: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(export, tmp_path / "copy"))


def found_in(root: Path) -> list[str]:
    try:
        return check_v30(DatasetV30(root))
    except InputError as error:
        return [error.message]


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def edit_rows(path: Path, column: str, change: Callable[[list[Any]], list[Any]]) -> None:
    table = pq.read_table(path)
    at = table.column_names.index(column)
    array = pa.array(change(table.column(column).to_pylist()), type=table.schema.field(at).type)
    pq.write_table(table.set_column(at, table.schema.field(at), array), path)


def swap(path: Path, first: int, second: int) -> None:
    """Exchange two rows, all columns of them."""
    table = pq.read_table(path)
    order = list(range(len(table)))
    order[first], order[second] = order[second], order[first]
    pq.write_table(table.take(order), path)


def broken_text(path: Path, column: str) -> None:
    """Bytes that are no UTF-8 where a text is due."""
    table = pq.read_table(path)
    at = table.column_names.index(column)
    rows = pa.array([b"\xae"] * len(table), type=pa.binary())
    text = pa.StringArray.from_buffers(len(table), rows.buffers()[1], rows.buffers()[2])
    pq.write_table(table.set_column(at, table.schema.field(at), text), path)


PLANTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "total frames": (
        lambda root: edit_json(root / "meta/info.json", lambda info: info.update(total_frames=46)),
        "is 46",
    ),
    "fps believed": (lambda root: edit_json(root / "meta/info.json", lambda info: info.update(fps=16)), "says 16"),
    "version": (
        lambda root: edit_json(root / "meta/info.json", lambda info: info.update(codebase_version="v2.1")),
        "is LeRobot v2.1",
    ),
    "no path": (
        lambda root: edit_json(root / "meta/info.json", lambda info: info.pop("data_path")),
        "data_path: Field required",
    ),
    "row missing": (
        lambda root: pq.write_table(pq.read_table(root / DATA).slice(0, 46), root / DATA),
        "has 46 rows, meta/episodes says 47",
    ),
    "column missing": (
        lambda root: pq.write_table(pq.read_table(root / DATA).drop_columns(["timestamp"]), root / DATA),
        "has no column timestamp",
    ),
    "episodes exchanged": (lambda root: swap(root / META, 0, 1), "indices are not 0 to 2"),
    "rows exchanged": (lambda root: swap(root / DATA, 13, 14), "frame_index does not count from 0 (episode 1)"),
    "length": (lambda root: edit_rows(root / META, "length", lambda old: [11, 21, 15]), "does not have rows 0 and on"),
    "place in a video": (
        lambda root: edit_rows(
            root / META, f"videos/{KEY}/from_timestamp", lambda old: [old[0], old[1] + 1 / 30, old[2]]
        ),
        "episode 1 lies at 0.400 to 1.067 s, meta/episodes says 0.433",
    ),
    "timestamps": (
        lambda root: edit_rows(root / DATA, "timestamp", lambda old: [2 * t for t in old]),
        "timestamp is not",
    ),
    "task": (lambda root: edit_rows(root / DATA, "task_index", lambda old: [0] * 47), "its tasks"),
    "unknown task": (lambda root: edit_rows(root / DATA, "task_index", lambda old: [8] * 47), "task_index 8"),
    "not a number": (
        lambda root: edit_rows(root / DATA, "action", lambda old: [*old[:12], [np.nan] * 6, *old[13:]]),
        "action is not finite at row 0 (episode 1)",
    ),
    "data gone": (lambda root: (root / DATA).unlink(), "no such file"),
    "data broken": (lambda root: (root / DATA).write_bytes(b"PAR1" * 20), "not a parquet"),
    "meta broken": (lambda root: (root / META).write_bytes(b"PAR1" * 20), "not a parquet"),
    "no text": (lambda root: broken_text(root / "meta/tasks.parquet", "task"), "not a parquet"),
    "absurd rows": (
        lambda root: edit_rows(root / META, "dataset_to_index", lambda old: [2**62, *old[1:]]),
        "episode 0 has no place",
    ),
    "absurd count": (
        lambda root: edit_json(root / "meta/stats.json", lambda stats: stats["action"].update(count=[10**30])),
        "count of action is 1000",
    ),
    "odd statistics": (
        lambda root: edit_json(root / "meta/stats.json", lambda stats: stats["action"].update(mean=7)),
        "mean of action has shape [], not [6]",
    ),
    "path that leads out": (
        lambda root: edit_json(root / "meta/info.json", lambda info: info.update(data_path="../{file_index}.parquet")),
        "leads out of the dataset",
    ),
    "tasks gone": (lambda root: (root / "meta/tasks.parquet").unlink(), "no such file"),
    "video short": (
        lambda root: write_video(root / VIDEO, [paint(0, k) for k in range(46)], 30),
        "has 46 frames for 47 rows",
    ),
    "video cut": (lambda root: (root / VIDEO).write_bytes((root / VIDEO).read_bytes()[:-200]), "promises"),
    "stray file": (lambda root: shutil.copy(root / VIDEO, root / "videos/x.mp4"), "belongs to no episode"),
    "stats gone": (lambda root: (root / "meta/stats.json").unlink(), "no such file"),
    "stats of a feature": (
        lambda root: edit_json(root / "meta/stats.json", lambda stats: stats.pop("action")),
        "lacks statistics of action",
    ),
    "stats nan": (
        lambda root: edit_json(root / "meta/stats.json", lambda stats: stats["action"].update(mean=[float("nan")])),
        "statistics of action are not finite",
    ),
}


def test_nothing_is_wrong_with_an_export(export: Path) -> None:
    assert found_in(export) == []
    facts = inspect(export)
    assert isinstance(facts, DatasetFacts)
    assert (facts.version, facts.episodes, facts.frames, facts.fps) == ("v3.0", 3, 47, 30.0)
    assert (facts.cameras, facts.tasks, facts.problems) == (("front",), ("Task 0.", "Task 1."), ())
    assert "LeRobot v3.0 dataset" in facts.text()


def test_several_files_and_lerobots_unnamed_index(export: Path, tmp_path: Path) -> None:
    """lerobot's own tasks.parquet keeps the texts in an index that pandas names."""
    out = tmp_path / "out"
    export_v30(export.parent / "v21", out, data_mb=0, video_mb=0)
    tasks = pd.read_parquet(out / "meta/tasks.parquet")
    tasks.index.name = None
    tasks.to_parquet(out / "meta/tasks.parquet")
    assert len(list(out.rglob("file-*.mp4"))) == 3
    assert found_in(out) == []


@pytest.mark.parametrize("name", PLANTED)
def test_planted_errors_are_found(copy: Path, name: str) -> None:
    plant, said = PLANTED[name]
    plant(copy)
    found = found_in(copy)
    assert any(said in sentence for sentence in found), found
    assert all(str(copy) in sentence for sentence in found)
