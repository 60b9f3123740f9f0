"""What a user can set for Cosmos-Predict2.5; the defaults are the tutorial's.

Settings of where and how it runs (checkout, Python, driver, batch, offloading) are left out of `model_dump`, so they
stay out of every identity: the same video from another folder is the same video.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from leicos_jobs.backends.base import Settings
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.cosmos import NATIVE_FRAMES, TUTORIAL_NEGATIVE_PROMPT, BatchLine, chunk_count

UPSTREAM = "7e5ffc83fefb2ae1c105c1185cdeb239efb1325c"
"""Commit of nvidia-cosmos/cosmos-predict2.5 that everything here was checked against."""

EXPERIMENTS: dict[str, int] = {
    "predict2_video2world_training_2b_groot_gr1_480": NATIVE_FRAMES,
    "predict2_video2world_training_14b_groot_gr1_480": 45,
}
"""Upstream's post-training configurations and the frames of their training clips (groot.py)."""

JOB_NAMES = {name: name.removeprefix("predict2_video2world_training_") for name in EXPERIMENTS}
"""Folder that upstream's configuration gives a job, below cosmos_predict_v2p5/video2world."""


class PostTrainSettings(Settings):
    """Post-training; the defaults are those of upstream's GR1 recipe, which the tutorial follows."""

    experiment: Literal[
        "predict2_video2world_training_2b_groot_gr1_480", "predict2_video2world_training_14b_groot_gr1_480"
    ] = "predict2_video2world_training_2b_groot_gr1_480"
    """Upstream's configuration; 2B trains on 93 frames, 14B on 45."""
    steps: int = Field(1000, ge=1)
    """Optimiser steps (trainer.max_iter). Upstream's learning rate warms up over 1000."""
    save_every: int = Field(200, ge=1)
    """Steps between checkpoints (checkpoint.save_iter); also what a lost pod costs at most."""
    gpus: int = Field(1, ge=1, le=8)
    """GPUs of the one pod (torchrun --nproc_per_node); the batch is one clip a GPU, so it changes the result."""
    learning_rate: float | None = Field(None, gt=0)
    """optimizer.lr; unset is upstream's, 2^-14.5 for 2B."""
    warm_up_steps: int | None = Field(None, ge=0)
    """scheduler.warm_up_steps; unset is upstream's 1000."""
    overrides: tuple[str, ...] = ()
    """Further overrides in upstream's syntax, e.g. model.config.ema.rate=0.05."""
    wandb: bool = Field(False, exclude=True)
    """Weights & Biases; upstream has it on, an offline pod cannot."""
    loader_workers: int = Field(4, ge=0, exclude=True)
    """dataloader_train.num_workers."""
    check_export: bool = Field(True, exclude=True)
    """Load the exported checkpoint once before it is published: upstream only logs keys that do not fit."""

    @field_validator("overrides")
    @classmethod
    def _form(cls, items: tuple[str, ...]) -> tuple[str, ...]:
        for item in items:
            if not re.fullmatch(r"~[\w.]+|\+{0,2}[\w.]+=\S*", item):
                raise ValueError(f"{item!r} is not of the form key=value or ~key")
        return items

    @property
    def frames(self) -> int:
        """Frames of a training clip; a video must be longer."""
        return EXPERIMENTS[self.experiment]


class CosmosSettings(Settings):
    """Generation, and where upstream is."""

    guidance: int = Field(7, ge=0, le=7)
    """Classifier-free guidance; upstream takes whole numbers 0 to 7."""
    num_steps: int = Field(35, ge=1)
    """Denoising steps; cost is linear in it."""
    negative_prompt: str = TUTORIAL_NEGATIVE_PROMPT
    """What the video should not look like."""
    resolution: str | None = Field(None, pattern=r"\d+,\d+")
    """Height and width, e.g. 480,640 as in the tutorial; it must equal the run's, whose it is when unset."""
    autoregressive: bool = True
    """Chunk after chunk, for any length; off, the model makes its native 93 frames and generate.frames must say so."""
    chunk_size: int = Field(77, ge=6, le=NATIVE_FRAMES)
    """Frames per chunk; each costs a full pass of 93 frames whatever its size."""
    chunk_overlap: int = Field(1, ge=1)
    """Frames by which chunks overlap; above 1 this upstream mixes up units (fixed after 315e424d)."""
    model: Literal["2B/pre-trained", "2B/post-trained", "14B/pre-trained", "14B/post-trained"] = "2B/post-trained"
    """Weights that are used where there is no post-trained checkpoint."""
    guardrails: bool = False
    """Upstream's safety models. Off for robot videos, recorded with each: they blur and block by false alarm."""
    commit: str = Field(UPSTREAM, pattern=r"[0-9a-f]{40}")
    """Commit of the checkout; another one is another generator and enters every identity."""
    post_train: PostTrainSettings = PostTrainSettings()
    """Post-training of the checkpoint."""

    checkout: str | None = Field(None, exclude=True)
    """Folder of cosmos-predict2.5; unset: $LEICOS_COSMOS."""
    python: str | None = Field(None, exclude=True)
    """Python of upstream's environment; unset: $LEICOS_COSMOS_PYTHON, then .venv/bin/python in the checkout."""
    driver: Literal["auto", "api", "cli"] = Field("auto", exclude=True)
    """api: upstream's Python classes in one resident process, errors caught a sample; cli: examples/inference.py, once
    a batch. auto takes api where the checkout has those classes."""
    batch: int | None = Field(None, ge=1, exclude=True)
    """Samples handed over at a time; unset: 4 for api (one in work, the next ones waiting), 1000 for cli (the model is
    loaded once per batch)."""
    offline: bool = Field(True, exclude=True)
    """Forbid downloads: the weights come from the model cache ($HF_HOME)."""
    offload: tuple[Literal["diffusion-model", "tokenizer", "text-encoder"], ...] = Field((), exclude=True)
    """Parts that wait in host memory while they are not used, for GPUs below 48 GB."""
    tolerated_keys: tuple[str, ...] = Field(("_extra_state",), exclude=True)
    """Checkpoint keys that may be missing or unexpected; any other fails the job."""

    @model_validator(mode="after")
    def _chunks(self) -> CosmosSettings:
        if self.chunk_overlap >= self.chunk_size:
            raise ValueError("chunk_overlap must be smaller than chunk_size")
        return self

    def chunks(self, frames: int) -> int:
        """How many passes of the model make a video of `frames` frames; as many seeds are used."""
        return chunk_count(frames, self.chunk_size, self.chunk_overlap) if self.autoregressive else 1

    def geometry(self, frames: int, width: int, height: int) -> str:
        """The resolution text for upstream. Raises InputError if the run asks for what upstream cannot make."""
        wanted = f"{height},{width}"
        if self.resolution not in (None, wanted):
            raise InputError(
                f"generate.settings.resolution is {self.resolution!r}, but the run generates {width}x{height}",
                fix="remove the setting, or make generate.height,width equal to it",
            )
        if width % 16 or height % 16:
            raise InputError(
                f"Cosmos cannot make {width}x{height}: both must be multiples of 16",
                fix="use 640x480, which the tutorial does",
            )
        if not self.autoregressive and frames != NATIVE_FRAMES:
            raise InputError(
                f"without autoregressive Cosmos makes {NATIVE_FRAMES} frames, not {frames}",
                fix=f"set generate.frames: {NATIVE_FRAMES}, or autoregressive: true",
            )
        return wanted

    def line(self, *, name: str, prompt: str, clip: str, seed: int, frames: int, size: tuple[int, int]) -> BatchLine:
        """Upstream's line for one video of size (width, height). Raises InputError, see `geometry`."""
        return BatchLine(
            name=name,
            prompt=prompt,
            input_path=clip,
            negative_prompt=self.negative_prompt,
            seed=seed,
            guidance=self.guidance,
            resolution=self.geometry(frames, *size),
            num_output_frames=frames,
            num_steps=self.num_steps,
            enable_autoregressive=self.autoregressive,
            chunk_size=self.chunk_size,
            chunk_overlap=self.chunk_overlap,
        )

    def identity(self) -> dict[str, Any]:
        """What determines a video, apart from the checkpoint: without the settings of its training."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"post_train"})
