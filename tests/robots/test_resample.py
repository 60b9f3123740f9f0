"""From dataset rows to control steps and nothing else: no half-closed gripper, no row moved in time."""

from __future__ import annotations

import numpy as np
import pytest

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.robots.resample import to_control_rate

GRIPPER = [joint.name for joint in SO101.action.joints].index("gripper")


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, SO101.action.width)).astype(np.float32)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_every_row_stands_at_its_own_step(stride: int) -> None:
    actions = rows(9)
    steps = to_control_rate(actions, stride, SO101)
    assert steps.shape == (9 * stride, SO101.action.width)
    assert steps.dtype == np.float32
    np.testing.assert_array_equal(steps[::stride], actions)


def test_the_arm_moves_on_a_line_and_the_gripper_is_held() -> None:
    actions = rows(5)
    steps = to_control_rate(actions, 2, SO101)
    arm = [index for index in range(SO101.action.width) if index != GRIPPER]
    np.testing.assert_allclose(steps[1:-1:2][:, arm], (actions[:-1, arm] + actions[1:, arm]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(steps[1::2, GRIPPER], actions[:, GRIPPER])
    np.testing.assert_array_equal(steps[-1], actions[-1])
