"""The optimisation loop of the encoder."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leicos_jobs.backends.label.compact import augment, checkpoint
from leicos_jobs.backends.label.compact.artifact import Norms
from leicos_jobs.backends.label.compact.data import Training
from leicos_jobs.backends.label.compact.kinematics import CHAINS, Chain
from leicos_jobs.backends.label.compact.model import Encoder
from leicos_jobs.backends.label.compact.settings import Recipe
from leicos_jobs.core import signals
from leicos_jobs.core.errors import DefectError
from leicos_jobs.robots.embodiment import Embodiment

WARMUP = 100
TOOL_SCALE = 0.02
"""Metres of gripper error that weigh as much as one standard deviation of a joint."""


@dataclass(frozen=True)
class Job:
    """What a training of the encoder needs. identity: digest of all that determines its result."""

    recipe: Recipe
    robot: Embodiment
    norms: Norms
    data: Training
    seed: int
    identity: str
    resume: Path
    report: Callable[[int, int], None]


def targets(data: Training, norms: Norms) -> NDArray[np.float32]:
    """(N, 2, joints): state, and action minus state, each with spread 1."""
    state = (data.states - norms.mean) / norms.std
    return np.stack([state, (data.actions - data.states) / norms.step], axis=1).astype(np.float32)


class Loss:
    """L1 on both targets, and on the gripper's position where the robot's kinematics are known."""

    def __init__(self, job: Job, device: torch.device) -> None:
        self.weight = job.recipe.tool_loss if job.robot.name in CHAINS else 0.0
        self.chain = Chain(job.robot.name).to(device) if self.weight else None
        zero, one = (job.robot.to_radians(np.full(job.robot.width, v, dtype=np.float32)) for v in (0.0, 1.0))
        slope = (one - zero).astype(np.float32)
        self.slope = torch.from_numpy(slope * job.norms.std).to(device)
        self.offset = torch.from_numpy(zero + slope * job.norms.mean).to(device)

    def __call__(self, guess: Tensor, wanted: Tensor) -> Tensor:
        """guess, wanted: (B, 2, joints) normalised."""
        error = (guess - wanted).abs()
        loss = error[:, 0].mean() + 0.3 * error[:, 1].mean()
        if self.chain is not None:
            where = self.chain(torch.cat([guess[:, 0], wanted[:, 0]]) * self.slope + self.offset)
            ours, true = where.chunk(2)
            loss = loss + self.weight * (ours - true).norm(dim=-1).mean() / TOOL_SCALE
        return loss


def train_encoder(job: Job, device: torch.device) -> tuple[Encoder, list[list[float]]]:
    """Train, or go on from a checkpoint. Returns the averaged encoder in eval mode on `device`, and [step, loss]
    pairs, the loss being the mean since the pair before."""
    recipe, data = job.recipe, job.data
    torch.manual_seed(job.seed)
    size = (data.spec.width, data.spec.height)
    encoder = Encoder(size, recipe.channels, recipe.blocks, recipe.hidden, job.robot.width)
    encoder = encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = copy.deepcopy(encoder)
    optimiser = torch.optim.AdamW(encoder.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    history: list[list[float]] = []
    start = 0
    if (state := checkpoint.load(job.resume, job.identity)) is not None:
        encoder.load_state_dict(state["encoder"])
        averaged.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        start, history = state["step"], state["history"]
    feed = Feed(job, device)
    loss_of = Loss(job, device)
    running = torch.zeros((), device=device)
    for step in range(start, recipe.steps):
        signals.check()
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * rate(step, recipe.steps)
        frames, wanted = feed(step)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.bf16):
            guess = encoder(frames)
        loss = loss_of(guess, wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 5.0)
        optimiser.step()
        follow(averaged, encoder, min(recipe.ema, (1 + step) / (10 + step)))
        running += loss.detach()
        done = step + 1
        if done % recipe.checkpoint_every == 0 or done == recipe.steps:
            since = done - (int(history[-1][0]) if history else 0)
            history.append([done, _finite(float(running) / since, done)])
            running.zero_()
            checkpoint.save(job.resume, job.identity, _state(encoder, averaged, optimiser, done, history))
            job.report(done, recipe.steps)
    return averaged.eval(), history


def _finite(loss: float, step: int) -> float:
    if not math.isfinite(loss):
        raise DefectError(f"the loss is {loss} at step {step}", fix="lower learning_rate")
    return loss


def _state(
    encoder: Encoder, averaged: Encoder, optimiser: torch.optim.Optimizer, step: int, history: list[list[float]]
) -> dict[str, Any]:
    return {
        "encoder": encoder.state_dict(),
        "averaged": averaged.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
        "history": history,
    }


class Feed:
    """Batches by step number. On a GPU all frames live in its memory."""

    def __init__(self, job: Job, device: torch.device) -> None:
        self.seed, self.recipe, self.device = job.seed, job.recipe, device
        self.size = (job.data.spec.width, job.data.spec.height)
        self.frames = torch.from_numpy(job.data.frames).to(device)
        self.targets = torch.from_numpy(targets(job.data, job.norms)).to(device)
        self.mean = torch.from_numpy(job.norms.pixel_mean).to(device)
        self.std = torch.from_numpy(job.norms.pixel_std).to(device)

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Frames (B, 3, h, w) float32 and targets (B, 2, joints) of this step."""
        numbers = augment.draw(self.seed, step, self.recipe.batch, len(self.frames), self.recipe.augmentation)
        rows = torch.from_numpy(numbers.rows).to(self.device)
        shift = torch.from_numpy(numbers.shift).to(self.device)
        windows = augment.cut(self.frames[rows], shift, self.size)
        return augment.augmented(windows, self.mean, self.std, numbers), self.targets[rows]


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: a short rise, then a cosine to zero."""
    rise = min(WARMUP, max(1, steps // 10))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def follow(averaged: Encoder, encoder: Encoder, decay: float) -> None:
    """Move the averaged weights, and BatchNorm's statistics with them, towards the current ones."""
    with torch.no_grad():
        kept = [value for value in averaged.state_dict().values() if value.is_floating_point()]
        new = [value for value in encoder.state_dict().values() if value.is_floating_point()]
        torch._foreach_lerp_(kept, new, 1.0 - decay)
