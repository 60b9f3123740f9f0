"""Size small's autoencoder of single pictures, with the face of diffusers' AutoencoderKLWan.

A picture becomes 32 channels on a grid of 16 pixels; four pictures beside each other are one latent frame of 128. The
first latent frame holds the first picture four times, so 4 k + 1 pictures are k + 1 latent frames, as in the Wan
autoencoder. It trains in minutes because nothing in it looks at two pictures at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as nnf

PICTURES = 4
"""Per latent frame."""
NOISE = 0.05
"""Standard deviation of what is added to latents, whose own is 1, in training: the decoder must bear what a denoiser
leaves."""


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(8, channels) for _ in range(2))
        self.convolutions = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            y = convolution(nnf.silu(norm(y)))
        return x + y


def _blocks(channels: int, count: int) -> list[nn.Module]:
    return [_Block(channels) for _ in range(count)]


@dataclass(frozen=True)
class Encoded:
    """What diffusers' pipelines take from `encode`."""

    latents: torch.Tensor


class FrameAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """channels: at a fourth, an eighth and a sixteenth of the size. Latents have mean 0 and standard deviation 1."""

    temperal_downsample = (True, True, False, False)
    """diffusers reads from this (its spelling) that 4 pictures and 2^4 pixels are one latent."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        channels: tuple[int, int, int] = (128, 256, 384),
        blocks: int = 2,
        latent: int = 32,
        z_dim: int = 128,
        latents_mean: tuple[float, ...] = (0.0,) * 128,
        latents_std: tuple[float, ...] = (1.0,) * 128,
    ) -> None:
        super().__init__()
        a, b, c = channels
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4), nn.Conv2d(48, a, 3, padding=1), *_blocks(a, blocks),
            nn.Conv2d(a, b, 3, stride=2, padding=1), *_blocks(b, blocks),
            nn.Conv2d(b, c, 3, stride=2, padding=1), *_blocks(c, blocks),
            nn.GroupNorm(8, c), nn.SiLU(), nn.Conv2d(c, latent, 1),
        )  # fmt: skip
        self.scale = nn.BatchNorm2d(latent, affine=False)
        self.decoder = nn.Sequential(
            nn.Conv2d(latent, c, 3, padding=1), *_blocks(c, blocks),
            nn.Conv2d(c, 4 * b, 1), nn.PixelShuffle(2), *_blocks(b, blocks),
            nn.Conv2d(b, 4 * a, 1), nn.PixelShuffle(2), *_blocks(a, blocks),
            nn.GroupNorm(8, a), nn.SiLU(), nn.Conv2d(a, 4 * (a // 2), 3, padding=1), nn.PixelShuffle(2),
            nn.SiLU(), nn.Conv2d(a // 2, 12, 3, padding=1), nn.PixelShuffle(2),
        )  # fmt: skip

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (N, 3, H, W), -1..1, there and back, with noise on the latents."""
        latents = self.scale(self.encoder(pictures))
        restored: torch.Tensor = self.decoder(latents + NOISE * torch.randn_like(latents))
        return restored

    def encode(self, video: torch.Tensor) -> Encoded:
        """(B, 3, 4 k + 1, H, W), -1..1, H and W multiples of 16, to latents (B, 128, k + 1, H/16, W/16)."""
        video = torch.cat([video[:, :, :1]] * (PICTURES - 1) + [video], dim=2)
        batch, _, count = video.shape[:3]
        pictures = video.transpose(1, 2).flatten(0, 1)
        latents = torch.cat([self.scale(self.encoder(part)) for part in in_parts(pictures)])
        grouped = latents.reshape(batch, count // PICTURES, -1, *latents.shape[2:])
        return Encoded(grouped.transpose(1, 2).contiguous())

    def decode(self, latents: torch.Tensor, return_dict: bool = False) -> tuple[torch.Tensor]:
        """The way back."""
        batch, channels, count, height, width = latents.shape
        single = latents.transpose(1, 2).reshape(-1, channels // PICTURES, height, width)
        pictures = torch.cat([self.decoder(part) for part in in_parts(single)])
        video = pictures.reshape(batch, count * PICTURES, *pictures.shape[1:]).transpose(1, 2)
        return (video[:, :, PICTURES - 1 :].contiguous(),)


def in_parts(pictures: torch.Tensor, size: int = 64) -> list[torch.Tensor]:
    """Along the first axis, so many at a time."""
    return [pictures[first : first + size] for first in range(0, len(pictures), size)]


def settings_of(vae: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of an autoencoder's latents, each (1, channels, 1, 1, 1) float32."""
    mean, std = (
        torch.tensor(vae.config[name]).float().view(1, -1, 1, 1, 1) for name in ("latents_mean", "latents_std")
    )
    return mean, std
