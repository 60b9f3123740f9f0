"""A clip, a prompt and a seed to frames, by diffusers' own pipeline, chunk after chunk.

Output frame 0 is the first of the clip's last five frames (docs/decisions/cosmos.md 2). Chunk k starts from the last
five frames of chunk k-1 and uses seed + k. Noise is drawn on the CPU, so that it does not depend on the GPU. The last
chunk may be decoded in another thread, while the next video is denoised.
"""

from __future__ import annotations

import copy
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import Cosmos2_5_PredictBasePipeline

from leicos_jobs.backends.cosmos import loading, models
from leicos_jobs.backends.cosmos.images import U8, prepare
from leicos_jobs.backends.cosmos.machine import choose_device, choose_dtype, generation_need
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
    fps: float = 30.0
    """Of the dataset; only Cosmos 3 is told."""


@dataclass(frozen=True)
class Denoised:
    """A video that is done but for the decoding of its last chunk. parts: the pictures of the chunks before it.
    latents: of the last one. ready: when the GPU has computed them; None on a CPU."""

    wanted: Wanted
    parts: list[U8]
    latents: torch.Tensor
    ready: torch.cuda.Event | None


class VideoModel:
    """The loaded model. `stop` ends a video that is being made after the step in work.

    One thread may `denoise` while another one calls `finish`.
    """

    def __init__(self, settings: CosmosSettings, checkpoint: Path | None = None, work: Path | None = None) -> None:
        """Load everything but the text encoder. checkpoint: folder that post-train made. work: folder in which
        embeddings are shared, see `CosmosSettings.embedding_file`. Raises InputError: no GPU, too little memory,
        weights, a checkpoint of another size."""
        diffusers.utils.logging.set_verbosity_error()  # it warns of types that are as they should be
        self.settings = settings
        self.device = self._choose_device()
        self.dtype = choose_dtype(settings, self.device)
        if self.device.type == "cpu":
            torch.set_num_threads(1)  # the number of threads changes the last bit of sums, and so the video's bytes
        self.stop = threading.Event()
        self.digest = "random"
        self._guard = _guardrail() if settings.guardrail else None
        self.pipe = self._assemble(checkpoint, work)
        self.pipe.set_progress_bar_config(disable=True)
        if settings.vae_tiling:
            self.pipe.vae.enable_tiling()
        if settings.compile and self.device.type == "cuda":
            self.pipe.transformer.compile()
        self._decoder = copy.copy(self.pipe.vae)  # the same weights; what it remembers between frames is its own
        self._stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def _assemble(self, checkpoint: Path | None, work: Path | None) -> Any:
        """diffusers' pipeline, on the device but for what `offload` says, and the prompts' embeddings."""
        settings = self.settings
        denoiser, vae, base = self._load(checkpoint)
        pipe = Cosmos2_5_PredictBasePipeline(
            text_encoder=None, tokenizer=None, transformer=denoiser.eval(), vae=vae.eval(),
            scheduler=models.scheduler(), safety_checker=Unchecked(),
        )  # fmt: skip
        if not (settings.offload and base):
            pipe.to(self.device)
        self.prompts = Prompts(
            encode_with(base, self.device, self.dtype, pipe, settings.offload) if base else tiny_encode,
            checkpoint,
            lambda text: work / name if work and (name := settings.embedding_file(text)) else None,
        )
        return pipe

    def _choose_device(self) -> torch.device:
        return choose_device(self.settings, generation_need(self.settings))

    def _load(self, checkpoint: Path | None) -> tuple[Any, Any, Path | None]:
        """Denoiser, VAE, and the folder with the text encoder; None where there is none."""
        self.digest, *parts = loading.load(self.settings, checkpoint, self.dtype)
        denoiser, vae, base = parts
        return denoiser, vae, base

    def prepare(self, prompts: list[str]) -> None:
        """Compute the embeddings that are not known yet, before the first video."""
        self.prompts.prepare(self.settings.texts(prompts))

    def make(self, wanted: Wanted, denoised: Denoised | None = None) -> U8:
        """(frames, height, width, 3) uint8 RGB, or what is left to do of `denoised`, with no other video at work.
        Raises UnusableError for what is this video's own fault, a lack of memory included."""
        try:
            return self.finish(denoised or self.denoise(wanted))
        except torch.OutOfMemoryError as error:
            text = str(error).splitlines()[0]
        self.release()  # outside of the handler: its traceback holds the tensors
        raise UnusableError(
            f"out of GPU memory at {wanted.width}x{wanted.height}: {text}; generate.settings.vae_tiling: true, "
            "offload: true or a smaller generate.width and height need less"
        )

    def denoise(self, wanted: Wanted) -> Denoised:
        """All of a video but the decoding of its last chunk. Raises UnusableError, torch.OutOfMemoryError."""
        if not wanted.prompt.strip():
            raise UnusableError("its prompt is empty: give source.task words")
        if len(wanted.clip) < CONDITIONING:
            raise UnusableError(f"its clip has {len(wanted.clip)} frames, {CONDITIONING} are needed")
        self.prepare([wanted.prompt])
        parts: list[U8] = []
        with torch.no_grad():
            given = prepare(wanted.clip[-CONDITIONING:], (wanted.width, wanted.height), self.settings.native.grid)
            for number in range(self.settings.chunks(wanted.frames) - 1):
                video = self._decode(self.pipe.vae, self._chunk(wanted, given, number), number)
                parts.append(_shown(video, wanted, number))
                given = video[:, :, -CONDITIONING:]
            latents = self._chunk(wanted, given, len(parts))
        ready = torch.cuda.Event() if self._stream else None  # type: ignore[no-untyped-call]
        if ready is not None:
            ready.record(torch.cuda.current_stream(self.device))
        return Denoised(wanted, parts, latents, ready)

    def finish(self, denoised: Denoised) -> U8:
        """Decode what is left: (frames, height, width, 3) uint8 RGB. Raises UnusableError, torch.OutOfMemoryError."""
        wanted, number = denoised.wanted, len(denoised.parts)
        with torch.no_grad(), self._beside(denoised):
            last = _shown(self._decode(self._decoder, denoised.latents, number), wanted, number)
        return self._checked(wanted.prompt, np.concatenate([*denoised.parts, last])[: wanted.frames])

    @contextmanager
    def _beside(self, denoised: Denoised) -> Iterator[None]:
        """On the GPU's second queue, so that decoding does not wait for the video that is being denoised."""
        if self._stream is None or denoised.ready is None:
            yield
            return
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(denoised.ready)
            denoised.latents.record_stream(self._stream)
            yield

    def _chunk(self, wanted: Wanted, given: torch.Tensor, number: int) -> torch.Tensor:
        """Latents of one chunk. given: (1, 3, 5, H, W), -1..1."""
        if self.stop.is_set():
            raise UnusableError("stopped")
        dtype = self.pipe.transformer.dtype
        negative = self.prompts.embedding(self.settings.negative_prompt) if self.settings.guided else None
        result = self.pipe(
            video=given, height=given.shape[-2], width=given.shape[-1], num_frames=self.settings.native.frames,
            num_inference_steps=self.settings.steps, guidance_scale=self.settings.guidance,
            generator=torch.Generator().manual_seed(wanted.seed + number), output_type="latent",
            prompt_embeds=self.prompts.embedding(wanted.prompt).to(self.device, dtype),
            negative_prompt_embeds=None if negative is None else negative.to(self.device, dtype),
            callback_on_step_end=self._after_step,
        )  # fmt: skip
        return result.frames  # type: ignore[no-any-return]

    def _after_step(self, pipe: Any, _step: int, _timestep: int, _values: dict[str, Any]) -> dict[str, Any]:
        pipe._interrupt = self.stop.is_set()
        return {}

    def _decode(self, vae: Any, latents: torch.Tensor, number: int) -> torch.Tensor:
        """(1, 3, T, H, W), about -1..1, in the model's type."""
        if not bool(torch.isfinite(latents).all()):
            raise UnusableError(f"chunk {number} is not finite (NaN): do the weights fit, is guidance too high?")
        video: torch.Tensor = vae.decode(self._restored(latents), return_dict=False)[0]
        if not bool(torch.isfinite(video).all()):
            raise UnusableError(f"chunk {number} is not finite (NaN) after decoding; try dtype: float32")
        return video

    def _restored(self, latents: torch.Tensor) -> torch.Tensor:
        """As the VAE made them, in the model's type."""
        mean = self.pipe.latents_mean.to(latents.device, latents.dtype)
        inverse = self.pipe.latents_std.to(latents.device, latents.dtype)  # diffusers keeps 1 / std under this name
        restored: torch.Tensor = latents / inverse + mean
        return restored.to(self.dtype)

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


def _shown(video: torch.Tensor, wanted: Wanted, number: int) -> U8:
    """The pictures that a chunk adds to its video. Raises UnusableError if they are black."""
    cut = video[..., : wanted.height, : wanted.width]
    shown = _pixels(cut if number == 0 else cut[:, :, CONDITIONING:])
    if shown[CONDITIONING if number == 0 else 0 :].max() <= BLACK:
        raise UnusableError(f"chunk {number} is black: do the weights fit?")
    return shown


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
