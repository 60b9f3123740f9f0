from __future__ import annotations

import math

import numpy as np
import pytest

from leicos_jobs.backends.mujoco import poses, workspace
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.core.errors import InputError
from leicos_jobs.tasks.task import DEFAULT, task_named

CAMERA_QUATERNION = np.array([0.77337, 0.55078, -0.2374, -0.20537])  # LeIsaac's front camera, parent robot base, opengl


def test_the_front_camera_of_leisaac_becomes_the_one_of_the_mjcf_frame() -> None:
    position, quaternion = poses.base_to_mjcf(np.array([-0.6, -0.75, 0.38]), CAMERA_QUATERNION)
    assert position == pytest.approx(workspace.CAMERA_POSITION, abs=6e-4)
    axes = [*poses.rotate(quaternion, np.array([1.0, 0, 0])), *poses.rotate(quaternion, np.array([0, 1.0, 0]))]
    assert axes == pytest.approx(workspace.CAMERA_AXES, abs=2e-4)


def test_the_same_camera_stands_at_its_known_place_in_the_world() -> None:
    root = poses.ROBOT_ROOT_POSE
    world = root[:3] + poses.rotate(root[3:], np.array([-0.6, -0.75, 0.38]))
    assert world == pytest.approx([0.95, 0.11, 0.39], abs=1e-9)
    forward = poses.rotate(poses.multiply(root[3:], CAMERA_QUATERNION), np.array([0, 0, -1.0]))
    assert forward == pytest.approx([-0.5934, -0.7544, -0.2806], abs=2e-4)


def test_success_height_is_20_centimetres_over_leisaacs_base() -> None:
    position, _ = poses.base_to_mjcf(np.array([0.1, -0.2, 0.20]))
    assert position == pytest.approx([0.2 + 0.0157, 0.1 - 0.0208, task_named(DEFAULT).rule.above])


def test_rest_pose_and_zero_in_motor_units() -> None:
    rest = np.radians([0, -100, 90, 50, 0, -10])
    assert SO101.action.to_motor(rest) == pytest.approx([0, -100, 100, 52.632, 0, 0], abs=1e-3)
    assert SO101.action.to_motor(np.zeros(6)) == pytest.approx([0, 0, 5.263, 0, 0, 9.0909], abs=1e-3)


def moving_state(rng: np.random.Generator) -> poses.State:
    quaternion = rng.standard_normal(4)
    return poses.State(
        joint_pos=rng.uniform(-1, 1, 6),
        joint_vel=rng.uniform(-1, 1, 6),
        cube_pos=rng.uniform(-0.3, 0.3, 3),
        cube_quat=quaternion / np.linalg.norm(quaternion),
        cube_linear=rng.uniform(-1, 1, 3),
        cube_angular=rng.uniform(-3, 3, 3),
        root=poses.ROBOT_ROOT_POSE,
    )


@pytest.mark.parametrize("seed", range(5))
def test_states_survive_the_way_to_leisaac_and_back(seed: int) -> None:
    state = moving_state(np.random.default_rng(seed))
    back = poses.from_leisaac(poses.to_leisaac(state))
    for name in ("joint_pos", "joint_vel", "cube_pos", "cube_linear", "cube_angular"):
        assert getattr(back, name) == pytest.approx(getattr(state, name), abs=2e-6)
    assert abs(back.cube_quat @ state.cube_quat) == pytest.approx(1.0, abs=1e-6)


def test_velocities_in_leisaacs_frame_are_the_change_of_its_poses() -> None:
    state, step = moving_state(np.random.default_rng(9)), 1e-3
    angle = np.linalg.norm(state.cube_angular) * step
    axis = state.cube_angular / np.linalg.norm(state.cube_angular)
    turn = np.concatenate([[math.cos(angle / 2)], math.sin(angle / 2) * axis])
    later = poses.State(
        state.joint_pos, state.joint_vel, state.cube_pos + step * state.cube_linear,
        poses.multiply(turn, state.cube_quat), state.cube_linear, state.cube_angular, state.root,
    )  # fmt: skip
    before, after = poses.to_leisaac(state), poses.to_leisaac(later)
    pose, next_pose = (row["rigid_object/cube/root_pose"].astype(np.float64) for row in (before, after))
    velocity = before["rigid_object/cube/root_velocity"]
    assert (next_pose[:3] - pose[:3]) / step == pytest.approx(velocity[:3], abs=1e-3)
    change = poses.multiply(next_pose[3:], poses.conjugate(pose[3:]))
    assert 2 * change[1:] / change[0] / step == pytest.approx(velocity[3:], abs=5e-3)


def test_the_arm_points_to_the_worlds_plus_y() -> None:
    row = poses.to_leisaac(poses.State.at_rest(np.zeros(6), [0.235, 0.0, 0.015], [1, 0, 0, 0]))
    x, y, z = row["rigid_object/cube/root_pose"][:3]
    assert y - row["articulation/robot/root_pose"][1] == pytest.approx(0.235 - 0.0157, abs=1e-6)
    assert z == pytest.approx(0.01 + 0.0325 + 0.015, abs=1e-6)
    assert abs(x - 0.35) < 0.03


def test_moving_robot_and_cube_together_changes_nothing_for_mujoco() -> None:
    state = moving_state(np.random.default_rng(4))
    row = {key: value.astype(np.float64) for key, value in poses.to_leisaac(state).items()}
    shift, turn = np.array([1.0, -2.0, 0.3]), np.array([math.cos(0.4), 0.0, 0.0, math.sin(0.4)])
    for key in ("articulation/robot/root_pose", "rigid_object/cube/root_pose"):
        place = poses.rotate(turn, row[key][:3]) + shift
        row[key] = np.concatenate([place, poses.multiply(turn, row[key][3:])])
    velocity = row["rigid_object/cube/root_velocity"]
    row["rigid_object/cube/root_velocity"] = np.concatenate(
        [poses.rotate(turn, velocity[:3]), poses.rotate(turn, velocity[3:])]
    )
    moved = poses.from_leisaac(row)
    for name in ("cube_pos", "cube_linear", "cube_angular"):
        assert getattr(moved, name) == pytest.approx(getattr(state, name), abs=1e-6)


def test_rows_of_many_instants_are_those_of_each() -> None:
    rng = np.random.default_rng(2)
    single = [moving_state(rng) for _ in range(3)]
    names = ("joint_pos", "joint_vel", "cube_pos", "cube_quat", "cube_linear", "cube_angular")
    stacked = {name: np.stack([getattr(state, name) for state in single]) for name in names}
    many = poses.to_leisaac(poses.State(**stacked, root=poses.ROBOT_ROOT_POSE))
    for index, state in enumerate(single):
        for key, value in poses.to_leisaac(state).items():
            assert np.array_equal(many[key][index], value)
            assert value.shape == (poses.state_widths()[key],)


def test_what_a_start_state_may_lack() -> None:
    row = poses.to_leisaac(moving_state(np.random.default_rng(1)))
    still = {key: value for key, value in row.items() if "velocity" not in key and "root_pose" not in key}
    still["rigid_object/cube/root_pose"] = row["rigid_object/cube/root_pose"]
    assert not poses.from_leisaac(still).cube_angular.any()
    with pytest.raises(InputError, match="lacks 'rigid_object/cube/root_pose'"):
        poses.from_leisaac({"articulation/robot/joint_position": [0.0] * 6})
    with pytest.raises(InputError, match="has 5 numbers, expected 6"):
        poses.from_leisaac(still | {"articulation/robot/joint_position": np.zeros(5, np.float32)})
