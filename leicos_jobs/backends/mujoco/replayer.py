"""Replay in MuJoCo."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from leicos_jobs.backends.embedded_replay import EmbeddedReplayer, EmbeddedSettings, Simulation
from leicos_jobs.backends.requests import ReplayRequest


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

    @override
    def film(self, request: ReplayRequest, size: tuple[int, int], every: int) -> Iterator[NDArray[np.uint8]]:
        from leicos_jobs.backends.mujoco.render import Renderer

        _, targets = self.begun(request)
        simulation = self._simulation(request.control_hz)
        with closing(Renderer(*size)) as renderer:
            for step, target in enumerate(targets):
                if step % every == 0:
                    yield np.array(renderer.draw(simulation.qpos))
                simulation.step(target)
