"""Flow matching of the denoiser on latents, as the pipeline will call it.

x = (1 - s) x0 + s noise at noise level s, and the network says noise - x0. The first latent frames are given: they are
put in clean, with the pipeline's own timestep, and count nothing in the loss (diffusers'
Cosmos2_5_PredictBasePipeline.__call__, which does the same at each step).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from leicos_jobs.backends.cosmos.clips import Latents
from leicos_jobs.backends.cosmos.recipes import Recipe
from leicos_jobs.backends.cosmos.team import Team
from leicos_jobs.backends.cosmos.training import Schedule, Training, compile_for_training, drawn
from leicos_jobs.formats.cosmos import CONDITIONING_FRAMES

GIVEN = (CONDITIONING_FRAMES["video2world"] - 1) // 4 + 1
"""Latent frames that are given."""
GIVEN_TIMESTEP = 1e-4
"""conditional_frame_timestep of diffusers' pipeline."""
LEVELS = (0.3, 0.6, 0.8, 0.9, 0.96, 0.99)
"""Noise levels at which the loss on held-out demos is measured."""
VALIDATED = 16
"""Windows of held-out demos at most."""
LORA_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2"]


def noise_levels(generator: torch.Generator, count: int, recipe: Recipe) -> torch.Tensor:
    """(count,) float32 between 0 and 1; see `PostTrainSettings.shift` and `high_noise_share`."""
    device = generator.device
    even = torch.sigmoid(torch.randn(count, generator=generator, device=device))
    level = recipe.shift * even / (1 + (recipe.shift - 1) * even)
    chance, high = torch.rand((2, count), generator=generator, device=device)
    return torch.where(chance < recipe.high_noise_share, 0.98 + 0.02 * high, level)


def flow_loss(
    denoiser: Any, clean: torch.Tensor, text: torch.Tensor, level: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Mean square error of the velocity over the frames that are not given.

    clean, noise: (B, C, T, H, W). text: (B, tokens, channels). level: (B,).
    """
    batch, _, frames, height, width = clean.shape
    given = torch.zeros(1, 1, frames, 1, 1, device=clean.device)
    given[:, :, :GIVEN] = 1
    level = level.view(batch, 1, 1, 1, 1)
    noisy = given * clean + (1 - given) * ((1 - level) * clean + level * noise)
    velocity = denoiser(
        hidden_states=noisy,
        condition_mask=given.expand(batch, 1, frames, height, width),
        timestep=given * GIVEN_TIMESTEP + (1 - given) * level,
        encoder_hidden_states=text,
        padding_mask=torch.zeros(1, 1, height, width, device=clean.device),
        return_dict=False,
    )[0]
    error: torch.Tensor = (velocity.float() - (noise - clean)) ** 2
    return error[:, :, GIVEN:].mean()


class FlowTraining:
    """Training of a denoiser on latents, trained and held out. embeddings: by prompt, (1, tokens, channels)."""

    def __init__(
        self,
        denoiser: Any,
        data: tuple[Latents, Latents],
        embeddings: dict[str, torch.Tensor],
        recipe: Recipe,
        seed: int,
        team: Team,
    ) -> None:
        self.denoiser, self.recipe, self.seed, self.team = denoiser, recipe, seed, team
        self.device = next(denoiser.parameters()).device
        self.trained, self.held_out = (part.on(self.device) for part in data)
        self.embeddings = {prompt: value.float() for prompt, value in embeddings.items()}
        if recipe.method == "lora":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)  # every process begins with the same matrices
                add_lora(denoiser, recipe)
        if recipe.checkpointing:
            denoiser.enable_gradient_checkpointing()
        if recipe.compile and self.device.type == "cuda":
            compile_for_training(denoiser)

    def run(
        self, resume: Path, identity: str, report: Callable[[int], None], preview: Callable[[int], None]
    ) -> list[dict[str, float]]:
        """Train and leave the averaged weights in the denoiser. Returns the loss curve."""
        recipe = self.recipe

        def validate(step: int) -> dict[str, float]:
            preview(step)
            return {"held_out_loss": self.held_out_loss()} if len(self.held_out) else {}

        training = Training(
            "denoiser",
            self.denoiser,
            self._loss,
            Schedule(recipe.steps, recipe.learning_rate, recipe.warm_up_steps, recipe.ema, recipe.save_every),
            resume,
            identity,
            report,
            validate,
            recipe.validate_every,
            team=self.team,
            seed=self.seed,
        )
        training.run()
        if recipe.method == "lora":
            self.denoiser.fuse_lora()
            self.denoiser.unload_lora()
        return training.history

    def held_out_loss(self) -> float:
        """Mean over fixed windows, noise and levels: comparable from step to step."""
        total, chosen = 0.0, range(0, len(self.held_out), -(-len(self.held_out) // VALIDATED))
        with torch.no_grad():
            for number, index in enumerate(chosen):
                clean, text = self._taken(self.held_out, [index])
                noise = torch.randn(clean.shape, generator=drawn(1, index, self.device), device=self.device)
                level = torch.full((1,), LEVELS[number % len(LEVELS)], device=self.device)
                with self._cast():
                    total += float(flow_loss(self.denoiser, clean, text, level, noise))
        return round(total / len(chosen), 6)

    def _loss(self, step: int) -> torch.Tensor:
        """All processes draw the same for the whole batch, and take their share."""
        batch = self.recipe.batch
        chosen = torch.randint(len(self.trained), (batch,), generator=drawn(self.seed, step, torch.device("cpu")))
        clean, text = self._taken(self.trained, self.team.share(chosen).tolist())
        source = drawn(self.seed, step, self.device)
        noise = torch.randn((batch, *clean.shape[1:]), generator=source, device=self.device)
        level = noise_levels(source, batch, self.recipe)
        with self._cast():
            return flow_loss(self.denoiser, clean, text, self.team.share(level), self.team.share(noise))

    def _taken(self, data: Latents, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        clean = data.latents[indices].to(self.device, non_blocking=True).float()
        text = torch.cat([self.embeddings[data.prompts[index]] for index in indices]).to(self.device)
        return clean, text

    def _cast(self) -> AbstractContextManager[Any]:
        if self.device.type == "cpu" and self.denoiser.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def add_lora(denoiser: Any, recipe: Recipe) -> None:
    """Freeze the network and put small matrices beside its linear layers, in float32."""
    from peft import LoraConfig

    denoiser.requires_grad_(False)
    denoiser.add_adapter(
        LoraConfig(r=recipe.lora_rank, lora_alpha=recipe.lora_rank, target_modules=LORA_TARGETS, init_lora_weights=True)
    )
    for part in denoiser.parameters():
        if part.requires_grad:
            part.data = part.data.float()
