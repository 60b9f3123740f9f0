"""The v3.0 export, read back by pandas and PyAV: every frame and row of the v2.1 dataset, at the place meta names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers.leisaac import paint, read_code

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.lerobot_v21 import DatasetWriter
from leicos_jobs.formats.lerobot_v30 import export_v30
from leicos_jobs.media.encode import write_video

LENGTHS = (12, 20, 15, 9)
CAMERAS = ("front", "wrist")


@pytest.fixture(scope="module")
def v21(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("v30") / "v21"
    writer = DatasetWriter(root, SO101, CAMERAS, 30)
    random = np.random.default_rng(0)
    for episode, length in enumerate(LENGTHS):
        actions, states = (random.normal(0, 50, (length, 6)).astype(np.float32) for _ in range(2))
        videos: dict[str, Any] = {
            name: [paint(episode, k, camera=camera) for k in range(length)] for camera, name in enumerate(CAMERAS)
        }
        writer.add_episode(actions, states, f"Task {episode % 2}.", videos)
    (root / "meta/leicos").mkdir()
    (root / "meta/leicos/episodes.jsonl").write_text("{}\n")
    writer.finish()
    return root


@pytest.fixture(scope="module")
def v30(v21: Path) -> Path:
    calls: list[tuple[int, int]] = []
    export_v30(v21, v21.parent / "v30", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    return v21.parent / "v30"


def frames(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def episodes(root: Path) -> pd.DataFrame:
    files = sorted((root / "meta/episodes").rglob("*.parquet"))
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


def check_content(v21: Path, v30: Path) -> None:
    """Every row and frame of v2.1, found through v3.0's own metadata."""
    meta = episodes(v30)
    assert meta["episode_index"].tolist() == [0, 1, 2, 3]
    begun = 0
    for _, row in meta.iterrows():
        index, length = row["episode_index"], row["length"]
        data = pd.read_parquet(
            v30 / f"data/chunk-{row['data/chunk_index']:03d}/file-{row['data/file_index']:03d}.parquet"
        )
        mine = data[data["episode_index"] == index].reset_index(drop=True)
        old = pd.read_parquet(v21 / f"data/chunk-000/episode_{index:06d}.parquet")
        assert list(mine.columns) == list(old.columns)
        for column in old.columns:
            np.testing.assert_array_equal(np.stack(mine[column]), np.stack(old[column]))
        assert (row["dataset_from_index"], row["dataset_to_index"]) == (begun, begun + length)
        assert list(row["tasks"]) == [f"Task {index % 2}."]
        for camera in CAMERAS:
            key = f"observation.images.{camera}"
            place = f"chunk-{row[f'videos/{key}/chunk_index']:03d}/file-{row[f'videos/{key}/file_index']:03d}.mp4"
            pictures = frames(v30 / "videos" / key / place)
            originals = frames(v21 / f"videos/chunk-000/{key}/episode_{index:06d}.mp4")
            for step in range(length):
                time = row[f"videos/{key}/from_timestamp"] + mine["timestamp"][step]
                at = int(np.argmin([abs(stamp - time) for stamp, _ in pictures]))
                assert abs(pictures[at][0] - time) < 1e-4
                assert np.array_equal(pictures[at][1], originals[step][1])
                assert read_code(pictures[at][1]) == (index, step)
            assert row[f"videos/{key}/to_timestamp"] == pytest.approx(row[f"videos/{key}/from_timestamp"] + length / 30)
        begun += length


def test_every_row_and_frame_is_where_the_metadata_says(v21: Path, v30: Path) -> None:
    check_content(v21, v30)
    assert len(list(v30.rglob("*.mp4"))) == 2


def test_small_limits_make_more_files(v21: Path, tmp_path: Path) -> None:
    info = export_v30(v21, tmp_path / "out", data_mb=0, video_mb=0)
    assert info["data_files_size_in_mb"] == 0
    assert len(list((tmp_path / "out/videos").rglob("*.mp4"))) == 8
    assert len(list((tmp_path / "out/data").rglob("*.parquet"))) == 4
    assert len(list((tmp_path / "out/meta/episodes").rglob("*.parquet"))) == 4
    check_content(v21, tmp_path / "out")


def test_videos_of_other_settings_begin_a_new_file(v21: Path, tmp_path: Path) -> None:
    root = tmp_path / "mixed"
    writer = DatasetWriter(root, SO101, ("front",), 30)
    numbers = np.zeros((8, 6), np.float32)
    for episode, preset in enumerate(("veryfast", "veryfast", "ultrafast")):
        path = tmp_path / f"{episode}.mp4"
        write_video(path, [paint(episode, k) for k in range(8)], 30, preset=preset)
        writer.add_episode(numbers, numbers, "Lift.", {"front": path})
    writer.finish()
    export_v30(root, tmp_path / "out")
    assert episodes(tmp_path / "out")["videos/observation.images.front/file_index"].tolist() == [0, 0, 1]
    second = frames(tmp_path / "out/videos/observation.images.front/chunk-000/file-001.mp4")
    assert [read_code(image) for _, image in second] == [(2, k) for k in range(8)]


def test_info_tasks_and_provenance(v21: Path, v30: Path) -> None:
    info = json.loads((v30 / "meta/info.json").read_text())
    features = info.pop("features")
    assert info == {
        "codebase_version": "v3.0",
        "robot_type": "so101_follower",
        "total_episodes": 4,
        "total_frames": 56,
        "total_tasks": 2,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": 30,
        "splits": {"train": "0:4"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }
    assert features["action"]["fps"] == 30
    assert features["observation.images.front"]["info"]["video.codec"] == "h264"
    tasks = pd.read_parquet(v30 / "meta/tasks.parquet")
    assert tasks.index.name == "task"
    assert tasks.index.tolist() == ["Task 0.", "Task 1."]
    assert tasks["task_index"].tolist() == [0, 1]
    assert (v30 / "meta/leicos/episodes.jsonl").read_text() == "{}\n"


def test_statistics_with_quantiles(v21: Path, v30: Path) -> None:
    rows = pd.concat([pd.read_parquet(file) for file in sorted(v21.rglob("*.parquet"))])
    stats = json.loads((v30 / "meta/stats.json").read_text())
    actions = np.stack(rows["action"]).astype(np.float64)
    for key, values in {
        "mean": actions.mean(0),
        "std": actions.std(0),
        "q01": np.quantile(actions, 0.01, axis=0),
        "q50": np.quantile(actions, 0.5, axis=0),
        "q99": np.quantile(actions, 0.99, axis=0),
    }.items():
        np.testing.assert_allclose(stats["action"][key], values, rtol=1e-5, atol=1e-5)
    assert stats["action"]["count"] == [56]
    pictures = np.concatenate(
        [
            [image for _, image in frames(file)]
            for file in sorted((v30 / "videos/observation.images.front").rglob("*.mp4"))
        ]
    ).astype(np.float64)
    front = stats["observation.images.front"]
    np.testing.assert_allclose(np.ravel(front["mean"]), pictures.mean((0, 1, 2)) / 255, atol=1e-9)
    for share in (1, 10, 50, 90, 99):
        wanted = np.quantile(pictures, share / 100, axis=(0, 1, 2), method="inverted_cdf") / 255
        np.testing.assert_allclose(np.ravel(front[f"q{share:02d}"]), wanted, atol=1e-9)
    meta = episodes(v30)
    first = actions[:12]
    np.testing.assert_allclose(meta["stats/action/q90"][0], np.quantile(first, 0.9, axis=0), rtol=1e-5)
    assert meta["stats/action/count"][0].tolist() == [12]
    table = pq.read_table(next((v30 / "meta/episodes").rglob("*.parquet")))
    assert np.shape(table["stats/observation.images.front/mean"][0].as_py()) == (3, 1, 1)


def test_what_is_not_sound_is_not_exported(v21: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        export_v30(tmp_path, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("")
    with pytest.raises(InputError, match="not empty"):
        export_v30(v21, tmp_path / "full")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]
