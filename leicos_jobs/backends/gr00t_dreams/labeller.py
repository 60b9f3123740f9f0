"""The labeller: an artifact and videos in, one action a frame out. Constructed in the worker's child process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from leicos_jobs.backends import fuse
from leicos_jobs.backends.base import Started
from leicos_jobs.backends.gr00t_dreams import artifact
from leicos_jobs.backends.gr00t_dreams.checkpoint import read_architecture, read_weights
from leicos_jobs.backends.gr00t_dreams.decode_pool import DecodePool, Event, Opened, VideoFailure
from leicos_jobs.backends.gr00t_dreams.engine import Engine, Plan, default_plan
from leicos_jobs.backends.gr00t_dreams.pixels import Preprocessor, View
from leicos_jobs.backends.gr00t_dreams.settings import LabellerSettings
from leicos_jobs.backends.gr00t_dreams.stream import Stream
from leicos_jobs.backends.requests import LabelRequest, LabelResult
from leicos_jobs.core.cores import available_cores
from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.core.logs import event

F32 = NDArray[np.float32]
CHUNK = 8
"""Frames that a decoder hands over at a time; few, so that the first batch fills soon."""
FPS_TOLERANCE = 0.01


class Labeller:
    """Keeps the model and the decoders between calls."""

    def __init__(self, settings: LabellerSettings, folder: Path, plan: Plan | None = None) -> None:
        """Load an artifact. plan: how the engine works, chosen for the device if left out."""
        begun = time.monotonic()
        self.settings = settings
        self.artifact = artifact.load(folder)
        self.device = choose_device(settings.device)
        dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
        self.plan = plan or default_plan(self.device, dtype)
        settle_arithmetic()
        self.engine, self.preprocess = build(self.artifact, self.device, self.plan)
        self._pool: DecodePool | None = None
        self._pinned = False
        event("gr00t-dreams.loaded", seconds=time.monotonic() - begun, device=self.device, digest=self.artifact.digest)

    def process(self, requests: Sequence[LabelRequest], started: Started) -> Iterator[LabelResult]:
        """Yield labels as videos are finished. Raises InputError; the video it speaks of is announced last."""
        paths = [request.video for request in requests]
        stream = Stream(
            self.engine,
            self.preprocess,
            seeds=[request.seed for request in requests],
            joints=self.artifact.robot.action.width,
            offset=self.artifact.frame_offsets[1],
        )
        try:
            for index, predicted in stream.run(self._checked(requests, started, self._decoders().read(paths))):
                yield self._result(requests[index], predicted)
        except VideoFailure as error:
            started(requests[error.index].sample)
            raise InputError(f"{paths[error.index]}: {error.message}", fix=error.fix) from error

    def _checked(self, requests: Sequence[LabelRequest], started: Started, events: Iterator[Event]) -> Iterator[Event]:
        """Announce videos and refuse those that the model was not trained for."""
        width, height = self.artifact.geometry
        for item in events:
            if isinstance(item, Opened):
                started(requests[item.index].sample)
                if (item.width, item.height) != (width, height):
                    raise VideoFailure(
                        item.index,
                        f"is {item.width}x{item.height}, the model was trained on {width}x{height}",
                        "make videos in the size of the training data, or train the model on this size",
                    )
                if abs(item.fps - self.artifact.fps) > FPS_TOLERANCE:
                    raise VideoFailure(
                        item.index,
                        f"plays at {item.fps:g} frames/s, the model was trained on {self.artifact.fps:g}",
                        "re-stamp the video to the dataset's frame rate",
                    )
            yield item

    def _decoders(self) -> DecodePool:
        if self._pool is None or self._pool.closed:
            self.close()
            width, height = self.artifact.geometry
            processes = min(self.settings.decoders or available_cores(), self.settings.videos)
            self._pool = DecodePool(processes, width * height * 3 // 2, CHUNK)
            self._pinned = self.device.type == "cuda" and pin(self._pool.memory)
        return self._pool

    def _result(self, request: LabelRequest, predicted: F32) -> LabelResult:
        """Un-normalise as upstream does, fuse, and smooth if asked to."""
        low, high = self.artifact.low, self.artifact.high
        chunks = (predicted + np.float32(1)) / np.float32(2) * (high - low) + low
        actions = fuse.fuse(chunks)
        rows = self.settings.smoothing_rows
        if rows > 1:
            actions = fuse.smooth(actions, rows)
        if not np.isfinite(actions).all():
            raise DefectError(f"{request.video}: a label is not finite")
        notes = {"spread": round(fuse.spread(chunks), 5), "smoothing_rows": rows, "artifact": self.artifact.digest}
        return LabelResult(request.sample, actions, notes)

    def close(self) -> None:
        """End the decoders."""
        if self._pool is not None:
            if self._pinned:
                unpin(self._pool.memory)
            self._pool.close()
        self._pool, self._pinned = None, False


def build(description: artifact.Description, device: torch.device, plan: Plan) -> tuple[Engine, Preprocessor]:
    """Engine and preprocessing of an artifact."""
    sizes = read_architecture(description.folder, description.vision)
    width, height = description.geometry
    view = View(width, height, description.crop, description.resize, sizes.image, sizes.patch, description.resample)
    engine = Engine(
        read_weights(description.folder), sizes, slot=description.embodiment_id, sequence=description.sequence,
        device=device, plan=plan,
    )  # fmt: skip
    return engine, Preprocessor(view, device, plan.dtype, fused=plan.fused)


def choose_device(name: str) -> torch.device:
    """auto, cpu, cuda or cuda:N. Raises InputError if there is no such GPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device {name} was asked for, this machine has none", fix="set device to auto or cpu")
    if name == "cuda":
        name = f"cuda:{torch.cuda.current_device()}"
    device = torch.device(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def settle_arithmetic() -> None:
    """float32 means float32: no TF32 in products, whatever the process did before."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def pin(memory: NDArray[np.uint8]) -> bool:
    """Register shared memory with CUDA, so that copies from it run beside the computation; whether that worked. It
    stays correct, only slower, if the system refuses."""
    code = int(torch.cuda.cudart().cudaHostRegister(memory.ctypes.data, memory.nbytes, 0))  # type: ignore[no-untyped-call]
    if code != 0:
        event("gr00t-dreams.not_pinned", bytes=memory.nbytes, code=code)
    return code == 0


def unpin(memory: NDArray[np.uint8]) -> None:
    """Undo `pin`. Without it CUDA would take the next memory at this address for pinned and fail there."""
    torch.cuda.synchronize()
    torch.cuda.cudart().cudaHostUnregister(memory.ctypes.data)  # type: ignore[no-untyped-call]
