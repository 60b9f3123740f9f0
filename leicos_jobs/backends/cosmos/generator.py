"""The generator: a thread denoises one video after the other; meanwhile the one before is decoded, written, verified
and committed."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Generator as Generating
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
from leicos_jobs.backends.cosmos.settings import CosmosSettings, Family
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult
from leicos_jobs.core import logs
from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.encode import write_video

if TYPE_CHECKING:
    from leicos_jobs.backends.cosmos.pipeline import Denoised, VideoModel, Wanted

NEEDED = ("torch", "torchvision", "diffusers", "transformers", "accelerate")


class GenerationError(Exception):
    """No usable video came of a sample; counted against it."""


@dataclass(frozen=True)
class _Begun:
    sample: str


@dataclass(frozen=True)
class _Open:
    """A video that is to be decoded; without `denoised`, one that lacked memory beside another one."""

    request: GenerateRequest
    denoised: Denoised | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class _Failed:
    sample: str
    error: str
    broken: bool = False
    """The GPU is in a state in which nothing works any more."""


_Event = _Begun | _Open | _Failed
"""What the thread says."""


class CosmosGenerator(Generator[CosmosSettings], name="cosmos", version=1, batch=4, run_ahead=True):
    """Generator `cosmos`: Predict2.5 and Cosmos 3 on diffusers."""

    def __init__(self, settings: CosmosSettings, checkpoint: Path | None, work: Path) -> None:
        """Load the model. Raises InputError: the extra is not installed, no GPU, too little memory, weights."""
        super().__init__(settings, checkpoint, work)
        if lacking := [name for name in NEEDED if find_spec(name) is None]:
            raise InputError(f"cosmos needs {', '.join(lacking)}", fix="pip install 'leicos[torch,cosmos]'")
        self.model = _model(self.settings.family)(self.settings, checkpoint, work)
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
    @classmethod
    def shared_files(cls, settings: CosmosSettings, prompt: str) -> tuple[str, ...]:
        """The embeddings of the prompt and of the negative one."""
        names = (settings.embedding_file(text) for text in settings.texts([prompt]))
        return tuple(name for name in names if name)

    @override
    def process(self, requests: Sequence[GenerateRequest], started: Started) -> Iterator[GenerateResult]:
        """Yield each video as soon as it is written. One that lacks memory beside another one is made alone, after the
        others. Raises GenerationError for the last sample that failed, after the others are done: those that failed
        before it come again."""
        failed: list[_Failed] = []
        later: list[_Open] = []
        with contextlib.closing(self._events(requests)) as events:
            for event in events:
                if isinstance(event, _Begun):
                    started(event.sample)
                elif isinstance(event, _Failed):
                    failed.append(event)
                elif event.denoised is None:
                    later.append(event)
                else:
                    yield from self._finish(event, failed, later)
        if any(failure.broken for failure in failed):
            later = []
        for item in later:
            logs.event("cosmos.alone", sample=item.request.sample)
            started(item.request.sample)
            yield from self._finish(item, failed)
        self._blame(failed, started)

    def _events(self, requests: Sequence[GenerateRequest]) -> Generating[_Event, None, None]:
        """What the thread says. It has ended when this does."""
        events: queue.Queue[_Event | None] = queue.Queue(maxsize=2)
        thread = threading.Thread(target=self._work, args=(requests, events), daemon=True)
        thread.start()
        try:
            while (event := events.get()) is not None:
                yield event
        finally:
            self.model.stop.set()
            while thread.is_alive():
                with contextlib.suppress(queue.Empty):  # it may wait for a place in the queue
                    events.get(timeout=0.05)
            self.model.stop.clear()

    @staticmethod
    def _blame(failed: list[_Failed], started: Started) -> None:
        for failure in failed:
            logs.event("cosmos.failed", sample=failure.sample, error=failure.error)
        if not failed:
            return
        blamed = next((failure for failure in failed if failure.broken), failed[-1])
        started(blamed.sample)
        if blamed.broken:  # no later sample could work in this process: the worker starts another one
            raise SystemExit(int(ExitCode.DEFECT))
        raise GenerationError(blamed.error)

    def _work(self, requests: Sequence[GenerateRequest], events: queue.Queue[_Event | None]) -> None:
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

    def _make(self, request: GenerateRequest) -> _Open | _Failed:
        begun = time.monotonic()
        try:
            return _Open(request, self.model.denoise(self._wanted(request)), time.monotonic() - begun)
        except Exception as error:  # noqa: BLE001 - costs this sample; the others of the batch go on
            event = _Open(request) if _is_memory(error) else _failed(request, error)
        self.model.release()  # outside of the handler: its traceback holds the tensors
        return event

    @staticmethod
    def _wanted(request: GenerateRequest) -> Wanted:
        from leicos_jobs.backends.cosmos.pipeline import Wanted

        clip = read_all(request.clip)
        return Wanted(clip, request.prompt, request.seed, request.frames, request.width, request.height, request.fps)

    def _finish(self, item: _Open, failed: list[_Failed], later: list[_Open] | None = None) -> Iterator[GenerateResult]:
        """Yield the video, or note that it failed. later: takes what lacked memory; None: nothing else is at work."""
        begun, frames = time.monotonic(), None
        try:
            if later is not None and item.denoised is not None:
                frames = self.model.finish(item.denoised)
            else:
                frames = self.model.make(self._wanted(item.request), item.denoised)
        except Exception as error:  # noqa: BLE001 - as in `_make`
            if later is not None and _is_memory(error):
                later.append(item)
            else:
                failed.append(_failed(item.request, error))
        if frames is None:
            self.model.release()
        else:
            yield self._write(item.request, frames, item.seconds + time.monotonic() - begun)

    def _write(self, request: GenerateRequest, frames: NDArray[np.uint8], seconds: float) -> GenerateResult:
        settings = self.settings
        video = request.out_dir / "video.mp4"
        write_video(video, frames, request.fps)
        notes: dict[str, Any] = {
            "weights": "post-train" if self._trained else settings.weights or "random",
            "weights_sha256": self.model.digest,
            "guardrail": settings.guardrail,
            "chunks": settings.chunks(request.frames),
            "model_seconds": round(seconds, 2),
            "device": str(self.model.device),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "diffusers": version("diffusers"),
        }
        return GenerateResult(request.sample, video, notes=notes)

    @override
    def close(self) -> None:
        """Stop what is being made."""
        self.model.stop.set()


def _model(family: Family) -> type[VideoModel]:
    if family == "cosmos3":
        from leicos_jobs.backends.cosmos.omni import OmniModel

        return OmniModel
    from leicos_jobs.backends.cosmos.pipeline import VideoModel

    return VideoModel


def _failed(request: GenerateRequest, error: Exception) -> _Failed:
    return _Failed(request.sample, f"{type(error).__name__}: {error}", _is_broken(error))


def _is_memory(error: Exception) -> bool:
    from torch import OutOfMemoryError

    return isinstance(error, OutOfMemoryError)


def _is_broken(error: Exception) -> bool:
    """CUDA's errors but that of memory stay until the process ends."""
    return "CUDA error" in str(error)
