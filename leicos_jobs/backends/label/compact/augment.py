"""What the encoder's training frames are put through, on any device, from numbers drawn for the step alone.

A generated video's light and colours drift and its camera stands a little elsewhere: gain and offset a channel, light
that falls off across the picture, and a window shifted within the border stand for that. The numbers depend on
(seed, step) only, so a resumed training sees what an undisturbed one would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leicos_jobs.backends.label.compact.images import MARGIN

F32 = NDArray[np.float32]
import os

PATCHES = int(os.environ.get("PATCHES","2"))
"""Rectangles covered in each training picture."""


@dataclass(frozen=True)
class Draw:
    """Numbers of one step. rows: (B,) training rows. shift: (B, 2) y, x in 0..2*MARGIN. gain, offset: (B, 3).
    slope: (B, 2) light across the picture, in gain per half picture. patches: (B, PATCHES, 4) y, x, height, width of
    covered rectangles as shares of the picture; paint: (B, PATCHES, 3) their normalised colours."""

    rows: NDArray[np.int64]
    shift: NDArray[np.int64]
    gain: F32
    offset: F32
    slope: F32
    patches: F32
    paint: F32


def draw(seed: int, step: int, batch: int, rows: int, strength: float) -> Draw:
    """The numbers of step `step`. Every `rows // batch` steps see each row once: rows are dealt, not thrown."""
    rng = np.random.default_rng([seed, step, 11])
    per_epoch = max(1, rows // batch)
    deck = np.random.default_rng([seed, step // per_epoch, 12]).permutation(rows)
    place = (step % per_epoch) * batch
    chosen = deck[place : place + batch] if rows >= batch else rng.integers(0, rows, batch)
    light = rng.normal(0, 0.10 * strength, (batch, 1))
    colour = rng.normal(0, 0.05 * strength, (batch, 3))
    reach = MARGIN if strength > 0 else 0
    return Draw(
        rows=chosen,
        shift=rng.integers(MARGIN - reach, MARGIN + reach + 1, (batch, 2)),
        gain=np.exp(light + colour).astype(np.float32),
        offset=rng.normal(0, 0.03 * strength, (batch, 3)).astype(np.float32),
        slope=rng.normal(0, 0.06 * strength, (batch, 2)).astype(np.float32),
        patches=np.concatenate(
            [rng.random((batch, PATCHES, 2)), rng.uniform(0, min(0.3 * strength, 0.6), (batch, PATCHES, 2))], axis=2
        ).astype(np.float32),
        paint=rng.normal(0, 1, (batch, PATCHES, 3)).astype(np.float32),
    )


def cut(frames: Tensor, shift: Tensor, size: tuple[int, int]) -> Tensor:
    """Windows of size (width, height) at `shift` (B, 2) out of bordered frames (B, H, W, 3) uint8."""
    width, height = size
    batch = torch.arange(len(frames), device=frames.device)[:, None, None]
    rows = shift[:, 0, None] + torch.arange(height, device=frames.device)
    columns = shift[:, 1, None] + torch.arange(width, device=frames.device)
    return frames[batch, rows[:, :, None], columns[:, None, :]]


def normalise(windows: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 (B, h, w, 3) -> float32 (B, 3, h, w), channels last in memory; mean, std (3,) in 0..1."""
    return ((windows.float() - 255.0 * mean) / (255.0 * std)).permute(0, 3, 1, 2)


def augmented(windows: Tensor, mean: Tensor, std: Tensor, numbers: Draw) -> Tensor:
    """As `normalise`, with light and colour changed as `numbers` say."""
    device = windows.device
    gain, offset, slope = (torch.from_numpy(a).to(device) for a in (numbers.gain, numbers.offset, numbers.slope))
    height, width = windows.shape[1:3]
    y = torch.linspace(-1, 1, height, device=device)
    x = torch.linspace(-1, 1, width, device=device)
    # (value * gain * light + offset - mean) / std as one product and one sum: memory traffic is what costs on a CPU.
    light = 1 + slope[:, 0, None, None] * y[:, None] + slope[:, 1, None, None] * x
    scale = gain / (255.0 * std)
    shift = (offset - mean) / std
    out = windows.float() * light[..., None]
    return cover(torch.addcmul(shift[:, None, None, :], out, scale[:, None, None, :]), numbers).permute(0, 3, 1, 2)


def cover(pictures: Tensor, numbers: Draw) -> Tensor:
    """Paint rectangles over pictures (B, h, w, 3), so that no single part of them can be relied upon."""
    height, width = pictures.shape[1:3]
    y = torch.linspace(0, 1, height, device=pictures.device)
    x = torch.linspace(0, 1, width, device=pictures.device)
    for index in range(PATCHES):
        top, left, tall, wide = torch.from_numpy(numbers.patches[:, index].T.copy()).to(pictures.device)[:, :, None]
        rows, columns = (y > top) & (y < top + tall), (x > left) & (x < left + wide)
        paint = torch.from_numpy(numbers.paint[:, index]).to(pictures.device)[:, None, None, :]
        pictures = torch.where((rows[:, :, None] & columns[:, None, :])[..., None], paint, pictures)
    return pictures
