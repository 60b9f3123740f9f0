"""The demos as latents: cut into windows of the model's length, encoded once, kept on disk beside the checkpoints."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from leicos_jobs.backends.cosmos.autoencoder import settings_of
from leicos_jobs.backends.cosmos.images import U8, prepare
from leicos_jobs.core import logs
from leicos_jobs.core.cores import available_cores
from leicos_jobs.formats.cosmos import Clip
from leicos_jobs.media.decode import read_all

NAME = "latents.safetensors"


@dataclass(frozen=True)
class Window:
    """frames of a clip from `first` on."""

    clip: Clip
    first: int


def windows(clips: Sequence[Clip], frames: int, count: int) -> list[Window]:
    """At most `count` of each clip, spread evenly; one where the clip is not longer than a window."""
    cut = []
    for clip in clips:
        last = max(0, clip.frames - frames)
        firsts = sorted({round(last * k / max(1, count - 1)) for k in range(count)})
        cut += [Window(clip, first) for first in firsts]
    return cut


def pictures(window: Window, frames: int) -> U8:
    """(frames, H, W, 3) uint8; where the clip ends, its last picture stays."""
    images = read_all(window.clip.video)[window.first : window.first + frames]
    return np.concatenate([images, np.repeat(images[-1:], frames - len(images), axis=0)])


@dataclass(frozen=True)
class Latents:
    """latents: (windows, channels, T, h, w), standardised. prompts: of each window."""

    latents: torch.Tensor
    prompts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.prompts)

    def on(self, device: torch.device) -> Latents:
        """In a GPU's memory where they are small against it."""
        fits = device.type == "cuda" and self.latents.nbytes < torch.cuda.mem_get_info(device)[0] / 32
        return Latents(self.latents.to(device), self.prompts) if fits else self


def encode_all(
    vae: Any, cut: Sequence[Window], frames: int, size: tuple[int, int], grid: int, report: Callable[[], None]
) -> Latents:
    """Encode every window by an autoencoder, in its own type and on its own device."""
    mean, std = (part.to(vae.device) for part in settings_of(vae))

    def read(window: Window) -> torch.Tensor:
        return prepare(pictures(window, frames), size, grid).to(vae.dtype)

    parts = []
    with ThreadPoolExecutor(min(8, available_cores())) as pool, torch.no_grad():
        for video in _ahead(pool, read, cut):
            encoded = vae.encode(video.to(vae.device))
            latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
            parts.append(((latents.float() - mean) / std).to(vae.dtype).cpu())
            report()
    return Latents(torch.cat(parts), tuple(window.clip.prompt for window in cut))


def _ahead(
    pool: ThreadPoolExecutor, read: Callable[[Window], torch.Tensor], cut: Sequence[Window], ahead: int = 16
) -> Iterator[torch.Tensor]:
    """Each window read, by several threads, few at a time in memory."""
    waiting = deque(pool.submit(read, window) for window in cut[:ahead])
    for following in range(ahead, ahead + len(cut)):
        yield waiting.popleft().result()
        if following < len(cut):
            waiting.append(pool.submit(read, cut[following]))


def cached(folder: Path, name: str, identity: str, make: Callable[[], Latents]) -> Latents:
    """What is kept in a folder under this identity, or what `make` gives, kept from now on."""
    path = folder / f"{name}-{NAME}"
    try:
        with safe_open(str(path), "pt") as file:
            told = file.metadata() or {}
            if told.get("identity") == identity:
                return Latents(file.get_tensor("latents"), tuple(json.loads(told["prompts"])))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        if path.exists():
            logs.event("cosmos.latents_unreadable", path=path, error=str(error)[:200])
    made = make()
    partial = path.with_suffix(".partial")
    save_file({"latents": made.latents}, partial, {"identity": identity, "prompts": json.dumps(made.prompts)})
    partial.replace(path)
    return made
