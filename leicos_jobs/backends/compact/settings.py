"""What a user can set, and the two sizes that fill in the rest."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from leicos_jobs.backends.base import Settings

NAME = "compact"
TRAINER_VERSION = 1
"""Rises whenever the same training would end in other bytes; the labeller has a version of its own."""


class CompactSettings(Settings):
    """Training settings. A field left out takes its value from `size` (see `SIZES`).

    The schedule counts optimiser steps, never seconds: a wall-clock budget would make two runs of the same
    configuration differ, and a resumed one differ from an undisturbed one.
    """

    size: Literal["small", "full"] = Field("small", description="small: two CPU cores; full: one GPU")
    image_width: int | None = Field(None, ge=16, description="frames are reduced to about this width, px")
    crop: Literal["motion", "none"] = Field("motion", description="motion: the area in which training frames move")
    channels: tuple[int, ...] | None = Field(None, min_length=2, description="feature maps of each stage")
    blocks: int | None = Field(None, ge=0, description="residual blocks a stage")
    hidden: int | None = Field(None, ge=8, description="width of the encoder's fully connected layers")
    steps: int | None = Field(None, ge=1, description="optimiser steps of the encoder")
    head_steps: int | None = Field(None, ge=1, description="optimiser steps of the temporal head")
    batch: int | None = Field(None, ge=1, description="frames per step")
    learning_rate: float | None = Field(None, gt=0, description="peak learning rate of the encoder (AdamW, cosine)")
    weight_decay: float | None = Field(None, ge=0, description="AdamW weight decay of the encoder")
    ema: float = Field(0.998, ge=0, lt=1, description="decay of the averaged weights, which are the ones that are kept")
    augmentation: float = Field(1.0, ge=0, le=3, description="strength of light, colour and shift changes")
    tool_loss: float = Field(1.0, ge=0, description="weight of the gripper's position error")
    kinematics: Literal["auto", "off"] = Field("auto", description="auto: use the robot's geometry where it is known")
    bf16: bool | None = Field(None, description="autocast to bfloat16 (GPU)")
    threads: int = Field(2, ge=1, description="CPU threads; another number gives other last bits")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda if there is one")
    checkpoint_every: int = Field(250, ge=1, description="steps between checkpoints")

    def recipe(self) -> Recipe:
        """All values fixed: the size's, overridden by what the user set."""
        chosen = {key: value for key, value in self.model_dump().items() if value is not None}
        return Recipe(**{**SIZES[self.size], **chosen})


class Recipe(CompactSettings):
    """Settings with nothing left open; goes into the artifact and into the checkpoint's identity."""

    image_width: int
    channels: tuple[int, ...]
    blocks: int
    hidden: int
    steps: int
    head_steps: int
    batch: int
    learning_rate: float
    weight_decay: float
    bf16: bool


SIZES: dict[str, dict[str, Any]] = {
    "small": {
        "image_width": 160,
        "channels": (32, 64, 96),
        "blocks": 0,
        "hidden": 256,
        "steps": 1200,
        "head_steps": 700,
        "batch": 64,
        "learning_rate": 2e-3,
        "weight_decay": 0.02,
        "bf16": False,
    },
    "full": {
        "image_width": 320,
        "channels": (48, 96, 160, 256),
        "blocks": 2,
        "hidden": 512,
        "steps": 8000,
        "head_steps": 4000,
        "batch": 256,
        "learning_rate": 1.5e-3,
        "weight_decay": 0.05,
        "bf16": True,
    },
}


class LabellerSettings(Settings):
    """Inference settings; they enter the identity of labels.

    `hann` over 7 rows (0.23 s) changed errors by at most 0.03 degrees and no replay outcome of 45 imagined videos of
    the embedded scene, and brought the share of velocity sign flips from 12-31 % to 5-9 %; true actions have 8-11 %.
    """

    smoothing: Literal["none", "hann"] = Field("none", description="hann: weighted mean over neighbouring rows")
    smoothing_rows: int = Field(7, ge=3, le=31, description="rows of the Hann window, odd")
    threads: int = Field(2, ge=1, description="CPU threads; another number gives other last bits")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda if there is one")

    @field_validator("smoothing_rows")
    @classmethod
    def _odd(cls, rows: int) -> int:
        if rows % 2 == 0:
            raise ValueError("must be odd, so that a row is in the middle of its window")
        return rows
