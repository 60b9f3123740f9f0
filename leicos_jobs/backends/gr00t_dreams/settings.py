"""What a user can set for the `gr00t-dreams` backend. Light: no torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field

from leicos_jobs.backends.base import Settings
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.programs import clean_environment, commit_of

UPSTREAM = "ec3881d44545016871997f8e17dd15f1d792e91d"
"""Commit of NVIDIA/GR00T-Dreams that this backend is written against."""
CHECKOUT_VARIABLE = "LEICOS_GR00T_DREAMS"
PYTHON_VARIABLE = "LEICOS_GR00T_PYTHON"


class LabellerSettings(Settings):
    """Inference. Fields marked `exclude` change speed or place only and enter no identity."""

    precision: Literal["bf16", "fp32"] = Field("bf16", description="bf16 is for GPUs; fp32 is upstream's own")
    smoothing_rows: int = Field(1, ge=1, le=31, description="odd; above 1: Hann mean over so many rows, recorded")
    device: str = Field("auto", pattern=r"auto|cpu|cuda(:\d+)?", exclude=True, description="auto: cuda if there is one")
    videos: int = Field(64, ge=1, le=1024, exclude=True, description="videos that are worked on together")
    decoders: int | None = Field(None, ge=1, le=256, exclude=True, description="decoder processes; unset: one a core")


class TrainerSettings(Settings):
    """Training; defaults are upstream's (scripts/idm_training.py, class Config, at ec3881d)."""

    steps: int = Field(10_000, ge=1, description="optimiser steps; upstream published models with 30,000 to 60,000")
    batch: int = Field(16, ge=1, description="windows per step and GPU")
    learning_rate: float = Field(1e-4, gt=0, description="peak, cosine schedule")
    weight_decay: float = Field(1e-5, ge=0, description="of AdamW")
    warmup_ratio: float = Field(0.05, ge=0, le=1, description="share of the steps in which the rate rises")
    random_init: bool = Field(False, description="draw everything but the vision tower from N(0, 0.02)")
    gpus: int = Field(1, ge=1, le=16, description="GPUs of one host; the batch grows with them")
    save_steps: int = Field(500, ge=1, exclude=True, description="steps between checkpoints (7.5 GB each)")
    keep_checkpoints: int = Field(2, ge=1, exclude=True, description="older ones are removed; upstream keeps 8")
    workers: int = Field(8, ge=0, exclude=True, description="data loader processes")
    video_backend: Literal["decord", "torchvision_av"] = Field("decord", exclude=True, description="upstream's reader")
    checkout: str | None = Field(None, exclude=True, description=f"GR00T-Dreams folder; unset: ${CHECKOUT_VARIABLE}")
    python: str | None = Field(None, exclude=True, description=f"interpreter with its packages; ${PYTHON_VARIABLE}")


def checkout(given: str | None) -> Path:
    """The GR00T-Dreams checkout, from the setting or the environment. Raises InputError if there is none."""
    name = given or os.environ.get(CHECKOUT_VARIABLE)
    if not name:
        raise InputError(
            "training with GR00T-Dreams needs a checkout of it",
            fix=f"set {CHECKOUT_VARIABLE} to a checkout at {UPSTREAM[:7]}, or use images/idm, which has one",
        )
    folder = Path(name).resolve()
    if not (folder / "scripts" / "idm_training.py").is_file():
        raise InputError(
            f"{folder} is not a GR00T-Dreams checkout: scripts/idm_training.py is missing",
            fix=f"correct {CHECKOUT_VARIABLE}",
        )
    require_commit(folder)
    return folder


def require_commit(folder: Path) -> None:
    """Refuse a checkout that says it is at another commit: artifacts name UPSTREAM as what they were made with."""
    commit = commit_of(folder)
    if commit not in (None, UPSTREAM):
        raise InputError(
            f"{folder} is at commit {commit}, leicos is for {UPSTREAM}", fix=f"git -C {folder} checkout {UPSTREAM[:8]}"
        )


def python(given: str | None) -> str:
    """The interpreter that has GR00T-Dreams' packages: the setting, the environment, or this process's own."""
    return given or os.environ.get(PYTHON_VARIABLE) or sys.executable


def environment(folder: Path, **extra: str) -> dict[str, str]:
    """Environment of upstream's programs: its own sources on the path, no look at the hub for anything newer."""
    return clean_environment({"PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1"} | extra)
