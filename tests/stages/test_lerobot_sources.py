"""LeRobot datasets as sources: every version gives the same demos, and videos are carried where that is valid."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.leisaac import read_code
from helpers.lerobot import SO101, DatasetSpec, encode, vectors, write_dataset

from leicos_jobs.convert.dataset import ConvertOptions, ConvertReport, convert
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.leisaac_timing import TimeBase
from leicos_jobs.formats.lerobot_check import check
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.formats.sources import open_source, usual_camera
from leicos_jobs.inspect.robots import robot_from
from leicos_jobs.robots.embodiment import Embodiment, embodiment, parse
from leicos_jobs.run.layout import EPISODES

VERSIONS = ("v2.0", "v2.1", "v3.0")
SPEC = DatasetSpec(names=SO101, tasks=("Wave.", "Point."), cameras=("front", "wrist"), numbers=(0, 2, 5))


def robot_of(root: Path) -> Embodiment:
    return parse(robot_from(root, None), "guessed")


def converted(root: Path, out: Path, robot: Embodiment | None = None, **options: object) -> ConvertReport:
    chosen = ConvertOptions(robot or embodiment("so101"), workers=1, **({"cameras": ("front", "wrist")} | options))
    return convert([root], out, chosen)


def content(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / EPISODES).read_text().splitlines()]


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_read(version: str, tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "source", replace(SPEC, version=version, extra=True, b_frames=2))
    report = converted(source, tmp_path / "out")
    assert (report.episodes, report.frames, report.fps) == (3, 123, 30)
    assert check(tmp_path / "out") == []
    dataset = Dataset(tmp_path / "out")
    for episode, number in zip(dataset.episodes(), (0, 2, 5), strict=True):
        assert np.array_equal(episode.actions, vectors(number, len(episode), 6, 1))
        assert np.array_equal(episode.states, vectors(number, len(episode), 6))
        assert episode.task == ("Point." if number == 2 else "Wave.")
        for camera in ("front", "wrist"):
            shown = [read_code(image) for image in frames(dataset.video_path(episode.index, camera))]
            assert shown == [(number, row) for row in range(len(episode))]
    assert [dataset.features[f"observation.images.{name}"]["shape"] for name in ("front", "wrist")] == [
        [48, 64, 3],
        [64, 96, 3],
    ]


def test_a_demo_is_the_same_in_every_version(tmp_path: Path) -> None:
    found = []
    for version in VERSIONS:
        converted(write_dataset(tmp_path / version, replace(SPEC, version=version)), tmp_path / f"{version}-out")
        found.append(content(tmp_path / f"{version}-out"))
    assert found[0] == found[1] == found[2]
    assert len({line["demo_sha256"] for line in found[0]}) == 3
    assert all(line["states"] is False and line["first_row"] == 0 and line["stride"] == 1 for line in found[0])


def test_another_camera_that_travels_along_changes_no_demo(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "source", SPEC)
    converted(source, tmp_path / "one", cameras=("front",))
    converted(source, tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
@pytest.mark.parametrize("b_frames", [0, 3])
def test_videos_are_carried_without_encoding(version: str, b_frames: int, tmp_path: Path) -> None:
    spec = replace(SPEC, version=version, cameras=("front",), b_frames=b_frames)
    source = write_dataset(tmp_path / "source", spec)
    converted(source, tmp_path / "out", cameras=("front",))
    theirs, ours = sorted(source.rglob("*.mp4")), sorted((tmp_path / "out").rglob("*.mp4"))
    shown = [np.stack([image for path in paths for image in frames(path)]) for paths in (theirs, ours)]
    assert np.array_equal(*shown)
    sizes = [[len(packet) for path in paths for packet in packets(path)] for paths in (theirs, ours)]
    assert np.abs(np.diff(sizes, axis=0)).max() < 64  # but for the rate in the headers


def test_a_part_of_a_video_that_cannot_stand_alone_is_encoded_again(tmp_path: Path) -> None:
    spec = replace(SPEC, version="v3.0", cameras=("front",), gop=1000)
    source = write_dataset(tmp_path / "source", spec)
    table = next(source.rglob("file-000.mp4"))
    images = frames(table)
    table.unlink()
    encode(table, images, spec)  # one key frame for all episodes
    converted(source, tmp_path / "out", cameras=("front",))
    shown = [read_code(image) for path in sorted((tmp_path / "out").rglob("*.mp4")) for image in frames(path)]
    assert shown == [(number, row) for number, rows in zip((0, 2, 5), SPEC.lengths, strict=True) for row in range(rows)]


def test_other_codecs_and_images_in_tables_are_encoded(tmp_path: Path) -> None:
    spec = replace(SPEC, version="v3.0", cameras=("front",), stored=("wrist",), codec="libsvtav1")
    source = write_dataset(tmp_path / "source", spec)
    converted(source, tmp_path / "out")
    dataset = Dataset(tmp_path / "out")
    assert check(tmp_path / "out") == []
    for camera in ("front", "wrist"):
        assert [read_code(image) for image in frames(dataset.video_path(1, camera))] == [(2, row) for row in range(41)]


def test_a_larger_stride_takes_every_nth_row(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "source", replace(SPEC, version="v3.0", fps=50))
    report = converted(source, tmp_path / "out", time=TimeBase(stride=2))
    assert (report.fps, report.frames) == (25, 20 + 21 + 21)
    episode = Dataset(tmp_path / "out").episode(1)
    assert np.array_equal(episode.actions, vectors(2, 41, 6, 1)[::2])
    assert [read_code(image)[1] for image in frames(episode.videos["wrist"])] == list(range(0, 41, 2))


@pytest.mark.parametrize("joints", [7, 44])
def test_a_robot_of_any_width_is_a_file(joints: int, tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "source", DatasetSpec(version="v2.0", joints=joints, fps=20))
    robot = robot_of(source)
    assert converted(source, tmp_path / "out", robot, cameras=("front",)).fps == 20
    assert check(tmp_path / "out", robot=robot) == []
    with open_source(source) as opened:
        assert "no robot that leicos ships" in str(opened.demo("episode_0", ("front",)).problem)


def test_what_is_wrong_keeps_an_episode_out_by_name(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "source", replace(SPEC, truncated=2))
    report = converted(source, tmp_path / "out")
    (out,) = report.left_out
    assert (out.demo, out.kind) == ("episode_2", "malformed")
    assert "40 frames of it for 41 rows" in out.reason


def test_joints_in_another_order_are_refused(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "source", replace(SPEC, names=SO101[::-1]))
    with pytest.raises(InputError, match="in another order"):
        converted(source, tmp_path / "out")


def test_the_usual_camera(tmp_path: Path) -> None:
    assert usual_camera(["wrist", "front"]) == "front"
    assert usual_camera(["top", "side"]) == "side"
    assert usual_camera([]) is None
