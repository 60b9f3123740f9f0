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

from leicos_jobs.backends import checkpoints
from leicos_jobs.backends.compact import augment, machine
from leicos_jobs.backends.compact.artifact import Norms
from leicos_jobs.backends.compact.camera import find_camera
from leicos_jobs.backends.compact.data import Training
from leicos_jobs.backends.compact.guide import Guide
from leicos_jobs.backends.compact.model import Encoder
from leicos_jobs.backends.compact.settings import Recipe
from leicos_jobs.core import signals
from leicos_jobs.core.errors import DefectError
from leicos_jobs.robots.embodiment import Embodiment

WARMUP = 100
PLACES = 10.0
"""Weight of the taught places' error, in half windows."""
CAMERA_RATE = 0.1
"""The camera's share of the encoder's learning rate."""


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


def make_guide(job: Job) -> tuple[Guide | None, dict[str, Any]]:
    """The geometry to train with, if the robot's is known and the camera can be found; and what to report of it."""
    robot = job.robot
    known = robot.kinematics if robot.state.names == robot.action.names else None
    skeleton = known if job.recipe.kinematics == "auto" else None
    if skeleton is None:
        return None, {"used": False, "reason": "switched off, or the robot's geometry is not known"}
    with machine.single_threaded():
        fit = find_camera(job.data, skeleton, job.robot, job.seed)
    if fit is None:
        return None, {"used": False, "reason": "too little moves in the pictures"}
    facts: dict[str, Any] = {
        "used": fit.found,
        "misfit": round(fit.misfit, 4),
        "misfit_exchanged": round(fit.exchanged, 4),
    }
    if not fit.found:
        return None, facts | {"reason": "the pictures do not fit the robot's poses from any place"}
    facts["camera"] = [round(value, 4) for value in fit.camera.tolist()]
    return Guide(skeleton, job.robot, job.norms, fit.camera, job.data.spec), facts


def loss_of(
    encoder: Encoder, guide: Guide | None, batch: Batch, recipe: Recipe, numbers: np.random.Generator
) -> Tensor:
    """L1 on state and step; with geometry also on the tool's place, on the taught places, and on drawn poses."""
    guess, seen = encoder.with_places(batch.frames, bf16=recipe.bf16)
    state, step = (guess - batch.wanted).abs().mean(dim=(0, 2))
    loss: Tensor = state + 0.3 * step
    if guide is not None:
        wanted = batch.wanted[:, 0]
        loss = loss + recipe.tool_loss * guide.tool_error(guess[:, 0], wanted)
        places = guide.shifted(guide.places(guide.points(wanted)), batch.shift)
        loss = loss + PLACES * (seen - places).abs().mean()
        poses, drawn = guide.drawn(wanted, numbers)
        loss = loss + (encoder.lift(drawn.flatten(1)) - poses).abs().mean()
    return loss


CHECKPOINT = "encoder.pt"


def train_encoder(job: Job, device: torch.device) -> tuple[Encoder, dict[str, Any]]:
    """Train, or go on from a checkpoint. Returns the averaged encoder in eval mode on `device`, and facts: `losses`,
    [step, loss] pairs where the loss is the mean since the pair before, and `geometry`."""
    guide, geometry = make_guide(job)
    torch.manual_seed(job.seed)
    training = _Training(job, guide, device)
    if (state := checkpoints.load(job.resume / CHECKPOINT, job.identity)) is not None:
        training.restore(state)
    feed = Feed(job, device)
    running = torch.zeros((), device=device)
    for step in range(training.step, job.recipe.steps):
        signals.check()
        running += training.advance(feed(step))
        done = training.step
        if done % job.recipe.checkpoint_every == 0 or done == job.recipe.steps:
            since = done - (int(training.history[-1][0]) if training.history else 0)
            training.history.append([done, _finite(float(running) / since, done)])
            running.zero_()
            checkpoints.save(job.resume / CHECKPOINT, job.identity, training.state())
            job.report(done, job.recipe.steps)
    return training.averaged.eval(), {"losses": training.history, "geometry": geometry}


class _Training:
    """All that changes from step to step."""

    def __init__(self, job: Job, guide: Guide | None, device: torch.device) -> None:
        recipe = job.recipe
        self.recipe, self.seed, self.device = recipe, job.seed, device
        size = (job.data.spec.width, job.data.spec.height)
        guided = 0 if guide is None else len(guide.kinematics.points)
        encoder = Encoder(size, recipe.channels, recipe.blocks, recipe.hidden, job.robot.action.width, guided)
        self.encoder: Encoder = encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.encoder)
        self.guide = None if guide is None else guide.to(device)
        groups: list[dict[str, Any]] = [{"params": list(self.encoder.parameters()), "share": 1.0}]
        if self.guide is not None:
            groups.append({"params": [self.guide.camera], "share": CAMERA_RATE, "weight_decay": 0.0})
        self.optimiser = torch.optim.AdamW(groups, recipe.learning_rate, weight_decay=recipe.weight_decay)
        self.step = 0
        self.history: list[list[float]] = []

    def advance(self, batch: Batch) -> Tensor:
        """One optimiser step; returns its loss."""
        rate_now = self.recipe.learning_rate * rate(self.step, self.recipe.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate_now * group["share"]
        numbers = np.random.default_rng([self.seed, self.step, 13])
        loss = loss_of(self.encoder, self.guide, batch, self.recipe, numbers)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), 5.0)
        self.optimiser.step()
        follow(self.averaged, self.encoder, min(self.recipe.ema, (1 + self.step) / (10 + self.step)))
        self.step += 1
        return loss.detach()

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "encoder": self.encoder.state_dict(),
            "averaged": self.averaged.state_dict(),
            "guide": {} if self.guide is None else self.guide.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "history": self.history,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.encoder.load_state_dict(state["encoder"])
        self.averaged.load_state_dict(state["averaged"])
        if self.guide is not None:
            self.guide.load_state_dict(state["guide"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.history = state["step"], state["history"]


def _finite(loss: float, step: int) -> float:
    if not math.isfinite(loss):
        raise DefectError(f"the loss is {loss} at step {step}", fix="lower learning_rate")
    return loss


@dataclass(frozen=True)
class Batch:
    """frames (B, 3, h, w) float32, normalised; wanted (B, 2, joints); shift (B, 2) at which windows were cut."""

    frames: Tensor
    wanted: Tensor
    shift: Tensor


class Feed:
    """Batches by step number. On a GPU all frames live in its memory."""

    def __init__(self, job: Job, device: torch.device) -> None:
        self.seed, self.recipe, self.device = job.seed, job.recipe, device
        self.size, self.margin = (job.data.spec.width, job.data.spec.height), job.data.spec.margin
        self.frames = torch.from_numpy(job.data.frames).to(device)
        self.targets = torch.from_numpy(targets(job.data, job.norms)).to(device)
        self.mean = torch.from_numpy(job.norms.pixel_mean).to(device)
        self.std = torch.from_numpy(job.norms.pixel_std).to(device)

    def __call__(self, step: int) -> Batch:
        """The batch of this step."""
        numbers = augment.draw(
            self.seed, step, self.recipe.batch, len(self.frames), self.margin, self.recipe.augmentation
        )
        rows = torch.from_numpy(numbers.rows).to(self.device)
        shift = torch.from_numpy(numbers.shift).to(self.device)
        windows = augment.cut(self.frames[rows], numbers.shift, self.size)
        return Batch(augment.augmented(windows, self.mean, self.std, numbers), self.targets[rows], shift)


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
