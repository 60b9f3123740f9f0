"""Cheap checks of a generated video, pure numpy: does it begin as its clip, does it move, does it jump, does the most
coloured object stay?

They find broken generations, not wrong ones: whether the task is done is replay's question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
HUES = 12
CHANGED = 10.0
"""Grey levels by which a block of 4x4 pixels must change to count."""
NEIGHBOURS = 3
"""Steps before and after one whose areas it is compared with."""
QUIET = 0.005
"""Share of the picture: smaller areas are noise, compression, a slow start."""


@dataclass(frozen=True)
class Verdict:
    """`reasons` is empty if the video passed; `scores` are the numbers that were compared."""

    reasons: list[str]
    scores: dict[str, float]


def inspect_video(video: U8, clip: U8, fps: float, thresholds: dict[str, Any]) -> Verdict:
    """video (T, H, W, 3) and its conditioning clip (n, H, W, 3), RGB; thresholds as in `GateConfig`."""
    small = shrink(video)
    scores = {
        "start_psnr": start_psnr(video, clip),
        "motion": motion(small[len(clip) :], max(1, round(fps / 2))),
        "jump_ratio": jump_ratio(small[len(clip) + 1 :]),
        "object_share": object_share(video, max(1, round(fps / 2))),
    }
    reasons = []
    if scores["start_psnr"] < thresholds["start_psnr_min"]:
        reasons.append("start-frame")
    if scores["motion"] < thresholds["static_max"]:
        reasons.append("static")
    if scores["jump_ratio"] > thresholds["jump_ratio_max"]:
        reasons.append("jump")
    if scores["object_share"] < thresholds["vanish_share_min"]:
        reasons.append("vanished")
    return Verdict(reasons, {name: round(value, 4) for name, value in scores.items()})


def start_psnr(video: U8, clip: U8) -> float:
    """PSNR in dB of the first frames against the clip; the mean square error is taken over all of them."""
    if len(video) < len(clip) or video.shape[1:] != clip.shape[1:]:
        return 0.0
    error = np.mean((video[: len(clip)].astype(np.float32) - clip.astype(np.float32)) ** 2)
    return float(min(99.0, 10 * np.log10(255.0**2 / max(float(error), 1e-9))))


def shrink(video: U8) -> F32:
    """(T, H // 4, W // 4) grey means of 4x4 pixels: noise and compression fall away, motion stays."""
    height, width = video.shape[1] // 4 * 4, video.shape[2] // 4 * 4
    frames = []
    for frame in video:  # one at a time: a whole video as floats is larger than any cache
        rows = frame[:height, :width].reshape(height // 4, 4, width // 4 * 12).sum(axis=1, dtype=np.uint16)
        frames.append(rows.reshape(height // 4, width // 4, 12).sum(axis=2, dtype=np.uint16))
    return np.asarray(np.stack(frames) / np.float32(48), dtype=np.float32)


def motion(small: F32, gap: int) -> float:
    """Largest mean absolute grey change between shrunk frames `gap` apart."""
    if len(small) <= gap:
        return 0.0
    return float(np.abs(small[gap:] - small[:-gap]).mean(axis=(1, 2)).max())


def jump_ratio(small: F32) -> float:
    """Largest changed area between two frames over the median of its neighbours', in shrunk frames.

    Changed is a block whose grey level moves by more than CHANGED; the overall brightness is taken out first: a lamp is
    no jump. Areas, not mean differences: those saturate where an arm jumps by more than its own width. A quick but
    steady motion has neighbours that are as large, a jump stands alone.
    """
    if len(small) < 4:
        return 0.0
    change = np.diff(small, axis=0)
    change -= np.median(change, axis=(1, 2), keepdims=True)
    area = (np.abs(change) > CHANGED).mean(axis=(1, 2))
    ratios = []
    for index, value in enumerate(area):
        near = np.concatenate([area[max(0, index - NEIGHBOURS) : index], area[index + 1 : index + 1 + NEIGHBOURS]])
        ratios.append(float(value) / max(float(np.median(near)), QUIET))
    return max(ratios)


def object_share(video: U8, run: int) -> float:
    """Smallest area of the most saturated object over a run of `run` frames, as a share of its area at the start.

    The object is the hue (of 12) with the highest mean saturation in the first frames among hues that cover between
    0.02 % and 5 % of the picture: in LiftCube the red cube. 1.0 if there is no such object.
    """
    step = max(1, len(video) // 75)
    areas = np.stack([_hue_areas(frame) for frame in video[::step]])
    start = areas[: max(1, 5 // step), :, 0].mean(axis=0)
    chroma = areas[: max(1, 5 // step), :, 1].mean(axis=0)
    fits = (start > 2e-4) & (start < 0.05)
    if not fits.any():
        return 1.0
    hue = int(np.argmax(np.where(fits, chroma, -1)))
    series = areas[:, hue, 0] / start[hue]
    window = max(1, run // step)
    if len(series) < window:
        return 1.0
    highest = np.lib.stride_tricks.sliding_window_view(series, window).max(axis=1)
    return float(highest.min())


def _hue_areas(frame: U8) -> NDArray[np.float64]:
    """(HUES, 2): share of the picture and mean chroma of saturated pixels, by hue; red is centred on bin 0."""
    # By colour planes: a reduction over an axis of three costs ten times as much.
    planes = [np.ascontiguousarray(frame[:, :, channel]) for channel in range(3)]
    high = np.maximum(np.maximum(planes[0], planes[1]), planes[2])
    chroma = high - np.minimum(np.minimum(planes[0], planes[1]), planes[2])
    mask = (chroma > 70) & (chroma > high // 2)
    red, green, blue = (plane[mask].astype(np.float32) for plane in planes)
    spread, top = chroma[mask].astype(np.float32), high[mask].astype(np.float32)
    hue = np.where(
        top == red,
        (green - blue) / spread % 6,
        np.where(top == green, (blue - red) / spread + 2, (red - green) / spread + 4),
    )
    bins = np.floor(hue / 6 * HUES + 0.5).astype(int) % HUES
    count = np.bincount(bins, minlength=HUES)
    weight = np.bincount(bins, weights=spread, minlength=HUES)
    return np.stack([count / mask.size, weight / np.maximum(count, 1)], axis=1)
