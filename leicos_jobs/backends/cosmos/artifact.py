"""A post-trained checkpoint as a folder: `transformer/` in diffusers' layout, for size small `vae/` too, embeddings of
the prompts by digest, and `artifact.json`, which says what they are."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from leicos_jobs.backends.cosmos.recipes import Method
from leicos_jobs.core.errors import InputError

DESCRIPTION = "artifact.json"


class CosmosCheckpoint(BaseModel):
    """artifact.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = "leicos-cosmos-diffusers-1"
    family: str
    size: str
    weights: str | None
    """What it was trained from, as the configuration named it; None: from random weights."""
    method: Method
    sha256: str
    """Of the denoiser, see `weights.digest`."""
    steps: int
    geometry: tuple[int, int]
    """(width, height) of the training pictures in pixels."""
    clips: int
    """Demos that it was trained on."""
    held_out: int
    """Demos that its loss was measured on."""
    loss: float
    """Flow-matching loss of the last steps."""
    held_out_loss: float | None
    prompts: tuple[str, ...]
    """The distinct prompts of the training clips; generation should use the same form."""

    def write(self, folder: Path) -> None:
        """Write the description, after the weights: without it they do not count."""
        partial = folder / (DESCRIPTION + ".partial")
        partial.write_text(self.model_dump_json(indent=1) + "\n")
        partial.replace(folder / DESCRIPTION)


def load_checkpoint(folder: Path, family: str, size: str) -> CosmosCheckpoint:
    """Read a folder's description and check that it is of this size. Raises InputError."""
    from leicos_jobs.backends.cosmos import weights

    path = folder / DESCRIPTION
    try:
        checkpoint = CosmosCheckpoint.model_validate(json.loads(path.read_text()))
    except (OSError, RecursionError, ValueError, ValidationError) as error:
        raise InputError(
            f"{path} does not describe a checkpoint of generate: cosmos: {error}",
            fix="name the folder that post-train wrote; for weights of others set generate.settings.weights",
        ) from None
    if (checkpoint.family, checkpoint.size) != (family, size):
        raise InputError(
            f"{path} is of Cosmos {checkpoint.family}, size {checkpoint.size}, not {family}, {size}",
            fix=f"set generate.settings.size: {checkpoint.size}, or name another checkpoint",
        )
    if not (folder / "transformer").is_dir() or weights.digest(folder) != checkpoint.sha256:
        raise InputError(f"{folder / 'transformer'} is not what {path} describes", fix="copy the checkpoint again")
    return checkpoint
