"""LeRobot v2.1: what lerobot 0.3.3 would have written, read back by pandas, pyarrow, json and PyAV."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.formats.lerobot_check import check, require
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.formats.lerobot_stats import ImageStats, column_stats, sample_indices, sampled_stats, thin
from leicos_jobs.formats.lerobot_v21 import DatasetWriter, EncodeSettings
from leicos_jobs.media.encode import write_video
from leicos_jobs.media.errors import VideoError


def pictures(count: int, shade: int = 0, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    video = np.full((count, size[1], size[0], 3), 60 + shade, np.uint8)
    for index in range(count):
        video[index, 4:20, index : index + 10] = (200, 90, 40)
    return video


def numbers(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-100, 100, (count, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three episodes, two tasks; the second episode's video is a finished file."""
    folder = tmp_path_factory.mktemp("lerobot")
    root = folder / "dataset"
    writer = DatasetWriter(root, SO101, ("front",), 30)
    given = folder / "given.mp4"
    write_video(given, pictures(20, 40), 30)
    for index, (count, task) in enumerate(((12, "Lift."), (20, "Put it down."), (15, "Lift."))):
        video = given if index == 1 else pictures(count, index)
        assert writer.add_episode(numbers(count, index), numbers(count, 10 + index), task, {"front": video}) == index
    assert not (root / "meta/info.json").exists(), "nothing counts before finish"
    writer.finish()
    return root


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    shutil.copytree(dataset, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_written_dataset_is_sound(dataset: Path) -> None:
    assert check(dataset) == []
    require(dataset)


def test_parquet_as_lerobot_writes_it(dataset: Path) -> None:
    file = pq.ParquetFile(dataset / "data/chunk-000/episode_000001.parquet")
    vector = pa.list_(pa.float32(), 6)
    assert [(field.name, field.type) for field in file.schema_arrow] == [
        ("action", vector),
        ("observation.state", vector),
        ("timestamp", pa.float32()),
        ("frame_index", pa.int64()),
        ("episode_index", pa.int64()),
        ("index", pa.int64()),
        ("task_index", pa.int64()),
    ]
    assert file.metadata.row_group(0).column(0).compression == "SNAPPY"
    described = json.loads(file.schema_arrow.metadata[b"huggingface"])["info"]["features"]
    value = {"dtype": "float32", "_type": "Value"}
    assert described["action"] == {"feature": value, "length": 6, "_type": "Sequence"}
    assert described["index"] == {"dtype": "int64", "_type": "Value"}
    table = pd.read_parquet(dataset / "data/chunk-000/episode_000001.parquet")
    np.testing.assert_array_equal(np.stack(table["action"]), numbers(20, 1))
    np.testing.assert_array_equal(np.stack(table["observation.state"]), numbers(20, 11))
    assert table["index"].tolist() == list(range(12, 32))
    assert set(table["task_index"]) == {1}


def test_finished_videos_are_taken_as_they_are(dataset: Path) -> None:
    written = dataset / "videos/chunk-000/observation.images.front/episode_000001.mp4"
    assert written.read_bytes() == (dataset.parent / "given.mp4").read_bytes()


def test_tasks_and_episodes(dataset: Path) -> None:
    assert (dataset / "meta/tasks.jsonl").read_text().splitlines() == [
        '{"task_index": 0, "task": "Lift."}',
        '{"task_index": 1, "task": "Put it down."}',
    ]
    assert (dataset / "meta/episodes.jsonl").read_text().splitlines()[2] == (
        '{"episode_index": 2, "tasks": ["Lift."], "length": 15}'
    )


def test_statistics_are_those_of_numpy(dataset: Path) -> None:
    lines = [json.loads(line) for line in (dataset / "meta/episodes_stats.jsonl").read_text().splitlines()]
    stats = lines[1]["stats"]
    assert list(stats) == [
        "action",
        "observation.state",
        "observation.images.front",
        "timestamp",
        "frame_index",
        "episode_index",
        "index",
        "task_index",
    ]
    actions = numbers(20, 1).astype(np.float64)
    for key, values in (("mean", actions.mean(0)), ("std", actions.std(0)), ("min", actions.min(0))):
        np.testing.assert_allclose(stats["action"][key], values, rtol=1e-6)
    assert stats["action"]["count"] == [20]
    assert stats["index"]["min"] == [12]
    with av.open(str(dataset / "videos/chunk-000/observation.images.front/episode_000001.mp4")) as container:
        images = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]) / 255.0
    front = stats["observation.images.front"]
    assert np.shape(front["mean"]) == (3, 1, 1)
    np.testing.assert_allclose(np.ravel(front["mean"]), images.mean((0, 1, 2)), atol=1e-9)
    np.testing.assert_allclose(np.ravel(front["std"]), images.std((0, 1, 2)), atol=1e-9)
    np.testing.assert_allclose(np.ravel(front["min"]), images.min((0, 1, 2)))
    np.testing.assert_allclose(np.ravel(front["max"]), images.max((0, 1, 2)))
    assert front["count"] == [20]


@pytest.mark.parametrize(("frames", "count"), [(1, 1), (60, 60), (100, 100), (300, 100), (1000, 177), (20000, 1681)])
def test_images_are_sampled_as_lerobot_does(frames: int, count: int) -> None:
    indices = sample_indices(frames)
    assert len(indices) == count
    assert (indices[0], indices[-1]) == (0, frames - 1)
    assert indices == sorted(set(indices))


def test_images_are_thinned_as_lerobot_does() -> None:
    assert thin(np.zeros((480, 640, 3), np.uint8)).shape == (120, 160, 3)
    assert thin(np.zeros((640, 480, 3), np.uint8)).shape == (160, 120, 3)
    assert thin(np.zeros((240, 299, 3), np.uint8)).shape == (240, 299, 3)
    noise = np.random.default_rng(0).integers(0, 256, (150, 480, 640, 3), dtype=np.uint8)
    small = noise[sample_indices(150)][:, ::4, ::4] / 255.0
    stats = sampled_stats(noise, 150).result()
    np.testing.assert_allclose(np.ravel(stats["mean"]), small.mean((0, 1, 2)), atol=1e-9)
    np.testing.assert_allclose(np.ravel(stats["std"]), small.std((0, 1, 2)), atol=1e-9)
    assert stats["count"] == [100]


def test_column_statistics_of_scalars_are_lists_of_one() -> None:
    assert column_stats(np.arange(5)) == {
        "min": [0],
        "max": [4],
        "mean": [2.0],
        "std": [pytest.approx(2**0.5)],
        "count": [5],
    }
    stats = ImageStats()
    stats.add(np.full((4, 4, 3), 51, np.uint8))
    assert stats.result()["mean"] == [[[pytest.approx(0.2)]]] * 3


def test_reading(dataset: Path) -> None:
    found = Dataset(dataset)
    assert (len(found), found.fps, found.widths["action"], found.cameras) == (3, 30, 6, ("front",))
    episode = found.episode(1)
    assert (len(episode), episode.task) == (20, "Put it down.")
    np.testing.assert_array_equal(episode.actions, numbers(20, 1))
    np.testing.assert_array_equal(episode.states, numbers(20, 11))
    assert episode.videos["front"].is_file()
    assert [one.task for one in found.episodes()] == ["Lift.", "Put it down.", "Lift."]


def test_reading_what_others_wrote(copy: Path) -> None:
    """Plain lists instead of fixed-size ones, other chunk sizes: lerobot's readers take them, so do we."""
    path = copy / "data/chunk-000/episode_000000.parquet"
    table = pq.read_table(path)
    for key in ("action", "observation.state"):
        at = table.column_names.index(key)
        table = table.set_column(at, key, table.column(key).cast(pa.list_(pa.float32())))
    pq.write_table(table, path, row_group_size=5)
    np.testing.assert_array_equal(Dataset(copy).episode(0).actions, numbers(12, 0))
    assert check(copy) == []


def test_chunks_of_a_thousand(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path / "d", SO101, (), 30)
    for index in range(1001):
        writer.add_episode(numbers(2, index), numbers(2, index), "Lift.", {})
    info = writer.finish()
    assert (info["total_chunks"], info["total_videos"]) == (2, 0)
    assert (tmp_path / "d/data/chunk-001/episode_001000.parquet").is_file()
    assert check(tmp_path / "d") == []


def test_rates_that_are_not_whole(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path / "d", SO101, ("front",), 60 / 7)
    writer.add_episode(numbers(9), numbers(9), "Lift.", {"front": pictures(9)})
    assert writer.finish()["fps"] == pytest.approx(60 / 7)
    assert Dataset(tmp_path / "d").fps == Fraction(60, 7)
    assert check(tmp_path / "d") == []


def test_wrong_episodes_are_refused(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path / "d", SO101, ("front",), 30, encode=EncodeSettings(crf=40))
    good, video = numbers(8), {"front": pictures(8)}
    broken = good.copy()
    broken[5, 1] = np.inf
    for actions, states, videos, said in (
        (good[:, :5], good, video, "shape"),
        (good[:0], good[:0], video, "shape"),
        (broken, good, video, "row 5"),
        (good, good[:7], video, "7 states"),
        (good, good, {}, "wanted"),
        (good, good, {"front": pictures(7)}, "7 frames for 8 rows"),
        (good, good, {"front": tmp_path / "none.mp4"}, "no such file"),
    ):
        with pytest.raises(InputError, match=said):
            writer.add_episode(actions, states, "Lift.", videos)
    for name, changes in {"slow": {"fps": 16}, "small": {"size": (32, 24)}}.items():
        write_video(tmp_path / f"{name}.mp4", pictures(8), **({"fps": 30} | changes))  # type: ignore[arg-type]
    writer.add_episode(good, good, "Lift.", video)
    with pytest.raises(VideoError, match="16"):
        writer.add_episode(good, good, "Lift.", {"front": tmp_path / "slow.mp4"})
    with pytest.raises(VideoError, match="32x24"):
        writer.add_episode(good, good, "Lift.", {"front": tmp_path / "small.mp4"})
    with pytest.raises(InputError, match="not empty"):
        DatasetWriter(tmp_path / "d", SO101, ("front",), 30)


def test_an_empty_dataset_is_none(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path / "d", SO101, ("front",), 30)
    with pytest.raises(InputError, match="at least one"):
        writer.finish()
    assert check(tmp_path / "d")[0].endswith("no such file")
    writer = DatasetWriter(tmp_path / "e", SO101, (), 30)
    writer.add_episode(numbers(2), numbers(2), "Lift.", {})
    writer.finish()
    with pytest.raises(DefectError, match="twice"):
        writer.finish()


def edit_info(root: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))


def edit_table(root: Path, column: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    path = root / "data/chunk-000/episode_000001.parquet"
    table = pq.read_table(path)
    at = table.column_names.index(column)
    old = table.column(column)
    values = change(np.asarray(old.to_pylist()))
    array = pa.array(values.tolist(), type=old.type)
    pq.write_table(table.set_column(at, table.schema.field(at), pa.chunked_array([array])), path)


VIDEO = "videos/chunk-000/observation.images.front/episode_000001.mp4"
PLANTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "total frames": (lambda root: edit_info(root, lambda info: info.update(total_frames=46)), "total_frames is 46"),
    "total videos": (lambda root: edit_info(root, lambda info: info.update(total_videos=2)), "counted 3"),
    "fps believed": (lambda root: edit_info(root, lambda info: info.update(fps=16)), "info.json says 16"),
    "codec claimed": (
        lambda root: edit_info(
            root, lambda info: info["features"]["observation.images.front"]["info"].update({"video.codec": "av1"})
        ),
        "video.codec is h264",
    ),
    "version": (lambda root: edit_info(root, lambda info: info.update(codebase_version="v3.0")), "is LeRobot v3.0"),
    "row missing": (
        lambda root: pq.write_table(
            pq.read_table(root / "data/chunk-000/episode_000001.parquet").slice(0, 19),
            root / "data/chunk-000/episode_000001.parquet",
        ),
        "has 19 rows",
    ),
    "video short": (lambda root: write_video(root / VIDEO, pictures(19), 30), "19 frames for 20 rows"),
    "video slow": (lambda root: write_video(root / VIDEO, pictures(20), 16), "plays at 16"),
    "video cut": (lambda root: (root / VIDEO).write_bytes((root / VIDEO).read_bytes()[:-200]), "promises"),
    "video gone": (lambda root: (root / VIDEO).unlink(), "cannot be opened"),
    "video size": (lambda root: write_video(root / VIDEO, pictures(20, size=(32, 24)), 30), "32x24"),
    "stray file": (lambda root: shutil.copy(root / VIDEO, root / "videos/x.mp4"), "belongs to no episode"),
    "parquet gone": (lambda root: (root / "data/chunk-000/episode_000002.parquet").unlink(), "no such file"),
    "parquet broken": (
        lambda root: (root / "data/chunk-000/episode_000002.parquet").write_bytes(b"PAR1" * 20),
        "not a parquet",
    ),
    "index jumps": (lambda root: edit_table(root, "index", lambda old: old + 1), "index does not count from 12"),
    "episode index": (lambda root: edit_table(root, "episode_index", lambda old: old * 0), "episode_index"),
    "timestamps": (lambda root: edit_table(root, "timestamp", lambda old: old * 30 / 16), "timestamp is not"),
    "task": (lambda root: edit_table(root, "task_index", lambda old: old * 0), "its tasks"),
    "unknown task": (lambda root: edit_table(root, "task_index", lambda old: old + 7), "task_index 8"),
    "not a number": (
        lambda root: edit_table(root, "action", lambda old: old * np.nan),
        "action is not finite at row 0",
    ),
    "stats gone": (lambda root: (root / "meta/episodes_stats.jsonl").write_text(""), "no statistics of episode 0"),
    "stats nan": (
        lambda root: (root / "meta/episodes_stats.jsonl").write_text(
            (root / "meta/episodes_stats.jsonl").read_text().replace('"mean": [', '"mean": [NaN, ', 1)
        ),
        "not finite",
    ),
    "broken line": (lambda root: (root / "meta/tasks.jsonl").write_text('{"task_index": 0'), "tasks.jsonl:1"),
    "no tasks": (lambda root: (root / "meta/tasks.jsonl").write_text("[]\n"), "lacks something"),
    "no info": (lambda root: (root / "meta/info.json").write_text("[1]"), "is LeRobot None"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_errors_are_found(copy: Path, name: str) -> None:
    plant, said = PLANTED[name]
    plant(copy)
    found = check(copy)
    assert any(said in sentence for sentence in found), found
    assert all(str(copy) in sentence for sentence in found)
    with pytest.raises(InputError):
        require(copy)
