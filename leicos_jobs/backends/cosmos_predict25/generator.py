"""The generator: clip, prompt and seed to video, by Cosmos-Predict2.5.

Upstream gives only what is asked of it: one line per sample with absolute paths, an output folder of the sample's own.
What it leaves is believed after it decodes with the right number of frames, and is re-stamped from upstream's nominal
16 frames/s to the dataset's rate before anyone sees it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from leicos_jobs.backends.base import Generator, Started
from leicos_jobs.backends.cosmos_predict25 import jobs
from leicos_jobs.backends.cosmos_predict25.checkout import find_checkout
from leicos_jobs.backends.cosmos_predict25.command import weights_of
from leicos_jobs.backends.cosmos_predict25.command_line import CommandLine
from leicos_jobs.backends.cosmos_predict25.resident import Resident, UnusableError
from leicos_jobs.backends.cosmos_predict25.settings import UPSTREAM, CosmosSettings
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult
from leicos_jobs.core import logs
from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.media.errors import VideoError
from leicos_jobs.media.probe import verify
from leicos_jobs.media.remux import restamp


class GenerationError(Exception):
    """Upstream made no usable video of a sample; counted against it."""


class CosmosGenerator(
    Generator[CosmosSettings], name="cosmos-predict2.5", version=1, upstream=UPSTREAM, batch=4, trained=True
):
    """Generator `cosmos-predict2.5`."""

    def __init__(self, settings: CosmosSettings, checkpoint: Path | None, work: Path) -> None:
        """Load the model. Raises InputError: no upstream here, another commit, weights that do not fit."""
        super().__init__(settings, checkpoint, work)
        self._checkout = find_checkout(self.settings)
        self._weights = weights_of(self.settings, checkpoint)
        self.runner = self._make_runner(work)
        self.batch = self.runner.batch

    def _make_runner(self, work: Path) -> jobs.Runner:
        arguments = (self._checkout, self.settings, self._weights, work)
        if self.settings.driver == "cli":
            return CommandLine(*arguments)
        try:
            return Resident(*arguments)
        except UnusableError as error:
            if self.settings.driver == "api":
                raise InputError(
                    f"this upstream cannot be driven from Python: {error}", fix="set driver: cli"
                ) from None
            logs.event("cosmos.driver", driver="cli", reason=str(error))
            return CommandLine(*arguments)

    @override
    @classmethod
    def seeds_per_sample(cls, settings: CosmosSettings, frames: int) -> int:
        """Chunk k of a video uses seed + k, so the seeds of one start must stand so far apart."""
        return settings.chunks(frames)

    @override
    @classmethod
    def identity(cls, settings: CosmosSettings) -> dict[str, Any]:
        """Settings that determine a video: those of the post-training are in the checkpoint's digest."""
        return settings.identity()

    @override
    @classmethod
    def check_run(cls, settings: CosmosSettings, frames: int, width: int, height: int) -> None:
        """Raises InputError if a run's size and length are not what these settings can make."""
        settings.geometry(frames, width, height)

    @override
    def process(self, requests: Sequence[GenerateRequest], started: Started) -> Iterator[GenerateResult]:
        """Yield each video as soon as it is finished and verified.

        A sample that fails does not stop the others: it is blamed when they are done. Raises GenerationError then, or
        at once if upstream died, with the sample that it worked on announced last.
        """
        wanted = {request.sample: request for request in requests}
        work = [self._job(request) for request in requests]
        for job in work:
            job.out.mkdir(parents=True, exist_ok=True)
        failed: dict[str, str] = {}
        try:
            for event in self.runner.run(work):
                if isinstance(event, jobs.Started):
                    started(event.name)
                elif isinstance(event, jobs.Failed):
                    failed[event.name] = event.error
                else:
                    try:
                        result = self._accept(wanted[event.name], event)
                    except VideoError as error:
                        failed[event.name] = str(error)
                    else:
                        yield result
        except jobs.UpstreamDiedError as error:
            raise GenerationError(str(error)) from None
        except (jobs.UpstreamLoadError, UnusableError) as error:
            # No sample's fault: end this process, so that the worker starts the backend again or gives up.
            logs.event("cosmos.does_not_load", error=str(error))
            raise SystemExit(int(ExitCode.DEFECT)) from None
        self._blame(failed, started)

    @staticmethod
    def _blame(failed: dict[str, str], started: Started) -> None:
        for number, (sample, error) in enumerate(failed.items()):
            if number == len(failed) - 1:
                started(sample)
                raise GenerationError(error)
            logs.event("cosmos.failed", sample=sample, error=error)

    def _job(self, request: GenerateRequest) -> jobs.Job:
        line = self.settings.line(
            name=request.sample,
            prompt=request.prompt,
            clip=str(request.clip.absolute()),
            seed=request.seed,
            frames=request.frames,
            size=(request.width, request.height),
        )
        return jobs.Job(line, request.out_dir / "upstream")

    def _accept(self, request: GenerateRequest, event: jobs.Finished) -> GenerateResult:
        verify(event.video, frames=request.frames, size=(request.width, request.height))
        video = request.out_dir / f"{request.sample}.mp4"
        restamp(event.video, video, request.fps)
        notes = {
            "driver": self.runner.name,
            "upstream_seconds": round(event.seconds, 2),
            "upstream_commit": self._checkout.commit or "not stated",
            "guardrails": self.settings.guardrails,
            "weights": self._weights.experiment or self._weights.model,
        }
        return GenerateResult(request.sample, video, notes=notes)

    @override
    def close(self) -> None:
        """End upstream."""
        self.runner.close()
