"""The generator: videos are made in a thread, and written, verified and committed while the next one is made."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from leicos_jobs.backends.base import Generator, Started
from leicos_jobs.backends.cosmos.settings import CosmosSettings
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult
from leicos_jobs.core import logs
from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.encode import write_video

if TYPE_CHECKING:
    from leicos_jobs.backends.cosmos.pipeline import VideoModel

NEEDED = ("torch", "torchvision", "diffusers", "transformers", "accelerate")


class GenerationError(Exception):
    """No usable video came of a sample; counted against it."""


@dataclass(frozen=True)
class _Begun:
    sample: str


@dataclass(frozen=True)
class _Made:
    request: GenerateRequest
    frames: NDArray[np.uint8]
    seconds: float


@dataclass(frozen=True)
class _Failed:
    sample: str
    error: str
    broken: bool = False
    """The GPU is in a state in which nothing works any more."""


_Event = _Begun | _Made | _Failed | None
"""What the thread says; None: it is done."""


class CosmosGenerator(Generator[CosmosSettings], name="cosmos", version=1, batch=4, run_ahead=True):
    """Generator `cosmos`: Predict2.5 on diffusers."""

    def __init__(self, settings: CosmosSettings, checkpoint: Path | None, work: Path) -> None:
        """Load the model. Raises InputError: the extra is not installed, no GPU, too little memory, weights."""
        super().__init__(settings, checkpoint, work)
        if lacking := [name for name in NEEDED if find_spec(name) is None]:
            raise InputError(f"cosmos needs {', '.join(lacking)}", fix="pip install 'leicos[torch,cosmos]'")
        from leicos_jobs.backends.cosmos.pipeline import VideoModel

        self.model: VideoModel = VideoModel(self.settings, checkpoint)
        self._trained = checkpoint is not None

    @override
    @classmethod
    def is_trained(cls, settings: CosmosSettings) -> bool:
        """Where `post_train` is set; size small always."""
        return settings.post_train is not None

    @override
    @classmethod
    def identity(cls, settings: CosmosSettings) -> dict[str, Any]:
        """Settings that determine a video: those of the post-training are in the checkpoint's digest."""
        return settings.model_dump(mode="json", exclude_defaults=True, exclude={"post_train"})

    @override
    @classmethod
    def seeds_per_sample(cls, settings: CosmosSettings, frames: int) -> int:
        """Chunk k of a video uses seed + k, so the seeds of one start must stand so far apart."""
        return settings.chunks(frames)

    @override
    @classmethod
    def check_run(cls, settings: CosmosSettings, frames: int, width: int, height: int) -> None:
        """Raises InputError if the family cannot make such videos, or required settings are missing."""
        settings.check(width, height)

    @override
    def process(self, requests: Sequence[GenerateRequest], started: Started) -> Iterator[GenerateResult]:
        """Yield each video as soon as it is written. Raises GenerationError for the last sample that failed, after the
        others are done: those that failed before it come again."""
        events: queue.Queue[_Event] = queue.Queue(maxsize=2)
        thread = threading.Thread(target=self._work, args=(requests, events), daemon=True)
        thread.start()
        failed: list[_Failed] = []
        try:
            while (event := events.get()) is not None:
                if isinstance(event, _Begun):
                    started(event.sample)
                elif isinstance(event, _Made):
                    yield self._write(event)
                else:
                    failed.append(event)
        finally:
            self.model.stop.set()
            while thread.is_alive():
                with contextlib.suppress(queue.Empty):  # it may wait for a place in the queue
                    events.get(timeout=0.05)
            self.model.stop.clear()
        self._blame(failed, started)

    @staticmethod
    def _blame(failed: list[_Failed], started: Started) -> None:
        for failure in failed:
            logs.event("cosmos.failed", sample=failure.sample, error=failure.error)
        if not failed:
            return
        started(failed[-1].sample)
        if failed[-1].broken:  # no later sample could work in this process: the worker starts another one
            raise SystemExit(int(ExitCode.DEFECT))
        raise GenerationError(failed[-1].error)

    def _work(self, requests: Sequence[GenerateRequest], events: queue.Queue[_Event]) -> None:
        try:
            self.model.prepare([request.prompt for request in requests])
            for request in requests:
                if self.model.stop.is_set():
                    return
                events.put(_Begun(request.sample))
                event = self._make(request)
                events.put(event)
                if isinstance(event, _Failed) and event.broken:
                    return
        except Exception as error:  # noqa: BLE001 - of the text encoder: the first sample is blamed
            events.put(_Failed(requests[0].sample, f"{type(error).__name__}: {error}", _is_broken(error)))
        finally:
            events.put(None)

    def _make(self, request: GenerateRequest) -> _Made | _Failed:
        from leicos_jobs.backends.cosmos.pipeline import Wanted

        begun = time.monotonic()
        try:
            wanted = Wanted(
                read_all(request.clip), request.prompt, request.seed, request.frames, request.width, request.height
            )
            frames = self.model.make(wanted)
        except Exception as error:  # noqa: BLE001 - costs this sample; the others of the batch go on
            return _Failed(request.sample, f"{type(error).__name__}: {error}", _is_broken(error))
        return _Made(request, frames, time.monotonic() - begun)

    def _write(self, made: _Made) -> GenerateResult:
        request, settings = made.request, self.settings
        video = request.out_dir / "video.mp4"
        write_video(video, made.frames, request.fps)
        notes: dict[str, Any] = {
            "weights": "post-train" if self._trained else settings.weights or "random",
            "weights_sha256": self.model.digest,
            "guardrail": settings.guardrail,
            "chunks": settings.chunks(request.frames),
            "model_seconds": round(made.seconds, 2),
            "device": str(self.model.device),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "diffusers": version("diffusers"),
        }
        return GenerateResult(request.sample, video, notes=notes)

    @override
    def close(self) -> None:
        """Stop what is being made."""
        self.model.stop.set()


def _is_broken(error: Exception) -> bool:
    """CUDA's errors but that of memory stay until the process ends."""
    return "CUDA error" in str(error)
