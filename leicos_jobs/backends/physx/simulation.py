"""Stepping a task's scene in PhysX: start exactly at a state, apply joint targets at the control rate, say what there
is then.

It answers what `mujoco.simulation` answers, in the same frames: poses in the MJCF frame, joints in LeIsaac's order and
radians. Numbers of the drives are LeIsaac's (`mujoco.workspace`); PhysX is told them in radians.

Two replays agree to the bit: the engine steps on one thread, and `reset` first parks the cube out of reach and lets
one step forget the contacts of what was before (without it, the first step may differ by 0.003 rad).
"""

from __future__ import annotations

import functools
import math
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.mujoco import poses, workspace
from leicos_jobs.backends.mujoco.robot import JOINTS
from leicos_jobs.backends.physx import library, scene
from leicos_jobs.backends.physx.library import Column
from leicos_jobs.core import logs
from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.tasks.task import DEFAULT, Scene, Task, task_named

F64 = NDArray[np.float64]

PHYSICS_HZ = 60.0
"""Least rate of the engine's steps, LeIsaac's own; a control step is a whole number of them."""
VELOCITY_LIMIT = 10.0
"""rad/s, LeIsaac's velocity_limit_sim."""
GRASP_DISTANCE, GRASP_JOINT = 0.02, 0.26
"""LeIsaac's object_grasped: m from the cube to the jaw frame, and rad below which the gripper is closed around it."""
WRIST_ROLL_ZERO = 2.0 * math.asin(0.0172091 * math.sqrt(2.0))
"""rad by which wrist_roll is more in the MJCF than in isaaclab-so101's USD (2.79 degrees), from the MJCF's quaternion
of the gripper: all that the two differ in."""
PARKED = (3.0, 3.0, 0.5)
"""Where the cube is put while a reset forgets, m: beside the table."""
CLIPPED = 1e-5
"""rad; a target is counted as clipped beyond this."""
ASSET_NAMES = {
    "Rotation": "shoulder_pan",
    "Pitch": "shoulder_lift",
    "Elbow": "elbow_flex",
    "Wrist_Pitch": "wrist_flex",
    "Wrist_Roll": "wrist_roll",
    "Jaw": "gripper",
}
"""isaaclab-so101's joints by LeIsaac's names."""


class Bodies:
    """The opened scene's quantities, and the order in which the arm has its joints and links."""

    def __init__(self, opened: library.Scene) -> None:
        self.scene = opened
        self.position = self._arm("DOF_POSITION")
        self.velocity = self._arm("DOF_VELOCITY")
        self.target = self._arm("DOF_POSITION_TARGET")
        self.effort = self._arm("DOF_MAX_FORCE")
        self.link_pose = self._arm("LINK_POSE")
        self.cube_pose = opened.column("/World/Cube", "RIGID_BODY_POSE")
        self.cube_velocity = opened.column("/World/Cube", "RIGID_BODY_VELOCITY")
        self.order = _order(self.position)
        self.gripper, self.jaw = (_link(self.position, name) for name in ("gripper", "jaw"))
        _check_base(self.position, self.link_pose)
        self.limits = np.array(JOINTS.recorded_limits(), dtype=np.float64)
        for kind, value in (
            ("DOF_STIFFNESS", workspace.STIFFNESS),
            ("DOF_DAMPING", workspace.DAMPING),
            ("DOF_MAX_VELOCITY", VELOCITY_LIMIT),
            ("DOF_ARMATURE", 0.0),
        ):
            self._arm(kind).write(np.full(JOINTS.width, value))
        self._arm("DOF_LIMIT").write(self.arranged(self.limits))

    def _arm(self, kind: str) -> Column:
        return self.scene.column("/World/Robot/*", f"ARTICULATION_{kind}")

    def arranged(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Rows in LeIsaac's order of joints as the arm has them."""
        out = np.empty_like(values)
        out[self.order] = values
        return out


class Simulation:
    """One arm, one object. All poses are in the MJCF frame."""

    roll_zero = WRIST_ROLL_ZERO

    def __init__(
        self,
        bodies: Bodies,
        control_hz: float,
        gripper_effort: float = workspace.GRIPPER_EFFORT,
        task: Task | None = None,
    ) -> None:
        """bodies: of the task's scene. task: None for the default one."""
        self.task = task or task_named(DEFAULT)
        self._bodies = bodies
        self._substeps = max(1, math.ceil(PHYSICS_HZ / control_hz - 1e-9))
        self._seconds = 1.0 / (control_hz * self._substeps)
        self._efforts = np.full(JOINTS.width, workspace.EFFORT)
        self._efforts[JOINTS.names.index("gripper")] = gripper_effort
        self.control_hz = control_hz
        self.limits: F64 = bodies.limits
        self.root = poses.ROBOT_ROOT_POSE

    def reset(self, state: poses.State) -> None:
        """Go to a state; nothing of what was before remains."""
        bodies = self._bodies
        bodies.effort.write(bodies.arranged(self._efforts))
        self._place(state, np.array(PARKED))
        bodies.scene.step(self._seconds)
        self._place(state, state.cube_pos)
        self.root = state.root

    def _place(self, state: poses.State, cube: F64) -> None:
        bodies, (w, x, y, z) = self._bodies, state.cube_quat
        bodies.position.write(bodies.arranged(state.joint_pos))
        bodies.velocity.write(bodies.arranged(state.joint_vel))
        bodies.target.write(bodies.arranged(np.clip(state.joint_pos, *self._bodies.limits.T)))
        bodies.cube_pose.write(np.array([*(cube - scene.BASE), x, y, z, w]))
        bodies.cube_velocity.write(np.array([*state.cube_linear, *state.cube_angular]))

    def step(self, target: NDArray[np.floating]) -> bool:
        """Apply joint targets (6,) rad for one control step; returns whether a limit clipped one.

        A state that is no longer finite stays so through every reset: the process ends, which costs this sample.
        """
        bodies = self._bodies
        clipped = np.clip(target, *bodies.limits.T)
        bodies.target.write(bodies.arranged(clipped))
        for _ in range(self._substeps):
            bodies.scene.step(self._seconds)
        if not (np.isfinite(bodies.position.read()).all() and np.isfinite(bodies.cube_pose.read()).all()):
            logs.event("physx.diverged")
            raise SystemExit(int(ExitCode.DEFECT))
        return bool(np.any(np.abs(clipped - target) > CLIPPED))

    @property
    def joint_pos(self) -> F64:
        """(6,) rad, a copy."""
        return np.asarray(self._bodies.position.read()[0, self._bodies.order], dtype=np.float64)

    @property
    def joint_vel(self) -> F64:
        """(6,) rad/s, a copy."""
        return np.asarray(self._bodies.velocity.read()[0, self._bodies.order], dtype=np.float64)

    @property
    def cube_pos(self) -> F64:
        """(3,) m, a copy."""
        return np.asarray(self._bodies.cube_pose.read()[0, :3] + scene.BASE, dtype=np.float64)

    def state(self) -> poses.State:
        """Where everything is now."""
        return poses.state_of(self.qpos, self.qvel, self.root)

    @property
    def qpos(self) -> F64:
        """Joints (6) rad, cube's position (3) m and quaternion wxyz (4)."""
        x, y, z, w = self._bodies.cube_pose.read()[0, 3:].astype(np.float64)
        return np.array([*self.joint_pos, *self.cube_pos, w, x, y, z])

    @property
    def qvel(self) -> F64:
        """Velocities of the joints (6), of the cube (3), and the cube's angular velocity in its own frame (3)."""
        velocity = self._bodies.cube_velocity.read()[0].astype(np.float64)
        return np.array([*self.joint_vel, *velocity[:3], *poses.rotate(poses.conjugate(self.qpos[9:]), velocity[3:])])

    @property
    def gripper_pose(self) -> F64:
        """Gripper link, position m and quaternion wxyz (7,)."""
        return np.concatenate(self.link(self._bodies.gripper))

    @property
    def grasped(self) -> bool:
        """LeIsaac's object_grasped at this instant: the cube is at the jaw frame and the gripper is closed."""
        place, turn = self.link(self._bodies.jaw)
        jaw = place + poses.rotate(turn, np.array(workspace.JAW_FRAME))
        near = float(np.linalg.norm(self.cube_pos - jaw)) < GRASP_DISTANCE
        return near and float(self.joint_pos[-1]) < GRASP_JOINT

    def link(self, row: int) -> tuple[F64, F64]:
        """Position (3,) m and quaternion wxyz (4,) of a link."""
        px, py, pz, x, y, z, w = self._bodies.link_pose.read()[0, row].astype(np.float64)
        return np.array([px, py, pz]) + scene.BASE, np.array([w, x, y, z])


def _order(arm: Column) -> NDArray[np.intp]:
    """Column of each of LeIsaac's joints. Raises InputError for an arm with other joints."""
    names = [ASSET_NAMES.get(name, name) for name in arm.joints]
    if sorted(names) != sorted(JOINTS.names):
        raise InputError(
            f"the arm's joints are {', '.join(arm.joints)}", fix=f"name them {', '.join(JOINTS.names)} in its layer"
        )
    return np.array([names.index(name) for name in JOINTS.names])


def _link(arm: Column, name: str) -> int:
    if name not in arm.links:
        raise InputError(f"the arm has no link {name!r}, it has {', '.join(arm.links)}", fix="name it so in its layer")
    return arm.links.index(name)


def _check_base(arm: Column, link_pose: Column) -> None:
    """A base that floats or stands elsewhere replays everything, and wrongly."""
    place = link_pose.read()[0, 0]
    if not arm.fixed:
        raise InputError("the arm's base floats", fix="put PhysicsArticulationRootAPI on its fixed joint to the world")
    forward = poses.rotate(place[[6, 3, 4, 5]].astype(np.float64), np.array([0.0, -1.0, 0.0]))
    if np.abs(place[:3]).max() > 1e-4 or np.abs(forward - [1.0, 0.0, 0.0]).max() > 1e-3:
        raise InputError(
            f"the arm's base is at {place[:3].round(4).tolist()} m and points along {forward.round(3).tolist()}",
            fix="put its base link at the origin, its own -y (where the fingers are) along +x",
        )


@functools.cache
def opened(arm: str | None, arm_sha256: str | None, shown: Scene) -> Bodies:
    """The scene of this process with this on the table, and isaaclab-so101's arm or a layer of the user's. Raises
    InputError."""
    with tempfile.TemporaryDirectory(prefix="leicos-physx-") as name:
        return Bodies(library.Scene(scene.write(Path(name), arm, arm_sha256, shown)))
