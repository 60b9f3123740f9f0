"""A generated video beside the replay of its labels: a strip of frames for page and print, and a video to play."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from leicos_jobs.media.decode import read_frames
from leicos_jobs.media.encode import Encoder
from leicos_jobs.media.probe import probe

U8 = NDArray[np.uint8]
FRAMES = 7
"""Frames of a strip."""
WIDTH, GAP, LEFT, FONT = 148, 4, 26, 17
"""Pixels: of a frame in a strip, between frames, of the column with the names, and their height."""
PLAYED = 960
"""Pixels: the most that the video is wide."""
CRF, GOP = 28, 30
"""Of the video: it is for looking, and lies in the page."""
BLACK = 16


def beside(video: Path, replay: Iterable[U8] | None, strip: Path, played: Path | None = None) -> None:
    """Write the strip (PNG): frames of the video and, below each, what the replay shows then. played: the two side by
    side, as mp4. replay: (height, width, 3) each, of the video's size; None: the video alone."""
    facts = probe(video)
    wanted = {round(index) for index in np.linspace(0, facts.frames - 1, FRAMES)}
    rows: dict[str, list[U8]] = {name: [] for name in ("generated", "replay")[: 1 if replay is None else 2]}
    shown, size = iter(replay or ()), (2 * facts.width + GAP, facts.height)
    scaled = _even(*size)
    encoder = Encoder(played, facts.fps, scaled, source_size=size, crf=CRF, gop=GOP) if played else nullcontext()
    with encoder as out:
        for index, frame in enumerate(read_frames(video)):
            pictures = [frame, *([other] if (other := next(shown, None)) is not None else [])]
            if index in wanted:
                for name, picture in zip(rows, pictures, strict=False):
                    rows[name].append(picture)
            if out is not None:
                canvas = np.full((*size[::-1], 3), BLACK, np.uint8)
                for place, picture in enumerate(pictures):
                    canvas[:, place * (facts.width + GAP) :][:, : facts.width] = picture
                out.add(canvas)
    _strip(rows, strip)


def _strip(rows: dict[str, list[U8]], path: Path) -> None:
    """The frames in rows, each with its name at the left, written upwards."""
    first = next(iter(rows.values()))[0]
    high = round(WIDTH * first.shape[0] / first.shape[1])
    sheet = Image.new("RGB", (LEFT + FRAMES * (WIDTH + GAP) - GAP, len(rows) * (high + GAP) - GAP), "white")
    for row, (name, frames) in enumerate(rows.items()):
        text = Image.new("RGB", (high, LEFT), "white")
        ImageDraw.Draw(text).text((high // 2, 1), name, fill="#333333", font=ImageFont.load_default(FONT), anchor="ma")
        sheet.paste(text.rotate(90, expand=True), (0, row * (high + GAP)))
        for place, frame in enumerate(frames):
            sheet.paste(
                Image.fromarray(frame).resize((WIDTH, high)), (LEFT + place * (WIDTH + GAP), row * (high + GAP))
            )
    sheet.save(path, optimize=True)


def _even(width: int, height: int) -> tuple[int, int]:
    """The size of the video: H.264 wants even numbers."""
    share = min(Fraction(1), Fraction(PLAYED, width))
    return 2 * int(width * share / 2), 2 * int(height * share / 2)
