"""Defects of generated videos, planted into pixels, and reconstructions: good videos with an autoencoder's blur.

Videos are (T, H, W, 3) uint8 RGB that begin with a clip of CLIP frames. The object is the scene's red cube, the robot
whatever else is saturated or black. Sizes are for pictures 320 pixels wide and scale with them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

U8 = NDArray[np.uint8]
Defect = Callable[[U8, np.random.Generator], U8]
CLIP = 5


def onset(video: U8, rng: np.random.Generator) -> int:
    """A frame between an eighth and half of the video."""
    return int(rng.integers(CLIP + len(video) // 8, len(video) // 2))


def black(video: U8, rng: np.random.Generator) -> U8:
    """What NaN latents become: black right after the clip."""
    return np.concatenate([video[:CLIP], np.zeros_like(video[CLIP:])])


def blackout(video: U8, rng: np.random.Generator) -> U8:
    start = onset(video, rng)
    return np.concatenate([video[:start], np.zeros_like(video[start:])])


def noise(video: U8, rng: np.random.Generator) -> U8:
    start = onset(video, rng)
    return np.concatenate([video[:start], rng.integers(0, 256, video[start:].shape, dtype=np.uint8)])


def static(video: U8, rng: np.random.Generator) -> U8:
    """The first generated frame to the end."""
    return video[np.minimum(np.arange(len(video)), CLIP)]


def frozen(video: U8, rng: np.random.Generator) -> U8:
    return video[np.minimum(np.arange(len(video)), onset(video, rng))]


def flicker(video: U8, rng: np.random.Generator) -> U8:
    """The light goes up and down by 3 to 12 % every frame or every other one."""
    sign = np.where((np.arange(len(video)) // rng.integers(1, 3)) % 2, 1, -1)
    factor = 1 + rng.uniform(0.03, 0.12) * sign
    factor[:CLIP] = 1
    return np.clip(video * factor[:, None, None, None].astype(np.float32), 0, 255).astype(np.uint8)


def jump(video: U8, rng: np.random.Generator) -> U8:
    """A second or more is left out."""
    start, frames = onset(video, rng), np.arange(len(video))
    frames[start:] = np.minimum(frames[start:] + rng.integers(30, 50), len(video) - 1)
    return video[frames]


def vanish(video: U8, rng: np.random.Generator, frames: int = 1) -> U8:
    """The object is gone from some frame on, within `frames` frames."""
    start, out = onset(video, rng), video.copy()
    for index in range(start, len(out)):
        frame, mask = out[index], grown(red(out[index]), 3)
        rows, columns = np.nonzero(mask)
        if len(rows):
            around = (slice(rows.min() - 4, rows.max() + 5), slice(columns.min() - 6, columns.max() + 7))
            colour = np.median(frame[around][~mask[around]], axis=0)
            share = min(1.0, (index - start + 1) / frames)
            frame[mask] = ((1 - share) * frame[mask] + share * colour).astype(np.uint8)
    return out


def fade(video: U8, rng: np.random.Generator) -> U8:
    return vanish(video, rng, 30)


def double(video: U8, rng: np.random.Generator) -> U8:
    """A second object stands where there was none."""
    start, out, scale = onset(video, rng), video.copy(), video.shape[2] / 320
    rows, columns = np.nonzero(grown(red(video[CLIP]), 2))
    side = 1 if columns.mean() < video.shape[2] / 2 else -1
    right = columns + round(side * rng.integers(40, 80) * scale)
    down = np.minimum(rows + round(rng.integers(0, 30) * scale), video.shape[1] - 1)
    out[start:, down, right] = video[CLIP, rows, columns]
    return out


def melt(video: U8, rng: np.random.Generator) -> U8:
    """The robot runs out into its surroundings within half a second."""
    start, out, scale = onset(video, rng), video.copy(), video.shape[2] / 320
    for index in range(start, len(out)):
        frame, share = out[index], min(1.0, (index - start + 1) / 15)
        high = frame.max(axis=-1)
        chroma = high - frame.min(axis=-1)
        robot = grown((((chroma > 50) & (chroma > high // 2)) | (high < 45)) & ~red(frame), 5)
        soft = np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(9 * scale)))
        frame[robot] = ((1 - share) * frame[robot] + share * soft[robot]).astype(np.uint8)
    return out


DEFECTS: dict[str, tuple[Defect, frozenset[str]]] = {
    "black": (black, frozenset({"flat"})),
    "blackout": (blackout, frozenset({"flat"})),
    "noise": (noise, frozenset({"noise"})),
    "static": (static, frozenset({"static"})),
    "frozen": (frozen, frozenset({"static"})),
    "flicker": (flicker, frozenset({"flicker"})),
    "jump": (jump, frozenset({"jump"})),
    "vanish": (vanish, frozenset({"vanished"})),
    "fade": (fade, frozenset({"vanished"})),
    "double": (double, frozenset({"doubled"})),
    "melt": (melt, frozenset({"melted", "vanished"})),
}
"""Name -> what plants it, and the reasons of which the gate must give one."""


def red(frame: U8) -> NDArray[np.bool_]:
    r, g, b = (frame[..., index].astype(np.int16) for index in range(3))
    return (r > 90) & (2 * g < r) & (2 * b < r)


def grown(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """A mask grown by so many pixels to each side."""
    image = Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(2 * pixels + 1))
    return np.asarray(image) > 0


def shrunk_and_enlarged(video: U8, factor: int = 3) -> U8:
    """A video after the clip at a third of its size and back: about 33 dB."""
    height, width = video.shape[1:3]
    out = video.copy()
    for index in range(CLIP, len(video)):
        small = Image.fromarray(video[index]).resize((width // factor, height // factor), Image.Resampling.BOX)
        out[index] = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))
    return out


class Autoencoder:
    """Linear, by principal components of patches of 4 frames and a 40th of the width; codes are rounded."""

    FRAMES, CODES, STEP = 4, 28, 12.0

    def __init__(self, videos: list[U8], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        patches = np.concatenate([rng.choice(self._cut(video)[0], 6000 // len(videos)) for video in videos])
        self.mean = patches.mean(axis=0)
        self.basis = np.linalg.svd(patches - self.mean, full_matrices=False)[2][: self.CODES]

    def _cut(self, video: U8) -> tuple[NDArray[np.float32], tuple[int, ...]]:
        size, (count, height, width, _) = video.shape[2] // 40, video.shape
        shape = (count // self.FRAMES, self.FRAMES, height // size, size, width // size, size, 3)
        parts = video[: shape[0] * self.FRAMES].reshape(shape).transpose(0, 2, 4, 1, 3, 5, 6)
        return parts.reshape(-1, self.FRAMES * size * size * 3).astype(np.float32), parts.shape

    def __call__(self, video: U8) -> U8:
        """The video with all frames after the clip reconstructed."""
        rest = video[CLIP:]
        full = np.concatenate([rest, np.repeat(rest[-1:], -len(rest) % self.FRAMES, axis=0)])
        patches, shape = self._cut(full)
        codes = np.round((patches - self.mean) @ self.basis.T / self.STEP) * self.STEP
        made = (codes @ self.basis + self.mean).reshape(shape).transpose(0, 3, 1, 4, 2, 5, 6).reshape(full.shape)
        return np.concatenate([video[:CLIP], np.clip(made, 0, 255).astype(np.uint8)[: len(rest)]])
