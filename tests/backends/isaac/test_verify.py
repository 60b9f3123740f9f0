"""leicos verify isaac, with the fake simulator."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from leicos_jobs.backends.isaac import replayer as module
from leicos_jobs.backends.isaac.settings import IsaacSettings
from leicos_jobs.backends.isaac.verify import verify_isaac

HERE = Path(__file__).parent


def record(path: Path) -> Path:
    """One demo that lifts in the fake's terms: shut gripper, shoulder up."""
    rows = 60
    actions = np.zeros((rows, 6), np.float32)
    actions[:, 1] = np.linspace(0, 1.0, rows)
    with h5py.File(path, "w") as file:
        demo = file.create_group("data/demo_0")
        demo.attrs["success"], demo.attrs["num_samples"] = True, rows
        demo["actions"], demo["obs/joint_pos"] = actions, actions
        demo["obs/front"] = np.zeros((rows, 16, 16, 3), np.uint8)
        for part, count in (("initial_state", 1), ("states", rows)):
            demo[f"{part}/articulation/robot/joint_position"] = actions[:count]
            demo[f"{part}/articulation/robot/joint_velocity"] = actions[:count]
            demo[f"{part}/articulation/robot/root_pose"] = np.zeros((count, 7), np.float32)
            demo[f"{part}/articulation/robot/root_velocity"] = np.zeros((count, 6), np.float32)
            demo[f"{part}/rigid_object/cube/root_pose"] = np.tile(np.float32([0, 0, 0.05, 1, 0, 0, 0]), (count, 1))
            demo[f"{part}/rigid_object/cube/root_velocity"] = np.zeros((count, 6), np.float32)
    return path


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Our own Python in the place of Isaac's, and assets."""
    for name in ("robots/so101_follower.usd", "scenes/table_with_cube/scene.usd"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    monkeypatch.setattr(module, "DRIVER_ENV", "fake_isaac:make")
    monkeypatch.setenv("ACCEPT_EULA", "Y")
    wrapper = tmp_path / "python.sh"
    wrapper.write_text(f'#!/bin/bash\nexport PYTHONPATH="$PYTHONPATH:{HERE}"\n"{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    return str(wrapper)


def test_a_recording_settles_it(tmp_path: Path, python: str) -> None:
    settings = IsaacSettings(python=python, assets=str(tmp_path), start_seconds_max=60)
    found = verify_isaac(settings, record(tmp_path / "demos.hdf5"))
    assert found.complete, found.lines()
    assert "1 of 1" in next(check.text for check in found.checks if "own actions" in check.name)
    assert found.lines()[-1] == "isaac-sim: WORKS HERE"


def test_a_simulator_that_does_not_last_gets_its_verdict(
    tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STARTS", str(tmp_path / "starts"))
    monkeypatch.setenv("FAKE_STEP_DIES", "1")
    settings = IsaacSettings(python=python, assets=str(tmp_path), start_seconds_max=60)
    found = verify_isaac(settings, record(tmp_path / "demos.hdf5"))
    assert next(check for check in found.checks if check.name == "replay").outcome == "failed"
    assert found.lines()[-1] == "isaac-sim: DOES NOT WORK HERE"


def test_a_task_whose_scene_is_not_known_is_not_said_to_have_it(tmp_path: Path, python: str) -> None:
    settings = IsaacSettings(
        task="LeIsaac-SO101-CleanToyTable-v0", python=python, assets=str(tmp_path), start_seconds_max=60
    )
    found = verify_isaac(settings)
    (assets,) = [check for check in found.checks if check.name == "assets"]
    assert assets.outcome == "skipped"
    assert "CleanToyTable" in assets.text
