"""replay: labels from their own demo's state at row0, at the control rate, in a simulator."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends import registry
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.backends.requests import ReplayRequest, ReplayResult
from leicos_jobs.core.errors import DefectError
from leicos_jobs.formats.action_tables import read_table
from leicos_jobs.robots.resample import to_control_rate
from leicos_jobs.run import episodes, starts
from leicos_jobs.run.chain import State
from leicos_jobs.run.episodes import Episode
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import read_states
from leicos_jobs.run.samples import Sample
from leicos_jobs.work.worker import Checked, SampleStage


class ReplayStage(SampleStage):
    """The worker loop's view of the simulator."""

    name: ClassVar[str] = "replay"
    another_round: ClassVar[bool] = False

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.robot = run.robot

    @cached_property
    def episodes(self) -> dict[int, Episode]:
        """By index; read when the first sample asks, which brings pyarrow."""
        return {item.episode_index: item for item in episodes.read(self.run)}

    def states(self, samples: Sequence[Sample]) -> list[State]:
        """See `SampleStage.states`."""
        return read_states(self.run, samples, "replay")

    def spec(self, scratch: Path) -> BackendSpec[Any]:
        """See `SampleStage.spec`."""
        return replay_spec(self.run, scratch)

    def request(self, state: State, scratch: Path) -> ReplayRequest:
        """See `SampleStage.request`."""
        return self.request_for(state.sample, self.labels(state, scratch))

    def labels(self, state: State, scratch: Path) -> NDArray[np.float32]:
        """(frames, width) a sample's labels. Raises DefectError if they are another video's."""
        if state.label is None:
            raise DefectError(f"sample {state.sample.id}: replay before label")
        columns, meta = read_table(self.run.commits.fetch(state.label, scratch))
        if state.generate is None or meta["video"] != state.generate.sha256:
            raise DefectError(f"sample {state.sample.id}: its labels belong to another video")
        return columns["action"]

    def request_for(self, sample: Sample, actions: NDArray[np.float32]) -> ReplayRequest:
        """Replay of `actions` at dataset rows from a sample's start."""
        episode = self.episodes[sample.episode]
        return ReplayRequest(
            sample=sample.id,
            start=starts.read(self.run, sample.start).state,
            actions=to_control_rate(actions, episode.stride, self.robot),
            control_hz=episode.control_hz,
            hold=self.run.config.replay.hold,
            repeats=self.run.config.replay.repeats,
            seed=sample.seed,
        )

    def check(self, state: State, result: ReplayResult, scratch: Path) -> Checked:
        """See `SampleStage.check`."""
        return Checked(None, {"metrics": result.metrics.facts()}, self.inputs(state))

    def inputs(self, state: State) -> dict[str, str]:
        """Digests of what a replay of a sample's labels depends on."""
        labels = state.label.sha256 if state.label else None
        return {"labels": str(labels), "start": state.sample.start}


def replay_spec(run: Run, scratch: Path) -> BackendSpec[Any]:
    """The configured simulator."""
    config = run.config.replay
    return registry.spec("replay", config.backend, config.settings, work=scratch / "simulator")
