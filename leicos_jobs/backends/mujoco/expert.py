"""A scripted person who does a task: joint targets at the control rate, planned in the open from a state.

Reach over the object, descend, close, lift; then carry it to a goal, lower it, let go and retreat, if the task has such
a phase. Every place, speed and pause is drawn each time, a tremor is added, and on request the attempt fails in one of
the ways people fail. The plan looks at nothing while it runs, so the same targets from the same state give the same
result again, as a recording's do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.mujoco import poses, workspace
from leicos_jobs.backends.mujoco.kinematics import Arm, ToolPose
from leicos_jobs.backends.mujoco.robot import JOINTS
from leicos_jobs.tasks.task import Expert, Failure, Style

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

PAN_AXIS = (0.0388, 0.0)
"""Where shoulder_pan's axis stands on the table, m."""
RELEASE = 0.002
"""m; how much higher than it was taken an object is let go."""


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
    expert: Expert,
    style: Style,
    failure: Failure | None = None,
    *,
    previous: F64 | None = None,
    held: bool = False,
    budget: int | None = None,
    least: int = 0,
    wait: bool = True,
    control_hz: float = workspace.CONTROL_HZ,
) -> F32:
    """Joint targets (n, 6) rad, one a control step, exactly as the recorder and the dataset keep them.

    expert: whose phases are gone through. style: how, one of its two.
    previous: the target (6,) that was applied last, so that the first one does not jump. held: the object is between
    the jaws already. budget: exactly so many steps, hurrying if need be but not beyond twice the speed, holding still
    at the end. least: hold still at the end until there are so many. wait: begin with the pause of somebody who gets
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
    if "raise" in expert.phases:
        _raise(draft, rng, style, failure)
    if expert.goal is not None:
        _place(draft, expert.goal, rng, style, failure)
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


def _place(
    draft: _Draft, goal: tuple[float, float], rng: np.random.Generator, style: Style, failure: Failure | None
) -> None:
    """Carry to the goal, lower, let go, retreat."""
    angle, away = rng.uniform(-math.pi, math.pi), style.scatter * math.sqrt(rng.uniform())
    if failure == "astray":
        away = rng.uniform(0.06, 0.08)
    here, gripper = draft.arm.tool(draft.joints), draft.joints[5]
    place = np.array([*goal, rng.uniform(*style.grasp) + RELEASE])
    place[:2] += away * np.array([math.cos(angle), math.sin(angle)])
    tilt = rng.uniform(*style.tilt)
    # The arm turns and the object with it: the wrist need not.
    turned = here.heading + _bearing(place) - _bearing(here.position)
    over = np.array([*place[:2], max(here.position[2], rng.uniform(*style.hover))])
    draft.move(ToolPose(over, tilt, turned), gripper, rng.uniform(*style.carry), 0.02, points=5)
    draft.hold(rng.uniform(*style.pause))
    draft.move(ToolPose(place, tilt, turned), gripper, rng.uniform(*style.lower), points=5)
    draft.hold(rng.uniform(*style.pause))
    opening = rng.uniform(*style.opening)
    draft.hold(rng.uniform(*style.let_go), opening)
    up = place + np.array([0.0, 0.0, rng.uniform(*style.hover)])
    draft.move(ToolPose(up, tilt, turned), opening, rng.uniform(*style.retreat), 0.02, points=5)
    draft.hold(rng.uniform(*style.rest))


def _bearing(place: F64) -> float:
    """Direction in the table's plane from shoulder_pan's axis, rad."""
    return math.atan2(place[1] - PAN_AXIS[1], place[0] - PAN_AXIS[0])


def _heading(state: poses.State) -> float:
    """Direction of the closing axis that fits the cube's faces and needs the least turn of the wrist from straight
    ahead: with wrist_roll at 0 the axis points away from the base."""
    w, x, y, z = state.cube_quat
    yaw = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    ahead = _bearing(state.cube_pos)
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
    speed = rng.uniform(*style.speed) * workspace.CONTROL_HZ / control_hz
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
