"""The encoder: one frame to an estimate of joint state and commanded action, in normalised units."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Keypoints(nn.Module):
    """Soft-argmax: each of `points` learned maps gives the (x, y) in -1..1 where it is brightest, and how sharply.

    Where a fingertip is, to a fraction of a pixel, is what joint angles follow from; coordinates generalise from few
    demonstrations, where a dense layer on the maps learns the demonstrated pictures by heart.
    """

    grid: Tensor

    def __init__(self, channels: int, points: int, height: int, width: int) -> None:
        super().__init__()
        self.maps = nn.Conv2d(channels, points, 1)
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        self.register_buffer("grid", torch.stack([x.flatten(), y.flatten()], dim=1), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 2 * points)."""
        weights = self.maps(features).flatten(2).float().softmax(dim=-1)
        places: Tensor = (weights @ self.grid).flatten(1)
        return places


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


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
    """A frame (B, 3, H, W), float, normalised -> (B, 2, joints): state, action minus state; in normalised units.

    The first convolution has stride 4, so most work is done at a quarter of the input's resolution; keypoints are
    read at each of the first two scales, and the last one is kept as a whole.
    """

    def __init__(self, size: tuple[int, int], channels: Sequence[int], blocks: int, hidden: int, joints: int) -> None:
        """size: (width, height) px of the input."""
        super().__init__()
        self.joints = joints
        width, height = size
        stages: list[nn.Module] = [_convolution(3, channels[0], 6, 4)]
        stages += [nn.Sequential(_convolution(a, b, 3, 2)) for a, b in itertools.pairwise(channels)]
        self.stages = nn.ModuleList(
            nn.Sequential(stage, *(Residual(count) for _ in range(blocks)))
            for stage, count in zip(stages, channels, strict=True)
        )
        keypoints: list[nn.Module] = []
        features = torch.zeros(1, 3, height, width)
        total = 0
        with torch.no_grad():
            for index, stage in enumerate(self.stages):
                features = stage.eval()(features)
                stage.train()
                if index < 2:
                    keypoints.append(Keypoints(channels[index], 32, features.shape[2], features.shape[3]))
                    total += 64
        self.keypoints = nn.ModuleList(keypoints)
        self.squeeze = _convolution(channels[-1], 32, 1, 1)
        total += 32 * features.shape[2] * features.shape[3]
        self.neck = nn.Sequential(nn.Linear(total, hidden), nn.ReLU(), nn.Linear(hidden, hidden // 2), nn.ReLU())
        self.out = nn.Linear(hidden // 2, 2 * joints)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 2, joints) float32."""
        parts = []
        features = frames
        for index, stage in enumerate(self.stages):
            features = stage(features)
            if index < len(self.keypoints):
                parts.append(self.keypoints[index](features))
        parts.append(self.squeeze(features).flatten(1).float())
        out: Tensor = self.out(self.neck(torch.cat(parts, dim=1)))
        return out.float().view(-1, 2, self.joints)
