"""Replay of a task as data in an engine that leicos embeds: the labelled actions, from the demo's own state, under the
task's rule, or the arm alone.

An engine says how a state is taken and a target applied (`Simulation`); what is asked, refused and measured is the same
for all. Such an engine is deterministic, so repeats would all be the same: each request runs once and says so.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from leicos_jobs.backends.base import Replayer, Settings, Started
from leicos_jobs.backends.isaac.standalone.leicos_replay_driver.loop import Episode, Trace
from leicos_jobs.backends.mujoco import poses, rollout, workspace
from leicos_jobs.backends.mujoco.robot import JOINTS
from leicos_jobs.backends.requests import ReplayMetrics, ReplayRequest, ReplayResult
from leicos_jobs.core.errors import InputError
from leicos_jobs.robots.embodiment import Embodiment
from leicos_jobs.tasks.rule import Rule
from leicos_jobs.tasks.task import DEFAULT, Task, require_known, shipped

UNJUDGED: dict[str, Any] = {
    "success": None,
    "success_held": None,
    "success_rate": None,
    "max_lift": None,
    "first_grasp_row": None,
}
"""What a replay without a task cannot say."""
OUT_OF_REACH = [5.0, 5.0, 0.05, 1.0, 0.0, 0.0, 0.0]
"""Where the object lies then: metres from an arm of 0.4 m."""


NO_TASK = "none"


class EmbeddedSettings(Settings):
    """Physics of the replay."""

    task: str | Task = DEFAULT
    """A shipped task, or one as data: scene and rule (docs/tasks.md). none: a recording of another task. Only the arm
    is there: how well it follows the labels is reported, success is unknown, and `curate.require_success` must be
    false."""
    rule: Rule | None = None
    """What counts as success instead of the task's own rule, as data (docs/tasks.md)."""
    gripper_effort_limit: float = Field(workspace.GRIPPER_EFFORT, gt=0)
    """N m; the gripper servo's largest torque. LeIsaac sets mass of the nearest object / 0.15, 0.0667 for one of 10 g;
    with the MJCF's stock 3.35 MuJoCo's jaws go a centimetre into a cube."""

    @field_validator("task")
    @classmethod
    def _is_known(cls, task: str | Task) -> str | Task:
        return require_known(task, (NO_TASK,))

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        if self.task == NO_TASK:
            if self.rule is not None:
                raise ValueError("rule: without a task there is no object that it could be about")
        elif unknown := sorted(self.scene_task.rule.joints.keys() - set(JOINTS.names)):
            raise ValueError(f"rule: there is no joint {unknown[0]!r}, but {', '.join(JOINTS.names)}")
        return self

    @property
    def scene_task(self) -> Task:
        """The task whose scene is replayed, with the rule that counts; the default one where only the arm is there."""
        task = self.task if isinstance(self.task, Task) else shipped()[DEFAULT if self.task == NO_TASK else self.task]
        return task if self.rule is None else task.model_copy(update={"rule": self.rule})


S = TypeVar("S", bound=EmbeddedSettings)


class Simulation(rollout.Simulation, Protocol):
    """One arm, one object, in the MJCF frame."""

    limits: NDArray[np.float64]
    """(6, 2) rad, of the joints."""

    @property
    def joint_pos(self) -> NDArray[np.float64]:
        """(6,) rad."""

    @property
    def cube_pos(self) -> NDArray[np.float64]:
        """(3,) m, of the object."""

    @property
    def grasped(self) -> bool:
        """LeIsaac's object_grasped at this instant."""


class EmbeddedReplayer(Replayer[S], name="", version=0):
    """Replayer of the tasks that are data, and of the arm alone."""

    @abstractmethod
    def simulation(self, control_hz: float) -> Simulation:
        """The simulation at a control rate; a second call may give the same one again."""

    @override
    @classmethod
    def judges(cls, settings: S) -> bool:
        return settings.task != NO_TASK

    @override
    @classmethod
    def cannot(cls, settings: S, robot: Embodiment, states: bool) -> str | None:
        if robot.action.names != JOINTS.names or robot.state.names != JOINTS.names:
            return f"replay/{cls.name} has an SO-101, and no {robot.name}"
        return None if settings.task == NO_TASK else super().cannot(settings, robot, states)

    @override
    def process(self, requests: Sequence[ReplayRequest], started: Started) -> Iterator[ReplayResult]:
        """Replay one request after the other. Raises InputError for actions or a start that are not an SO-101's."""
        for request in requests:
            started(request.sample)
            yield ReplayResult(request.sample, self._replay(request))

    def _replay(self, request: ReplayRequest) -> ReplayMetrics:
        simulation, targets = self.begun(request)
        judge = rollout.judge(simulation)
        item = self.settings.scene_task.scene.object
        episode = Episode(request.sample, request.start, targets, request.hold, request.seed, item.half)
        trace = Trace(episode, simulation.limits)
        while not trace.done:
            simulation.step(trace.target())
            place, joints = simulation.cube_pos, simulation.joint_pos
            trace.note(judge.note(place, joints), joints, float(place[2]), simulation.grasped)
        metrics = trace.metrics()
        judged = ReplayMetrics(success_rate=float(metrics["success"]), repeats=1, **metrics)
        return judged.model_copy(update=UNJUDGED) if self.settings.task == NO_TASK else judged

    def begun(self, request: ReplayRequest) -> tuple[Simulation, NDArray[np.float32]]:
        """The simulation at a request's start, and (n, 6) rad its targets."""
        simulation = self.simulation(request.control_hz)
        name = self.settings.scene_task.scene.object.name
        simulation.reset(poses.from_leisaac(self._start(request), name))
        return simulation, JOINTS.to_recorded(request.require_actions(JOINTS.width))

    def _start(self, request: ReplayRequest) -> dict[str, Any]:
        """The state, without anything that the arm could touch where there is no task."""
        pose = poses.object_pose(self.settings.scene_task.scene.object.name)
        if self.settings.task == NO_TASK:
            robot = {key: value for key, value in request.start.items() if key.startswith("articulation/robot/")}
            return robot | {pose: OUT_OF_REACH}
        if pose not in request.start:
            raise InputError(
                f"sample {request.sample}, replay: the demo's state has no {pose}, it is not of this task",
                fix="replay.settings.task: none (and curate.require_success: false), or replay.backend: isaac-sim",
            )
        return dict(request.start)
