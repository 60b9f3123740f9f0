"""gate: a look at every video before it is labelled. What it refuses is counted and reported, never labelled.

First our own checks, by limits relative to the source's own videos; then, where the configuration has one, a critic
judges what passed them. A gate that refuses too much stops the run and shows what it refused.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from leicos_jobs.backends import registry
from leicos_jobs.backends.base import Critic, Processor, Started
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.backends.requests import CriticRequest, CriticResult
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import DefectError
from leicos_jobs.judge.gate_limits import Limits, Verdict, gathered, judge, limits
from leicos_jobs.run import calibration, episodes, layout, refusals, starts
from leicos_jobs.run.chain import State
from leicos_jobs.run.config_gate import GateCheck
from leicos_jobs.run.plan import CONDITIONING
from leicos_jobs.run.results import Results, read_states
from leicos_jobs.run.samples import Sample
from leicos_jobs.work.worker import Checked, SampleStage

SOURCE_VIDEOS = 32
"""Real videos that are scored, spread over the source."""
SHOWN = 12
"""Refused videos on the contact sheet."""


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
        allowed: Limits,
        checks: tuple[GateCheck, ...],
        critic: BackendSpec[Critic[Any]] | None = None,
        min_scores: dict[str, float] | None = None,
    ) -> None:
        self.allowed, self.checks = allowed, checks
        self.critic = critic.make() if critic else None
        self.min_scores = min_scores or {}

    def process(self, requests: Sequence[GateRequest], started: Started) -> Iterator[GateResult]:
        """Judge each video."""
        from leicos_jobs.judge.gate_scores import measure
        from leicos_jobs.media.decode import read_all, read_frames  # PyAV, which a worker with nothing to do can spare

        for request in requests:
            started(request.sample)
            scores = measure(read_frames(request.video), read_all(request.clip), request.fps)
            verdict = judge(scores, self.allowed, self.checks)
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
        allowed = limits(source_scores(Results(self.run)), config) if config.checks else {}
        arguments: dict[str, Any] = {"allowed": allowed, "checks": config.checks}
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

    def finish(self, samples: Sequence[Sample]) -> None:
        """See `SampleStage.finish`. Raises InputError if too many of the plan's videos are refused; they are only read
        where this worker's alone are too many."""
        results, own = Results(self.run), self.states(samples)
        if not _exceeds(results, own, least=1):
            return
        states = self.states(results.samples())
        if not _exceeds(results, states):
            return
        refused = [state for state in states if state.refused is not None]
        stop = refusals.Stop(
            judged=sum(state.gate is not None for state in states),
            refused=len(refused),
            reasons=dict(Counter(state.refused for state in refused if state.refused).most_common()),
            sheet=draw_refused(results, refused),
        )
        limit = self.run.config.gate.refused_share_max
        raise refusals.commit(results, stop).error(self.run.store.uri, limit)


def source_scores(results: Results) -> dict[str, list[float]]:
    """The gate's scores of the source's videos, as far as generated ones are long: kept, or made now."""
    if (known := calibration.find(results)) is not None:
        return known.scores
    from leicos_jobs.formats.lerobot_v21 import video_file
    from leicos_jobs.judge.gate_scores import measure
    from leicos_jobs.media.decode import read_frames

    run, dataset = results.run, results.needed("convert")
    frames, camera = run.config.generate.frames, run.config.source.camera
    items = [item for item in episodes.read(run, results) if item.frames > CONDITIONING]
    scores = []
    with tempfile.TemporaryDirectory(prefix="leicos-") as scratch:
        for item in items[:: -(-len(items) // SOURCE_VIDEOS)]:
            path = run.commits.fetch_file(dataset, video_file(item.episode_index, camera), Path(scratch))
            clip = np.stack(list(islice(read_frames(path), CONDITIONING)))
            scores.append(measure(islice(read_frames(path), frames), clip, item.fps))
    return calibration.commit(results, gathered(scores)).scores


def draw_refused(results: Results, refused: Sequence[State]) -> str | None:
    """Make the contact sheet of refused videos; its key, or None where Pillow is not installed."""
    try:
        from leicos_jobs.judge.sheets import Strip, contact_sheet
    except ImportError:
        return None
    run, key = results.run, layout.stop(refusals.key_of(results), ".png")
    with tempfile.TemporaryDirectory(prefix="leicos-") as scratch:
        strips = [
            Strip(run.commits.fetch(state.generate, Path(scratch)), f"{state.sample.id[:8]}  {state.refused}", "bad")
            for state in refused[:: -(-len(refused) // SHOWN)]
            if state.generate is not None
        ]
        contact_sheet(strips, Path(scratch) / "sheet.png")
        run.store.upload(key, Path(scratch) / "sheet.png")
    return key


def _exceeds(results: Results, states: Sequence[State], least: int | None = None) -> bool:
    judged = [state for state in states if state.gate is not None]
    return refusals.exceeded(results.config.gate, len(judged), sum(s.refused is not None for s in judged), least)
