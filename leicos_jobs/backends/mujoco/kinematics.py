"""Where the tool is for given joints, and joints for a wanted tool pose.

The arm has five joints before the gripper, so a tool pose is a place (3), the tilt of the fingers from vertical (1) and
the heading of the closing axis (1). Damped least squares on these five numbers, with a numeric Jacobian: a solution
takes about a millisecond, and a plan needs some dozens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.mujoco import scene, workspace
from leicos_jobs.backends.mujoco.engine import mujoco

F64 = NDArray[np.float64]

TOOL = (0.0265, -0.0002, -0.0965)
"""Tool point in the gripper's frame (m): where the cube's centre should be before closing. The fixed pad's face is at
x = -0.0015, so a cube of 30 mm has 13 mm to it. With 9 mm the finger lands on the cube in 11 of 150 wide attempts, with
11 to 15 mm in 3."""

_ARM = 5
_STEP = 1e-6


@dataclass(frozen=True)
class ToolPose:
    """position (3,) m in the MJCF frame; tilt: of the fingers outward from straight down, rad; heading: direction of
    the closing axis (from the fixed to the moving finger) in the table's plane, rad from +x."""

    position: F64
    tilt: float
    heading: float


class Arm:
    """Kinematics and statics of the arm alone, on scratch data of its own."""

    def __init__(self) -> None:
        self._model: Any = scene.model()  # what is on the table does not matter
        self._data: Any = mujoco.MjData(self._model)
        self._gripper = self._model.body(workspace.GRIPPER_BODY).id
        limits = np.array(self._model.actuator_ctrlrange)
        self.low: F64 = limits[:, 0]
        self.high: F64 = limits[:, 1]
        self._bias = np.zeros(self._model.nv)

    def tool(self, joints: F64) -> ToolPose:
        """Tool pose of joint angles (5,) or (6,)."""
        self._data.qpos[:_ARM] = joints[:_ARM]
        mujoco.mj_kinematics(self._model, self._data)
        turn = self._data.xmat[self._gripper].reshape(3, 3)
        position = self._data.xpos[self._gripper] + turn @ np.array(TOOL)
        tilt = 0.5 * math.pi - float(joints[1] + joints[2] + joints[3])  # three parallel axes: their angles add up
        return ToolPose(position, tilt, math.atan2(turn[1, 0], turn[0, 0]))

    def solve(self, wanted: ToolPose, guess: F64, tilt_weight: float = 0.1) -> tuple[F64, float]:
        """Joint angles (5,) near `guess` and the remaining error of the place in m.

        tilt_weight: m per rad; small lets the tilt give way where the place cannot be reached with it.
        """
        joints = np.clip(np.asarray(guess[:_ARM], dtype=np.float64), self.low[:_ARM], self.high[:_ARM])
        damping = 1e-4
        error = self._error(joints, wanted, tilt_weight)
        for _ in range(40):
            jacobian = np.empty((_ARM, _ARM))
            for column in range(_ARM):
                moved = joints.copy()
                moved[column] += _STEP
                jacobian[:, column] = (self._error(moved, wanted, tilt_weight) - error) / _STEP
            step = np.linalg.solve(jacobian.T @ jacobian + damping * np.eye(_ARM), -jacobian.T @ error)
            trial = np.clip(joints + np.clip(step, -0.3, 0.3), self.low[:_ARM], self.high[:_ARM])
            trial_error = self._error(trial, wanted, tilt_weight)
            if trial_error @ trial_error < error @ error:
                converged = bool(np.max(np.abs(trial - joints)) < 1e-5)
                joints, error, damping = trial, trial_error, max(damping * 0.3, 1e-9)
                if converged:
                    break
            else:
                damping *= 10.0
                if damping > 1e3:
                    break
        return joints, float(np.linalg.norm(error[:3]))

    def _error(self, joints: F64, wanted: ToolPose, tilt_weight: float) -> F64:
        tool = self.tool(joints)
        turn = math.remainder(tool.heading - wanted.heading, 2.0 * math.pi)
        return np.array([*(tool.position - wanted.position), tilt_weight * (tool.tilt - wanted.tilt), 0.05 * turn])

    def sag(self, joints: F64) -> F64:
        """How far below its target each joint hangs at rest, (6,) rad: gravity over servo stiffness. A person steers
        by sight and adds it without knowing."""
        self._data.qpos[:6] = joints
        self._data.qvel[:] = 0.0
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_rne(self._model, self._data, 0, self._bias)
        return np.array(self._bias[:6] / workspace.STIFFNESS)
