"""What a user can set for `post-train: cosmos`, and what each size takes where nothing is set."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["full", "lora"]
Precision = Literal["float32", "bfloat16"]


class PostTrainSettings(BaseModel):
    """Training settings. A field left out takes its value from the size (see `RECIPES`).

    The schedule counts optimiser steps, never seconds, so that a training that was killed ends where it would have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    method: Method | None = None
    """full trains all weights; lora (2b and 14b's default) small matrices beside them: half the memory."""
    precision: Precision = "float32"
    """Of weights, gradients and AdamW's moments in full training. bfloat16 rounds by chance, keeps the averaged weights
    in host memory and needs 23 GB for 2b instead of 52. LoRA's small matrices are always in float32."""
    lora_rank: int = Field(32, ge=1)
    """Rank of the matrices; their scale is 1."""
    steps: int | None = Field(None, ge=1)
    """Optimiser steps of the denoiser."""
    batch: int | None = Field(None, ge=1)
    """Clips a step, of all processes together."""
    processes: int | None = Field(None, ge=1, exclude=True)
    """Processes that share each step's batch, a GPU each; on a CPU one unless told otherwise. Unset: as many as there
    are GPUs and divide the batch, so set `batch` to a multiple of the GPUs. The weights are the same up to rounding."""
    learning_rate: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Peak of AdamW's; it warms up and falls along a cosine to a twentieth."""
    warm_up_steps: int | None = Field(None, ge=0)
    """Steps in which the rate rises."""
    ema: float | None = Field(None, ge=0, lt=1)
    """Decay per step of the averaged weights, which are the ones that are kept."""
    shift: float = Field(5.0, gt=0, allow_inf_nan=False)
    """Noise levels are drawn as shift u / (1 + (shift - 1) u), u logistic-normal: upstream's 5. A clip's frames are so
    alike that little noise hides nothing, and sampling spends half its steps above 0.9."""
    high_noise_share: float = Field(0.05, ge=0, le=1)
    """Share of levels drawn evenly from 0.98 to 1, where sampling begins and the distribution above has almost none."""
    windows: int | None = Field(None, ge=1)
    """Training clips cut from each demo, spread evenly over it. A demo that is too short stands still at its end."""
    checkpointing: bool | None = Field(None, exclude=True)
    """Compute activations again in the backward pass: a third more time; without it 2b does not fit 139 GB."""
    compile: bool = Field(True, exclude=True)
    """torch.compile of the networks in training, on a GPU only."""
    save_every: int | None = Field(None, ge=1, exclude=True)
    """Steps between checkpoints: what a kill costs at most."""
    validate_every: int | None = Field(None, ge=1, exclude=True)
    """Steps between losses on held-out demos and sample videos."""
    previews: int = Field(1, ge=0, exclude=True)
    """Sample videos at each validation, from starts of held-out demos."""
    autoencoder_steps: int | None = Field(None, ge=0)
    """Size small only: steps of the picture autoencoder, which is trained first."""
    autoencoder_batch: int = Field(64, ge=1)
    """Size small only: pictures a step."""
    autoencoder_learning_rate: float = Field(1e-3, gt=0, allow_inf_nan=False)
    """Size small only."""

    def recipe(self, size: str) -> Recipe:
        """All values fixed: the size's, overridden by what the user set."""
        chosen = {name: value for name, value in dict(self).items() if value is not None}
        return Recipe(**({"processes": None} | RECIPES[size] | chosen))


class Recipe(BaseModel):
    """Settings with nothing left open; see `PostTrainSettings`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method
    precision: Precision
    lora_rank: int
    steps: int
    batch: int
    processes: int | None
    learning_rate: float
    warm_up_steps: int
    ema: float
    shift: float
    high_noise_share: float
    windows: int
    checkpointing: bool
    compile: bool
    save_every: int
    validate_every: int
    previews: int
    autoencoder_steps: int
    autoencoder_batch: int
    autoencoder_learning_rate: float

    def identity(self) -> dict[str, Any]:
        """What determines the weights."""
        only_speed = {"processes", "checkpointing", "compile", "save_every", "validate_every", "previews"}
        return self.model_dump(mode="json", exclude=only_speed)


_REAL: dict[str, Any] = {
    "method": "lora", "steps": 1000, "batch": 1, "learning_rate": 2**-14.5, "warm_up_steps": 100, "ema": 0.99,
    "windows": 4, "checkpointing": True, "save_every": 200, "validate_every": 200, "autoencoder_steps": 0,
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    # upstream's GR1 recipe: 1000 steps of one clip, rate 2^-14.5; its warm-up of 1000 would leave no step at that rate
    "2b": _REAL,
    "14b": _REAL,
    # from nothing in minutes: a high rate, steps that one H100 makes in about seven minutes
    "small": {
        "method": "full", "steps": 3000, "batch": 8, "learning_rate": 4e-4, "warm_up_steps": 200, "ema": 0.998,
        "windows": 1, "checkpointing": False, "save_every": 1500, "validate_every": 500, "autoencoder_steps": 3000,
    },
    "tiny": {
        "method": "full", "steps": 6, "batch": 2, "learning_rate": 1e-3, "warm_up_steps": 2, "ema": 0.5,
        "windows": 1, "checkpointing": False, "save_every": 2, "validate_every": 3, "autoencoder_steps": 0,
    },
}  # fmt: skip
