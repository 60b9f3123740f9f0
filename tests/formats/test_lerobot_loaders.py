"""The real lerobot opens what we write, and sees our pixels and numbers; we open what it writes. Needs environments:

    python -m venv ~/lerobot-0.3.3 && ~/lerobot-0.3.3/bin/pip install lerobot==0.3.3      (v2.1)
    python -m venv ~/lerobot-0.4.4 && ~/lerobot-0.4.4/bin/pip install lerobot==0.4.4      (v3.0)

LEICOS_LEROBOT_V21 and LEICOS_LEROBOT_V30 name their Pythons.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.leisaac import DemoSpec, read_code, write_recording

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.convert.dataset import ConvertOptions, convert
from leicos_jobs.convert.merge import merge
from leicos_jobs.formats.leisaac_timing import TimeBase
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.formats.lerobot_v21 import EncodeSettings
from leicos_jobs.formats.lerobot_v30 import export_v30
from leicos_jobs.inspect.facts import DatasetFacts, inspect
from leicos_jobs.media.decode import read_all

pytestmark = pytest.mark.lerobot

TASK = "Lift the red cube up."


@pytest.fixture(scope="module")
def v21(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(
        tmp_path_factory.mktemp("loaders"), ("front",), ConvertOptions(SO101, TASK, control_hz=60, workers=1)
    )


@pytest.fixture(scope="module")
def row_for_row(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the speed of conversion is measured on: repeated images as skipped frames; and a second camera."""
    options = ConvertOptions(
        SO101,
        TASK,
        cameras=("front", "wrist"),
        control_hz=60,
        workers=1,
        time=TimeBase(row_for_row=True),
        encode=EncodeSettings(30, "medium", 2),
    )
    return converted(tmp_path_factory.mktemp("rows"), options.cameras, options)


def converted(root: Path, cameras: tuple[str, ...], options: ConvertOptions) -> Path:
    specs = [DemoSpec(rows=40 + 7 * index, phase=index % 2, cameras=cameras) for index in range(4)]
    convert([write_recording(root / "a.hdf5", specs)], root / "v21", options)
    return root / "v21"


def load(variable: str, root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lerobot(variable, "lerobot_loader.py", root).splitlines()[-1])
    return found


def lerobot(variable: str, script: str, *arguments: Path) -> str:
    """Run a script (of the helpers, or by its path) in an environment of lerobot's; returns what it prints.

    -P: there is a helper of the name lerobot, too.
    """
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"{variable} names no Python with lerobot: it was NOT tried (see this file's first lines)")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-P", str(Path(__file__).parents[1] / "helpers" / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def compare(found: dict[str, Any], v21: Path, fps: int = 30) -> None:
    dataset = Dataset(v21)
    episodes = list(dataset.episodes())
    assert found["frames"] == sum(len(one) for one in episodes)
    assert found["fps"] == fps
    everything = np.concatenate([one.actions for one in episodes]).astype(np.float64)
    np.testing.assert_allclose(found["action_mean"], everything.mean(0), rtol=1e-4, atol=1e-3)
    assert len(found["items"]) == 2 * len(episodes)
    for item in found["items"]:
        episode, frame = episodes[item["episode"]], item["frame"]
        assert frame in (0, len(episode) - 1)
        np.testing.assert_array_equal(np.float32(item["action"]), episode.actions[frame])
        np.testing.assert_array_equal(np.float32(item["state"]), episode.states[frame])
        assert item["timestamp"] == pytest.approx(frame / fps, abs=1e-6)
        assert item["task"] == TASK
        image = np.frombuffer(bytes.fromhex(item["image"]), np.uint8).reshape(item["shape"])
        ours = read_all(episode.videos["front"])[frame]
        assert np.abs(image.astype(int) - ours).mean() < 1.0
        assert read_code(image) == read_code(ours)


def test_lerobot_0_3_opens_v21(v21: Path) -> None:
    found = load("LEICOS_LEROBOT_V21", v21)
    assert found["version"].startswith("0.3.")
    compare(found, v21)


def test_lerobot_0_4_opens_v30(v21: Path) -> None:
    export_v30(v21, v21.parent / "v30")
    found = load("LEICOS_LEROBOT_V30", v21.parent / "v30")
    assert found["version"] >= "0.4"
    compare(found, v21)


def test_lerobot_0_3_opens_row_for_row_videos_of_two_cameras(row_for_row: Path) -> None:
    compare(load("LEICOS_LEROBOT_V21", row_for_row), row_for_row, fps=60)


def test_lerobot_0_4_opens_row_for_row_videos_of_two_cameras_in_several_files(row_for_row: Path) -> None:
    target = row_for_row.parent / "v30"
    export_v30(row_for_row, target, video_mb=0)
    assert len(list(target.glob("videos/*/*/*.mp4"))) == 8
    compare(load("LEICOS_LEROBOT_V30", target), row_for_row, fps=60)


@pytest.mark.parametrize(("variable", "version"), [("LEICOS_LEROBOT_V21", "v2.1"), ("LEICOS_LEROBOT_V30", "v3.0")])
def test_nothing_is_wrong_with_what_lerobot_writes(variable: str, version: str, tmp_path: Path) -> None:
    lerobot(variable, "lerobot_writer.py", tmp_path / "theirs")
    found = inspect(tmp_path / "theirs")
    assert isinstance(found, DatasetFacts)
    assert (found.version, found.episodes, found.frames, found.fps) == (version, 3, 63, 30.0)
    assert (found.tasks, found.problems) == (("Task 0.", "Task 1."), ())
    info = json.loads((tmp_path / "theirs/meta/info.json").read_text())
    assert info["features"]["observation.images.front"]["info"]["video.codec"] == "av1"


def test_what_lerobot_0_3_wrote_is_exported_for_0_4(tmp_path: Path) -> None:
    lerobot("LEICOS_LEROBOT_V21", "lerobot_writer.py", tmp_path / "theirs")
    export_v30(tmp_path / "theirs", tmp_path / "v30")
    found = inspect(tmp_path / "v30")
    assert isinstance(found, DatasetFacts)
    assert found.problems == ()
    items = load("LEICOS_LEROBOT_V30", tmp_path / "v30")["items"]
    assert [(item["episode"], item["frame"]) for item in items] == [(0, 0), (0, 19), (1, 0), (1, 20), (2, 0), (2, 21)]
    for item in items:
        image = np.frombuffer(bytes.fromhex(item["image"]), np.uint8)
        assert abs(float(image.mean()) - (5 * item["frame"] + item["episode"])) < 3


def merged(sources: list[Path], out: Path) -> Path:
    merge([str(source) for source in sources], str(out))
    return out


def test_lerobot_0_3_opens_what_was_merged(v21: Path, tmp_path: Path) -> None:
    out = merged([v21, v21, v21], tmp_path / "out")
    compare(load("LEICOS_LEROBOT_V21", out), out)


def test_lerobot_0_4_opens_what_was_merged(v21: Path, tmp_path: Path) -> None:
    export_v30(v21, tmp_path / "one")
    export_v30(v21, tmp_path / "files", video_mb=0)
    whole = merged([v21, v21, v21], tmp_path / "v21")
    out = merged([tmp_path / "one", tmp_path / "files", v21], tmp_path / "out")
    compare(load("LEICOS_LEROBOT_V30", out), whole)


@pytest.mark.parametrize(("variable", "version"), [("LEICOS_LEROBOT_V21", "v2.1"), ("LEICOS_LEROBOT_V30", "v3.0")])
def test_what_lerobot_wrote_is_merged_and_opened(variable: str, version: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        lerobot(variable, "lerobot_writer.py", tmp_path / name)
    out = merged([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    found = inspect(out)
    assert isinstance(found, DatasetFacts)
    assert (found.version, found.episodes, found.frames) == (version, 6, 126)
    assert (found.tasks, found.problems) == (("Task 0.", "Task 1."), ())
    for item in load(variable, out)["items"]:
        image = np.frombuffer(bytes.fromhex(item["image"]), np.uint8)
        assert abs(float(image.mean()) - (5 * item["frame"] + item["episode"] % 3)) < 3
        assert item["task"] == f"Task {item['episode'] % 3 % 2}."


def test_statistics_of_what_was_merged_are_those_of_lerobots_own_merge(tmp_path: Path) -> None:
    variable = "LEICOS_LEROBOT_V30"
    for name in ("one", "two"):
        lerobot(variable, "lerobot_writer.py", tmp_path / name)
    roots = [tmp_path / "one", tmp_path / "two"]
    lerobot(variable, str(Path(__file__).parents[2] / "benchmarks/merge_peer.py"), tmp_path / "theirs", *roots)
    merged(roots, tmp_path / "ours")
    ours, theirs = (json.loads((tmp_path / name / "meta/stats.json").read_text()) for name in ("ours", "theirs"))
    assert ours.keys() == theirs.keys()
    for name, parts in theirs.items():
        if name not in ("index", "episode_index"):  # which lerobot leaves as they were before
            for key, value in parts.items():
                np.testing.assert_allclose(ours[name][key], value, rtol=1e-6, atol=1e-9, err_msg=f"{name} {key}")
