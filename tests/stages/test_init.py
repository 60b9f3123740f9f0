"""`leicos init` asks the sources what they are, and says what it decided and why."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.sources import open_source
from leicos_jobs.inspect.defaults import config_for
from leicos_jobs.run.config import RunConfig

TASK = "Lift the red cube up."


def decided(path: Path, task: str | None = TASK, camera: str | None = None) -> tuple[RunConfig, str]:
    said: list[str] = []
    return config_for([path], task, camera, say=said.append), "\n".join(said)


def test_liftcube_is_recognised_by_its_scene(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(), DemoSpec()])
    config, said = decided(path)
    assert (config.generate.backend, config.replay.settings, config.curate.require_success) == ("echo", {}, True)
    assert "by the rule of LiftCube, since the scene is an SO-101 with one cube" in said
    with h5py.File(path, "r+") as file:
        for demo in file["data"].values():
            for part in ("initial_state", "states"):
                demo[part]["rigid_object"].move("cube", "Orange001")
    config, said = decided(path)
    assert (config.replay.settings, config.curate.require_success) == ({"task": "none"}, False)
    assert "its scene holds Orange001, not a cube alone" in said


def test_an_environment_of_another_name_is_believed(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec()])
    with h5py.File(path, "r+") as file:
        file["data"].attrs["env_args"] = json.dumps({"env_name": "LeIsaac-SO101-StackCube-v0"})
    config, said = decided(path)
    assert config.curate.require_success is False
    assert "its environment is LeIsaac-SO101-StackCube-v0" in said


def test_the_usual_camera_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(cameras=("wrist", "top"))])
    config, said = decided(path)
    assert config.source.camera == "top"
    assert "there are also wrist: --camera" in said
    assert decided(path, camera="wrist")[0].source.camera == "wrist"


def test_a_recording_may_say_its_task_itself(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(), DemoSpec()])
    with pytest.raises(InputError, match="the task text is missing"):
        decided(path, None)
    with h5py.File(path, "r+") as file:
        for demo in file["data"].values():
            demo.attrs["task"] = "Wave."
    config, said = decided(path, None)
    assert config.source.task is None
    assert "'Wave.'" in said


def test_targets_that_the_simulator_noted_stand_for_a_keyboards_actions(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(width=8)])
    with open_source(path) as source:
        problem = source.demo("demo_0", ("front",)).problem
    assert problem is not None
    assert problem.kind == "wrong-width"
    targets = np.linspace(-0.2, 0.2, 40 * 6, dtype=np.float32).reshape(40, 6)
    with h5py.File(path, "r+") as file:
        file["data/demo_0/obs/joint_pos_target"] = targets
    with open_source(path) as source:
        demo = source.demo("demo_0", ("front",))
        assert demo.problem is None
        assert demo.rows == 39
        assert np.array_equal(demo.actions, targets[1:])
