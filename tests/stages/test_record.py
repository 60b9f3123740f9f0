from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from leicos_jobs.backends.mujoco import recorder
from leicos_jobs.backends.mujoco.simulation import Simulation
from leicos_jobs.core import signals
from leicos_jobs.core.errors import InputError, RetryError
from leicos_jobs.formats.leisaac_hdf5 import Recording
from leicos_jobs.stages.record import record

WIDTH, HEIGHT = 64, 48


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("record") / "demos.hdf5"
    calls: list[tuple[int, int]] = []
    facts = record(path, 5, 4, WIDTH, HEIGHT, failed_share=0.4, progress=lambda *call: calls.append(call))
    assert calls == [(done, 5) for done in range(1, 6)]
    assert facts["episodes"] == 5
    assert facts["successes"] == 3
    assert facts["bytes"] == path.stat().st_size
    assert facts["frames"] == sum((rows + 1) // 2 for rows in lengths(path))
    return path


def lengths(path: Path) -> list[int]:
    with h5py.File(path) as file:
        return [int(group.attrs["num_samples"]) for group in file["data"].values()]


def leaves(group: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    group.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def test_the_layout_is_leisaacs(recording: Path) -> None:
    state = {
        "articulation/robot/root_pose": 7,
        "articulation/robot/root_velocity": 6,
        "articulation/robot/joint_position": 6,
        "articulation/robot/joint_velocity": 6,
        "rigid_object/cube/root_pose": 7,
        "rigid_object/cube/root_velocity": 6,
    }
    joints = ["joint_pos", "joint_vel", "joint_pos_rel", "joint_vel_rel", "joint_pos_target", "actions"]
    with h5py.File(recording) as file:
        assert list(file) == ["data"]
        assert set(file["data"].attrs) == {"total", "env_args"}
        assert json.loads(file["data"].attrs["env_args"]) == {"env_name": "leicos-mujoco/LiftCube", "type": 2}
        assert file["data"].attrs["total"] == sum(lengths(recording))
        assert sorted(file["data"]) == [f"demo_{index}" for index in range(5)]
        for demo in file["data"].values():
            rows = int(demo.attrs["num_samples"])
            assert set(demo.attrs) == {"num_samples", "seed", "success"}
            assert demo.attrs["success"].dtype == bool
            expected = {"actions": (rows, 6), "processed_actions": (rows, 6), "obs/ee_frame_state": (rows, 7)}
            expected |= {f"obs/{name}": (rows, 6) for name in joints}
            expected |= {f"states/{name}": (rows, width) for name, width in state.items()}
            expected |= {f"initial_state/{name}": (1, width) for name, width in state.items()}
            expected["obs/front"] = (rows, HEIGHT, WIDTH, 3)
            found = leaves(demo)
            assert {name: item.shape for name, item in found.items()} == expected
            for name, item in found.items():
                assert item.dtype == (np.uint8 if name == "obs/front" else np.float32)
                assert item.compression == "lzf"
                assert item.chunks == (100, *item.shape[1:])
                assert item.maxshape == (None, *item.shape[1:])
                assert np.isfinite(item[...]).all()


def test_rows_hold_what_was_before_the_step_and_states_what_came_after(recording: Path) -> None:
    with h5py.File(recording) as file:
        for demo in file["data"].values():
            position = demo["obs/joint_pos"][...]
            after = demo["states/articulation/robot/joint_position"][...]
            assert np.array_equal(after[:-1], position[1:])
            assert np.array_equal(demo["initial_state/articulation/robot/joint_position"][0], position[0])
            assert np.array_equal(demo["obs/actions"][1:], demo["actions"][:-1])
            assert not demo["obs/actions"][0].any()
            assert np.array_equal(demo["obs/joint_pos_target"][1:], demo["actions"][:-1])
            assert np.array_equal(demo["processed_actions"][...], demo["actions"][...])
            assert np.array_equal(demo["obs/joint_pos_rel"][...], position)
            root = demo["states/articulation/robot/root_pose"][...]
            assert root[-1] == pytest.approx([0.35, -0.64, 0.01, 0, 0, 0, 1])


def test_pictures_come_in_pairs_and_change_every_second_row(recording: Path) -> None:
    with h5py.File(recording) as file:
        for demo in file["data"].values():
            pictures = demo["obs/front"][...].astype(int)
            rows = len(pictures)
            changes = [bool((pictures[row] != pictures[row - 1]).any()) for row in range(1, rows)]
            assert not any(changes[0::2])
            assert np.mean(changes[1::2]) > 0.7  # a still arm may leave a picture of this size as it was
            assert rows >= recorder.LEAST_ROWS
            assert (rows - 6) // 2 > 93


def test_success_is_the_rule_on_the_recorded_cube(recording: Path) -> None:
    with h5py.File(recording) as file:
        for demo in file["data"].values():
            height = demo["states/rigid_object/cube/root_pose"][:, 2] - 0.01  # the robot's root stands 0.01 m high
            assert bool((height > 0.20).any()) == bool(demo.attrs["success"])


def test_the_gripper_link_is_where_leisaacs_base_frame_has_it(recording: Path) -> None:
    # While the cube is held, it is at the finger tips: about 0.1 m from the gripper link, in the same frame.
    with h5py.File(recording) as file:
        for demo in (item for item in file["data"].values() if item.attrs["success"]):
            cube = demo["states/rigid_object/cube/root_pose"][-2, :3] - np.float32([0.35, -0.64, 0.01])
            cube *= np.float32([-1, -1, 1])  # the root is turned by 180 degrees about z
            link = demo["obs/ee_frame_state"][-1]
            assert np.linalg.norm(link[:3] - cube) == pytest.approx(0.098, abs=0.012)
            assert np.linalg.norm(link[3:]) == pytest.approx(1.0, abs=1e-5)


def test_our_own_reader_takes_it(recording: Path) -> None:
    with Recording(recording) as source:
        demos = list(source.demos(("front",)))
    assert [demo.problem for demo in demos] == [None] * 5
    assert sum(bool(demo.success) for demo in demos) == 3


def test_the_recorded_actions_give_the_recorded_states_again(recording: Path) -> None:
    from leicos_jobs.backends.mujoco import poses

    with h5py.File(recording) as file:
        demo = file["data/demo_0"]
        simulation = Simulation()
        simulation.reset(poses.from_leisaac({name: item[0] for name, item in leaves(demo["initial_state"]).items()}))
        for row, action in enumerate(demo["actions"][...]):
            simulation.step(action)
            recorded = demo["states/articulation/robot/joint_position"][row] if row % 40 == 0 else None
            assert recorded is None or np.array_equal(simulation.joint_pos.astype(np.float32), recorded)


def test_the_same_arguments_give_the_same_file_whatever_the_number_of_processes(tmp_path: Path) -> None:
    digests = set()
    for workers in (1, 2):
        path = tmp_path / f"{workers}.hdf5"
        record(path, 3, 9, WIDTH, HEIGHT, workers=workers)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1
    record(tmp_path / "other.hdf5", 1, 10, WIDTH, HEIGHT)
    with h5py.File(tmp_path / "1.hdf5") as one, h5py.File(tmp_path / "other.hdf5") as other:
        assert not np.array_equal(one["data/demo_0/actions"][:100], other["data/demo_0/actions"][:100])


def test_the_share_of_planned_failures_is_exact() -> None:
    planned = recorder.attempts(90, 0, WIDTH, HEIGHT, 0.2)
    assert sum(task.failure is not None for task in planned) == 18
    assert len({task.failure for task in planned}) == 6
    assert recorder.attempts(90, 0, WIDTH, HEIGHT, 0.2) == planned


def test_a_stop_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise RetryError("stopped")

    monkeypatch.setattr(signals, "check", stop)
    with pytest.raises(RetryError):
        record(tmp_path / "demos.hdf5", 2, 0, WIDTH, HEIGHT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [{"width": 65}, {"height": 8}, {"episodes": 0}, {"failed_share": 1.5}])
def test_what_cannot_be_recorded_is_refused(tmp_path: Path, bad: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"episodes": 1, "seed": 0, "width": WIDTH, "height": HEIGHT} | bad
    with pytest.raises(InputError):
        record(tmp_path / "demos.hdf5", **arguments)
