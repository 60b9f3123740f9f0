"""The parts of a post-training in their order: autoencoder, latents, embeddings, denoiser, export."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from leicos_jobs.backends.cosmos import clips, loading, models, team, weights
from leicos_jobs.backends.cosmos.autoencoder import FrameAutoencoder
from leicos_jobs.backends.cosmos.autoencoder_training import train_autoencoder
from leicos_jobs.backends.cosmos.flow import FlowTraining
from leicos_jobs.backends.cosmos.images import U8, fit
from leicos_jobs.backends.cosmos.machine import choose_device, choose_dtype, training_need
from leicos_jobs.backends.cosmos.pipeline import UnusableError, VideoModel, Wanted
from leicos_jobs.backends.cosmos.prompts import Prompts, encode_with, tiny_encode
from leicos_jobs.backends.cosmos.settings import CONDITIONING, CosmosSettings
from leicos_jobs.backends.requests import PostTrainRequest
from leicos_jobs.core import logs
from leicos_jobs.core.errors import DefectError
from leicos_jobs.formats.cosmos import Clip
from leicos_jobs.media.encode import write_video

PREVIEW_FPS = 30.0


class Trainer:
    """One post-training. curves: points of all loss curves. psnr: dB of the autoencoder on held-out pictures, if it was
    trained here. previews: folder of sample videos."""

    def __init__(
        self,
        settings: CosmosSettings,
        request: PostTrainRequest,
        trained: Sequence[Clip],
        held_out: Sequence[Clip],
        identity: str,
    ) -> None:
        """Raises InputError: no GPU, too little memory, processes that cannot share the batch."""
        self.settings, self.request, self.recipe = settings, request, settings.recipe
        self.trained, self.held_out, self.identity = trained, held_out, identity
        self.device = choose_device(settings, training_need(settings))
        self.processes = team.size_of(self.recipe.processes, self.recipe.batch, self.device)
        self.dtype = choose_dtype(settings, self.device)
        if self.device.type == "cpu":
            torch.set_num_threads(1)  # the number of threads changes the last bit of sums
        else:
            torch.set_float32_matmul_precision("high")
        self.native = settings.native
        self.curves: list[dict[str, Any]] = []
        self.psnr: float | None = None
        self.previews = request.resume / "previews"
        self.previews.mkdir(parents=True, exist_ok=True)
        self._done = 0
        windows = sum(len(self._windows(side)) for side in (trained, held_out))
        self._total = self.recipe.autoencoder_steps + windows + self.recipe.steps

    def prepare(self) -> None:
        """Autoencoder, latents of all windows, embeddings of all prompts. Raises InputError."""
        base = loading.base_folder(self.settings)
        self.vae: Any = self._autoencoder() if self.settings.size == "small" else None
        if self.vae is None:
            self.vae = loading.load_vae(self.settings, None, base, self.dtype).to(self.device).eval()
        self.data = self._latents("trained", self.trained), self._latents("held-out", self.held_out)
        self.base = base
        encoder = base if base is not None and (base / "text_encoder").is_dir() else None
        pipe = SimpleNamespace(vae=self.vae)
        encode = encode_with(encoder, self.device, self.dtype, pipe, False) if encoder else tiny_encode
        self.prompts = Prompts(encode, self.request.resume)
        texts = [*self.data[0].prompts, *self.data[1].prompts]
        self.prompts.prepare([*texts, self.settings.negative_prompt] if self.settings.guidance > 1 else texts)
        self.prompts.keep(self.request.resume)

    def train(self) -> list[dict[str, Any]]:
        """Train the denoiser; returns its loss curve."""
        request = replace(self.request, report=_no_report)
        arguments = self.settings, request, self.trained, self.identity
        with team.leading(self.processes, self.device, follow, *arguments) as processes:
            curve = self._train(processes)
        self.curves += [{"part": "denoiser", **point} for point in curve]
        return curve

    def follow(self, processes: team.Team) -> None:
        """Train the denoiser beside the process that prepared it: its latents and embeddings are in the folder."""

        def missing() -> clips.Latents:
            raise DefectError("the latents of the training are not where the leading process keeps them")

        nothing = clips.Latents(torch.zeros(0), ())
        self.data = clips.cached(self.request.resume, "trained", self.identity, missing), nothing
        self.prompts = Prompts(tiny_encode, self.request.resume)
        self._train(processes)

    def _train(self, processes: team.Team) -> list[dict[str, Any]]:
        self.denoiser = self._denoiser().to(self.device)
        texts = {text: self.prompts.embedding(text) for side in self.data for text in side.prompts}
        flow = FlowTraining(self.denoiser, self.data, texts, self.recipe, self.request.seed, processes)
        done = self._total - self.recipe.steps
        return flow.run(
            self.request.resume,
            self.identity,
            lambda step: self.request.report(done + step, self._total),
            self._preview,
        )

    def export(self) -> str:
        """Write the checkpoint's networks and embeddings; returns the denoiser's digest."""
        out = self.request.out
        out.mkdir(parents=True, exist_ok=True)
        self.denoiser._compiled_call_impl = None
        self.denoiser.to(self.dtype).save_pretrained(str(out / "transformer"))
        if self.settings.size == "small":
            self.vae.save_pretrained(str(out / "vae"))
        self.prompts.keep(out)
        return weights.digest(out)

    def _windows(self, side: Sequence[Clip]) -> list[clips.Window]:
        return clips.windows(side, self.native.frames, self.recipe.windows)

    def _autoencoder(self) -> FrameAutoencoder:
        model, curve = train_autoencoder(
            self.trained, self.held_out, self.request.size, self.native.grid, self.recipe, self.request.seed,
            self.device, self.request.resume, self.identity,
            lambda step: self.request.report(step, self._total), self.recipe.compile,
        )  # fmt: skip
        self.curves += [{"part": "autoencoder", **point} for point in curve]
        self.psnr = next((point["psnr"] for point in reversed(curve) if "psnr" in point), None)
        logs.event("cosmos.autoencoder_trained", psnr=self.psnr)
        trained: FrameAutoencoder = model.to(self.dtype)
        return trained

    def _latents(self, name: str, side: Sequence[Clip]) -> clips.Latents:
        if not side:
            return clips.Latents(torch.zeros(0), ())

        def report() -> None:
            self._done += 1
            self.request.report(self.recipe.autoencoder_steps + self._done, self._total)

        def make() -> clips.Latents:
            cut = self._windows(side)
            return clips.encode_all(self.vae, cut, self.native.frames, self.request.size, self.native.grid, report)

        return clips.cached(self.request.resume, name, self.identity, make)

    def _denoiser(self) -> Any:
        settings = self.settings
        dtype = getattr(torch, self.recipe.precision) if self.recipe.method == "full" else self.dtype
        if settings.size == "small":
            return models.small(self.request.seed).to(dtype)
        if settings.weights is None:
            return models.tiny()[0].to(dtype)
        return weights.load_denoiser(weights.locate(settings.weights, "weights"), settings.size, dtype)

    def _preview(self, step: int) -> None:
        """Sample videos from starts of held-out demos, each beside the demo."""
        model = _Preview(self.settings, self.denoiser, self.vae, self.prompts)
        width, height = self.request.size
        for number, clip in enumerate(self.held_out[: self.recipe.previews]):
            real = clips.pictures(clips.Window(clip, 0), self.native.frames)
            wanted = Wanted(real[:CONDITIONING], clip.prompt, 0, self.native.frames, width, height)
            try:
                made = model.make(wanted)
            except UnusableError as error:  # a black or broken picture early on is not the training's end
                logs.event("cosmos.preview_failed", step=step, error=str(error))
                continue
            path = self.previews / f"step_{step:06d}_{number}.mp4"
            write_video(path, np.concatenate([_as_shown(real, width, height), made], axis=2), PREVIEW_FPS)
        gc.collect()


def follow(
    settings: CosmosSettings, request: PostTrainRequest, trained: Sequence[Clip], identity: str, processes: team.Team
) -> None:
    """What the processes do that do not lead."""
    Trainer(settings, request, trained, (), identity).follow(processes)


def _no_report(_done: int, _total: int) -> None:
    """The leader reports."""


def _as_shown(images: U8, width: int, height: int) -> U8:
    """(N, height, width, 3) uint8: as the network is shown them."""
    video = (fit(images, width, height)[0] + 1) * 127.5
    return np.asarray(video.round().to(torch.uint8).permute(1, 2, 3, 0).contiguous().numpy())


class _Preview(VideoModel):
    """The generator's own model around networks that are in training."""

    def __init__(self, settings: CosmosSettings, denoiser: Any, vae: Any, prompts: Prompts) -> None:
        self._networks = denoiser, vae
        super().__init__(settings.model_copy(update={"compile": False, "guardrail": False, "offload": False}))
        self.prompts = prompts

    def _choose_device(self) -> torch.device:
        return torch.device(self._networks[0].device)

    def _load(self, checkpoint: Path | None) -> tuple[Any, Any, Path | None]:
        return *self._networks, None
