"""generate: clip + prompt + seed -> video, verified (decodes, frames, codec, rate, size) before it is committed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from leicos_jobs.backends import registry
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.formats.action_tables import write_table
from leicos_jobs.run import episodes, identity, layout, refusals, starts
from leicos_jobs.run.chain import State
from leicos_jobs.run.episodes import Episode
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results, read_states
from leicos_jobs.run.samples import Sample
from leicos_jobs.work.artifacts import fetch_artifact
from leicos_jobs.work.real_demos import read_actions
from leicos_jobs.work.resume import KeptFiles
from leicos_jobs.work.worker import Checked, SampleStage


class GenerateStage(SampleStage):
    """The worker loop's view of the generator."""

    name: ClassVar[str] = "generate"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.results = Results(run)
        self.needs_demo = registry.load("generate", run.config.generate.backend).needs_demo
        self.robot = run.robot
        self.shared: KeptFiles | None = None

    @cached_property
    def episodes(self) -> dict[int, Episode]:
        """By index; read when the first sample asks, which brings pyarrow."""
        return {item.episode_index: item for item in episodes.read(self.run, self.results)}

    def states(self, samples: Sequence[Sample]) -> list[State]:
        """See `SampleStage.states`."""
        return read_states(self.run, samples, "generate")

    def spec(self, scratch: Path) -> BackendSpec[Any]:
        """See `SampleStage.spec`."""
        config = self.run.config.generate
        checkpoint = fetch_artifact(self.results, "post-train", scratch)
        work = scratch / "generator"
        self.shared = KeptFiles(self.run.store, layout.shared(), work)
        return registry.spec("generate", config.backend, config.settings, work=work, checkpoint=checkpoint)

    def request(self, state: State, scratch: Path) -> GenerateRequest:
        """See `SampleStage.request`. Raises InputError if the gate has stopped the run."""
        refusals.require_few(self.results)
        sample, config = state.sample, self.run.config.generate
        episode = self.episodes[sample.episode]
        if self.shared is not None:
            for name in identity.shared_files(self.run.config, [sample.prompt]):
                self.shared.bring(name)
        out = scratch / sample.id
        out.mkdir()
        start = starts.read(self.run, sample.start)
        request = GenerateRequest(
            sample=sample.id,
            prompt=sample.prompt,
            seed=sample.seed,
            clip=starts.fetch_clip(self.run, start, scratch),
            start=start.state,
            fps=episode.fps,
            frames=sample.frames,
            width=config.width,
            height=config.height,
            out_dir=out,
            demo_name=sample.demo,
            row0=sample.row0,
            outside=sample.outside,
        )
        return self._with_demo(request, sample, episode, scratch) if self.needs_demo else request

    def _with_demo(self, request: GenerateRequest, sample: Sample, episode: Episode, scratch: Path) -> GenerateRequest:
        from leicos_jobs.formats.lerobot_v21 import video_file

        name = video_file(sample.episode, self.run.config.source.camera)
        video = self.run.commits.fetch_file(self.results.needed("convert"), name, scratch)
        actions = read_actions(self.results, sample.episode, scratch)
        first = episode.frame(sample.row0)
        return dataclasses.replace(request, demo=video, demo_actions=actions, demo_first=first)

    def check(self, state: State, result: GenerateResult, scratch: Path) -> Checked:
        """See `SampleStage.check`. Truth goes to its own place first, named by the video's digest, even if the video is
        then refused: the report tells which planted defects were."""
        from leicos_jobs.media.probe import verify  # brings PyAV, which a worker with nothing to do can spare

        sample, config, truth = state.sample, self.run.config.generate, None
        if self.shared is not None:
            for name in identity.shared_files(self.run.config, [sample.prompt]):
                self.shared.keep(name)
        fps = self.episodes[sample.episode].fps
        if result.truth is not None and result.video.is_file():
            sha256 = sha256_file(result.video)
            path = scratch / f"{sample.id}-truth.parquet"
            write_table(path, result.truth, {"sample": sample.id, "video": sha256, "facts": result.truth_facts})
            truth = sha256_file(path)
            self.run.store.upload(layout.truth(sample.id, sha256, truth), path)
        info = verify(result.video, frames=sample.frames, fps=fps, size=(config.width, config.height))
        facts: dict[str, Any] = {"frames": info.frames, "fps": fps, "codec": info.codec}
        if truth is not None:
            facts["truth"] = truth
        inputs = {"start": sample.start}
        return Checked(result.video, facts | {"notes": result.notes}, inputs)
