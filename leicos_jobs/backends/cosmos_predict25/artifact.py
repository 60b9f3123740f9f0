"""A post-trained checkpoint as a folder: `model_ema_bf16.pt` and `artifact.json`, which says what it belongs to.

The experiment has to travel with the weights: upstream loads any pair of the two without an error.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import InputError

WEIGHTS = "model_ema_bf16.pt"
DESCRIPTION = "artifact.json"


class CosmosArtifact(BaseModel):
    """artifact.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = "leicos-cosmos-1"
    upstream: str
    """Commit that trained it."""
    experiment: str
    sha256: str
    """Of the weights."""
    steps: int
    size: tuple[int, int]
    """(width, height) of the training pictures in pixels."""
    videos: int
    """Training clips."""
    prompts: tuple[str, ...]
    """The distinct prompts of the training clips; generation should use the same form."""

    def write(self, folder: Path) -> None:
        """Write the description, after the weights: without it they do not count."""
        partial = folder / (DESCRIPTION + ".partial")
        partial.write_text(self.model_dump_json(indent=1) + "\n")
        partial.replace(folder / DESCRIPTION)


def load_artifact(folder: Path) -> CosmosArtifact:
    """Read a folder and check its weights' digest. Raises InputError for anything else."""
    path = folder / DESCRIPTION
    try:
        artifact = CosmosArtifact.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{path} does not describe a Cosmos checkpoint: {error}",
            fix="give the folder that post-train wrote, or see docs/verify.md for making one of a .pt file",
        ) from None
    weights = folder / WEIGHTS
    if not weights.is_file() or sha256_file(weights) != artifact.sha256:
        raise InputError(f"{weights} is not the file that {path} describes", fix="copy the checkpoint again")
    return artifact
