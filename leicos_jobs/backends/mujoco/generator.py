"""Generation in MuJoCo: fresh scripted attempts at a task from a demo's state, standing in for a video model.

Everything is a function of (request.seed, request.sample, settings). The truth leaves in `truth` and `truth_facts`
only: action (frames, 6) is the target applied at control row k * stride, observation.state likewise, both in motor
units; action_full has every control step. Replayed from `request.start`, action_full gives the same joint angles to
the bit. For a defective video the truth is that of the rollout, whatever the pictures show. truth_facts: success by
the task's rule within the video, planned_failure, defect (a name of `leicos_jobs.backends.mujoco.dream` or None).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from typing_extensions import override

from leicos_jobs.backends.base import Generator, Started
from leicos_jobs.backends.mujoco.settings import MujocoGeneratorSettings
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult


class MujocoGenerator(Generator[MujocoGeneratorSettings], name="mujoco", version=1, needs_states=True):
    """Generator of the tasks in `leicos_jobs/tasks`."""

    def __init__(self, settings: MujocoGeneratorSettings, checkpoint: Path | None, work: Path) -> None:
        from leicos_jobs.backends.mujoco.dream import Dreamer  # mujoco: needed here, not where versions are read

        super().__init__(settings, checkpoint, work)
        self._dreamer = Dreamer(settings)

    @override
    def process(self, requests: Sequence[GenerateRequest], started: Started) -> Iterator[GenerateResult]:
        """Imagine one video after the other. Raises InputError for a request that does not fit the scene."""
        for request in requests:
            started(request.sample)
            yield self._dreamer.make(request)
