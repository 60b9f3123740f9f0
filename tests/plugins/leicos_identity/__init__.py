"""Test-only backends that write a sample's id and the frame number into the pixels, and read them back as actions.

A video frame is a grid of black and white blocks: 80 bits of id, 16 of frame number, 8 of checksum, each drawn twice.
Blocks of 8 pixels survive H.264. An action row says (id, frame) in motor units: five joints carry 16 bits each, the
gripper the frame number. So every row of the finished dataset can be traced without trusting any bookkeeping.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from leicos_jobs.backends.base import Generator, Labeller, PostTrainer, Replayer, Trainer
from leicos_jobs.backends.requests import GenerateResult, LabelResult, ReplayMetrics, ReplayResult, TrainResult
from leicos_jobs.media.decode import read_frames
from leicos_jobs.media.encode import write_video

BLOCK = 8
BITS = 104
FRAMES_MAX = 400


def bits_of(sample: str, frame: int) -> np.ndarray:
    number = (int(sample, 16) << 16) | frame
    check = number % 251
    whole = (number << 8) | check
    return np.array([whole >> index & 1 for index in range(BITS)], dtype=np.uint8)


def paint(sample: str, frame: int, width: int, height: int) -> np.ndarray:
    columns, rows = width // BLOCK, height // BLOCK
    cells = np.zeros(columns * rows, dtype=np.uint8)
    code = bits_of(sample, frame)
    cells[:BITS], cells[-BITS:] = code, code[::-1]
    grid = (40 + cells.reshape(rows, columns) * 170).repeat(BLOCK, 0).repeat(BLOCK, 1)
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[: rows * BLOCK, : columns * BLOCK] = grid[..., None]
    return picture


def read(picture: np.ndarray) -> tuple[str, int]:
    """(sample, frame) in a decoded picture. Raises ValueError if it was damaged."""
    rows, columns = picture.shape[0] // BLOCK, picture.shape[1] // BLOCK
    grid = picture[: rows * BLOCK, : columns * BLOCK, 0].reshape(rows, BLOCK, columns, BLOCK)
    cells = (grid[:, 2:6, :, 2:6].mean(axis=(1, 3)) > 125).ravel()
    for code in (cells[:BITS], cells[-BITS:][::-1]):
        whole = sum(1 << index for index, bit in enumerate(code) if bit)
        number, check = whole >> 8, whole & 255
        if number % 251 == check:
            return f"{number >> 16:020x}", number & 0xFFFF
    raise ValueError("no code in the picture")


def to_action(sample: str, frame: int) -> np.ndarray:
    number = int(sample, 16)
    words = [(number >> (16 * index)) & 0xFFFF for index in range(5)]
    return np.array([word / 65535 * 200 - 100 for word in words] + [frame / FRAMES_MAX * 100], dtype=np.float32)


def from_action(row: np.ndarray) -> tuple[str, int]:
    words = [round((float(value) + 100) / 200 * 65535) for value in row[:5]]
    number = sum(word << (16 * index) for index, word in enumerate(words))
    return f"{number:020x}", round(float(row[5]) / 100 * FRAMES_MAX)


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    trouble: float = 0.0
    """Chance that a sample's first tries end in an exception, a dead process or a truncated file."""
    pause: float = 0.0
    """Seconds of pretended work a sample."""


def _trouble(chance: float) -> str:
    """A random misfortune; drawn from the operating system, so that a retry may be luckier."""
    return random.SystemRandom().choice(["raise", "die", "truncate"]) if random.SystemRandom().random() < chance else ""


class IdentityGenerator(Generator[Settings], name="identity", version=1, batch=3):
    def process(self, requests, started) -> Iterator[GenerateResult]:
        order = list(requests)
        random.SystemRandom().shuffle(order)
        for request in order:
            started(request.sample)
            time.sleep(self.settings.pause)
            trouble = _trouble(self.settings.trouble)
            if trouble == "raise":
                raise RuntimeError("pretended failure")
            if trouble == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            video = request.out_dir / "video.mp4"
            frames = (paint(request.sample, k, request.width, request.height) for k in range(request.frames))
            write_video(video, frames, request.fps, crf=20)
            if trouble == "truncate":
                video.write_bytes(video.read_bytes()[:-200])
            actions = np.stack([to_action(request.sample, k) for k in range(request.frames)])
            yield GenerateResult(request.sample, video, truth={"action": actions}, truth_facts={"defect": None})


class IdentityTrainedGenerator(IdentityGenerator, name="identity-trained", version=1, batch=3, trained=True):
    """The same with a checkpoint, which must be there and shows in nothing but the ids."""

    def __init__(self, settings: Settings, checkpoint: Path | None, work: Path) -> None:
        super().__init__(settings, checkpoint, work)
        assert checkpoint is not None
        assert (checkpoint / "weights.bin").is_file()


class IdentityPostTrainer(PostTrainer[Settings], name="identity-trained", version=1):
    @classmethod
    def identity(cls, settings: Settings) -> dict[str, object]:
        return {}

    def train(self, request) -> TrainResult:
        return _train(request, prompts=[path.read_text() for path in sorted((request.dataset / "metas").iterdir())])


class IdentityTrainer(Trainer[Settings], name="identity", version=1):
    def train(self, request) -> TrainResult:
        return _train(request)


def _train(request, **more: object) -> TrainResult:
    request.out.mkdir(exist_ok=True)
    (request.out / "artifact.json").write_text(json.dumps({"seed": request.seed, **more}))
    (request.out / "weights.bin").write_bytes(bytes(range(256)) * 4)
    return TrainResult()


class IdentityLabeller(Labeller[Settings], name="identity", version=1, batch=4):
    def __init__(self, settings: Settings, artifact: Path, work: Path) -> None:
        super().__init__(settings, artifact, work)
        assert (artifact / "artifact.json").is_file()

    def process(self, requests, started) -> Iterator[LabelResult]:
        order = list(requests)
        random.SystemRandom().shuffle(order)
        for request in order:
            started(request.sample)
            time.sleep(self.settings.pause)
            if _trouble(self.settings.trouble) in ("raise", "die"):
                raise RuntimeError("pretended failure")
            rows = []
            for frame in read_frames(request.video):
                try:
                    rows.append(to_action(*read(frame)))
                except ValueError:  # a real demo: it carries no code, and its labels are of no interest
                    rows.append(np.full(6, 1.0, dtype=np.float32))
            yield LabelResult(request.sample, np.stack(rows))


class IdentityReplayer(Replayer[Settings], name="identity", version=1, batch=5):
    def process(self, requests, started) -> Iterator[ReplayResult]:
        for request in requests:
            started(request.sample)
            if "/" not in request.sample:  # the controls' are many
                time.sleep(self.settings.pause)
            sample, _ = from_action(request.actions[0])
            known = {"success": True, "success_held": True, "max_lift": 0.1, "tracking_error_deg": 1.0}
            start = request.start["articulation/robot/joint_position"]
            metrics = ReplayMetrics(**known, seen=sample, start=start, rows=len(request.actions))
            yield ReplayResult(request.sample, metrics)
