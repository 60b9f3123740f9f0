"""The weights that generation and post-training need, by pinned revision, and whether a model cache has them.

Read off upstream's checkpoint tables at 7e5ffc83 (cosmos_oss/checkpoints.py, checkpoints_predict2.py). The cache is a
Hugging Face one: $HF_HOME/hub. It is filled by one job and mounted read-only by all others.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_2B = "nvidia/Cosmos-Predict2.5-2B"
_14B = "nvidia/Cosmos-Predict2.5-14B"


@dataclass(frozen=True)
class Weights:
    """Files of one repository at one revision; no file names mean all of it."""

    repository: str
    revision: str
    files: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """The hub's own client, as the filling job calls it."""
        return ["hf", "download", self.repository, "--repo-type", "model", "--revision", self.revision, *self.files]


COMMON = (
    Weights("nvidia/Cosmos-Reason1-7B", "3210bec0495fdc7a8d3dbb8d58da5711eab4b423"),
    Weights(_2B, "6787e176dce74a101d922174a95dba29fa5f0c55", ("tokenizer.pth",)),
)
"""Text encoder (about 16 GB) and VAE: needed whatever the model."""

MODELS = {
    "2B/pre-trained": Weights(
        _2B,
        "15a82a2ec231bc318692aa0456a36537c806e7d4",
        ("base/pre-trained/d20b7120-df3e-4911-919d-db6e08bad31c_ema_bf16.pt",),
    ),
    "2B/post-trained": Weights(
        _2B,
        "15a82a2ec231bc318692aa0456a36537c806e7d4",
        ("base/post-trained/81edfebe-bd6a-4039-8c1d-737df1a790bf_ema_bf16.pt",),
    ),
    "14B/pre-trained": Weights(
        _14B,
        "03eb354f35eae0d6e0c1be3c9f94d8551e125570",
        ("base/pre-trained/54937b8c-29de-4f04-862c-e67b04ec41e8_ema_bf16.pt",),
    ),
    "14B/post-trained": Weights(
        _14B,
        "2bc4ca5ba5a20b9858a7ddb856bc82d70b030fbe",
        ("base/post-trained/e21d2a49-4747-44c8-ba44-9f6f9243715f_ema_bf16.pt",),
    ),
}
"""Upstream's models; a post-training starts from the pre-trained one of its size."""


def needed(*models: str) -> list[Weights]:
    """All that these models need."""
    return [*COMMON, *(MODELS[name] for name in models)]


def missing(wanted: Sequence[Weights], home: Path | None = None) -> list[str]:
    """What a model cache lacks, as `repository@revision file`. home: HF_HOME, unset the environment's."""
    root = home or Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    lacking = []
    for item in wanted:
        snapshot = root / "hub" / f"models--{item.repository.replace('/', '--')}" / "snapshots" / item.revision
        if not item.files and not (snapshot.is_dir() and any(snapshot.iterdir())):
            lacking.append(f"{item.repository}@{item.revision}")
        lacking += [
            f"{item.repository}@{item.revision} {name}" for name in item.files if not (snapshot / name).exists()
        ]
    return lacking
