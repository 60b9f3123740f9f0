"""A clip, a prompt and a seed to frames, by diffusers' own pipeline, chunk after chunk.

Output frame 0 is the first of the clip's last five frames (docs/decisions/cosmos.md 2). Chunk k starts from the last
five frames of chunk k-1 and uses seed + k. Noise is drawn on the CPU, so that it does not depend on the GPU.
"""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import Cosmos2_5_PredictBasePipeline

from leicos_jobs.backends.cosmos import loading, models
from leicos_jobs.backends.cosmos.images import U8, prepare
from leicos_jobs.backends.cosmos.machine import choose_device, choose_dtype
from leicos_jobs.backends.cosmos.prompts import Prompts, Unchecked, encode_with, tiny_encode
from leicos_jobs.backends.cosmos.settings import CONDITIONING, CosmosSettings
from leicos_jobs.core.errors import InputError

BLACK = 6
"""A chunk whose brightest pixel, 0..255, is not above this shows nothing: networks with weights that do not fit make
such videos, and every codec takes them."""


class UnusableError(Exception):
    """No video came of a sample; counted against it."""


@dataclass(frozen=True)
class Wanted:
    """One video. clip: (N, H, W, 3) uint8 RGB, of which the last five frames count; of any size."""

    clip: U8
    prompt: str
    seed: int
    frames: int
    width: int
    height: int


class VideoModel:
    """The loaded model. `stop` ends a video that is being made after the step in work."""

    def __init__(self, settings: CosmosSettings, checkpoint: Path | None = None) -> None:
        """Load everything but the text encoder. checkpoint: folder that post-train made. Raises InputError: no GPU, too
        little memory, weights, a checkpoint of another size."""
        diffusers.utils.logging.set_verbosity_error()  # it warns of types that are as they should be
        self.settings = settings
        self.device = choose_device(settings)
        self.dtype = choose_dtype(settings, self.device)
        if self.device.type == "cpu":
            torch.set_num_threads(1)  # the number of threads changes the last bit of sums, and so the video's bytes
        self.stop = threading.Event()
        self.digest = "random"
        denoiser, vae, base = self._load(checkpoint)
        self._guard = _guardrail() if settings.guardrail else None
        self.pipe = Cosmos2_5_PredictBasePipeline(
            text_encoder=None, tokenizer=None, transformer=denoiser.eval(), vae=vae.eval(),
            scheduler=models.scheduler(), safety_checker=Unchecked(),
        )  # fmt: skip
        self.pipe.set_progress_bar_config(disable=True)
        if settings.vae_tiling:
            self.pipe.vae.enable_tiling()
        if not (settings.offload and base):
            self.pipe.to(self.device)
        if settings.compile and self.device.type == "cuda":
            self.pipe.transformer.compile()
        self.prompts = Prompts(
            encode_with(base, self.device, self.dtype, self.pipe, settings.offload) if base else tiny_encode, checkpoint
        )

    def _load(self, checkpoint: Path | None) -> tuple[Any, Any, Path | None]:
        """Denoiser, VAE, and the folder with the text encoder; None where there is none."""
        self.digest, *parts = loading.load(self.settings, checkpoint, self.dtype)
        denoiser, vae, base = parts
        return denoiser, vae, base

    def prepare(self, prompts: list[str]) -> None:
        """Compute the embeddings that are not known yet, before the first video."""
        texts = [text for text in prompts if text.strip()]
        self.prompts.prepare([*texts, self.settings.negative_prompt] if self._guided and texts else texts)

    @property
    def _guided(self) -> bool:
        return self.settings.guidance > 1

    def make(self, wanted: Wanted) -> U8:
        """(frames, height, width, 3) uint8 RGB. Raises UnusableError for what is this video's own fault."""
        if not wanted.prompt.strip():
            raise UnusableError("its prompt is empty: give source.task words")
        if len(wanted.clip) < CONDITIONING:
            raise UnusableError(f"its clip has {len(wanted.clip)} frames, {CONDITIONING} are needed")
        self.prepare([wanted.prompt])
        try:
            return self._make(wanted)
        except torch.OutOfMemoryError as error:
            text = str(error).splitlines()[0]
        self.release()  # outside of the handler: its traceback holds the tensors
        raise UnusableError(
            f"out of GPU memory at {wanted.width}x{wanted.height}: {text}; generate.settings.vae_tiling: true, "
            "offload: true or a smaller generate.width and height need less"
        )

    def _make(self, wanted: Wanted) -> U8:
        parts: list[U8] = []
        with torch.no_grad():
            given = prepare(wanted.clip[-CONDITIONING:], (wanted.width, wanted.height), self.settings.native.grid)
            for number in range(self.settings.chunks(wanted.frames)):
                video = self._decode(self._denoise(wanted, given, wanted.seed + number), number)
                shown = video[..., : wanted.height, : wanted.width]
                parts.append(_pixels(shown if number == 0 else shown[:, :, CONDITIONING:]))
                fresh = parts[-1][CONDITIONING:] if number == 0 else parts[-1]
                if fresh.max() <= BLACK:
                    raise UnusableError(f"chunk {number} is black: do the weights fit?")
                given = video[:, :, -CONDITIONING:]
        return self._checked(wanted.prompt, np.concatenate(parts)[: wanted.frames])

    def _denoise(self, wanted: Wanted, given: torch.Tensor, seed: int) -> torch.Tensor:
        """Latents of one chunk. given: (1, 3, 5, H, W), -1..1."""
        if self.stop.is_set():
            raise UnusableError("stopped")
        dtype = self.pipe.transformer.dtype
        negative = self.prompts.embedding(self.settings.negative_prompt) if self._guided else None
        result = self.pipe(
            video=given, height=given.shape[-2], width=given.shape[-1], num_frames=self.settings.native.frames,
            num_inference_steps=self.settings.steps, guidance_scale=self.settings.guidance,
            generator=torch.Generator().manual_seed(seed), output_type="latent",
            prompt_embeds=self.prompts.embedding(wanted.prompt).to(self.device, dtype),
            negative_prompt_embeds=None if negative is None else negative.to(self.device, dtype),
            callback_on_step_end=self._after_step,
        )  # fmt: skip
        return result.frames  # type: ignore[no-any-return]

    def _after_step(self, pipe: Any, _step: int, _timestep: int, _values: dict[str, Any]) -> dict[str, Any]:
        pipe._interrupt = self.stop.is_set()
        return {}

    def _decode(self, latents: torch.Tensor, number: int) -> torch.Tensor:
        """(1, 3, T, H, W), about -1..1, in the model's type."""
        if not bool(torch.isfinite(latents).all()):
            raise UnusableError(f"chunk {number} is not finite (NaN): do the weights fit, is guidance too high?")
        mean = self.pipe.latents_mean.to(latents.device, latents.dtype)
        inverse = self.pipe.latents_std.to(latents.device, latents.dtype)  # diffusers keeps 1 / std under this name
        video: torch.Tensor = self.pipe.vae.decode((latents / inverse + mean).to(self.dtype), return_dict=False)[0]
        if not bool(torch.isfinite(video).all()):
            raise UnusableError(f"chunk {number} is not finite (NaN) after decoding; try dtype: float32")
        return video

    def _checked(self, prompt: str, frames: U8) -> U8:
        if self._guard is None:
            return frames
        if not self._guard.check_text_safety(prompt):
            raise UnusableError("the guardrail blocks its prompt")
        passed = self._guard.check_video_safety(frames)
        if passed is None:
            raise UnusableError("the guardrail blocks its video")
        return np.asarray(passed, dtype=np.uint8)

    def release(self) -> None:
        """Give back memory that a failed video held."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _pixels(video: torch.Tensor) -> U8:
    """(T, H, W, 3) uint8 of one video (1, 3, T, H, W)."""
    levels = ((video[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.asarray(levels.permute(1, 2, 3, 0).contiguous().cpu().numpy())


def _guardrail() -> Any:
    try:
        from cosmos_guardrail import CosmosSafetyChecker
    except ImportError:
        raise InputError(
            "generate.settings.guardrail: cosmos_guardrail is not installed",
            fix="install cosmos_guardrail with its weights, or set guardrail: false",
        ) from None
    return CosmosSafetyChecker()
