"""A scripted person who picks the cube up: joint targets at the control rate, planned in the open from a state.

Reach over the cube, descend, close, lift, wait; every place, speed and pause is drawn each time, a tremor is added, and
on request the attempt fails in one of the ways people fail. The plan looks at nothing while it runs, so the same
targets from the same state give the same result again, as a recording's do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.mujoco import lift_cube, poses
from leicos_jobs.backends.mujoco.kinematics import Arm, ToolPose
from leicos_jobs.backends.mujoco.robot import JOINTS

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

Failure = Literal["beside", "above", "open", "drop", "low"]
"""beside: closes next to the cube. above: closes over it. open: lifts without closing. drop: opens while lifting.
low: stops lifting below the success height."""
FAILURES: tuple[Failure, ...] = get_args(Failure)

Range = tuple[float, float]

PAN_AXIS = (0.0388, 0.0)
"""Where shoulder_pan's axis stands on the table, m."""


@dataclass(frozen=True)
class Style:
    """Ranges that one attempt draws from. Durations in control steps at 60 Hz before `speed` divides them."""

    speed: Range = (0.85, 1.25)
    wait: Range = (6, 20)
    reach: Range = (60, 85)
    descend: Range = (42, 62)
    close: Range = (24, 38)
    lift: Range = (58, 82)
    pause: Range = (3, 10)
    rest: Range = (14, 30)
    hover: Range = (0.075, 0.105)
    """Height of the tool over the table before descending, m."""
    grasp: Range = (0.012, 0.018)
    """Height of the tool at the grasp, m."""
    top: Range = (0.205, 0.245)
    """Height of the tool after lifting, m."""
    tilt: Range = (0.0, 0.30)
    top_tilt: Range = (0.8, 1.15)
    heading: float = math.radians(7.0)
    """Largest error of the closing axis against the cube's faces."""
    aim: float = 0.003
    """Largest error of the tool in x and y at the grasp, m."""
    sway: float = 0.02
    """Largest sideways detour at the hover and at the top, m."""
    opening: Range = (0.85, 1.20)
    squeeze: Range = (-0.15, 0.10)
    """Gripper targets, rad; the jaw meets the cube at about 0.34."""
    tremor: float = math.radians(0.35)
    """Size of the slow wander of each joint's target (standard deviation)."""


PERSON = Style()
WIDER = Style(
    speed=(0.75, 1.4), hover=(0.065, 0.125), grasp=(0.010, 0.020), top=(0.20, 0.255), tilt=(-0.05, 0.38),
    top_tilt=(0.7, 1.2), heading=math.radians(10.0), aim=0.004, sway=0.035, opening=(0.78, 1.30),
    squeeze=(-0.17, 0.15), tremor=math.radians(0.45),
)  # fmt: skip
"""What a generator's imagined attempts draw from: a bit beyond the people it learned from."""


@dataclass
class _Draft:
    """A plan in the making: joint paths (k, 6) with the number of control steps that each takes."""

    arm: Arm
    joints: F64
    parts: list[tuple[F64, float]] = field(default_factory=list)

    def move(self, pose: ToolPose, gripper: float, steps: float, tilt_weight: float = 0.1, points: int = 1) -> None:
        """Go to a tool pose, straight in space if `points` > 1, and bring the gripper to its target meanwhile."""
        start = self.arm.tool(self.joints)
        path = [self.joints]
        for share in np.linspace(0.0, 1.0, points + 1)[1:]:
            turn = math.remainder(pose.heading - start.heading, 2.0 * math.pi)
            between = ToolPose(
                start.position + share * (pose.position - start.position),
                start.tilt + share * (pose.tilt - start.tilt),
                start.heading + share * turn,
            )
            solved, _ = self.arm.solve(between, path[-1], tilt_weight)
            path.append(np.append(solved, self.joints[5] + share * (gripper - self.joints[5])))
        self.parts.append((np.array(path), steps))
        self.joints = path[-1]

    def hold(self, steps: float, gripper: float | None = None) -> None:
        """Stay, and bring the gripper to its target if one is given."""
        end = self.joints.copy()
        if gripper is not None:
            end[5] = gripper
        self.parts.append((np.array([self.joints, end]), steps))
        self.joints = end


def plan(
    state: poses.State,
    rng: np.random.Generator,
    style: Style = PERSON,
    failure: Failure | None = None,
    *,
    previous: F64 | None = None,
    held: bool = False,
    budget: int | None = None,
    least: int = 0,
    wait: bool = True,
    control_hz: float = lift_cube.CONTROL_HZ,
) -> F32:
    """Joint targets (n, 6) rad, one a control step, exactly as the recorder and the dataset keep them.

    previous: the target (6,) that was applied last, so that the first one does not jump. held: the cube is between the
    jaws already. budget: exactly so many steps, hurrying if need be but not beyond twice the speed, holding still at
    the end. least: hold still at the end until there are so many. wait: begin with the pause of somebody who gets
    ready.
    """
    arm = Arm()
    draft = _Draft(arm, np.clip(state.joint_pos, arm.low, arm.high))
    if wait:
        draft.hold(rng.uniform(*style.wait))
    if held:
        draft.hold(rng.uniform(*style.pause), rng.uniform(*style.squeeze))
    else:
        _grasp(draft, state, rng, style, failure)
    _raise(draft, rng, style, failure)
    return _play(draft, rng, style, previous, budget, least, control_hz)


def _grasp(draft: _Draft, state: poses.State, rng: np.random.Generator, style: Style, failure: Failure | None) -> None:
    """Hover, descend, close."""
    opening, tilt = rng.uniform(*style.opening), rng.uniform(*style.tilt)
    heading = _heading(state) + rng.uniform(-style.heading, style.heading)
    place = np.array([*state.cube_pos[:2], rng.uniform(*style.grasp)])
    place[:2] += rng.uniform(-style.aim, style.aim, 2)
    across = np.array([-math.sin(heading), math.cos(heading)])
    if failure == "beside":  # past half a cube and half a finger, 15 + 8 mm, so that nothing is caught
        place[:2] += rng.choice([-1.0, 1.0]) * rng.uniform(0.034, 0.05) * across
    elif failure == "above":
        place[2] = rng.uniform(0.055, 0.08)
    over = place + np.array([*rng.uniform(-style.sway, style.sway, 2), rng.uniform(*style.hover) - place[2]])
    over[2] = max(over[2], place[2] + 0.02)
    tool = draft.arm.tool(draft.joints)
    aside = float(np.linalg.norm(tool.position[:2] - place[:2]))
    if tool.position[2] < 0.06 and aside > 0.015:  # low and not over it: rise first, or the cube is swept away
        draft.move(ToolPose(np.array([*tool.position[:2], over[2]]), tool.tilt, tool.heading), opening, 25, 0.02)
    if aside > 0.015 or tool.position[2] > over[2]:
        draft.move(ToolPose(over, tilt, heading), opening, rng.uniform(*style.reach), 0.02)
        draft.hold(rng.uniform(*style.pause))
    draft.move(ToolPose(place, tilt, heading), opening, rng.uniform(*style.descend), points=5)
    draft.hold(rng.uniform(*style.pause))
    if failure != "open":
        draft.hold(rng.uniform(*style.close), rng.uniform(*style.squeeze))
        draft.hold(rng.uniform(*style.pause))


def _raise(draft: _Draft, rng: np.random.Generator, style: Style, failure: Failure | None) -> None:
    """Lift and rest."""
    here = draft.arm.tool(draft.joints)
    top = here.position + np.array([*rng.uniform(-style.sway, style.sway, 2), 0.0])
    top[2] = rng.uniform(0.07, 0.12) if failure == "low" else rng.uniform(*style.top)
    share = max(0.2, (top[2] - here.position[2]) / 0.21)
    end = ToolPose(top, here.tilt + share * (rng.uniform(*style.top_tilt) - here.tilt), here.heading)
    steps, gripper = share * rng.uniform(*style.lift), draft.joints[5]
    if failure == "drop":
        part = rng.uniform(0.2, 0.35)
        place = here.position + part * (end.position - here.position)
        via = ToolPose(place, here.tilt + part * (end.tilt - here.tilt), here.heading)
        draft.move(via, gripper, 0.5 * steps, 0.02, points=3)
        gripper = rng.uniform(0.5, 0.9)
        draft.hold(rng.uniform(12, 20), gripper)
    draft.move(end, gripper, steps, 0.02, points=5)
    draft.hold(rng.uniform(*style.rest))


def _heading(state: poses.State) -> float:
    """Direction of the closing axis that fits the cube's faces and needs the least turn of the wrist from straight
    ahead: with wrist_roll at 0 the axis points away from the base."""
    w, x, y, z = state.cube_quat
    yaw = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    ahead = math.atan2(state.cube_pos[1] - PAN_AXIS[1], state.cube_pos[0] - PAN_AXIS[0])
    return ahead + math.remainder(yaw - ahead, 0.5 * math.pi)


def _play(
    draft: _Draft,
    rng: np.random.Generator,
    style: Style,
    previous: F64 | None,
    budget: int | None,
    least: int,
    control_hz: float,
) -> F32:
    """Turn paths into targets: minimum jerk along each, gravity's sag, tremor, a start without a jump."""
    speed = rng.uniform(*style.speed) * lift_cube.CONTROL_HZ / control_hz
    steps = np.array([length / speed * rng.uniform(0.85, 1.2) for _, length in draft.parts])
    if budget is not None and steps.sum() > budget - 6:
        steps *= max(0.5, (budget - 6) / steps.sum())
    rows = []
    for (path, _), length in zip(draft.parts, np.maximum(np.rint(steps), 2).astype(int), strict=True):
        u = np.arange(1, length + 1) / length
        s = u**3 * (10.0 - 15.0 * u + 6.0 * u * u)
        knots = np.linspace(0.0, 1.0, len(path))
        rows.append(np.stack([np.interp(s, knots, path[:, joint]) for joint in range(JOINTS.width)], axis=1))
    targets = np.concatenate(rows)
    missing = (least if budget is None else budget) - len(targets)
    targets = np.concatenate([targets, np.repeat(targets[-1:], max(0, missing), axis=0)])[:budget]
    gripper = targets[:, 5].copy()
    targets += np.array([draft.arm.sag(row) for row in targets])
    targets[:, 5] = gripper
    targets += _tremor(len(targets), rng, style.tremor, control_hz)
    if previous is not None:
        fade = np.clip(3.0 * np.arange(len(targets)) / control_hz, 0.0, 1.0)
        fade = fade**3 * (10.0 - 15.0 * fade + 6.0 * fade * fade)
        targets += (1.0 - fade)[:, None] * (previous - targets[0])
    return settle(np.clip(targets, draft.arm.low, draft.arm.high))


def _tremor(rows: int, rng: np.random.Generator, size: float, control_hz: float) -> F64:
    """Slow wander (rows, 6) rad: three sines a joint between 0.3 and 3 Hz, the faster the smaller."""
    time = np.arange(rows)[:, None, None] / control_hz
    rate = rng.uniform(0.3, 3.0, (1, JOINTS.width, 3))
    phase = rng.uniform(0.0, 2.0 * math.pi, (1, JOINTS.width, 3))
    waves = np.sin(2.0 * math.pi * rate * time + phase) / np.sqrt(rate)
    return np.asarray(size * rng.uniform(0.4, 1.2) * waves.sum(axis=2) * math.sqrt(2.0 / 3.0))


def settle(radians: NDArray[np.floating]) -> F32:
    """Radians that survive the way through motor units and float32 unchanged, so that a label equal to the truth
    replays to the same bits."""
    return JOINTS.to_recorded(JOINTS.to_motor(radians))
