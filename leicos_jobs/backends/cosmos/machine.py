"""Where the model runs, and whether it fits there: said before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from leicos_jobs.backends.cosmos.settings import CosmosSettings
from leicos_jobs.core.errors import InputError

GB = 1e9


@dataclass(frozen=True)
class Need:
    """GPU memory in GB. work: denoiser, VAE and activations at 640x480, 93 frames. encoder: the text encoder."""

    work: float
    encoder: float = 16.6

    def peak(self, offload: bool) -> float:
        """With the text encoder beside the rest, or alone."""
        return max(self.work, self.encoder + 1) if offload else self.work + self.encoder


NEEDS = {"2b": Need(work=8.0), "14b": Need(work=36.0)}
"""2b and the encoder: measured on an H200 with random weights (docs/backends/cosmos.md). 14b: derived, 28.6 GB of
weights and the activations of a network 2.5 times as wide."""


def choose_device(settings: CosmosSettings) -> torch.device:
    """Raises InputError if there is no GPU, or too little free memory on it."""
    there = torch.cuda.is_available()
    name = settings.device
    if name == "auto":
        name = "cuda" if there or settings.size != "tiny" else "cpu"
    if name == "cuda" and not there:
        raise InputError(
            f"cosmos of size {settings.size} needs a GPU, and this machine has none",
            fix="run on a machine with a GPU; generate.settings.size: tiny tries the pipeline on a CPU",
        )
    if name == "cuda" and settings.size in NEEDS:
        require_memory(settings, torch.cuda.mem_get_info()[0] / GB)
    return torch.device(name)


def require_memory(settings: CosmosSettings, free: float) -> None:
    """free: GB of GPU memory. Raises InputError naming the setting that helps, if one does."""
    need = NEEDS[settings.size]
    if free >= need.peak(settings.offload):
        return
    fix = f"free the GPU, or use one with {need.peak(True):.0f} GB or more"
    if free >= need.peak(True):
        fix = f"set generate.settings.offload: true, which needs {need.peak(True):.0f} GB"
    raise InputError(
        f"cosmos of size {settings.size} needs {need.peak(settings.offload):.0f} GB of GPU memory, {free:.1f} are free",
        fix=fix,
    )


def choose_dtype(settings: CosmosSettings, device: torch.device) -> torch.dtype:
    """auto: bfloat16 on a GPU, float32 on a CPU."""
    if settings.dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32
