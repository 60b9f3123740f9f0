"""Stepping a task's scene: start exactly at a state, apply joint targets at the control rate, say what happened.

Deterministic: the same state and targets give the same bits, because nothing outside them survives `reset` (solver
warm starts and actuator state included) and MuJoCo steps on one thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.mujoco import poses, scene, workspace
from leicos_jobs.backends.mujoco.engine import mujoco
from leicos_jobs.tasks.task import DEFAULT, Task, task_named

F64 = NDArray[np.float64]

GRASP_DISTANCE = 0.02
"""m from the cube's centre to the jaw frame, LeIsaac's object_grasped (docs/decisions/leisaac.md 4.1)."""


CLIPPED = 1e-5
"""rad; a target is counted as clipped beyond this, since float32 alone moves one at its limit by 1e-7."""


class Simulation:
    """One arm, one object. All poses are in the MJCF frame."""

    roll_zero = 0.0

    def __init__(
        self,
        control_hz: float = workspace.CONTROL_HZ,
        gripper_effort: float = workspace.GRIPPER_EFFORT,
        task: Task | None = None,
    ) -> None:
        """task: None for the default one."""
        self.task = task or task_named(DEFAULT)
        self.model: Any = scene.model(control_hz, gripper_effort, self.task.scene)
        self.data: Any = mujoco.MjData(self.model)
        self.control_hz = control_hz
        self._substeps = scene.substeps(control_hz)
        self._jaw = self.model.body(workspace.JAW_BODY).id
        self._gripper = self.model.body(workspace.GRIPPER_BODY).id
        self._cube = self.model.body(workspace.OBJECT_BODY).id
        self.limits: F64 = np.array(self.model.actuator_ctrlrange)
        self.root = poses.ROBOT_ROOT_POSE

    def reset(self, state: poses.State) -> None:
        """Go to a state; nothing of what was before remains."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:6] = state.joint_pos
        self.data.qvel[:6] = state.joint_vel
        self.data.qpos[6:9] = state.cube_pos
        self.data.qpos[9:13] = state.cube_quat
        self.data.qvel[6:9] = state.cube_linear
        self.data.qvel[9:12] = poses.rotate(poses.conjugate(state.cube_quat), state.cube_angular)
        self.root = state.root
        self.data.ctrl[:] = np.clip(state.joint_pos, self.limits[:, 0], self.limits[:, 1])
        mujoco.mj_forward(self.model, self.data)

    def step(self, target: NDArray[np.floating]) -> bool:
        """Apply joint targets (6,) rad for one control step; returns whether a limit clipped one."""
        clipped = np.clip(target, self.limits[:, 0], self.limits[:, 1])
        self.data.ctrl[:] = clipped
        mujoco.mj_step(self.model, self.data, self._substeps)
        mujoco.mj_kinematics(self.model, self.data)  # mj_step ends with the new qpos and the old body poses
        return bool(np.any(np.abs(clipped - target) > CLIPPED))

    def state(self) -> poses.State:
        """Where everything is now."""
        return poses.state_of(self.qpos, np.array(self.data.qvel), self.root)

    @property
    def joint_pos(self) -> F64:
        """(6,) rad, a copy."""
        return np.array(self.data.qpos[:6])

    @property
    def cube_pos(self) -> F64:
        """(3,) m, a copy."""
        return np.array(self.data.qpos[6:9])

    @property
    def qpos(self) -> F64:
        """All generalised positions (13,), what a renderer needs; a copy."""
        return np.array(self.data.qpos)

    @property
    def qvel(self) -> F64:
        """All generalised velocities (12,); a copy."""
        return np.array(self.data.qvel)

    @property
    def grasped(self) -> bool:
        """LeIsaac's object_grasped at this instant, but for its second half: there the gripper joint must be under
        0.26 rad, which this cube never allows (30 mm between these pads are 0.33 rad); here both jaws must touch."""
        jaw = self.data.xpos[self._jaw] + self.data.xmat[self._jaw].reshape(3, 3) @ np.array(workspace.JAW_FRAME)
        return bool(np.linalg.norm(self.cube_pos - jaw) < GRASP_DISTANCE) and self.pinched

    @property
    def pinched(self) -> bool:
        """Whether both jaws touch the cube (contacts of the last physics step)."""
        bodies = self.model.geom_bodyid[self.data.contact.geom]
        touching = bodies[(bodies == self._cube).any(axis=1)]
        return bool((touching == self._jaw).any() and (touching == self._gripper).any())

    @property
    def gripper_pose(self) -> F64:
        """Gripper link, position m and quaternion wxyz (7,), a copy."""
        return np.concatenate([self.data.xpos[self._gripper], self.data.xquat[self._gripper]])
