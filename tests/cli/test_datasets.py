"""`leicos to-lerobot` as a user types it: both versions, several cameras, nothing left that looks finished."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from helpers import command_line
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.core.errors import ExitCode
from leicos_jobs.formats.lerobot_check import require

TASK = "Lift the red cube up."
ROWS = 60


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "demos.hdf5", [DemoSpec(rows=ROWS), DemoSpec(rows=ROWS)])


def leicos(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return command_line.leicos("to-lerobot", *arguments, "--workers", "1")


def info(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "meta/info.json").read_text())
    return found


def test_a_recording_becomes_a_v21_dataset(recording: Path, tmp_path: Path) -> None:
    done = leicos(recording, "--task", TASK, "--out", tmp_path / "out")

    assert done.returncode == ExitCode.DONE, done.stderr
    assert "2 episodes" in done.stdout
    assert "converting" in done.stderr
    require(tmp_path / "out", decode=True)
    assert (info(tmp_path / "out")["codebase_version"], info(tmp_path / "out")["fps"]) == ("v2.1", 30)


def test_a_recording_becomes_a_v30_dataset_and_nothing_else(recording: Path, tmp_path: Path) -> None:
    done = leicos(recording, "--task", TASK, "--out", tmp_path / "out", "--format", "v3.0")

    assert done.returncode == ExitCode.DONE, done.stderr
    assert (info(tmp_path / "out")["codebase_version"], info(tmp_path / "out")["total_episodes"]) == ("v3.0", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demos.hdf5", "out"]


def test_a_v21_dataset_is_exported_with_the_same_frames(recording: Path, tmp_path: Path) -> None:
    leicos(recording, "--task", TASK, "--out", tmp_path / "v21")

    done = leicos(tmp_path / "v21", "--out", tmp_path / "v30", "--format", "v3.0")

    assert done.returncode == ExitCode.DONE, done.stderr
    assert info(tmp_path / "v30")["total_frames"] == info(tmp_path / "v21")["total_frames"]


def test_row_for_row_takes_every_row(recording: Path, tmp_path: Path) -> None:
    leicos(recording, "--task", TASK, "--out", tmp_path / "out", "--row-for-row")

    assert (info(tmp_path / "out")["fps"], info(tmp_path / "out")["total_frames"]) == (60, 2 * (ROWS - 5))


def test_a_demo_left_out_is_told_and_with_strict_refused(tmp_path: Path) -> None:
    source = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=ROWS), DemoSpec(rows=ROWS, nan=("actions", 30, 2))])

    lenient = leicos(source, "--task", TASK, "--out", tmp_path / "out")
    strict = leicos(source, "--task", TASK, "--out", tmp_path / "strict", "--strict")

    assert lenient.returncode == ExitCode.DONE, lenient.stderr
    assert f"left out: {source} demo_1: " in lenient.stderr
    assert "1 episodes" in lenient.stdout
    assert strict.returncode == ExitCode.INPUT
    assert "demo_1" in strict.stderr
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--out", "out"), "say what the robot does with --task"),
        (("--out", "out", "--task", TASK, "--camera", "wrist"), "wrist"),
        (("--out", "out", "--task", TASK, "--stride", "2", "--row-for-row"), "contradict"),
        (("--out", "full", "--task", TASK), "not empty"),
        (("--out", "out", "--task", TASK, "--robot", "nobody"), "nobody"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("keep")

    done = leicos(recording, *arguments)

    assert done.returncode == ExitCode.INPUT, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "full/mine.txt").read_text() == "keep"


def test_several_cameras_are_carried(tmp_path: Path) -> None:
    source = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=ROWS, cameras=("front", "wrist"))])

    done = leicos(source, "--task", TASK, "--out", tmp_path / "out", "--camera", "front", "--camera", "wrist")

    assert done.returncode == ExitCode.DONE, done.stderr
    features = info(tmp_path / "out")["features"]
    assert {"observation.images.front", "observation.images.wrist"} <= set(features)  # type: ignore[call-overload]
    require(tmp_path / "out", decode=True)
