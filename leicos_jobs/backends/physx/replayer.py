"""Replay in PhysX."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from leicos_jobs.backends.embedded_replay import EmbeddedReplayer, Simulation
from leicos_jobs.backends.physx.library import require_licence
from leicos_jobs.backends.physx.settings import PhysxSettings

OVPHYSX = "ovphysx 0.7.0.74035321"
LIFETIME = 256
"""Samples per process: the library keeps some 24 KB of each (docs/measured.md)."""


class PhysxReplayer(
    EmbeddedReplayer[PhysxSettings], name="physx", version=1, upstream=OVPHYSX, batch=16, lifetime=LIFETIME
):
    """Replayer of tasks as data in PhysX."""

    def __init__(self, settings: PhysxSettings, work: Path) -> None:
        """Open the scene. Raises InputError: licence not accepted, ovphysx or the arm not here, an arm that is none."""
        require_licence(settings.accept_licence)
        from leicos_jobs.backends.physx import simulation  # ovphysx: not where versions are read

        super().__init__(settings, work)
        self._engine = simulation
        self._bodies = simulation.opened(settings.arm, settings.arm_sha256, settings.scene_task.scene)

    @override
    def simulation(self, control_hz: float) -> Simulation:
        settings = self.settings
        return self._engine.Simulation(self._bodies, control_hz, settings.gripper_effort_limit, settings.scene_task)
