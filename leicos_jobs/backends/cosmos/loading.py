"""The networks of a configuration: from a checkpoint of post-train, from weights, or, for size tiny, at random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan

from leicos_jobs.backends.cosmos import models, weights
from leicos_jobs.backends.cosmos.artifact import load_checkpoint
from leicos_jobs.backends.cosmos.autoencoder import FrameAutoencoder
from leicos_jobs.backends.cosmos.settings import CosmosSettings
from leicos_jobs.core.errors import InputError


def load(settings: CosmosSettings, checkpoint: Path | None, dtype: torch.dtype) -> tuple[str, Any, Any, Path | None]:
    """Digest of the denoiser, denoiser, VAE, and the folder with the text encoder; None where there is none.

    Raises InputError: files that are missing or do not fit, a checkpoint of another size.
    """
    base = base_folder(settings)
    if checkpoint is None:
        if settings.size == "small":
            raise InputError("cosmos of size small has no weights of its own", fix="run post-train before")
        return _without_checkpoint(settings, base, dtype)
    digest = load_checkpoint(checkpoint, settings.family, settings.size).sha256
    denoiser = weights.load_denoiser(checkpoint, settings.size, dtype)
    return digest, denoiser, load_vae(settings, checkpoint, base, dtype), _with_text_encoder(base)


def base_folder(settings: CosmosSettings) -> Path | None:
    """Where text encoder, tokenizer and VAE are; None if the size needs none. Raises InputError if a part lacks."""
    if settings.weights is None:
        return None
    name = "base" if settings.base else "weights"
    base = weights.locate(settings.base or settings.weights, name)
    parts = ("vae",) if settings.size == "tiny" else ("vae", "text_encoder", "tokenizer")
    if lacking := [part for part in parts if not (base / part).is_dir()]:
        raise InputError(f"{base} has no {', '.join(lacking)}", fix="name a whole folder in generate.settings.base")
    return base


def load_vae(settings: CosmosSettings, checkpoint: Path | None, base: Path | None, dtype: torch.dtype) -> Any:
    """The autoencoder. Raises InputError."""
    if settings.size == "small" and checkpoint is not None:
        return weights.load_part(FrameAutoencoder, checkpoint, "vae", dtype)
    if base is not None:
        return weights.load_part(AutoencoderKLWan, base, "vae", dtype)
    return models.tiny()[1].to(dtype)


def _without_checkpoint(
    settings: CosmosSettings, base: Path | None, dtype: torch.dtype
) -> tuple[str, Any, Any, Path | None]:
    vae = load_vae(settings, None, base, dtype)
    if settings.weights is None:
        return "random", models.tiny()[0].to(dtype), vae, None
    path = weights.locate(settings.weights, "weights")
    denoiser = weights.load_denoiser(path, settings.size, dtype)
    return weights.digest(path), denoiser, vae, _with_text_encoder(base)


def _with_text_encoder(base: Path | None) -> Path | None:
    return base if base is not None and (base / "text_encoder").is_dir() else None
