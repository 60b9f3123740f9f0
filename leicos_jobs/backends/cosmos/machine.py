"""Where the model runs, and whether it fits there: said before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from leicos_jobs.backends.cosmos import models
from leicos_jobs.backends.cosmos.recipes import Method, Precision
from leicos_jobs.backends.cosmos.settings import CosmosSettings
from leicos_jobs.core.errors import InputError

GB = 1e9
ENCODER = 16.6
"""GB of the text encoder, measured on an H200 (docs/backends/cosmos.md)."""
GENERATION = {"2b": 8.0, "14b": 36.0, "edge": 14.0, "nano": 40.0}
"""GB of denoiser, VAE and activations at 640x480, 93 frames. 2b: measured there with random weights. The others are
derived; 14b: 28.6 GB of weights and the activations of a network 2.5 times as wide; edge, nano: 4 and 16 G weights."""
ACTIVATIONS = {"2b": (6.0, 9.0), "14b": (20.0, 29.0)}
"""GB beside what `bytes_per_weight` counts when one clip of that size is trained on with checkpointing, in full and by
LoRA. 2b: what is left of the 22.5 and 13.0 GB measured there. 14b: derived, 2.5 times as wide, 1.3 times as deep."""


@dataclass(frozen=True)
class Need:
    """GPU memory in GB. least: with the setting that helps most."""

    work: float
    least: float
    setting: str


def generation_need(settings: CosmosSettings) -> Need | None:
    """With the text encoder beside the rest, or, at least, in turns. None: it fits anywhere."""
    if settings.size not in GENERATION:
        return None
    work = GENERATION[settings.size]
    if settings.family == "cosmos3":  # there is no text encoder
        return Need(work, work, "")
    least = max(work, ENCODER + 1)
    return Need(least if settings.offload else work + ENCODER, least, "generate.settings.offload: true")


def training_need(settings: CosmosSettings) -> Need | None:
    """Of the training; the text encoder works before it, beside the VAE alone. None: it fits anywhere."""
    if settings.size not in ACTIVATIONS:
        return None
    numbers = sum(part.numel() for part in models.empty_denoiser(settings.size).parameters())

    def work(method: Method, precision: Precision) -> float:
        beside = ACTIVATIONS[settings.size][method == "lora"]
        return float(max(numbers * bytes_per_weight(method, precision) / GB + beside, ENCODER + 1))

    recipe = settings.recipe
    halved, setting = work(recipe.method, "bfloat16"), "generate.settings.post_train.precision: bfloat16"
    return Need(work(recipe.method, recipe.precision), halved, setting)


def bytes_per_weight(method: Method, precision: Precision) -> int:
    """What a training keeps on the GPU. LoRA: the weight. In full in bfloat16: also its gradient and two moments; in
    float32 these four, the averaged weight, and the bfloat16 copy that autocast computes with."""
    if method == "lora":
        return 2
    return 4 * 2 if precision == "bfloat16" else 5 * 4 + 2


def choose_device(settings: CosmosSettings, need: Need | None) -> torch.device:
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
    if name == "cuda" and need is not None:
        require_memory(settings.size, need, torch.cuda.mem_get_info()[0] / GB)
    return torch.device(name)


def require_memory(size: str, need: Need, free: float) -> None:
    """free: GB of GPU memory. Raises InputError naming the setting that helps, if one does."""
    if free >= need.work:
        return
    fix = f"free the GPU, or use one with {need.least:.0f} GB or more"
    if free >= need.least:
        fix = f"set {need.setting}, which needs {need.least:.0f} GB"
    raise InputError(
        f"cosmos of size {size} needs {need.work:.0f} GB of GPU memory, {free:.1f} are free",
        fix=fix,
    )


def choose_dtype(settings: CosmosSettings, device: torch.device) -> torch.dtype:
    """auto: bfloat16 on a GPU, float32 on a CPU."""
    if settings.dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32
