"""Steps per second of size small's two trainings on this machine's GPU, after compilation; its results are kept by
torch, so the trainings themselves need not wait for it again."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from leicos_jobs.backends.cosmos import models
from leicos_jobs.backends.cosmos.autoencoder import FrameAutoencoder
from leicos_jobs.backends.cosmos.flow import flow_loss
from leicos_jobs.backends.cosmos.recipes import PostTrainSettings
from leicos_jobs.backends.cosmos.training import EVERY, Schedule, Training, compile_for_training

SHAPE = (128, 41, 16, 20)
"""Of the latents of 161 frames of 320x240, padded to 320x256."""
REPORTS = 4


def steps_per_second(batch: int) -> dict[str, float]:
    """By name of the training. batch: clips a step of the denoiser."""
    torch.set_float32_matmul_precision("high")
    device = torch.device("cuda")
    rates = {"denoiser": _denoiser(batch, device)}
    torch.cuda.empty_cache()
    rates["autoencoder"] = _autoencoder(device)
    torch.cuda.empty_cache()
    return rates


def _denoiser(batch: int, device: torch.device) -> float:
    model = models.small(0).to(device)
    clean = torch.randn(batch, *SHAPE, device=device)
    text, level = torch.randn(batch, 16, 64, device=device), torch.rand(batch, device=device)

    def loss(_step: int) -> torch.Tensor:
        with torch.autocast("cuda", torch.bfloat16):
            return flow_loss(model, clean, text, level, torch.randn_like(clean))

    return _rate(model, loss)


def _autoencoder(device: torch.device) -> float:
    model = FrameAutoencoder().to(device, memory_format=torch.channels_last)
    count = PostTrainSettings().recipe("small").autoencoder_batch
    images = torch.rand(count, 3, 256, 320, device=device).to(memory_format=torch.channels_last)

    def loss(_step: int) -> torch.Tensor:
        with torch.autocast("cuda", torch.bfloat16):
            restored = model(images)
        difference = restored.float() - images
        error: torch.Tensor = difference.abs().mean() + difference.square().mean()
        return error

    return _rate(model, loss)


class _EnoughError(Exception):
    """Before a checkpoint of gigabytes is written."""


def _rate(model: torch.nn.Module, loss: Callable[[int], torch.Tensor]) -> float:
    times: list[float] = []

    def note(_step: int) -> None:
        torch.cuda.synchronize()
        times.append(time.monotonic())
        if len(times) == REPORTS:
            raise _EnoughError

    compile_for_training(model)
    schedule = Schedule(steps=1000, learning_rate=1e-5, warm_up_steps=1, ema=0.9, save_every=1000)
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(_EnoughError):
        Training("trial", model, loss, schedule, Path(name), "trial", note).run()
    return round(EVERY * (REPORTS - 1) / (times[-1] - times[0]), 2)  # the first ten steps compile
