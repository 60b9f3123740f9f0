"""Replay in MuJoCo: the labelled actions, from the demo's own state, under LiftCube's rule, or the arm alone.

The simulator is deterministic, so repeats would all be the same: each request runs once and says so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from leicos_jobs.backends.base import Replayer, Settings, Started
from leicos_jobs.backends.isaac.standalone.leicos_replay_driver.loop import Episode, Trace
from leicos_jobs.backends.mujoco import lift_cube, poses
from leicos_jobs.backends.mujoco.robot import JOINTS
from leicos_jobs.backends.requests import ReplayMetrics, ReplayRequest, ReplayResult
from leicos_jobs.core.errors import InputError
from leicos_jobs.robots.embodiment import Embodiment

UNJUDGED: dict[str, Any] = {
    "success": None,
    "success_held": None,
    "success_rate": None,
    "max_lift": None,
    "first_grasp_row": None,
}
"""What a replay without a task cannot say."""
OUT_OF_REACH = [5.0, 5.0, 0.05, 1.0, 0.0, 0.0, 0.0]
"""Where the cube lies then: metres from an arm of 0.4 m."""


class MujocoReplayerSettings(Settings):
    """Physics of the replay."""

    task: Literal["lift-cube", "none"] = "lift-cube"
    """none: a recording of another task. Only the arm is there: how well it follows the labels is reported, success is
    unknown, and `curate.require_success` must be false."""
    gripper_effort_limit: float = Field(lift_cube.GRIPPER_EFFORT, gt=0)
    """N m; the gripper servo's largest torque. LeIsaac sets mass of the nearest object / 0.15, 0.0667 for this cube;
    the MJCF's stock 3.35 drives the jaws a centimetre into it."""


class MujocoReplayer(Replayer[MujocoReplayerSettings], name="mujoco", version=1, batch=16):
    """Replayer of SO-101 LiftCube."""

    def __init__(self, settings: MujocoReplayerSettings, work: Path) -> None:
        from leicos_jobs.backends.mujoco.simulation import Simulation  # mujoco: not where versions are read

        super().__init__(settings, work)
        self._task = settings.task
        self._simulation = functools.cache(lambda control_hz: Simulation(control_hz, settings.gripper_effort_limit))

    @override
    @classmethod
    def judges(cls, settings: MujocoReplayerSettings) -> bool:
        return settings.task != "none"

    @override
    @classmethod
    def cannot(cls, settings: MujocoReplayerSettings, robot: Embodiment, states: bool) -> str | None:
        if robot.action.names != JOINTS.names or robot.state.names != JOINTS.names:
            return f"replay/mujoco has an SO-101, and no {robot.name}"
        return None if settings.task == "none" else super().cannot(settings, robot, states)

    @override
    def process(self, requests: Sequence[ReplayRequest], started: Started) -> Iterator[ReplayResult]:
        """Replay one request after the other. Raises InputError for actions or a start that are not an SO-101's."""
        for request in requests:
            started(request.sample)
            yield ReplayResult(request.sample, self._replay(request))

    def _replay(self, request: ReplayRequest) -> ReplayMetrics:
        simulation = self._simulation(request.control_hz)
        simulation.reset(poses.from_leisaac(self._start(request)))
        targets = JOINTS.to_recorded(request.require_actions(JOINTS.width))
        episode = Episode(request.sample, request.start, targets, request.hold, request.seed, lift_cube.CUBE_HALF)
        trace = Trace(episode, simulation.limits)
        while not trace.done:
            simulation.step(trace.target())
            trace.note(simulation.success, simulation.joint_pos, float(simulation.cube_pos[2]), simulation.grasped)
        metrics = trace.metrics()
        judged = ReplayMetrics(success_rate=float(metrics["success"]), repeats=1, **metrics)
        return judged.model_copy(update=UNJUDGED) if self._task == "none" else judged

    def _start(self, request: ReplayRequest) -> dict[str, Any]:
        """The state, without anything that the arm could touch where there is no task."""
        if self._task == "none":
            robot = {key: value for key, value in request.start.items() if key.startswith("articulation/robot/")}
            return robot | {poses.CUBE_POSE: OUT_OF_REACH}
        if poses.CUBE_POSE not in request.start:
            raise InputError(
                f"sample {request.sample}, replay: the demo's state has no {poses.CUBE_POSE}, it is not LiftCube",
                fix="replay.settings.task: none (and curate.require_success: false), or replay.backend: isaac-sim",
            )
        return dict(request.start)
