"""gate: a look at every video before it is labelled. What it refuses is counted and reported, never labelled.

First our own checks; then, where the configuration has one, a critic judges what passed them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from leicos_jobs.backends import registry
from leicos_jobs.backends.base import Critic, Processor, Started
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.backends.requests import CriticRequest, CriticResult
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import DefectError
from leicos_jobs.judge.gate_checks import Verdict, inspect_video
from leicos_jobs.run import starts
from leicos_jobs.run.chain import State
from leicos_jobs.run.results import read_states
from leicos_jobs.run.samples import Sample
from leicos_jobs.work.worker import Checked, SampleStage


@dataclass(frozen=True)
class GateRequest:
    """A video and the clip it must begin with."""

    sample: str
    video: Path
    clip: Path
    fps: float
    task: str = ""
    seed: int = 0


@dataclass(frozen=True)
class GateResult:
    """The verdict on one video, and what a critic said besides."""

    sample: str
    verdict: Verdict
    notes: dict[str, Any] = field(default_factory=dict)


class Gate(Processor[GateRequest, GateResult]):
    """The checks behind the worker's child process, like any backend: a video may crash a decoder."""

    def __init__(
        self,
        thresholds: dict[str, Any],
        critic: BackendSpec[Critic[Any]] | None = None,
        min_scores: dict[str, float] | None = None,
    ) -> None:
        self.thresholds = thresholds
        self.critic = critic.make() if critic else None
        self.min_scores = min_scores or {}

    def process(self, requests: Sequence[GateRequest], started: Started) -> Iterator[GateResult]:
        """Judge each video."""
        from leicos_jobs.media.decode import read_all  # brings PyAV, which a shard with nothing to do can spare

        for request in requests:
            started(request.sample)
            verdict = inspect_video(read_all(request.video), read_all(request.clip), request.fps, self.thresholds)
            notes: dict[str, Any] = {}
            if self.critic is not None and not verdict.reasons:
                opinion = self._opinion(self.critic, request)
                notes, verdict = opinion.notes, self._with(verdict, opinion.scores)
            yield GateResult(request.sample, verdict, notes)

    def _opinion(self, critic: Critic[Any], request: GateRequest) -> CriticResult:
        asked = CriticRequest(request.sample, request.video, request.task, request.seed)
        found = [result for result in critic.process([asked], lambda _sample: None) if result.sample == request.sample]
        if len(found) != 1:
            raise DefectError(f"the critic gave {len(found)} results for one video")
        return found[0]

    def _with(self, verdict: Verdict, scores: dict[str, float]) -> Verdict:
        """The verdict with a critic's scores, which must be all there and shares of one."""
        if missing := sorted(self.min_scores.keys() - scores.keys()):
            raise DefectError(f"the critic gave no score {', '.join(missing)}")
        if wrong := {name: score for name, score in scores.items() if not 0 <= score <= 1}:
            raise DefectError(f"the critic's scores are not in 0..1: {wrong}")
        reasons = [f"critic-{name}" for name, least in sorted(self.min_scores.items()) if scores[name] < least]
        rounded = {f"critic-{name}": round(score, 4) for name, score in scores.items()}
        return Verdict([*verdict.reasons, *reasons], verdict.scores | rounded)


class GateStage(SampleStage):
    """The worker loop's view of the gate."""

    name: ClassVar[str] = "gate"

    def states(self, samples: Sequence[Sample]) -> list[State]:
        """See `SampleStage.states`."""
        return read_states(self.run, samples, "gate")

    def spec(self, scratch: Path) -> BackendSpec[Gate]:
        """See `SampleStage.spec`."""
        config = self.run.config.gate
        arguments: dict[str, Any] = {"thresholds": config.model_dump(exclude={"critic"})}
        if (critic := config.critic) is not None:
            work = scratch / "critic"
            arguments["critic"] = registry.spec("critic", critic.backend, critic.settings, work=work)
            arguments["min_scores"] = critic.min_scores
        return BackendSpec.of(Gate, **arguments)

    def request(self, state: State, scratch: Path) -> GateRequest:
        """See `SampleStage.request`."""
        if state.generate is None:
            raise DefectError(f"sample {state.sample.id}: gate before generate")
        video = self.run.commits.fetch(state.generate, scratch)
        clip = starts.fetch_clip(self.run, starts.read(self.run, state.sample.start), scratch)
        fps, task = float(state.generate.facts["fps"]), state.sample.task or self.run.config.source.task or ""
        seed = int(digest_of({"critic": str(state.generate.sha256)}, 64), 16) >> 1
        return GateRequest(state.sample.id, video, clip, fps, task, seed)

    def check(self, state: State, result: GateResult, scratch: Path) -> Checked:
        """See `SampleStage.check`."""
        facts: dict[str, Any] = {
            "passed": not result.verdict.reasons,
            "reasons": result.verdict.reasons,
            "scores": result.verdict.scores,
        }
        if result.notes:
            facts["notes"] = result.notes
        return Checked(None, facts, {"video": str(state.generate.sha256) if state.generate else ""})
