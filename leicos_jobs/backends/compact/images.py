"""From decoded frames to what the network sees: one pipeline, used for training and for labelling alike.

A frame is reduced by a whole factor (mean over squares, as a smaller sensor would see it), cropped to the area in
which the robot moves, and kept as uint8 with a border. Training takes a window at a random place
within the border, which stands for a camera that was mounted a little differently; labelling takes the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from leicos_jobs.core.errors import InputError
from leicos_jobs.media.decode import read_frames

U8 = NDArray[np.uint8]
MARGINS = 80
"""The border kept around a window is the reduced frame's width divided by this."""
MULTIPLE = 8
"""Window sizes are multiples of this, so that strides divide them."""
MOVES = 5.0
"""Standard deviation over an episode, in grey levels of 255, from which on a pixel counts as moving."""


@dataclass(frozen=True)
class ImageSpec:
    """How a frame becomes input. source: (width, height) of the video in px. factor: reduction. x, y, width, height:
    the window in reduced px; `margin` more on each side is inside the reduced frame."""

    source: tuple[int, int]
    factor: int
    x: int
    y: int
    width: int
    height: int
    margin: int


def reduction(source: tuple[int, int], width: int) -> int:
    """Whole factor that brings a (width, height) source nearest to `width` pixels; never enlarges."""
    return max(1, round(source[0] / width))


def reduce_frame(frame: U8, factor: int) -> U8:
    """Mean over factor x factor squares: (H, W, 3) uint8 -> (H // factor, W // factor, 3) uint8."""
    if factor == 1:
        return frame
    height, width = frame.shape[0] // factor, frame.shape[1] // factor
    wide = np.zeros((height, width * factor, 3), dtype=np.uint32)
    for row in range(factor):
        wide += frame[row : height * factor : factor, : width * factor]
    total = np.full((height, width, 3), factor * factor // 2, dtype=np.uint32)
    for channel in range(3):  # along a row, not across three colours: half the time in all
        for column in range(factor):
            total[:, :, channel] += wide[:, column::factor, channel]
    return (total // (factor * factor)).astype(np.uint8)


def read_reduced(path: Path, source: tuple[int, int], factor: int, *, threads: int = 1) -> U8:
    """Every frame of a video, reduced: (N, H, W, 3) uint8. Raises InputError if the video is not `source` in size."""
    frames = []
    for frame in read_frames(path, threads=threads):
        if (frame.shape[1], frame.shape[0]) != source:
            raise geometry_error(path, (frame.shape[1], frame.shape[0]), source)
        frames.append(reduce_frame(frame, factor))
    if not frames:
        raise InputError(f"{path} has no frame", fix="make the video again")
    return np.stack(frames)


def geometry_error(path: Path, found: tuple[int, int], wanted: tuple[int, int]) -> InputError:
    """The error for a video of another size than the model was trained on, naming both."""
    return InputError(
        f"{path} is {found[0]}x{found[1]}, the model was trained on {wanted[0]}x{wanted[1]}",
        fix="make videos in the size of the training data, or train the model on this size",
    )


def window(frames: U8, spec: ImageSpec) -> U8:
    """Cut the window and its border out of reduced frames (N, H, W, 3) -> (N, height+2m, width+2m, 3)."""
    rows = slice(spec.y - spec.margin, spec.y + spec.height + spec.margin)
    columns = slice(spec.x - spec.margin, spec.x + spec.width + spec.margin)
    return np.ascontiguousarray(frames[:, rows, columns])


def middle(frames: U8, spec: ImageSpec) -> U8:
    """Windows without their border (N, height, width, 3): what labelling sees."""
    rows = slice(spec.margin, spec.margin + spec.height)
    return frames[:, rows, spec.margin : spec.margin + spec.width]


def read_windows(path: Path, spec: ImageSpec) -> U8:
    """A video as the network sees it when labelling: (N, height, width, 3) uint8."""
    return middle(window(read_reduced(path, spec.source, spec.factor), spec), spec)


def choose_window(episodes: Sequence[U8], source: tuple[int, int], factor: int, how: str) -> ImageSpec:
    """Window for reduced training frames, one (N, H, W, 3) array an episode.

    how: `motion` takes the rectangle around what moves within episodes (not between them: the camera may differ from
    one to the next) with some space for wider motion; `none` takes the whole frame.
    """
    height, width = episodes[0].shape[1:3]
    top, bottom, left, right = 0, height, 0, width
    if how == "motion":
        moving = np.zeros((height, width))
        for frames in episodes:
            moving += frames[::4].mean(axis=3).std(axis=0) > MOVES
        busy = moving >= max(1.0, 0.02 * len(episodes))
        top, bottom = _span(busy.mean(axis=1) > 0.01, pad=height // 24)
        left, right = _span(busy.mean(axis=0) > 0.01, pad=width // 24)
    margin = max(1, width // MARGINS)
    y, tall = _fit(top, bottom, height, margin)
    x, wide = _fit(left, right, width, margin)
    return ImageSpec(source, factor, x, y, wide, tall, margin)


def _span(busy: NDArray[np.bool_], pad: int) -> tuple[int, int]:
    """First and one past the last busy index, widened by `pad`; everything if nothing is busy."""
    found = np.flatnonzero(busy)
    if not len(found):
        return 0, len(busy)
    return int(found[0]) - pad, int(found[-1]) + 1 + pad


def _fit(low: int, high: int, size: int, margin: int) -> tuple[int, int]:
    """Start and length of a span whose length is a multiple of MULTIPLE and that leaves `margin` inside 0..size."""
    room = size - 2 * margin
    if room < MULTIPLE:
        raise InputError(f"frames of {size} reduced pixels are too small", fix="raise image_width")
    length = min(-(-(high - low) // MULTIPLE), room // MULTIPLE) * MULTIPLE
    start = (low + high - length) // 2
    return min(max(start, margin), size - margin - length), length
