"""controls: replays of drawn samples that give the labels' success rate a meaning.

Ceilings: the true actions, where a generator knows them, at the control rate and at dataset rows like the labels.
Floors: another demo's actions on this start state, and the sample's own labels with shuffled rows. Truth is read here,
for scoring only. `replay-demos` does the same for the real demos.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.base import Processor, Replayer, Started
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.backends.requests import ReplayMetrics, ReplayRequest
from leicos_jobs.judge.truth import read_truth
from leicos_jobs.run.chain import State
from leicos_jobs.run.controls import demos_of, other_demo
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results, read_states
from leicos_jobs.run.samples import Sample
from leicos_jobs.stages.replay import ReplayStage, replay_spec
from leicos_jobs.work.real_demos import read_actions
from leicos_jobs.work.worker import Checked, SampleStage

F32 = NDArray[np.float32]
GROUPS = 4
"""Replays per sample, at most."""


@dataclass(frozen=True)
class ControlsRequest:
    """All replays of one sample, by group of controls."""

    sample: str
    replays: dict[str, ReplayRequest]


@dataclass(frozen=True)
class ControlsResult:
    """What they measured."""

    sample: str
    metrics: dict[str, ReplayMetrics]


class Controls(Processor[ControlsRequest, ControlsResult]):
    """The simulator behind the worker's child process; a sample is done when all of its replays are."""

    def __init__(self, replayer: BackendSpec[Replayer[Any]]) -> None:
        self.replayer = replayer.make()
        self.batch = (self.replayer.batch + 1) // 2  # samples, of two replays at least
        if self.replayer.lifetime is not None:
            self.lifetime = self.replayer.lifetime // GROUPS

    def process(self, requests: Sequence[ControlsRequest], started: Started) -> Iterator[ControlsResult]:
        """Yield each sample's result as soon as its last replay is finished."""
        wanted = {request.sample: len(request.replays) for request in requests}
        measured: dict[str, dict[str, ReplayMetrics]] = defaultdict(dict)
        replays = [
            dataclasses.replace(replay, sample=f"{group}/{request.sample}")
            for request in requests
            for group, replay in request.replays.items()
        ]
        for result in self.replayer.process(replays, lambda name: started(name.partition("/")[2])):
            group, _, sample = result.sample.partition("/")
            measured[sample][group] = result.metrics
            if len(measured[sample]) == wanted[sample]:
                yield ControlsResult(sample, measured.pop(sample))

    def close(self) -> None:
        """See `Processor.close`."""
        self.replayer.close()


class ControlsStage(SampleStage):
    """The worker loop's view of the controls."""

    name: ClassVar[str] = "controls"
    another_round: ClassVar[bool] = False

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.results = Results(run)
        self.replay = ReplayStage(run)
        self.demos = demos_of(self.results.samples())

    def states(self, samples: Sequence[Sample]) -> list[State]:
        """See `SampleStage.states`."""
        return read_states(self.run, samples, "controls")

    def spec(self, scratch: Path) -> BackendSpec[Controls]:
        """See `SampleStage.spec`."""
        return BackendSpec.of(Controls, replayer=replay_spec(self.run, scratch))

    def request(self, state: State, scratch: Path) -> ControlsRequest:
        """See `SampleStage.request`."""
        labels = self.replay.labels(state, scratch)
        at_rows = {"shuffled": np.random.default_rng(int(state.sample.id, 16)).permutation(labels)}
        if (foreign := self._foreign(state.sample, len(labels), scratch)) is not None:
            at_rows["other_demo"] = foreign
        known = read_truth(self.run, state, scratch)
        if known is not None:
            at_rows["truth_resampled"] = known[0]["action"]
        replays = {group: self.replay.request_for(state.sample, actions) for group, actions in at_rows.items()}
        if known is not None and "action_full" in known[0]:
            full = known[0]["action_full"]
            replays["truth"] = dataclasses.replace(replays["truth_resampled"], actions=full)
        return ControlsRequest(state.sample.id, replays)

    def _foreign(self, sample: Sample, rows: int, scratch: Path) -> F32 | None:
        """(at most `rows`, width) another demo's actions, from the same frame on where it lasts so long."""
        demo = other_demo(sample, self.demos)
        if demo is None:
            return None
        index = next(item.episode_index for item in self.replay.episodes.values() if item.demo_sha256 == demo)
        actions = read_actions(self.results, index, scratch)
        first = min(self.replay.episodes[sample.episode].frame(sample.row0), max(0, len(actions) - rows))
        return actions[first : first + rows]

    def check(self, state: State, result: ControlsResult, scratch: Path) -> Checked:
        """See `SampleStage.check`."""
        measured = {group: metrics.facts() for group, metrics in sorted(result.metrics.items())}
        inputs = self.replay.inputs(state)
        if state.generate is not None and (truth := state.generate.facts.get("truth")) is not None:
            inputs["truth"] = str(truth)
        if (other := other_demo(state.sample, self.demos)) is not None:
            inputs["other"] = other
        return Checked(None, {"controls": measured}, inputs)
