"""One loop for the denoiser and for size small's autoencoder: schedule, averaged weights, checkpoints, loss curve.

Everything random is drawn from (seed, step). The loss curve is part of the checkpoint, so a training that was killed
goes on with it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch._dynamo

from leicos_jobs.backends import checkpoints
from leicos_jobs.backends.cosmos.rounding import RoundedAdamW
from leicos_jobs.backends.cosmos.team import Team
from leicos_jobs.core import logs, signals
from leicos_jobs.core.errors import InputError

BETAS, WEIGHT_DECAY = (0.9, 0.99), 0.01
"""AdamW's."""
AVERAGED_EVERY = 20
"""Steps between two averagings where the averaged weights lie in host memory."""
EVERY = 10
"""Steps between two points of the loss curve."""
FLOOR = 0.05
"""Share of the peak learning rate at the end."""
CLIP_NORM = 1.0
POINT = 3
"""Figures of a point of the loss curve without validation: step, loss, rate."""


@dataclass(frozen=True)
class Schedule:
    """Of one training. ema 0 keeps the last weights."""

    steps: int
    learning_rate: float
    warm_up_steps: int
    ema: float
    save_every: int

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        if step < self.warm_up_steps:
            return self.learning_rate * (step + 1) / self.warm_up_steps
        share = (step - self.warm_up_steps) / max(1, self.steps - self.warm_up_steps)
        return self.learning_rate * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * share)))


@dataclass
class Training:
    """A model in training. name: of its checkpoint file. loss: of a step, by its number. at_validation: called with the
    averaged weights in place; what it returns stands in the curve."""

    name: str
    model: torch.nn.Module
    loss: Callable[[int], torch.Tensor]
    schedule: Schedule
    resume: Path
    identity: str
    report: Callable[[int], None]
    at_validation: Callable[[int], dict[str, float]] | None = None
    validate_every: int = 1
    team: Team = field(default_factory=Team)
    seed: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._trained = {name: part for name, part in self.model.named_parameters() if part.requires_grad}
        parts = list(self._trained.values())
        self._in_host_memory = parts[0].dtype == torch.bfloat16
        place = torch.device("cpu") if self._in_host_memory else parts[0].device
        averaged = self._trained if self.team.leads else {}
        self._averaged = {name: part.detach().to(place).float().clone() for name, part in averaged.items()}
        self._kept = 1.0
        """What the averaged weights will keep of themselves at the next averaging."""
        self._optimizer = self._make_optimizer(parts)

    def _make_optimizer(self, parts: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        rate, device = self.schedule.learning_rate, parts[0].device
        if parts[0].dtype == torch.bfloat16:
            return RoundedAdamW(parts, rate, BETAS, WEIGHT_DECAY, lambda step: drawn(self.seed, step, device))
        return torch.optim.AdamW(parts, lr=rate, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=device.type == "cuda")

    def run(self) -> None:
        """Train to the end; the leader's model then has the averaged weights. Raises InputError for a loss that is no
        number, RetryError if another process has ended."""
        if (state := checkpoints.load(self._path, self.identity)) is not None:
            self._restore(state)
        self.model.train()
        if self.team.leads and self.history and self._validates(self.step) and len(self.history[-1]) == POINT:
            self._validate()  # the stop came between checkpoint and validation
        running: torch.Tensor | float = 0.0
        begun = time.monotonic()
        started = self.step
        for step in range(self.step, self.schedule.steps):
            loss = self._advance(step)
            running = running + loss
            self.step = done = step + 1
            if not self.team.leads:
                continue
            last = done == self.schedule.steps
            validates = self._validates(done)
            saves = last or done % self.schedule.save_every == 0
            if validates or saves or done % EVERY == 0:
                mean = float(running) / max(1, done - (int(self.history[-1]["step"]) if self.history else 0))
                self._require_finite(mean)
                self.history.append({"step": done, "loss": round(mean, 6), "rate": self.schedule.rate(step)})
                running = 0.0
                if saves or signals.stopping():
                    checkpoints.save(self._path, self.identity, self._state())
                self.report(done)
            if validates:
                self._validate()
                rate = (done - started) / (time.monotonic() - begun)
                logs.event(f"cosmos.{self.name}", **self.history[-1], steps_per_second=round(rate, 2))
        with torch.no_grad():
            for name, value in self._averaged.items():
                self._trained[name].copy_(value)
        self.model.eval()

    def _validates(self, done: int) -> bool:
        due = done == self.schedule.steps or done % self.validate_every == 0
        return self.at_validation is not None and due

    def _validate(self) -> None:
        if self.at_validation is not None:
            with self.averaged():
                self.history[-1] |= self.at_validation(self.step)

    @property
    def _path(self) -> Path:
        return self.resume / f"{self.name}.pt"

    def _advance(self, step: int) -> torch.Tensor:
        for group in self._optimizer.param_groups:
            group["lr"] = self.schedule.rate(step)
        loss = self.loss(step)
        loss.backward()  # type: ignore[no-untyped-call]
        loss = loss.detach()
        self.team.average([part.grad for part in self._trained.values() if part.grad is not None] + [loss.view(1)])
        torch.nn.utils.clip_grad_norm_(list(self._trained.values()), CLIP_NORM)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if self.team.leads:
            self._average(step)
        return loss

    def _average(self, step: int) -> None:
        """In host memory rarely: it costs a copy of all weights."""
        self._kept *= min(self.schedule.ema, (1 + step) / (10 + step))  # short trainings forget where they began
        done = step + 1
        due = done % AVERAGED_EVERY == 0 or done % self.validate_every == 0 or done == self.schedule.steps
        if self._in_host_memory and not due:
            return
        place = next(iter(self._averaged.values())).device
        fresh = [part.detach().to(place).float() for part in self._trained.values()]
        torch._foreach_lerp_(list(self._averaged.values()), fresh, 1 - self._kept)
        self._kept = 1.0

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise InputError(
                f"the loss of {self.name} is {loss} at step {self.step}",
                fix="lower generate.settings.post_train.learning_rate (autoencoder_learning_rate for the autoencoder); "
                "the last checkpoint is from before",
            )

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """With the averaged weights in the place of the trained ones, for inference, not compiled: it would be compiled
        a second time for that."""
        kept = {name: part.detach().clone() for name, part in self._trained.items()}
        compiled = self.model._compiled_call_impl
        self.model._compiled_call_impl = None
        self.model.eval()
        with torch.no_grad():
            for name, part in self._trained.items():
                part.copy_(self._averaged[name])
            yield
            for name, part in self._trained.items():
                part.copy_(kept[name])
        self.model._compiled_call_impl = compiled
        self.model.train()

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "history": self.history,
            "weights": {name: part.detach() for name, part in self._trained.items()},
            "buffers": dict(self.model.named_buffers()),
            "averaged": self._averaged,
            "kept": self._kept,
            "optimizer": self._optimizer.state_dict(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            for name, part in self._trained.items():
                part.copy_(state["weights"][name])
            for name, value in self._averaged.items():
                value.copy_(state["averaged"][name])
            for name, buffer in self.model.named_buffers():
                buffer.copy_(state["buffers"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self.history, self._kept = state["step"], state["history"], state["kept"]
        logs.event(f"cosmos.{self.name}_resumed", step=self.step)


def compile_for_training(model: torch.nn.Module) -> None:
    """torch.compile, on a GPU. What cannot be compiled runs as it is: that costs speed, not the training."""
    torch._dynamo.config.suppress_errors = True
    model.compile()


def drawn(seed: int, step: int, device: torch.device) -> torch.Generator:
    """The randomness of one step."""
    return torch.Generator(device).manual_seed((seed * 1_000_003 + step) & (2**62 - 1))
