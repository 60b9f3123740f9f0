"""Simulator states as LeIsaac stores them, and as MuJoCo needs them.

LeIsaac's `initial_state` and `states` groups hold poses in the environment's frame: the robot's root stands at
(0.35, -0.64, 0.01) turned by 180 degrees about z, and its arm points along the root's -y. The MJCF so101_new_calib has
its own base frame with the arm along +x. The two bases differ by one constant transform (docs/decisions/leisaac.md 5.1,
forward kinematics of both compared):

    p_mjcf = Rz(+90 degrees) p_base + (0.0157, -0.0208, -0.0325)

Joint angles are the same in both. What this package reads and writes is LeIsaac's frame, so its recordings and real
ones mean the same; the robot's own root_pose in a state is what places it. Quaternions are wxyz. root_velocity is
linear then angular, both in the environment's frame (m/s, rad/s); MuJoCo keeps the angular part in the body's frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leicos_jobs.core.errors import InputError

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

ROBOT_ROOT_POSE: F64 = np.array([0.35, -0.64, 0.01, 0.0, 0.0, 0.0, 1.0])
"""LiftCube's robot root in the environment's frame: xyz (m), quaternion wxyz (docs/decisions/leisaac.md 4.2)."""

_ROOT_POSE = "articulation/robot/root_pose"
_ROOT_VELOCITY = "articulation/robot/root_velocity"
_JOINT_POSITION = "articulation/robot/joint_position"
_JOINT_VELOCITY = "articulation/robot/joint_velocity"
CUBE = "cube"
"""The object of LeIsaac's LiftCube, as states call it."""


def object_pose(name: str) -> str:
    """Dataset of an object's pose in a state."""
    return f"rigid_object/{name}/root_pose"


def _object_velocity(name: str) -> str:
    return f"rigid_object/{name}/root_velocity"


def state_widths(name: str = CUBE) -> dict[str, int]:
    """Datasets of a state of the arm and one object, and their widths, as in LeIsaac's HDF5."""
    arm = {_ROOT_POSE: 7, _ROOT_VELOCITY: 6, _JOINT_POSITION: 6, _JOINT_VELOCITY: 6}
    return arm | {object_pose(name): 7, _object_velocity(name): 6}


_WIDTHS = {path.rpartition("/")[2]: width for path, width in state_widths().items()}
_OFFSET = np.array([0.0157, -0.0208, -0.0325])
_TURN = np.array([math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)])
_IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])


def multiply(a: F64, b: F64) -> F64:
    """Hamilton product of quaternions wxyz, (..., 4)."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def conjugate(q: F64) -> F64:
    """The inverse of unit quaternions wxyz, (..., 4)."""
    inverse: F64 = q * np.array([1.0, -1.0, -1.0, -1.0])
    return inverse


def rotate(q: F64, vector: F64) -> F64:
    """Turn vectors (..., 3) by unit quaternions wxyz (..., 4)."""
    pure = np.concatenate([np.zeros_like(vector[..., :1]), vector], axis=-1)
    return multiply(multiply(q, pure), conjugate(q))[..., 1:]


def base_to_mjcf(position: F64, quaternion: F64 = _IDENTITY) -> tuple[F64, F64]:
    """Poses in LeIsaac's robot base frame as ones in the MJCF base frame: positions (..., 3) m, quaternions (..., 4)
    wxyz."""
    return rotate(_TURN, position) + _OFFSET, multiply(_TURN, quaternion)


def mjcf_to_base(position: F64, quaternion: F64 = _IDENTITY) -> tuple[F64, F64]:
    """The inverse of `base_to_mjcf`."""
    back = conjugate(_TURN)
    return rotate(back, position - _OFFSET), multiply(back, quaternion)


@dataclass(frozen=True)
class State:
    """Robot and cube in the MJCF frame, at one instant or, with a leading axis, at many.

    joint_* (..., 6) rad and rad/s; cube_* position (..., 3) m, quaternion (..., 4) wxyz, velocities (..., 3) in the
    MJCF world frame (m/s, rad/s). `root` (7,): where the environment has the robot, so that a state can be written
    back in the frame it came from.
    """

    joint_pos: F64
    joint_vel: F64
    cube_pos: F64
    cube_quat: F64
    cube_linear: F64
    cube_angular: F64
    root: F64

    @classmethod
    def at_rest(cls, joint_pos: ArrayLike, cube_pos: ArrayLike, cube_quat: ArrayLike) -> State:
        """A state without motion, in the MJCF frame, with the robot where LiftCube puts it."""
        zero = np.zeros(3)
        joints = np.asarray(joint_pos, dtype=np.float64)
        position, quaternion = np.asarray(cube_pos, dtype=np.float64), np.asarray(cube_quat, dtype=np.float64)
        return cls(joints, np.zeros_like(joints), position, quaternion, zero, zero, ROBOT_ROOT_POSE)


def from_leisaac(states: Mapping[str, Sequence[float] | F32], name: str = CUBE) -> State:
    """Read a state in LeIsaac's frame (keys of `state_widths`; shapes (w,) or (1, w)). Other keys are left alone.
    name: of the object.

    Velocities may be missing and are zero then. Raises InputError for a missing position or a wrong width.
    """
    robot = _vector(states, _ROOT_POSE, ROBOT_ROOT_POSE)
    joints = _vector(states, _JOINT_POSITION)
    cube, motion = _vector(states, object_pose(name)), _vector(states, _object_velocity(name), np.zeros(6))
    into_base = conjugate(robot[3:])
    position, quaternion = base_to_mjcf(rotate(into_base, cube[:3] - robot[:3]), multiply(into_base, cube[3:]))
    turn = multiply(_TURN, into_base)
    return State(
        joint_pos=joints,
        joint_vel=_vector(states, _JOINT_VELOCITY, np.zeros(6)),
        cube_pos=position,
        cube_quat=quaternion / np.linalg.norm(quaternion),
        cube_linear=rotate(turn, motion[:3]),
        cube_angular=rotate(turn, motion[3:]),
        root=robot,
    )


def to_leisaac(state: State, name: str = CUBE) -> dict[str, F32]:
    """A state as LeIsaac stores it: dataset path -> (..., w) float32. name: of the object."""
    root = state.root
    position, quaternion = mjcf_to_base(state.cube_pos, state.cube_quat)
    cube = [root[:3] + rotate(root[3:], position), multiply(root[3:], quaternion)]
    turn = multiply(root[3:], conjugate(_TURN))
    motion = [rotate(turn, state.cube_linear), rotate(turn, state.cube_angular)]
    instants = state.joint_pos.shape[:-1]
    values = {
        _ROOT_POSE: np.broadcast_to(root, (*instants, 7)),
        _ROOT_VELOCITY: np.zeros((*instants, 6)),
        _JOINT_POSITION: state.joint_pos,
        _JOINT_VELOCITY: state.joint_vel,
        object_pose(name): np.concatenate(cube, axis=-1),
        _object_velocity(name): np.concatenate(motion, axis=-1),
    }
    return {key: value.astype(np.float32) for key, value in values.items()}


def state_of(qpos: F64, qvel: F64, root: F64) -> State:
    """The state in generalised positions (..., 13) and velocities (..., 12): six joints, then the cube's free joint,
    whose angular velocity MuJoCo gives in the cube's own frame."""
    return State(
        joint_pos=qpos[..., :6],
        joint_vel=qvel[..., :6],
        cube_pos=qpos[..., 6:9],
        cube_quat=qpos[..., 9:13],
        cube_linear=qvel[..., 6:9],
        cube_angular=rotate(qpos[..., 9:13], qvel[..., 9:12]),
        root=root,
    )


def _vector(states: Mapping[str, Sequence[float] | F32], key: str, default: F64 | None = None) -> F64:
    if key not in states:
        if default is not None:
            return default
        raise InputError(f"the start state lacks {key!r}", fix="record it as LeIsaac does, under initial_state/states")
    value = np.asarray(states[key], dtype=np.float64).reshape(-1)
    width = _WIDTHS[key.rpartition("/")[2]]
    if value.shape != (width,):
        raise InputError(f"start state {key!r} has {value.size} numbers, expected {width}")
    return value
