"""Replay in MuJoCo."""

from __future__ import annotations

import functools
from pathlib import Path

from typing_extensions import override

from leicos_jobs.backends.embedded_replay import EmbeddedReplayer, EmbeddedSettings, Simulation


class MujocoReplayerSettings(EmbeddedSettings):
    """Physics of the replay."""


class MujocoReplayer(EmbeddedReplayer[MujocoReplayerSettings], name="mujoco", version=1, batch=16):
    """Replayer of tasks as data in MuJoCo."""

    def __init__(self, settings: MujocoReplayerSettings, work: Path) -> None:
        from leicos_jobs.backends.mujoco import simulation  # mujoco: not where versions are read

        super().__init__(settings, work)
        self._simulation = functools.cache(
            lambda control_hz: simulation.Simulation(control_hz, settings.gripper_effort_limit, settings.scene_task)
        )

    @override
    def simulation(self, control_hz: float) -> Simulation:
        return self._simulation(control_hz)
