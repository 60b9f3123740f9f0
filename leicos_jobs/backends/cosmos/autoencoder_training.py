"""Training of size small's autoencoder on the demos' own pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from leicos_jobs.backends.cosmos.autoencoder import FrameAutoencoder, in_parts
from leicos_jobs.backends.cosmos.images import prepare
from leicos_jobs.backends.cosmos.recipes import Recipe
from leicos_jobs.backends.cosmos.training import Schedule, Training, compile_for_training, drawn
from leicos_jobs.core import logs
from leicos_jobs.core.cores import available_cores
from leicos_jobs.formats.cosmos import Clip
from leicos_jobs.media.decode import read_all

PICTURES = 24_000
"""At most so many are held in the device's memory: 5.5 GB at 320x240."""
HELD_OUT = 200
"""Pictures of held-out demos that the error is measured on."""


def train_autoencoder(
    trained: Sequence[Clip],
    held_out: Sequence[Clip],
    size: tuple[int, int],
    grid: int,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    resume: Path,
    identity: str,
    report: Callable[[int], None],
    compiled: bool,
) -> tuple[FrameAutoencoder, list[dict[str, float]]]:
    """Returns it in eval mode, and its loss curve; `psnr` there is in dB, on pictures of held-out demos."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FrameAutoencoder()
    model = model.to(device, memory_format=torch.channels_last)
    pictures = load_pictures(trained, PICTURES, size, grid).to(device)
    test = load_pictures(held_out, HELD_OUT, size, grid).to(device) if held_out else None

    def cast(images: torch.Tensor) -> torch.Tensor:
        scaled = images.permute(0, 3, 1, 2).float() / 127.5 - 1
        return scaled.to(memory_format=torch.channels_last)

    def loss(step: int) -> torch.Tensor:
        chosen = torch.randint(
            len(pictures), (recipe.autoencoder_batch,), generator=drawn(seed, step, torch.device("cpu"))
        )
        wanted = cast(pictures[chosen.to(device)])
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            restored = model(wanted)
        difference = restored.float() - wanted
        error: torch.Tensor = difference.abs().mean() + difference.square().mean()
        return error

    def validate(_step: int) -> dict[str, float]:
        return {} if test is None else {"psnr": round(_psnr(model, test, cast), 2)}

    if compiled and device.type == "cuda":
        compile_for_training(model)
    every = max(1, recipe.autoencoder_steps // 6)
    rate = recipe.autoencoder_learning_rate
    schedule = Schedule(recipe.autoencoder_steps, rate, recipe.autoencoder_steps // 20, 0.0, every)
    training = Training("autoencoder", model, loss, schedule, resume, identity, report, validate, every)
    training.run()
    model._compiled_call_impl = None
    return model.eval(), training.history


def load_pictures(clips: Sequence[Clip], most: int, size: tuple[int, int], grid: int) -> torch.Tensor:
    """(N, H, W, 3) uint8, spread evenly over the clips, padded to the grid."""
    every = max(1, -(-sum(clip.frames for clip in clips) // most))

    def read(clip: Clip) -> torch.Tensor:
        video = prepare(np.ascontiguousarray(read_all(clip.video)[::every]), size, grid)
        return ((video[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0)

    with ThreadPoolExecutor(min(8, available_cores())) as pool:
        pictures = torch.cat(list(pool.map(read, clips)))
    logs.event("cosmos.pictures", count=len(pictures), clips=len(clips))
    return pictures


def _psnr(model: FrameAutoencoder, images: torch.Tensor, cast: Callable[[torch.Tensor], torch.Tensor]) -> float:
    squares = []
    for part in in_parts(images):
        wanted = cast(part)
        with torch.autocast(wanted.device.type, torch.bfloat16, enabled=wanted.is_cuda):
            restored = model.decoder(model.scale(model.encoder(wanted)))
        squares.append(((restored.float() - wanted).clamp(-2, 2) / 2).square().mean())
    return float(-10 * torch.log10(torch.stack(squares).mean()))
