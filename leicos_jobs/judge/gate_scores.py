"""What the gate measures on a video, pure numpy: start, contrast, detail, flicker, motion, jumps, colours.

Pictures are shrunk first, and areas and amounts are counted: a video's blur, which every autoencoder leaves, changes
them little. Scores alone say nothing: `gate_limits` compares them with those of the source's own videos.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

WIDTH = 160
"""Pixels to which wider pictures are shrunk, by a whole factor."""
COLOURS = ("red", "orange", "lime", "green", "spring", "azure", "blue", "violet", "pink")
"""Ninths of the hue circle, centred on 0, 40, ... degrees: so wide that a drift of light moves little between them, so
narrow that a red object is told from an orange arm."""
SATURATED = 50
"""Chroma (0-255) above which a pixel has a colour, if it is also half of its brightest channel."""
LEAST_AMOUNT = 0.03
"""Mean chroma over the picture below which a colour is not there: a 5000th of the picture in a strong colour."""
CHANGED = 10.0
"""Grey levels by which a block must change to count."""
QUIET = 0.01
"""Share of the picture: smaller changed areas are noise, compression, a slow start."""
STILL = 0.02
"""Mean grey levels between two frames; less is the same picture again."""
AROUND = 4
"""Frames before and after a step that it is compared with: world models make that many frames of one latent."""
BEGINNING = 8
"""Frames after the clip that show how the generator itself draws the scene."""


def start_psnr(video: U8, clip: U8) -> float:
    """PSNR in dB of the first frames against the clip; the mean square error is taken over all of them."""
    if len(video) < len(clip) or video.shape[1:] != clip.shape[1:]:
        return 0.0
    error = np.mean((video[: len(clip)].astype(np.float32) - clip.astype(np.float32)) ** 2)
    return float(min(99.0, 10 * np.log10(255.0**2 / max(float(error), 1e-9))))


def measure(video: Iterable[U8], clip: U8, fps: float) -> dict[str, float]:
    """Scores of a video, frames (H, W, 3) RGB in order, that begins with its conditioning clip (n, H, W, 3).

    start_psnr: dB. contrast, detail_most: as multiples of the clip's, at their lowest and highest. detail_least: of the
    generator's own first frames. flicker: grey levels. motion: grey levels per half second, at its most. moving_s,
    still_s: seconds in motion, and of the longest standstill. jump: area that changes in one step over that of the
    steps around it. least_COLOUR, most_COLOUR: amount of a colour that is there at the start, as a
    multiple of its start. "At its lowest" is over a third of a second: one odd frame is no defect.
    """
    count, first, shrunk = len(clip), [], []
    for index, frame in enumerate(video):
        if index < count:
            first.append(frame)
        shrunk.append(_shrink(frame))
    scores = {"start_psnr": start_psnr(np.stack(first), clip)}
    if len(shrunk) <= count:
        raise ValueError(f"{len(shrunk)} frames are no more than the clip's {count}")
    planes = np.stack(shrunk)
    grey = planes.sum(axis=1, dtype=np.uint16).astype(np.int16)
    blocks = _blocks(grey)
    window = max(1, round(fps / 3))
    scores["contrast"] = _lowest(blocks[count:].std(axis=1) / max(float(blocks[count - 1].std()), 1e-3), window)
    scores |= _detail(grey, count, window)
    scores |= _motion(blocks[count:], fps)
    return scores | _colours(planes, count, window)


def _shrink(frame: U8) -> U8:
    """(3, h, w) means of square blocks of pixels, so that at most about WIDTH columns are left."""
    size = max(1, round(frame.shape[1] / WIDTH))
    height, width = frame.shape[0] // size, frame.shape[1] // size
    rows = frame[: height * size, : width * size].reshape(height, size, width * size * 3).sum(axis=1, dtype=np.uint32)
    means = rows.reshape(height, width, size, 3).sum(axis=2) // (size * size)
    return np.ascontiguousarray(means.transpose(2, 0, 1).astype(np.uint8))


def _blocks(grey: NDArray[np.int16]) -> F32:
    """(T, n) grey levels of blocks of 2x2 from sums of three channels: noise and compression fall away."""
    height, width = grey.shape[1] // 2 * 2, grey.shape[2] // 2 * 2
    cut = grey[:, :height, :width]
    total = cut[:, ::2, ::2] + cut[:, 1::2, ::2] + cut[:, ::2, 1::2] + cut[:, 1::2, 1::2]
    return np.asarray(total.reshape(len(total), -1) / np.float32(12), dtype=np.float32)


def _detail(grey: NDArray[np.int16], count: int, window: int) -> dict[str, float]:
    """From the mean absolute Laplacian of each frame."""
    detail = np.array(
        [
            np.abs(4 * x[1:-1, 1:-1] - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:]).mean(dtype=np.float32)
            for x in grey
        ]
    )
    own = max(float(np.median(detail[count : count + BEGINNING])), 1e-3)
    highest = -_lowest(-detail[count:] / max(float(detail[:count].mean()), 1e-3), window)
    return {"detail_most": highest, "detail_least": _lowest(detail[count:] / own, window)}


def _motion(blocks: F32, fps: float) -> dict[str, float]:
    """Of the frames after the clip. The overall brightness is taken out first: a lamp is neither motion nor jump."""
    if len(blocks) < 3:
        return dict.fromkeys(("flicker", "motion", "moving_s", "still_s", "jump"), 0.0)
    half = max(1, min(round(fps / 2), len(blocks) - 1))
    swing = np.median(np.abs(blocks[2:] - 2 * blocks[1:-1] + blocks[:-2]), axis=1)
    even = blocks - np.median(blocks, axis=1, keepdims=True)
    slow = np.abs(even[half:] - even[:-half]).mean(axis=1)
    step = np.abs(np.diff(even, axis=0))
    area = (step > CHANGED).mean(axis=1)
    around = (np.abs(even[AROUND:] - even[:-AROUND]) > CHANGED).mean(axis=1)
    return {
        # the third quartile: the picture swings for a good part of the video, not once
        "flicker": float(np.percentile(swing, 75)),
        "motion": float(slow.max()),
        "moving_s": float((slow > slow.max() / 4).sum() / fps) if slow.max() > 0 else 0.0,
        "still_s": _longest(step.mean(axis=1) < STILL) / fps,
        "jump": _jump(area, around),
    }


def _jump(area: F32, around: F32) -> float:
    """Largest changed area of one step over those of the AROUND steps before it and after it, three quarters of the
    larger and one of the smaller.

    However quick a motion is, four steps of it change more than one does; a jump changes more than they do. The ends
    are left out, where only one side is known; at the first the generator's own drawing takes over from the clip.
    """
    highest = 0.0
    for index in range(AROUND, len(area) - AROUND):
        low, high = sorted((float(around[index - AROUND]), float(around[index + 1])))
        highest = max(highest, float(area[index]) / max(0.75 * high + 0.25 * low, QUIET))
    return highest


def _colours(planes: U8, count: int, window: int) -> dict[str, float]:
    """Least and most of each colour that the clip has; a colour that is gone as soon as the clip ends has less than
    half of the clip's, which then is the start."""
    amounts = np.stack([_amounts(*frame) for frame in planes])
    clip, own = amounts[:count].mean(axis=0), np.median(amounts[count : count + BEGINNING], axis=0)
    start = np.maximum(own, clip / 2)
    scores = {}
    for index in np.flatnonzero(clip > LEAST_AMOUNT):
        shares = amounts[count:, index] / start[index]
        scores[f"least_{COLOURS[index]}"] = _lowest(shares, window)
        scores[f"most_{COLOURS[index]}"] = -_lowest(-shares, window)
    return scores


def _amounts(red: U8, green: U8, blue: U8) -> NDArray[np.float64]:
    """(9,) mean chroma of the pixels of each colour, over the whole picture; blur leaves it nearly as it is."""
    high = np.maximum(np.maximum(red, green), blue)
    chroma = high - np.minimum(np.minimum(red, green), blue)
    mask = (chroma > SATURATED) & (chroma > high // 2)
    r, g, b, spread, top = (plane[mask].astype(np.float32) for plane in (red, green, blue, chroma, high))
    hue = np.where(top == r, (g - b) / spread % 6, np.where(top == g, (b - r) / spread + 2, (r - g) / spread + 4))
    bins = np.floor(hue / 6 * len(COLOURS) + 0.5).astype(int) % len(COLOURS)
    return np.bincount(bins, weights=spread, minlength=len(COLOURS)) / mask.size


def _lowest(values: NDArray[np.floating], window: int) -> float:
    """The lowest level that is held: least over windows of their highest value."""
    width = min(window, len(values))
    return float(np.lib.stride_tricks.sliding_window_view(values, width).max(axis=1).min())


def _longest(flags: NDArray[np.bool_]) -> int:
    """Length of the longest run of true values."""
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest
