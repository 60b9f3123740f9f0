"""gate: a look at every video before it is labelled. What it refuses is counted and reported, never labelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from leicos_jobs.backends.contracts import Started
from leicos_jobs.core.errors import DefectError
from leicos_jobs.media.decode import read_all
from leicos_jobs.run.chain import State
from leicos_jobs.run.samples import Sample
from leicos_jobs.stages import context
from leicos_jobs.stages.child import BackendSpec
from leicos_jobs.stages.gate_checks import Verdict, inspect_video
from leicos_jobs.stages.worker import Checked, SampleStage


@dataclass(frozen=True)
class GateRequest:
    """A video and the clip it must begin with."""

    sample: str
    video: Path
    clip: Path
    fps: float


@dataclass(frozen=True)
class GateResult:
    """The verdict on one video."""

    sample: str
    verdict: Verdict


class Gate:
    """The checks behind the worker's child process, like any backend: a video may crash a decoder."""

    batch = 1

    def __init__(self, thresholds: dict[str, Any]) -> None:
        self.thresholds = thresholds

    def process(self, requests: Sequence[GateRequest], started: Started) -> Iterator[GateResult]:
        """Judge each video."""
        for request in requests:
            started(request.sample)
            verdict = inspect_video(read_all(request.video), read_all(request.clip), request.fps, self.thresholds)
            yield GateResult(request.sample, verdict)


class GateStage(SampleStage):
    """The worker loop's view of the gate."""

    name: ClassVar[str] = "gate"

    def states(self, samples: Sequence[Sample]) -> list[State]:
        """See `SampleStage.states`."""
        return context.states(self.run, samples, "gate")

    def spec(self, scratch: Path) -> BackendSpec:
        """See `SampleStage.spec`."""
        return BackendSpec("leicos_jobs.stages.gate:Gate", {"thresholds": self.run.config.gate.model_dump()})

    def request(self, state: State, scratch: Path) -> GateRequest:
        """See `SampleStage.request`."""
        if state.generate is None:
            raise DefectError(f"sample {state.sample.id}: gate before generate")
        video = self.run.commits.fetch(state.generate, scratch)
        clip = self.run.store.fetch(state.sample.clip, scratch)
        return GateRequest(state.sample.id, video, clip, float(state.generate.facts["fps"]))

    def check(self, state: State, result: GateResult, scratch: Path) -> Checked:
        """See `SampleStage.check`."""
        facts = {
            "passed": not result.verdict.reasons,
            "reasons": result.verdict.reasons,
            "scores": result.verdict.scores,
        }
        return Checked(None, facts, {"video": str(state.generate.sha256) if state.generate else ""})
