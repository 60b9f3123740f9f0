"""Replay in MuJoCo: the labelled actions, from the demo's own state, under LiftCube's rule, or the arm alone.

The simulator is deterministic, so repeats would all be the same: each request runs once and says so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from leicos_jobs.backends.base import Replayer, Settings, Started
from leicos_jobs.backends.mujoco import lift_cube, poses
from leicos_jobs.backends.mujoco.robot import JOINTS
from leicos_jobs.backends.requests import ReplayMetrics, ReplayRequest, ReplayResult
from leicos_jobs.core.errors import InputError
from leicos_jobs.robots.embodiment import Embodiment

if TYPE_CHECKING:
    from leicos_jobs.backends.mujoco.simulation import Simulation

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
HELD_STEPS = 30
"""Control steps in a row above the height that count as held: half a second at 60 Hz."""


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
        actions = np.asarray(request.actions, dtype=np.float32)
        if actions.ndim != 2 or actions.shape[1] != JOINTS.width or not len(actions) or not np.isfinite(actions).all():
            raise InputError(
                f"sample {request.sample}, replay: actions of shape {actions.shape} are not (n, {JOINTS.width}) finite "
                "numbers",
                fix="check the label stage's output",
            )
        targets = JOINTS.to_recorded(actions)
        targets = np.concatenate([targets, np.repeat(targets[-1:], max(0, request.hold), axis=0)])
        simulation = self._simulation(request.control_hz)
        simulation.reset(poses.from_leisaac(self._start(request)))
        trace = _Trace(simulation, len(actions))
        for target in targets:
            trace.step(target)
        metrics = trace.metrics()
        return metrics.model_copy(update=UNJUDGED) if self._task == "none" else metrics

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


class _Trace:
    """What is noted along a replay. `rows`: how many of the steps are the request's own, the rest is the hold."""

    def __init__(self, simulation: Simulation, rows: int) -> None:
        self._simulation = simulation
        self._rows = rows
        self._heights: list[float] = []
        self._errors: list[NDArray[np.float64]] = []
        self._clipped = 0
        self._grasp: int | None = None

    def step(self, target: NDArray[np.float32]) -> None:
        simulation = self._simulation
        clipped = simulation.step(target)
        if len(self._heights) < self._rows:
            self._clipped += clipped
            self._errors.append(target - simulation.joint_pos)
        if self._grasp is None and simulation.grasped:
            self._grasp = len(self._heights)
        self._heights.append(float(simulation.cube_pos[2]))

    def metrics(self) -> ReplayMetrics:
        above = np.array(self._heights) > lift_cube.SUCCESS_HEIGHT
        errors = np.degrees(np.array(self._errors))
        rms = np.sqrt(np.mean(errors**2, axis=0))
        return ReplayMetrics(
            success=bool(above.any()),
            success_held=_held(above),
            success_rate=float(above.any()),
            repeats=1,
            max_lift=max(self._heights) - lift_cube.CUBE_HALF,
            first_grasp_row=self._grasp,
            tracking_error_deg=float(np.sqrt(np.mean(rms[: JOINTS.width - 1] ** 2))),
            gripper_error_deg=float(rms[-1]),
            limit_clip_share=self._clipped / self._rows,
            final_joint_pos=[float(value) for value in self._simulation.joint_pos],
        )


def _held(above: NDArray[np.bool_]) -> bool:
    """Above for HELD_STEPS in a row, or still so at the end."""
    run = 0
    for value in above:
        run = run + 1 if value else 0
        if run >= HELD_STEPS:
            return True
    return run > 0
