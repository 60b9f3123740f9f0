"""What a user can set for `generate: cosmos`, and what a family can make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from leicos_jobs.backends.cosmos.recipes import PostTrainSettings, Recipe
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.cosmos import CONDITIONING_FRAMES, NATIVE_FRAMES, TUTORIAL_NEGATIVE_PROMPT, chunk_count

CONDITIONING = CONDITIONING_FRAMES["video2world"]
"""Frames of the clip that a video begins with, and by which the chunks of a long one overlap."""
EXAMPLE_WEIGHTS = "nvidia/Cosmos-Predict2.5-2B@diffusers/base/post-trained"


EXAMPLE_COSMOS3 = {"edge": "nvidia/Cosmos3-Edge", "nano": "nvidia/Cosmos3-Nano"}
Family = Literal["predict2.5", "cosmos3"]
Size = Literal["2b", "14b", "small", "tiny", "edge", "nano"]
SIZES: dict[Family, tuple[Size, ...]] = {
    "predict2.5": ("2b", "14b", "small", "tiny"),
    "cosmos3": ("edge", "nano", "tiny"),
}
UNTRAINED: tuple[Size, ...] = ("small", "tiny")
"""Sizes that need no weights of others."""


@dataclass(frozen=True)
class Native:
    """What a model makes in one pass. frames: of a chunk. multiple, side_max: of width and height, pixels. grid: what
    it computes on, pixels; pictures are padded to it and cropped back. fps: what its frames nominally stand apart; they
    are labelled with the dataset's rate, as upstream's are."""

    frames: int = NATIVE_FRAMES
    multiple: int = 16
    grid: int = 16
    side_max: int = 1920
    fps: float = 16.0


NATIVES = {
    "2b": Native(),
    "14b": Native(),
    "small": Native(frames=161, grid=32),  # the embedded scene's demos have 105 to 191 frames: one pass, no seams
    "tiny": Native(frames=13),
    "edge": Native(frames=121, grid=32, fps=24.0),
    "nano": Native(frames=189, grid=32, fps=24.0),
}


class CosmosSettings(BaseModel):
    """Settings of the cosmos generator."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    family: Family = "predict2.5"
    """The family of models. Cosmos 3 is told the dataset's rate, and cannot be post-trained here."""
    size: Size = "2b"
    """2b and 14b are NVIDIA's Predict2.5, edge and nano its Cosmos 3. small is trained from nothing by post-train, in
    minutes on one GPU, for one scene of 320x240 or so. tiny has small random weights: seconds on a CPU, pictures of
    noise, for trials of a pipeline."""
    weights: str | None = None
    """Required for NVIDIA's sizes: a folder in diffusers' layout, or ORG/NAME or ORG/NAME@REVISION in the model cache
    ($HF_HOME), or the model_ema_bf16.pt that upstream's conversion writes, which needs `base`. The text enters ids, the
    bytes do not: give other weights another name. Their digest is in each record."""
    base: str | None = None
    """Where text encoder, tokenizer and VAE are, in diffusers' layout, like `weights`; unset: in `weights`."""
    steps: int = Field(35, ge=1)
    """Denoising steps of a chunk; cost is linear in it."""
    guidance: float = Field(7.0, ge=0, allow_inf_nan=False)
    """Classifier-free guidance; 1 or less is none, at half the cost. Size small takes 1 unless told otherwise: it was
    trained on its own prompts alone, so there is no other one to be guided away from."""
    negative_prompt: str = TUTORIAL_NEGATIVE_PROMPT
    """What the video should not look like; used with guidance."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Of weights and arithmetic; auto is bfloat16 on a GPU, float32 on a CPU."""
    post_train: PostTrainSettings | None = None
    """Training on the run's own demos; unset: `weights` as they are. {} takes the size's defaults. Size small is always
    trained. The checkpoint's digest enters the samples' ids, these settings do not."""
    guardrail: bool = False
    """NVIDIA's safety models (package cosmos_guardrail). Off for robot videos: they blur and block by false alarm."""
    compile: bool = True
    """torch.compile of the denoiser, on a GPU only: about 95 s once per worker, then 0.73 of the time (measured on an
    H200 by hand, not through this backend)."""
    vae_tiling: bool = False
    """Encode and decode pictures in tiles: less GPU memory, faint seams."""
    device: Literal["auto", "cuda", "cpu"] = Field("auto", exclude=True)
    """auto takes the GPU; sizes other than tiny then refuse a machine without one."""
    offload: bool = Field(False, exclude=True)
    """Denoiser and VAE wait in host memory while the text encoder works: needs 18 GB of GPU memory for 2b, not 25."""

    @model_validator(mode="before")
    @classmethod
    def _of_size(cls, given: Any) -> Any:
        """What a size has for a default instead of the model's."""
        if isinstance(given, dict) and given.get("size") == "small":
            return {"guidance": 1.0, "post_train": {}} | given
        if isinstance(given, dict) and given.get("family") == "cosmos3":
            return {"guidance": 6.0} | given  # diffusers' default for it
        return given

    @property
    def recipe(self) -> Recipe:
        """The training, nothing left open."""
        return (self.post_train or PostTrainSettings()).recipe(self.size)

    @property
    def native(self) -> Native:
        """What one pass makes."""
        return NATIVES[self.size]

    @property
    def guided(self) -> bool:
        """Whether the negative prompt is used."""
        return self.guidance > 1

    def texts(self, prompts: Sequence[str]) -> list[str]:
        """The distinct texts whose embeddings videos of these prompts need."""
        given = [prompt for prompt in prompts if prompt.strip()]
        return list(dict.fromkeys([*given, self.negative_prompt] if self.guided and given else given))

    def embedding_file(self, text: str) -> str | None:
        """Name of the file through which workers share a text's embedding; None where no text encoder makes it. The
        text encoder goes by its name in the settings, as it does in the samples' ids."""
        if self.weights is None or self.family == "cosmos3":
            return None
        made_of = {"text": text, "encoder": self.base or self.weights, "family": self.family, "dtype": self.dtype}
        return f"prompts/{digest_of(made_of)}.safetensors"

    def chunks(self, frames: int) -> int:
        """Passes of the model for a video of `frames` frames; as many seeds are used."""
        return chunk_count(frames, self.native.frames, CONDITIONING)

    def check(self, width: int, height: int) -> None:
        """Raises InputError, with the nearest possible size, if such videos cannot be made. Any length can: the last
        chunk is cut."""
        self._check_family()
        native = self.native
        if width % native.multiple or height % native.multiple or max(width, height) > native.side_max:
            near = [_nearest(side, native) for side in (width, height)]
            raise InputError(
                f"generate.width, generate.height: Cosmos {self.family} cannot make {width}x{height}: both must be "
                f"multiples of {native.multiple}, at most {native.side_max}",
                fix=f"the nearest size is {near[0]}x{near[1]}; the IDM must be trained on the same size",
            )
        if self.weights is None and self.size not in UNTRAINED:
            example = EXAMPLE_COSMOS3.get(self.size, EXAMPLE_WEIGHTS)
            raise InputError(
                f"generate.settings.weights is required for size {self.size}",
                fix=f"name a folder, or what is in the model cache, e.g. {example}; size: tiny needs none",
            )
        if self.weights is not None and self.size == "small":
            raise InputError(
                "generate.settings.weights: size small is trained here, it takes no weights",
                fix="remove the setting; generate.checkpoint takes over what another run's post-train made",
            )
        if self.weights is not None and self.weights.endswith(".pt") and self.base is None:
            raise InputError(
                f"generate.settings.base is required: {self.weights} holds the denoiser alone",
                fix=f"name where text encoder, tokenizer and VAE are, e.g. {EXAMPLE_WEIGHTS}",
            )

    def _check_family(self) -> None:
        sizes = SIZES[self.family]
        if self.size not in sizes:
            raise InputError(
                f"generate.settings.size: Cosmos {self.family} has no size {self.size}",
                fix=f"set one of {', '.join(sizes)}, or another generate.settings.family",
            )
        if self.family == "cosmos3" and self.post_train is not None:
            raise InputError(
                "generate.settings.post_train: Cosmos 3 cannot be post-trained here",
                fix="remove the setting; weights that cosmos-framework trained and exported are named by weights",
            )
        if self.family == "cosmos3" and self.base is not None:
            raise InputError(
                "generate.settings.base: Cosmos 3 takes all parts from one folder", fix="name it by weights"
            )


def _nearest(side: int, native: Native) -> int:
    wanted = math.floor(side / native.multiple + 0.5) * native.multiple
    return min(native.side_max, max(native.multiple, wanted))
