"""Pictures for the networks: fitted to a size, and continued at the edge to the grid that they compute on."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

U8 = NDArray[np.uint8]


def fit(images: U8, width: int, height: int) -> torch.Tensor:
    """(1, 3, N, height, width) float32, -1..1: scaled to cover and cropped in the middle, as upstream does."""
    pictures = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    scale = max(height / pictures.shape[2], width / pictures.shape[3])
    if scale != 1:
        size = (max(height, round(pictures.shape[2] * scale)), max(width, round(pictures.shape[3] * scale)))
        pictures = torch.nn.functional.interpolate(pictures, size, mode="bilinear", antialias=True)
    top, left = (pictures.shape[2] - height) // 2, (pictures.shape[3] - width) // 2
    cropped = pictures[:, :, top : top + height, left : left + width]
    return cropped.permute(1, 0, 2, 3)[None].contiguous()


def padded(size: tuple[int, int], grid: int) -> tuple[int, int]:
    """(width, height) rounded up to multiples of `grid`."""
    width, height = (-(-side // grid) * grid for side in size)
    return width, height


def prepare(images: U8, size: tuple[int, int], grid: int) -> torch.Tensor:
    """(1, 3, N, H, W) float32, -1..1: fitted to a size and, where the grid asks for more, continued at the edge."""
    video = fit(images, *size)
    width, height = padded(size, grid)
    right, below = width - size[0], height - size[1]
    if not right and not below:
        return video
    return torch.nn.functional.pad(video, (0, right, 0, below, 0, 0), mode="replicate")
