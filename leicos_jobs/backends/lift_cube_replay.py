"""Replay of LiftCube in an engine that leicos embeds: the labelled actions, from the demo's own state, under LiftCube's
rule, or the arm alone.

An engine says how a state is taken and a target applied (`Simulation`); what is asked, refused and measured is the same
for all. Such an engine is deterministic, so repeats would all be the same: each request runs once and says so.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
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


class LiftCubeSettings(Settings):
    """Physics of the replay."""

    task: Literal["lift-cube", "none"] = "lift-cube"
    """none: a recording of another task. Only the arm is there: how well it follows the labels is reported, success is
    unknown, and `curate.require_success` must be false."""
    gripper_effort_limit: float = Field(lift_cube.GRIPPER_EFFORT, gt=0)
    """N m; the gripper servo's largest torque. LeIsaac sets mass of the nearest object / 0.15, 0.0667 for this cube;
    with the MJCF's stock 3.35 MuJoCo's jaws go a centimetre into it."""


S = TypeVar("S", bound=LiftCubeSettings)


class Simulation(Protocol):
    """One arm, one cube, in the MJCF frame."""

    limits: NDArray[np.float64]
    """(6, 2) rad, of the joints."""

    def reset(self, state: poses.State) -> None:
        """Go to a state; nothing of what was before remains."""

    def step(self, target: NDArray[np.floating]) -> bool:
        """Apply joint targets (6,) rad for one control step; returns whether a limit clipped one."""

    @property
    def joint_pos(self) -> NDArray[np.float64]:
        """(6,) rad."""

    @property
    def cube_pos(self) -> NDArray[np.float64]:
        """(3,) m."""

    @property
    def success(self) -> bool:
        """LiftCube's rule at this instant."""

    @property
    def grasped(self) -> bool:
        """LeIsaac's object_grasped at this instant."""


class LiftCubeReplayer(Replayer[S], name="", version=0):
    """Replayer of SO-101 LiftCube."""

    @abstractmethod
    def simulation(self, control_hz: float) -> Simulation:
        """The simulation at a control rate; a second call may give the same one again."""

    @override
    @classmethod
    def judges(cls, settings: S) -> bool:
        return settings.task != "none"

    @override
    @classmethod
    def cannot(cls, settings: S, robot: Embodiment, states: bool) -> str | None:
        if robot.action.names != JOINTS.names or robot.state.names != JOINTS.names:
            return f"replay/{cls.name} has an SO-101, and no {robot.name}"
        return None if settings.task == "none" else super().cannot(settings, robot, states)

    @override
    def process(self, requests: Sequence[ReplayRequest], started: Started) -> Iterator[ReplayResult]:
        """Replay one request after the other. Raises InputError for actions or a start that are not an SO-101's."""
        for request in requests:
            started(request.sample)
            yield ReplayResult(request.sample, self._replay(request))

    def _replay(self, request: ReplayRequest) -> ReplayMetrics:
        simulation, targets = self.begun(request)
        episode = Episode(request.sample, request.start, targets, request.hold, request.seed, lift_cube.CUBE_HALF)
        trace = Trace(episode, simulation.limits)
        while not trace.done:
            simulation.step(trace.target())
            trace.note(simulation.success, simulation.joint_pos, float(simulation.cube_pos[2]), simulation.grasped)
        metrics = trace.metrics()
        judged = ReplayMetrics(success_rate=float(metrics["success"]), repeats=1, **metrics)
        return judged.model_copy(update=UNJUDGED) if self.settings.task == "none" else judged

    def begun(self, request: ReplayRequest) -> tuple[Simulation, NDArray[np.float32]]:
        """The simulation at a request's start, and (n, 6) rad its targets."""
        simulation = self.simulation(request.control_hz)
        simulation.reset(poses.from_leisaac(self._start(request)))
        return simulation, JOINTS.to_recorded(request.require_actions(JOINTS.width))

    def _start(self, request: ReplayRequest) -> dict[str, Any]:
        """The state, without anything that the arm could touch where there is no task."""
        if self.settings.task == "none":
            robot = {key: value for key, value in request.start.items() if key.startswith("articulation/robot/")}
            return robot | {poses.CUBE_POSE: OUT_OF_REACH}
        if poses.CUBE_POSE not in request.start:
            raise InputError(
                f"sample {request.sample}, replay: the demo's state has no {poses.CUBE_POSE}, it is not LiftCube",
                fix="replay.settings.task: none (and curate.require_success: false), or replay.backend: isaac-sim",
            )
        return dict(request.start)
