"""convert, read back with pandas, json and PyAV: every frame, action and state must be of the row it should be of."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
from conversion import ENVIRONMENT, TASK, frames, lines, parquet, run, tree, video
from helpers.leisaac import DemoSpec, action, image_numbers, joint, motor, read_code, write_recording

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.convert.dataset import ConvertOptions, ConvertReport, convert
from leicos_jobs.formats import gr00t
from leicos_jobs.formats.leisaac_timing import TimeBase
from leicos_jobs.formats.lerobot_check import check
from leicos_jobs.formats.lerobot_v21 import EncodeSettings


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[DemoSpec], ConvertReport]:
    """Twelve demos of all kinds; natural order differs from lexicographic, phases differ."""
    root = tmp_path_factory.mktemp("convert")
    specs = [DemoSpec(rows=41 + index, phase=index % 2) for index in range(12)]
    specs[3].success = False
    specs[5] = DemoSpec(rows=40, success=None, cut=1)
    specs[7].step_at = (21,)
    specs[8].nan = ("actions", 13, 2)
    specs[9].compression, specs[9].chunk_rows = "gzip", None
    out = root / "dataset"
    report = run([write_recording(root / "a.hdf5", specs)], out)
    return out, specs, report


def test_report_and_map(converted: tuple[Path, list[DemoSpec], ConvertReport]) -> None:
    out, specs, report = converted
    assert (report.episodes, report.demos, report.fps, report.stride, report.control_hz) == (8, 12, 30.0, 2, 60.0)
    entries = lines(out / "meta/leicos/episodes.jsonl")
    numbers = [0, 1, 2, 4, 6, 9, 10, 11]
    assert lines(out / "meta/leicos/origins.jsonl") == [
        {"episode_index": index, "file": str(out.parent / "a.hdf5"), "demo": f"demo_{number}"}
        for index, number in enumerate(numbers)
    ]
    for name in ("demo_sha256", "tables_sha256"):
        digests = [entry.pop(name) for entry in entries]
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
        assert len(set(digests)) == len(digests)
    for index, (number, entry) in enumerate(zip(numbers, entries, strict=True)):
        first = 6 if number % 2 == 0 else 5
        count = (specs[number].rows - 1 - first) // 2 + 1
        assert entry == {
            "episode_index": index,
            "control_hz": 60.0,
            "first_row": first,
            "stride": 2,
            "frames": count,
        }
    assert report.frames == sum(entry["frames"] for entry in entries)
    left = lines(out / "meta/leicos/left_out.jsonl")
    kinds = {entry["demo"]: entry["kind"] for entry in left}
    assert kinds == {"demo_3": "failed", "demo_5": "interrupted", "demo_7": "irregular", "demo_8": "not-finite"}
    assert [entry.model_dump() for entry in report.left_out] == left


def test_every_frame_and_number_is_of_its_row(converted: tuple[Path, list[DemoSpec], ConvertReport]) -> None:
    out, specs, _ = converted
    start = 0
    origins = lines(out / "meta/leicos/origins.jsonl")
    for entry, origin in zip(lines(out / "meta/leicos/episodes.jsonl"), origins, strict=True):
        assert entry["episode_index"] == origin["episode_index"]
        episode, demo = entry["episode_index"], int(origin["demo"][5:])
        numbers = image_numbers(specs[demo])
        rows = [entry["first_row"] + k * entry["stride"] for k in range(entry["frames"])]
        assert [read_code(image) for image in frames(video(out, episode))] == [(demo, numbers[row]) for row in rows]
        table = parquet(out, episode)
        wanted = np.array([[motor(action(demo, row, j), j) for j in range(6)] for row in rows])
        np.testing.assert_allclose(np.stack(table["action"]), wanted, atol=2e-5)
        wanted = np.array([[motor(joint(demo, row, j), j) for j in range(6)] for row in rows])
        np.testing.assert_allclose(np.stack(table["observation.state"]), wanted, atol=2e-5)
        steps = np.arange(len(rows))
        np.testing.assert_allclose(table["timestamp"], steps / 30, atol=1e-6)
        assert table["frame_index"].tolist() == steps.tolist()
        assert table["index"].tolist() == (start + steps).tolist()
        assert set(table["episode_index"]) == {episode}
        assert set(table["task_index"]) == {0}
        start += len(rows)


def test_metadata_is_lerobots(converted: tuple[Path, list[DemoSpec], ConvertReport]) -> None:
    out, _, report = converted
    info = json.loads((out / "meta/info.json").read_text())
    features = info.pop("features")
    assert list(info.items()) == [
        ("codebase_version", "v2.1"),
        ("robot_type", "so101_follower"),
        ("total_episodes", 8),
        ("total_frames", report.frames),
        ("total_tasks", 1),
        ("total_videos", 8),
        ("total_chunks", 1),
        ("chunks_size", 1000),
        ("fps", 30),
        ("splits", {"train": "0:8"}),
        ("data_path", "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"),
        ("video_path", "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"),
    ]
    assert list(features) == [
        "action",
        "observation.state",
        "observation.images.front",
        "timestamp",
        "frame_index",
        "episode_index",
        "index",
        "task_index",
    ]
    assert features["action"]["names"][0] == "shoulder_pan.pos"
    assert features["observation.images.front"]["shape"] == [48, 64, 3]
    assert features["observation.images.front"]["info"] == {
        "video.height": 48,
        "video.width": 64,
        "video.codec": "h264",
        "video.pix_fmt": "yuv420p",
        "video.is_depth_map": False,
        "video.fps": 30,
        "video.channels": 3,
        "has_audio": False,
    }
    assert (out / "meta/tasks.jsonl").read_text() == '{"task_index": 0, "task": "Lift the red cube up."}\n'
    first = lines(out / "meta/episodes.jsonl")[0]
    assert first == {"episode_index": 0, "tasks": [TASK], "length": 18}
    assert check(out) == []
    assert gr00t.check(out, SO101, ("front",)) == []
    assert not list(out.parent.glob(".*")), "no staging left"


def test_bytes_do_not_depend_on_workers_or_on_what_stood_there(tmp_path: Path) -> None:
    specs = [DemoSpec(rows=30, phase=index % 2, cameras=("front", "wrist")) for index in range(5)]
    source = write_recording(tmp_path / "a.hdf5", specs)
    run([source], tmp_path / "one", cameras=("front", "wrist"))
    (tmp_path / "two" / "data" / "old").mkdir(parents=True)
    (tmp_path / "two" / "data" / "old" / "x.parquet").write_text("left from before")
    calls: list[tuple[int, int]] = []
    options = ConvertOptions(embodiment=SO101, task=TASK, cameras=("front", "wrist"), control_hz=60, workers=2)
    convert([source], tmp_path / "two", options, progress=lambda done, total: calls.append((done, total)))
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert calls[-1] == (5, 5)
    assert check(tmp_path / "two") == []


def test_several_cameras(tmp_path: Path) -> None:
    specs = [DemoSpec(rows=30, cameras=("front", "wrist"))]
    run([write_recording(tmp_path / "a.hdf5", specs)], tmp_path / "out", cameras=("front", "wrist"))
    front, wrist = (frames(video(tmp_path / "out", 0, camera)) for camera in ("front", "wrist"))
    assert [read_code(image) for image in front] == [read_code(image) for image in wrist]
    assert front[0][..., 2].max() > wrist[0][..., 2].max() + 8
    modality = json.loads((tmp_path / "out/meta/modality.json").read_text())
    assert modality["video"]["wrist"] == {"original_key": "observation.images.wrist"}


def test_cameras_out_of_step_with_each_other(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=30, cameras=("front", "wrist"))] * 2)
    with h5py.File(path, "a") as file:
        images = file["data/demo_1/obs/wrist"]
        images[1:] = images[:-1]
    report = run([path], tmp_path / "out", cameras=("front", "wrist"))
    assert [(entry.demo, entry.kind) for entry in report.left_out] == [("demo_1", "cameras-differ")]


def test_row_for_row_takes_what_upstream_takes(tmp_path: Path) -> None:
    spec = DemoSpec(rows=33, phase=1)
    report = run([write_recording(tmp_path / "a.hdf5", [spec])], tmp_path / "out", time=TimeBase(row_for_row=True))
    assert (report.frames, report.fps, report.stride) == (28, 60.0, 1)
    codes = [read_code(image) for image in frames(video(tmp_path / "out", 0))]
    assert codes == [(0, image_numbers(spec)[row]) for row in range(5, 33)]


def test_larger_stride_and_control_rate_of_the_file(tmp_path: Path) -> None:
    source = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=60)], sim=(1 / 50, 1))
    report = run([source], tmp_path / "out", time=TimeBase(stride=6, drop_rows=11))
    assert (report.frames, report.control_hz, report.stride) == (8, 50.0, 6)
    assert report.fps == pytest.approx(50 / 6)
    rows = [12 + 6 * k for k in range(8)]
    np.testing.assert_allclose(
        np.stack(parquet(tmp_path / "out", 0)["action"])[:, 1], [motor(action(0, row, 1), 1) for row in rows], atol=2e-5
    )
    assert check(tmp_path / "out") == []


def test_a_first_block_that_misleads_costs_a_second_reading_only(tmp_path: Path) -> None:
    """Nothing moves in the first hundred rows, or only every fourth row changes there."""
    still = DemoSpec(rows=160, frozen=range(120))
    slow = DemoSpec(rows=330, frozen=[row for row in range(100) if row % 4])
    report = run([write_recording(tmp_path / "a.hdf5", [still, slow])], tmp_path / "out")
    assert (report.episodes, report.stride) == (2, 2)
    for episode, spec in enumerate((still, slow)):
        codes = [read_code(image)[1] for image in frames(video(tmp_path / "out", episode))]
        assert codes == [image_numbers(spec)[row] & 255 for row in range(6, spec.rows, 2)]


def test_several_files_and_names(tmp_path: Path) -> None:
    one = write_recording(tmp_path / "one.hdf5", [DemoSpec(rows=20), DemoSpec(rows=22)])
    two = write_recording(tmp_path / "two.hdf5", [DemoSpec(rows=24)], first=2)
    options = ConvertOptions(embodiment=SO101, task=TASK, control_hz=60, workers=1)
    convert([two, one], tmp_path / "out", options, names=["s3://bucket/two.hdf5", "s3://bucket/one.hdf5"])
    entries = lines(tmp_path / "out/meta/leicos/origins.jsonl")
    assert [(entry["file"][12:], entry["demo"]) for entry in entries] == [
        ("two.hdf5", "demo_2"),
        ("one.hdf5", "demo_0"),
        ("one.hdf5", "demo_1"),
    ]


def test_encode_settings_reach_the_encoder(tmp_path: Path) -> None:
    source = write_recording(tmp_path / "a.hdf5", [DemoSpec()])
    run([source], tmp_path / "fine", encode=EncodeSettings(crf=10, gop=10))
    run([source], tmp_path / "coarse", encode=EncodeSettings(crf=45, gop=1, preset="ultrafast"))
    with av.open(str(video(tmp_path / "coarse", 0))) as container:
        assert all(packet.is_keyframe for packet in container.demux(video=0) if packet.size)
    assert video(tmp_path / "fine", 0).stat().st_size != video(tmp_path / "coarse", 0).stat().st_size


@pytest.mark.parametrize(("compression", "rows"), [("lzf", 100), ("gzip", 182)])
def test_memory_stays_small_with_full_size_images(tmp_path: Path, compression: str, rows: int) -> None:
    """Chunks of 92 MB read by ourselves, and one near the limit of 160 MiB read by HDF5, which holds it twice."""
    path = tmp_path / "a.hdf5"
    spec = DemoSpec(rows=300, omit=["obs/front"])
    write_recording(path, [spec])
    row = np.zeros((480, 640, 3), np.uint8)
    with h5py.File(path, "a") as file:
        images = file.create_dataset(
            "data/demo_0/obs/front", (300, 480, 640, 3), "u1", chunks=(rows, 480, 640, 3), compression=compression
        )
        block = np.empty((100, 480, 640, 3), np.uint8)
        for start in range(0, 300, 100):
            for offset in range(100):
                block[offset] = row + (start + offset) // 2 % 250
            images[start : start + 100] = block
    script = (
        "import re, sys; from pathlib import Path; from conversion import run\n"
        "report = run([Path(sys.argv[1])], Path(sys.argv[2]), encode=__import__('leicos_jobs').formats.lerobot_v21"
        ".EncodeSettings(preset='ultrafast'))\n"
        # not ru_maxrss: that survives exec, and the process that started this one may have been large
        "peak = int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "print(report.frames, peak // 1024)\n"
    )
    command = [sys.executable, "-c", script, str(path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    count, peak = map(int, done.stdout.split())
    assert count == 147
    assert peak < 600, f"{peak} MiB"
