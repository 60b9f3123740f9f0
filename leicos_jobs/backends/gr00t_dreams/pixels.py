"""From decoded pictures to what the vision tower sees, bit for bit as upstream makes it, on any device.

Upstream's way (gr00t/data/transform/video.py and transforms_idm.py at ec3881d, with the tutorial's data config):
decord's RGB, / 255, centre crop to 0.95 of each side, torchvision's antialiased bilinear resize to 224x224 (stretched),
* 255 cut to uint8, PIL's bilinear resize to 256x256, * 1/255, (x - 0.5) / 0.5. The cut to uint8 turns a last bit of a
sum into a whole grey level, so sums are taken in the order in which PyTorch takes them on x86: after the first tap,
groups of four products are added one by one, the rest by fused multiply-add. Tests compare each step with its original.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

LUMA, RED_V, GREEN_U, GREEN_V, BLUE_U = 9539, 13075, -3209, -6660, 16525
"""BT.601 limited range to RGB in units of 2^-13, as swscale's x86 code takes them: decord and PyAV both decode so."""
PIL_BITS = 22
"""Fraction bits of Pillow's 8-bit resampling (Resample.c, PRECISION_BITS)."""
GROUP = 4
PIL_BILINEAR, PIL_BICUBIC = 2, 3


@dataclass(frozen=True)
class View:
    """How a picture of (width, height) px becomes the network's input of image x image px."""

    width: int
    height: int
    crop: float
    resize: int
    image: int
    patch: int
    resample: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """left, top, width, height of the centre crop, rounded as torchvision's CenterCrop does."""
        wide, tall = int(self.width * self.crop), int(self.height * self.crop)
        return round((self.width - wide) / 2.0), round((self.height - tall) / 2.0), wide, tall


@dataclass(frozen=True)
class Taps:
    """A resampling along one side: output i is the sum of weights[k, i] * input[start[i] + k] for k < count[i]."""

    start: NDArray[np.int32]
    count: NDArray[np.int32]
    weights: NDArray[np.float32] | NDArray[np.int32]


def torch_taps(size: int, target: int) -> Taps:
    """Taps of PyTorch's antialiased bilinear resize, asked of PyTorch itself: it resizes the unit vectors.

    Starts and counts follow aten/src/ATen/native/cpu/UpSampleKernel.cpp, `_compute_indices_min_size_weights_aa`.
    """
    scale = np.float32(size) / np.float32(target)
    support = max(np.float32(1), scale)
    centre = scale * (np.arange(target, dtype=np.float32) + np.float32(0.5))
    start = np.maximum((centre - support + np.float32(0.5)).astype(np.int32), 0)
    count = np.minimum((centre + support + np.float32(0.5)).astype(np.int32), size) - start
    units = torch.eye(size)[None, None]
    response = functional.interpolate(units, size=(size, target), mode="bilinear", antialias=True)[0, 0].numpy()
    weights = np.zeros((int(count.max()), target), dtype=np.float32)
    for tap in range(len(weights)):
        used = tap < count
        weights[tap, used] = response[start[used] + tap, np.flatnonzero(used)]
    return Taps(start.astype(np.int32), count.astype(np.int32), weights)


def pil_taps(size: int, target: int, resample: int) -> Taps:
    """Taps of Pillow's resize of 8-bit pictures, whole numbers of 2^-22 (Resample.c, precompute_coeffs). resample:
    PIL's number of the filter, 2 bilinear or 3 bicubic."""
    reach = {PIL_BILINEAR: 1.0, PIL_BICUBIC: 2.0}[resample]
    scale = size / target
    stretch = max(scale, 1.0)
    support = reach * stretch
    weights = np.zeros((math.ceil(support) * 2 + 1, target), dtype=np.int32)
    start, count = np.zeros(target, np.int32), np.zeros(target, np.int32)
    for i in range(target):
        centre = (i + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), size)
        row = [_pil_filter((x - centre + 0.5) / stretch, resample) for x in range(first, last)]
        total = sum(row)
        start[i], count[i] = first, len(row)
        for tap, value in enumerate(row):
            scaled = value / total * (1 << PIL_BITS)
            weights[tap, i] = int(scaled - 0.5) if scaled < 0 else int(scaled + 0.5)
    return Taps(start, count, weights[: int(count.max())])


def _pil_filter(x: float, resample: int) -> float:
    x = abs(x)
    if resample == PIL_BILINEAR:
        return max(0.0, 1.0 - x)
    if x < 1.0:
        return ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2.0 else 0.0


def levels() -> NDArray[np.float32]:
    """(256,) float32: what the image processor makes of each 8-bit value (rescaled in double, normalised in single)."""
    rescaled = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)
    return np.asarray((rescaled - np.float32(0.5)) / np.float32(0.5), dtype=np.float32)


def to_rgb(planes: Tensor, width: int, height: int) -> Tensor:
    """yuv420p planes (n, height * 3 / 2, width) uint8 to (n, height, width, 3) uint8, bit for bit as swscale."""
    count = len(planes)
    flat = planes.reshape(count, -1).to(torch.int32)
    luma = flat[:, : width * height].view(count, height, width)
    chroma = flat[:, width * height :].view(count, 2, height // 2, width // 2)
    chroma = chroma.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) * 8 - 1024
    u, v = chroma[:, 0], chroma[:, 1]
    bright = ((luma * 8 - 128) * LUMA) >> 16
    parts = (
        bright + ((v * RED_V) >> 16),
        bright + ((u * GREEN_U) >> 16) + ((v * GREEN_V) >> 16),
        bright + ((u * BLUE_U) >> 16),
    )
    return torch.stack([part.clamp(0, 255).to(torch.uint8) for part in parts], dim=-1)


class Preprocessor:
    """Pictures to patches on one device. fused: with our kernels (CUDA), else with PyTorch, which is upstream's own
    arithmetic on a CPU."""

    def __init__(self, view: View, device: torch.device, dtype: torch.dtype, *, fused: bool) -> None:
        self.view = view
        self.device = device
        self.dtype = dtype
        _, _, wide, tall = view.box
        self.across, self.down = torch_taps(wide, view.resize), torch_taps(tall, view.resize)
        self.enlarge = pil_taps(view.resize, view.image, view.resample)
        self.levels = torch.from_numpy(levels()).to(device, dtype)
        self._kernels = None
        if fused:
            from leicos_jobs.backends.gr00t_dreams import pixel_kernels

            self._kernels = pixel_kernels.PixelKernels(view, self.across, self.down, self.enlarge, self.levels, device)

    @torch.inference_mode()
    def __call__(self, planes: Tensor, out: Tensor) -> None:
        """yuv420p planes (n, height * 3 / 2, width) uint8 on the device to `out` (n, patches, 3 * patch^2)."""
        if self._kernels is not None:
            self._kernels(planes, out)
        else:
            out.copy_(self.patches(to_rgb(planes, self.view.width, self.view.height)))

    @torch.inference_mode()
    def patches(self, pictures: Tensor) -> Tensor:
        """RGB (n, height, width, 3) uint8 to (n, patches, 3 * patch^2), ordered (channel, y, x) within a patch."""
        view, count, side = self.view, len(pictures), self.view.image // self.view.patch
        values = self.levels[self._enlarged(self._shrunk(pictures)).long()]
        split = values.view(count, 3, side, view.patch, side, view.patch)
        return split.permute(0, 2, 4, 1, 3, 5).reshape(count, side * side, -1)

    def _shrunk(self, pictures: Tensor) -> Tensor:
        """Crop and antialiased resize: (n, height, width, 3) uint8 to (n, 3, resize, resize) uint8."""
        left, top, wide, tall = self.view.box
        scaled = (pictures.to(torch.float32) / 255.0).permute(0, 3, 1, 2)[:, :, top : top + tall, left : left + wide]
        size = (self.view.resize, self.view.resize)
        return (functional.interpolate(scaled, size=size, mode="bilinear", antialias=True) * 255).to(torch.uint8)

    def _enlarged(self, pictures: Tensor) -> Tensor:
        """Pillow's resize to the network's size, sides in its order: (n, 3, resize, resize) uint8 to (..., image)."""
        sideways = _pil_pass(pictures, self.enlarge)
        return _pil_pass(sideways.transpose(2, 3), self.enlarge).transpose(2, 3)


def _pil_pass(pictures: Tensor, taps: Taps) -> Tensor:
    """Resample the last side of (n, 3, h, w) uint8 in whole numbers."""
    start = torch.from_numpy(taps.start).to(pictures.device).long()
    shape = (*pictures.shape[:3], len(start))
    total = torch.full(shape, 1 << (PIL_BITS - 1), dtype=torch.int32, device=pictures.device)
    for tap, weights in enumerate(taps.weights):
        column = (start + tap).clamp(max=pictures.shape[3] - 1)
        total += pictures[..., column].to(torch.int32) * torch.from_numpy(weights).to(pictures.device)
    return (total >> PIL_BITS).clamp(0, 255).to(torch.uint8)
