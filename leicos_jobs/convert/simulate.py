"""Carrying a dataset's actions out in the embedded simulator, where it knows the scene."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.formats.episode_starts import State
from leicos_jobs.robots.embodiment import Embodiment
from leicos_jobs.run.config import ReplayConfig

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Simulated:
    """Targets carried out. tables: all of LeIsaac's but pictures, path -> (rows, width); success: by the task's rule;
    simulator: its name."""

    tables: dict[str, F32]
    success: bool
    simulator: str


Simulate = Callable[[State, F32, float], Simulated | None]
"""Carry out (n, action width) targets as recorded, from a state, at a control rate; None where the simulator does not
know all that is in the state."""


def embedded(robot: Embodiment, replay: ReplayConfig | None = None) -> Simulate | None:
    """MuJoCo with the task of a run's replay, else the default one; None if the robot is another one. replay: the
    run's, for its settings of MuJoCo."""
    from leicos_jobs.backends.mujoco import poses, rollout  # mujoco: only where it is used
    from leicos_jobs.backends.mujoco.replayer import MujocoReplayerSettings
    from leicos_jobs.backends.mujoco.robot import ROBOT
    from leicos_jobs.backends.mujoco.simulation import Simulation

    if robot != ROBOT:
        return None
    given = replay.settings if replay and replay.backend == "mujoco" else {}
    settings = MujocoReplayerSettings.model_validate(given)
    task = settings.scene_task
    name = task.scene.object.name
    at = functools.cache(lambda control_hz: Simulation(control_hz, settings.gripper_effort_limit, task))

    def simulate(state: State, targets: F32, control_hz: float) -> Simulated | None:
        if poses.object_pose(name) not in state or not state.keys() <= poses.state_widths(name).keys():
            return None
        simulation = at(control_hz)
        simulation.reset(poses.from_leisaac(state, name))
        done = rollout.run(simulation, targets)
        return Simulated(done.tables(), done.success, "mujoco")

    return simulate
