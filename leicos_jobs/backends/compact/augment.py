"""What the encoder's training frames are put through, on any device, from numbers drawn for the step alone.

A generated video's light and colours drift, its camera stands a little elsewhere, and its arm does what no
demonstration did. Gain and offset a channel, light that varies across the picture (so that table and arm do not change
together), and a window shifted within the border stand for the first two. Covered patches help with the third: no
single cue, such as the cube's place, may tell the pose. The numbers depend on (seed, step) only, so a resumed training
sees what an undisturbed one would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

F32 = NDArray[np.float32]
PATCHES = 2
"""Rectangles covered in each training picture."""
NODES = 3
"""Places across and down at which the light is drawn; between them it is interpolated."""


@dataclass(frozen=True)
class Draw:
    """Numbers of one step. rows: (B,) training rows. shift: (B, 2) y, x in 0..2*margin. offset: (B, 3). light:
    (B, NODES, NODES, 3) gain at places of the picture. patches: (B, PATCHES, 4) y, x, height, width of rectangles as
    shares of the picture; paint: (B, PATCHES, 3) their normalised colours."""

    rows: NDArray[np.int64]
    shift: NDArray[np.int64]
    offset: F32
    light: F32
    patches: F32
    paint: F32


def draw(seed: int, step: int, batch: int, rows: int, margin: int, strength: float) -> Draw:
    """The numbers of step `step`. Every `rows // batch` steps see each row once: rows are dealt, not thrown."""
    rng = np.random.default_rng([seed, step, 11])
    per_epoch = max(1, rows // batch)
    deck = np.random.default_rng([seed, step // per_epoch, 12]).permutation(rows)
    place = (step % per_epoch) * batch
    chosen = deck[place : place + batch] if rows >= batch else rng.integers(0, rows, batch)
    gain = rng.normal(0, 0.10, (batch, 1, 1, 1)) + rng.normal(0, 0.05, (batch, 1, 1, 3))
    field = rng.normal(0, 0.06, (batch, NODES, NODES, 1)) + rng.normal(0, 0.03, (batch, NODES, NODES, 3))
    reach = margin if strength > 0 else 0
    corner, side = rng.random((batch, PATCHES, 2)), rng.uniform(0, min(0.3 * strength, 0.6), (batch, PATCHES, 2))
    return Draw(
        rows=chosen,
        shift=rng.integers(margin - reach, margin + reach + 1, (batch, 2)),
        offset=rng.normal(0, 0.03 * strength, (batch, 3)).astype(np.float32),
        light=np.exp(strength * (gain + field)).astype(np.float32),
        patches=np.concatenate([corner, side], axis=2).astype(np.float32),
        paint=rng.normal(0, 1, (batch, PATCHES, 3)).astype(np.float32),
    )


def cut(frames: Tensor, shift: NDArray[np.int64], size: tuple[int, int]) -> Tensor:
    """Windows of size (width, height) at `shift` (B, 2) y, x out of bordered frames (B, H, W, 3) uint8."""
    width, height = size
    # slices, not one lookup by index: a tenth of the time
    return torch.stack([frame[y : y + height, x : x + width] for frame, (y, x) in zip(frames, shift, strict=True)])


def normalise(windows: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 (B, h, w, 3) -> float32 (B, 3, h, w), channels last in memory; mean, std (3,) in 0..1."""
    return ((windows.float() - 255.0 * mean) / (255.0 * std)).permute(0, 3, 1, 2)


def augmented(windows: Tensor, mean: Tensor, std: Tensor, numbers: Draw) -> Tensor:
    """As `normalise`, with light and colour changed and patches covered as `numbers` say."""
    device = windows.device
    height, width = windows.shape[1:3]
    light = torch.from_numpy(numbers.light).to(device) / (255.0 * std)
    light = torch.einsum("byxc,hy,wx->bhwc", light, _tents(height, device), _tents(width, device))
    shift = (torch.from_numpy(numbers.offset).to(device) - mean) / std
    pictures = torch.addcmul(shift[:, None, None, :], windows.float(), light)
    return cover(pictures, numbers).permute(0, 3, 1, 2)


def _tents(length: int, device: torch.device) -> Tensor:
    """Linear interpolation from NODES places to `length` pixels, (length, NODES)."""
    place = torch.linspace(0, NODES - 1, length, device=device)[:, None]
    return (1 - (place - torch.arange(NODES, device=device)).abs()).clamp_min(0)


def cover(pictures: Tensor, numbers: Draw) -> Tensor:
    """Paint rectangles over pictures (B, h, w, 3)."""
    height, width = pictures.shape[1:3]
    y = torch.linspace(0, 1, height, device=pictures.device)
    x = torch.linspace(0, 1, width, device=pictures.device)
    patches, paints = (torch.from_numpy(array).to(pictures.device) for array in (numbers.patches, numbers.paint))
    for index in range(PATCHES):
        top, left, tall, wide = patches[:, index, :, None].unbind(1)
        rows, columns = (y > top) & (y < top + tall), (x > left) & (x < left + wide)
        covered = (rows[:, :, None] & columns[:, None, :])[..., None]
        pictures = torch.where(covered, paints[:, index, None, None, :], pictures)
    return pictures
