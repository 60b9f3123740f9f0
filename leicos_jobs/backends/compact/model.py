"""The encoder: one frame to an estimate of joint state and commanded action, in normalised units.

A pyramid of convolutions brings context down to a quarter of the input's resolution; there each of some learned maps
says where in the picture its part of the robot is, and what it looks like. Nothing else reaches the output: a dense
layer on the features fits the demonstrations three times better and everything else worse (benchmarks/idm_compact.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

POINTS, LOOKS = 32, 8
"""Learned places in the picture, and features taken at each."""
SHARPNESS = 3.0
"""Initial spread of the maps: flat ones start as averages over the picture and take long to leave that."""


class Keypoints(nn.Module):
    """Soft-argmax: for each learned map the (x, y) in -1..1 where it is brightest, and the mean features there."""

    grid: Tensor

    def __init__(self, channels: int, points: int, looks: int, height: int, width: int) -> None:
        super().__init__()
        self.maps = nn.Conv2d(channels, points, 1)
        self.looks = nn.Conv2d(channels, looks, 1)
        nn.init.normal_(self.maps.weight, std=SHARPNESS * channels**-0.5)
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        self.register_buffer("grid", torch.stack([x.flatten(), y.flatten()], dim=1), persistent=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> places (B, points, 2), features there (B, points, looks)."""
        weights = self.maps(features).flatten(2).softmax(dim=-1)
        return weights @ self.grid, weights @ self.looks(features).flatten(2).transpose(1, 2)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def _doubled(features: Tensor, like: Tensor) -> Tensor:
    """Each pixel repeated 2x2, cut to `like`'s size. Its gradient is a sum, deterministic on every device.

    Channels stay last in memory: a sum of two layouts costs a tenth of a training step."""
    batch, channels, height, width = features.shape
    wide = features.permute(0, 2, 3, 1)[:, :, None, :, None].expand(batch, height, 2, width, 2, channels)
    doubled = wide.reshape(batch, 2 * height, 2 * width, channels)
    return doubled[:, : like.shape[2], : like.shape[3]].permute(0, 3, 1, 2)


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels, 3, 1),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Same shape out as in."""
        return torch.relu(features + self.body(features))


class Encoder(nn.Module):
    """A frame (B, 3, H, W), float, normalised -> (B, 2, joints): state, action minus state; in normalised units."""

    def __init__(
        self, size: tuple[int, int], channels: Sequence[int], blocks: int, hidden: int, joints: int, guided: int = 0
    ) -> None:
        """size: (width, height) px of the input. channels: of each scale, beginning at a quarter of the input's
        resolution, each next at half of that. blocks: residual blocks a scale. guided: how many of the places are
        taught (see `guide`); then the state is what `lift` makes of these places, plus a correction."""
        super().__init__()
        self.joints, self.guided = joints, guided
        pairs = list(itertools.pairwise(channels))
        first = [_convolution(3, channels[0], 6, 4), *(_convolution(a, b, 3, 2) for a, b in pairs)]
        self.down = nn.ModuleList(
            nn.Sequential(stage, *(Residual(count) for _ in range(blocks)))
            for stage, count in zip(first, channels, strict=True)
        )
        self.across = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.mix = nn.ModuleList(_convolution(a, a, 3, 1) for a, _ in pairs)
        width, height = ((length - 6 + 2 * 3) // 4 + 1 for length in size)
        self.keypoints = Keypoints(channels[0], POINTS, LOOKS, height, width)
        self.neck = nn.Sequential(
            nn.Linear(POINTS * (2 + LOOKS), hidden), nn.ReLU(), nn.Linear(hidden, hidden // 2), nn.ReLU()
        )
        self.out = nn.Linear(hidden // 2, 2 * joints)
        if guided:
            wide = 192
            self.lift = nn.Sequential(
                nn.Linear(2 * guided, wide), nn.SiLU(), nn.Linear(wide, wide), nn.SiLU(), nn.Linear(wide, joints)
            )
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 2, joints) float32."""
        return self.with_places(frames)[0]

    def with_places(self, frames: Tensor, *, bf16: bool = False) -> tuple[Tensor, Tensor]:
        """As `forward`, and the guided places (B, guided, 2) that it rests on. bf16: convolutions in bfloat16; places
        always have full precision, since a bfloat16 between 0.5 and 1 is coarser than a pixel."""
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=bf16):
            features = self._pyramid(frames)
        places, looks = self.keypoints(features.float())
        out = self.out(self.neck(torch.cat([places, looks], dim=2).flatten(1))).view(-1, 2, self.joints)
        taught = places[:, : self.guided]
        if self.guided:
            out = torch.stack([self.lift(taught.flatten(1)) + out[:, 0], out[:, 1]], dim=1)
        return out, taught

    def _pyramid(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, channels[0], ~H/4, ~W/4), with context from all scales."""
        scales = []
        features = frames
        for stage in self.down:
            features = stage(features)
            scales.append(features)
        for fine, across, mix in reversed(list(zip(scales[:-1], self.across, self.mix, strict=True))):
            features = mix(fine + _doubled(across(features), fine))
        return features
