"""An attempt carried out: targets applied one after the other, and everything that there is to know about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.mujoco import poses
from leicos_jobs.backends.mujoco.robot import JOINTS
from leicos_jobs.tasks.rule import Judge
from leicos_jobs.tasks.task import Task

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

OBJECT = slice(6, 9)
"""In generalised positions: the object's place."""


class Simulation(Protocol):
    """An engine that can be recorded: poses in the MJCF frame."""

    task: Task
    root: F64
    roll_zero: float
    """rad by which wrist_roll is more in the MJCF, which plans and draws, than in this engine."""

    def reset(self, state: poses.State) -> None:
        """Go to a state; nothing of what was before remains."""

    def step(self, target: NDArray[np.floating]) -> bool:
        """Apply joint targets (6,) rad for one control step; returns whether a limit clipped one."""

    @property
    def qpos(self) -> F64:
        """Joints (6) rad, cube's position (3) m and quaternion wxyz (4)."""

    @property
    def qvel(self) -> F64:
        """Velocities of the joints (6), of the cube (3), and the cube's angular velocity in its own frame (3)."""

    @property
    def gripper_pose(self) -> F64:
        """Gripper link, position m and quaternion wxyz (7,)."""


@dataclass(frozen=True)
class Rollout:
    """n targets applied from a state: row t is what was before target t, row n what is left at the end.

    targets: (n, 6) float32 rad. qpos: (n+1, 13), what a renderer draws: MJCF angles. gripper_frame: (n+1, 7) float32,
    LeIsaac's ee_frame_state: gripper link in its base frame.
    states: LeIsaac's dataset path -> (n+1, w) float32. success: the task's rule was met after any of the steps.
    """

    targets: F32
    qpos: F64
    gripper_frame: F32
    states: dict[str, F32]
    success: bool

    @property
    def joint_pos(self) -> F32:
        """(n+1, 6) rad."""
        return self.states["articulation/robot/joint_position"]

    @property
    def joint_vel(self) -> F32:
        """(n+1, 6) rad/s."""
        return self.states["articulation/robot/joint_velocity"]

    def tables(self) -> dict[str, F32]:
        """LeIsaac's tables of a demo but for the pictures, path -> (n, w) float32; initial_state has one row."""
        actions, position, velocity = self.targets, self.joint_pos, self.joint_vel
        tables = {
            "actions": actions,
            "processed_actions": actions,
            "obs/joint_pos": position[:-1],
            "obs/joint_vel": velocity[:-1],
            "obs/joint_pos_rel": position[:-1],  # relative to LeIsaac's default pose, which is zero
            "obs/joint_vel_rel": velocity[:-1],
            "obs/joint_pos_target": np.concatenate([position[:1], actions[:-1]]),
            "obs/actions": np.concatenate([np.zeros_like(actions[:1]), actions[:-1]]),
            "obs/ee_frame_state": self.gripper_frame[:-1],
        }
        tables |= {f"initial_state/{key}": value[:1] for key, value in self.states.items()}
        return tables | {f"states/{key}": value[1:] for key, value in self.states.items()}


def roll(angle: float) -> F64:
    """(6,) rad: an angle of wrist_roll, nothing of the other joints."""
    joints = np.zeros(JOINTS.width)
    joints[JOINTS.names.index("wrist_roll")] = angle
    return joints


def judge(simulation: Simulation) -> Judge:
    """The judge of the simulation's task, of an episode that starts where it is."""
    return Judge(simulation.task.rule, JOINTS.names, simulation.qpos[OBJECT])


def run(simulation: Simulation, targets: F32, judged: Judge | None = None) -> Rollout:
    """Apply targets (n, 6) rad from where the simulation is. judged: of an episode that goes on with them; None: it
    begins here."""
    judged = judged or judge(simulation)
    qpos, qvel = [simulation.qpos], [simulation.qvel]
    gripper = [simulation.gripper_pose]
    for target in targets:
        simulation.step(target)
        qpos.append(simulation.qpos)
        qvel.append(simulation.qvel)
        gripper.append(simulation.gripper_pose)
        judged.note(qpos[-1][OBJECT], qpos[-1][: JOINTS.width])
    positions, links = np.array(qpos), np.array(gripper)
    drawn = positions.copy()
    drawn[:, : JOINTS.width] += roll(simulation.roll_zero)
    state = poses.state_of(positions, np.array(qvel), simulation.root)
    states = poses.to_leisaac(state, simulation.task.scene.object.name)
    # The two models' link frames are taken as one: forward kinematics of both agree (docs/decisions/leisaac.md 5.1).
    frame = np.concatenate(poses.mjcf_to_base(links[:, :3], links[:, 3:]), axis=1)
    return Rollout(targets, drawn, frame.astype(np.float32), states, judged.succeeded)


def row(states: Mapping[str, F32], index: int) -> dict[str, F32]:
    """One row of stacked states, as `poses.from_leisaac` reads it."""
    return {key: value[index] for key, value in states.items()}
