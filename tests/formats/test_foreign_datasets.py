"""LeRobot datasets that others wrote: what they hold beside actions is carried, what is wrong is named."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.leisaac import paint, read_code
from helpers.videos import foreign
from PIL import Image

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.formats.lerobot_v21 import DatasetWriter
from leicos_jobs.formats.lerobot_v30 import export_v30
from leicos_jobs.inspect.facts import DatasetFacts, inspect
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.probe import probe

LENGTHS = (7, 12)
INFO, STATS, TASKS, EPISODES = (
    f"meta/{name}" for name in ("info.json", "episodes_stats.jsonl", "tasks.jsonl", "episodes.jsonl")
)


@pytest.fixture
def v21(tmp_path: Path) -> Path:
    root = tmp_path / "v21"
    writer = DatasetWriter(root, SO101, ("front",), 30)
    chance = np.random.default_rng(0)
    for episode, length in enumerate(LENGTHS):
        actions, states = (chance.uniform(0, 90, (length, 6)).astype(np.float32) for _ in range(2))
        writer.add_episode(actions, states, "Lift.", {"front": [paint(episode, step) for step in range(length)]})
    writer.finish()
    return root


def edited(path: Path, edit: Callable[[Any], Any]) -> None:
    """Change a JSON file, or each line of a .jsonl file."""
    lines = path.read_text().split("\n") if path.suffix == ".jsonl" else [path.read_text()]
    path.write_text("\n".join(json.dumps(edit(json.loads(line))) for line in lines if line))


def with_feature(root: Path, name: str, feature: dict[str, Any], make: Callable[[int], pa.Array], stats: Any) -> None:
    """Add a column as lerobot would. stats: of each episode, None where lerobot has none."""

    def described(info: dict[str, Any]) -> dict[str, Any]:
        info["features"][name] = feature
        return info

    def measured(line: dict[str, Any]) -> dict[str, Any]:
        if stats is not None:
            line["stats"][name] = stats | {"count": [LENGTHS[line["episode_index"]]]}
        return line

    edited(root / INFO, described)
    edited(root / STATS, measured)
    for path in sorted(root.glob("data/*/*.parquet")):
        table = pq.read_table(path)
        pq.write_table(table.append_column(name, make(len(table))), path)


def problems(root: Path) -> tuple[str, ...]:
    found = inspect(root)
    assert isinstance(found, DatasetFacts)
    return found.problems


def exported(root: Path) -> pa.Table:
    """The rows of the export, which is sound and says of them what it holds."""
    out = root.with_name("v30")
    export_v30(root, out)
    assert problems(out) == ()
    (file,) = out.glob("data/*/*.parquet")
    return pq.read_table(file)


def equal_stats(shape: tuple[int, ...], value: float) -> dict[str, Any]:
    return {name: np.full(shape, value).tolist() for name in ("min", "max", "mean")} | {"std": np.zeros(shape).tolist()}


EXTRAS: dict[str, tuple[dict[str, Any], Callable[[int], pa.Array], Any, Any]] = {
    "next.reward": (
        {"dtype": "float32", "shape": [1]}, lambda n: pa.array([0.5] * n, pa.float32()), equal_stats((1,), 0.5), 0.5,
    ),
    "next.done": ({"dtype": "bool", "shape": [1]}, lambda n: pa.array([True] * n), equal_stats((1,), 1), True),
    "observation.environment_state": (
        {"dtype": "float32", "shape": [3]}, lambda n: pa.array([[1.0, 1.0, 1.0]] * n, pa.list_(pa.float32())),
        equal_stats((3,), 1), [1.0, 1.0, 1.0],
    ),
    "observation.grid": (
        {"dtype": "float64", "shape": [2, 2]}, lambda n: pa.array([[[1.0, 1.0], [1.0, 1.0]]] * n),
        equal_stats((2, 2), 1), [[1.0, 1.0], [1.0, 1.0]],
    ),
    "subtask": ({"dtype": "string", "shape": [1]}, lambda n: pa.array(["reach\u2028"] * n), None, "reach\u2028"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXTRAS)
@pytest.mark.parametrize("measured", [True, False])
def test_columns_of_others_are_carried(name: str, measured: bool, v21: Path) -> None:
    feature, make, stats, value = EXTRAS[name]
    with_feature(v21, name, feature | {"names": None}, make, stats if measured else None)
    table = exported(v21)
    assert table.column(name).to_pylist() == [value] * sum(LENGTHS)
    described = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert set(described) == set(table.column_names)
    whole = json.loads((v21.parent / "v30/meta/stats.json").read_text())
    assert (name in whole) == (stats is not None)
    if stats is not None:
        assert whole[name]["mean"] == stats["mean"]
        assert whole[name]["q50"] == stats["mean"]


def test_a_column_that_info_names_must_be_there(v21: Path) -> None:
    feature, make, stats, _ = EXTRAS["next.reward"]
    with_feature(v21, "next.reward", feature, make, stats)
    path = sorted(v21.glob("data/*/*.parquet"))[1]
    pq.write_table(pq.read_table(path).drop_columns(["next.reward"]), path)
    assert [text for text in problems(v21) if path.name in text and "has no column next.reward" in text]
    with pytest.raises(InputError, match=r"next\.reward"):
        export_v30(v21, v21.with_name("v30"))


def test_a_column_of_another_type_is_named(v21: Path) -> None:
    feature, _, stats, _ = EXTRAS["observation.environment_state"]
    name = "observation.environment_state"
    with_feature(v21, name, feature, lambda n: pa.array([[1.0]] * n), stats)
    with pytest.raises(InputError, match=rf"{name} holds list.*float32 of shape \[3\]"):
        export_v30(v21, v21.with_name("v30"))


def png(step: int) -> dict[str, Any]:
    packed = io.BytesIO()
    Image.fromarray(paint(0, step)).save(packed, "PNG")
    return {"bytes": packed.getvalue(), "path": f"frame_{step:06d}.png"}


IMAGE = {"dtype": "image", "shape": [48, 64, 3], "names": ["height", "width", "channels"]}


def test_images_stored_in_the_tables_are_carried(v21: Path) -> None:
    name = "observation.images.top"
    stats = {key: [[[0.2]], [[0.2]], [[0.2]]] for key in ("min", "max", "mean", "std")}
    with_feature(v21, name, IMAGE, lambda n: pa.array([png(step) for step in range(n)]), stats)
    found = inspect(v21)
    assert isinstance(found, DatasetFacts)
    assert found.cameras == ("front", "top (images in the tables)")
    assert [image["bytes"] for image in exported(v21).column(name).to_pylist()[:3]] == [
        png(k)["bytes"] for k in range(3)
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [({"bytes": None, "path": "a.png"}, "paths of images"), ({"bytes": b"x", "path": "a"}, "not an image")],
)
def test_images_that_are_not_stored_are_told(value: dict[str, Any], said: str, v21: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    stats = {key: [[[0.2]], [[0.2]], [[0.2]]] for key in ("min", "max", "mean", "std")}
    with_feature(v21, "observation.images.top", IMAGE, lambda n: pa.array([value] * n, kind), stats)
    with pytest.raises(InputError, match=f"observation.images.top.*{said}"):
        export_v30(v21, v21.with_name("v30"))
    assert not v21.with_name("v30").exists()


def test_statistics_of_pictures_that_lack_are_computed_and_names_filled_in(v21: Path) -> None:
    name = "observation.images.front"

    def without(line: dict[str, Any]) -> dict[str, Any]:
        del line["stats"][name]
        return line

    known = [json.loads(line)["stats"][name] for line in (v21 / STATS).read_text().splitlines()]
    edited(v21 / STATS, without)
    edited(
        v21 / INFO,
        lambda info: info | {"features": info["features"] | {name: info["features"][name] | {"names": None}}},
    )
    assert any(f"lacks statistics of {name}" in text for text in problems(v21))
    exported(v21)
    out = v21.with_name("v30")
    (file,) = out.glob("meta/episodes/*/*.parquet")
    found = pq.read_table(file).column(f"stats/{name}/mean").to_pylist()
    assert np.allclose(found, [each["mean"] for each in known], atol=0.01)
    assert json.loads((out / INFO).read_text())["features"][name]["names"] == ["height", "width", "channels"]


@pytest.mark.parametrize("key", ["info", "video_info"])
def test_a_dataset_of_a_real_arm_is_joined_in_its_own_codec(key: str, v21: Path) -> None:
    """As lerobot 0.3 records an SO-101: AV1, names under `motors`, and in older ones `video_info`."""
    for episode, path in enumerate(sorted(v21.glob("videos/*/*/*.mp4"))):
        foreign(path, np.stack([paint(episode, step) for step in range(LENGTHS[episode])]), codec="libsvtav1", rate=30)

    def described(info: dict[str, Any]) -> dict[str, Any]:
        camera = info["features"]["observation.images.front"]
        camera[key] = camera.pop("info") | {"video.codec": "av1"}
        for column in ("action", "observation.state"):
            info["features"][column]["names"] = {"motors": info["features"][column]["names"]}
        return info

    edited(v21 / INFO, described)
    assert problems(v21) == ()
    exported(v21)
    out = v21.with_name("v30")
    made, given = (json.loads((root / INFO).read_text())["features"] for root in (out, v21))
    assert made["action"]["names"] == given["action"]["names"]
    assert made["observation.images.front"][key]["video.codec"] == "av1"
    (video,) = out.glob("videos/*/*/*.mp4")
    info = probe(video)
    assert (info.codec, info.frames) == ("av1", sum(LENGTHS))
    shown = [read_code(picture) for picture in read_all(video)]
    assert shown == [(episode, step) for episode, length in enumerate(LENGTHS) for step in range(length)]


def test_another_version_is_told_with_the_tool_that_converts_it(v21: Path) -> None:
    edited(v21 / INFO, lambda info: info | {"codebase_version": "v2.0"})
    with pytest.raises(InputError, match=r"is LeRobot v2\.0") as caught:
        export_v30(v21, v21.with_name("v30"))
    assert "to-lerobot" in str(caught.value.fix)


def test_an_episode_without_rows_is_named(v21: Path) -> None:
    path = sorted(v21.glob("data/*/*.parquet"))[1]
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    edited(v21 / EPISODES, lambda line: line | {"length": 0} if line["episode_index"] == 1 else line)
    assert any("episode 1 has no rows" in text for text in problems(v21))
    with pytest.raises(InputError, match="episode 1 has no rows"):
        export_v30(v21, v21.with_name("v30"))


def test_states_that_are_a_servo_s_counts_are_refused(v21: Path) -> None:
    for path in v21.glob("data/*/*.parquet"):
        table = pq.read_table(path)
        at = table.column_names.index("observation.state")
        counts = np.random.default_rng(0).uniform(228, 3498, (len(table), 6)).astype(np.float32)
        column = pa.FixedSizeListArray.from_arrays(counts.reshape(-1), 6)
        pq.write_table(table.set_column(at, "observation.state", column), path)
    assert any("observation.state" in text and "its range is" in text for text in problems(v21))
    with pytest.raises(InputError, match=r"observation\.state: .* runs from .*its range is .*motor units"):
        export_v30(v21, v21.with_name("v30"))


def test_tasks_of_any_text_and_blank_lines_are_read(v21: Path) -> None:
    text = "Lift.\u2028Put\u0085it\u2029down."
    (v21 / TASKS).write_text(json.dumps({"task_index": 0, "task": text}, ensure_ascii=False) + "\n\n   \n", "utf-8")
    edited(v21 / EPISODES, lambda line: line | {"tasks": [text]})
    (v21 / INFO).write_bytes((v21 / INFO).read_text().encode("utf-8-sig"))
    assert problems(v21) == ()
    exported(v21)
    assert Dataset(v21).tasks == {0: text}


@pytest.mark.parametrize(
    "template",
    [
        "data/{episode_index:>3000000000}.parquet", "data/{episode_index.__class__.__mro__}.parquet",
        "data/{episode_index:0999999999d}.parquet", "data/{0}.parquet", "data/{}.parquet", "data/{{x}}.parquet",
        "data/{episode_index!r}.parquet", "data/{episode_index[0]}.parquet", "data/{nope:06d}.parquet",
        "../{episode_index}",
        "/etc/{episode_index:06d}", "data/{video_key:06d}", "data/{episode_index:{episode_chunk}}",
    ],
)  # fmt: skip
def test_a_template_of_paths_is_filled_in_and_not_evaluated(template: str, v21: Path) -> None:
    edited(v21 / INFO, lambda info: info | {"data_path": template})
    with pytest.raises(InputError, match=r"info\.json.*\n.*data_path"):
        inspect(v21)


def test_a_camera_s_name_leads_to_no_other_folder(v21: Path) -> None:
    key = "observation.images.front"

    def renamed(info: dict[str, Any]) -> dict[str, Any]:
        info["features"][f"{key}/../../../../x"] = info["features"].pop(key)
        return info

    edited(v21 / INFO, renamed)
    with pytest.raises(InputError, match="not a name for a folder of videos"):
        inspect(v21)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 100_000, "9" * 5000])
@pytest.mark.parametrize("name", [INFO, STATS, TASKS, EPISODES])
def test_metadata_that_is_absurd_is_named(text: str, name: str, v21: Path) -> None:
    (v21 / name).write_text(text)
    with pytest.raises(InputError, match=Path(name).name):
        export_v30(v21, v21.with_name("v30"))
