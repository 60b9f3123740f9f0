"""The replay loop, written against a small interface, so that it can be tested without a simulator.

Several environments work at once: each takes the next episode when it is done with one, the others go on. A finished
episode is reported at once; whoever dies afterwards costs only what was in hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

HELD_STEPS = 30
"""Control steps in a row of success that count as held: half a second at 60 Hz."""
CLIPPED = 1e-5
"""rad; a target is counted as clipped beyond this, since float32 alone moves one at its limit by 1e-7."""


class TaskRefusedError(Exception):
    """The task that was asked for can never be replayed here: the configuration is at fault, and no retry helps."""


class Env(Protocol):
    """What the loop needs of a vectorised environment. Arrays have one row per environment."""

    num_envs: int
    width: int

    def reset_to(self, env: int, start: dict[str, list[float]], seed: int) -> None:
        """Put one environment into a state, the others untouched. Raises ValueError if the state is not the task's."""

    def step(self, targets: np.ndarray) -> None:
        """Apply joint targets, (num_envs, width) float32 rad, for one control step. Never resets by itself."""

    def success(self) -> np.ndarray:
        """(num_envs,) bool: the task's own success term, at this instant."""

    def joint_pos(self) -> np.ndarray:
        """(num_envs, width) rad."""

    def height(self) -> np.ndarray | None:
        """(num_envs,) m: the object's z relative to its environment; None if the task has no such object."""

    def grasped(self) -> np.ndarray | None:
        """(num_envs,) bool: LeIsaac's object_grasped; None if the task has no such object."""


@dataclass(frozen=True)
class Episode:
    """One replay. targets: (n, width) rad at the control rate; the last one is held for `hold` more steps."""

    id: str
    start: dict[str, list[float]]
    targets: np.ndarray
    hold: int
    seed: int
    start_height: float | None = None

    @property
    def steps(self) -> int:
        """Control steps in all."""
        return len(self.targets) + max(0, self.hold)


@dataclass
class Trace:
    """What is noted along one episode, also by the replay in MuJoCo."""

    episode: Episode
    limits: np.ndarray
    step: int = 0
    above: list[bool] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    errors: list[np.ndarray] = field(default_factory=list)
    clipped: int = 0
    grasp_row: int | None = None
    joint_pos: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def target(self) -> np.ndarray:
        """The next target, clipped to the joint limits."""
        wanted = self.episode.targets[min(self.step, len(self.episode.targets) - 1)]
        return np.asarray(np.clip(wanted, self.limits[:, 0], self.limits[:, 1]))

    def note(self, success: bool, joint_pos: np.ndarray, height: float | None, grasped: bool) -> None:
        """Take down what is after a step."""
        if self.step < len(self.episode.targets):
            wanted = self.episode.targets[self.step]
            clipped = np.clip(wanted, self.limits[:, 0], self.limits[:, 1])
            self.clipped += bool(np.any(np.abs(clipped - wanted) > CLIPPED))
            self.errors.append(wanted - joint_pos)
        if self.grasp_row is None and grasped:
            self.grasp_row = self.step
        if height is not None:
            self.heights.append(height)
        self.above.append(success)
        self.joint_pos = joint_pos
        self.step += 1

    @property
    def done(self) -> bool:
        """Whether all steps were made."""
        return self.step >= self.episode.steps

    def metrics(self) -> dict[str, Any]:
        """Named as in `ReplayMetrics`. The gripper is left out of the tracking error: it is meant to be stopped."""
        rms = np.sqrt(np.mean(np.degrees(np.array(self.errors)) ** 2, axis=0))
        lift = None
        if self.heights:
            base = self.heights[0] if self.episode.start_height is None else self.episode.start_height
            lift = float(max(self.heights) - base)
        return {
            "success": any(self.above),
            "success_held": held(self.above),
            "max_lift": lift,
            "first_grasp_row": self.grasp_row,
            "tracking_error_deg": float(np.sqrt(np.mean(rms[:-1] ** 2))),
            "gripper_error_deg": float(rms[-1]),
            "limit_clip_share": self.clipped / len(self.episode.targets),
            "final_joint_pos": [float(value) for value in self.joint_pos],
        }


def held(above: Sequence[bool]) -> bool:
    """True for HELD_STEPS in a row, or still so at the end."""
    run = 0
    for value in above:
        run = run + 1 if value else 0
        if run >= HELD_STEPS:
            return True
    return run > 0


Beat = Callable[[list[str]], None]
Report = Callable[[dict[str, Any]], None]


def replay(env: Env, episodes: Sequence[Episode], limits: np.ndarray, slots: int, beat: Beat, report: Report) -> None:
    """Work all episodes on the first `slots` environments.

    limits: (width, 2) rad. beat: called each step with the ids in hand. report: called with {"id", "metrics"} or, for
    an episode that cannot start, {"id", "error"}.
    """
    queue = deque(episodes)
    traces: list[Trace | None] = [None] * env.num_envs
    targets = np.array(env.joint_pos(), dtype=np.float32)
    while True:
        for index in range(min(slots, env.num_envs)):
            if traces[index] is None:
                traces[index] = _begin(env, index, queue, limits, beat, traces, report)
        working = [(index, trace) for index, trace in enumerate(traces) if trace is not None]
        if not working:
            return
        for index, trace in working:
            targets[index] = trace.target()  # an idle environment holds its last one
        beat([trace.episode.id for _, trace in working])
        env.step(targets)
        _note(env, working)
        for index, trace in working:
            if trace.done:
                report({"id": trace.episode.id, "metrics": trace.metrics()})
                traces[index] = None


def _begin(
    env: Env,
    index: int,
    queue: deque[Episode],
    limits: np.ndarray,
    beat: Beat,
    traces: list[Trace | None],
    report: Report,
) -> Trace | None:
    """Reset an environment to the next episode that can start."""
    while queue:
        episode = queue.popleft()
        beat([episode.id, *(trace.episode.id for trace in traces if trace is not None)])
        try:
            if episode.targets.ndim != 2 or episode.targets.shape[1] != env.width or not len(episode.targets):
                raise ValueError(f"targets of shape {episode.targets.shape}, the task takes (n, {env.width})")
            env.reset_to(index, episode.start, episode.seed)
        except ValueError as error:
            report({"id": episode.id, "error": str(error)})
            continue
        return Trace(episode, limits)
    return None


def _note(env: Env, working: Sequence[tuple[int, Trace]]) -> None:
    success, joint_pos = np.asarray(env.success()), np.array(env.joint_pos())
    height, grasped = env.height(), env.grasped()
    for index, trace in working:
        trace.note(
            bool(success[index]),
            joint_pos[index],
            None if height is None else float(height[index]),
            grasped is not None and bool(grasped[index]),
        )
