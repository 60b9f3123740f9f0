"""Contact sheets: a row of frames per video, so that a person sees at a glance what the numbers are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from leicos_jobs.media.decode import read_frames
from leicos_jobs.media.probe import probe

GAP = 4
CAPTION = 32
FONT = 22
"""Pixels; the report shows a sheet at about half its size."""
COLORS = {"good": (0, 105, 92), "bad": (179, 38, 30), "plain": (90, 90, 90)}


@dataclass(frozen=True)
class Strip:
    """One video and what to write over it. tone: good, bad or plain."""

    video: Path
    caption: str
    tone: str = "plain"


def contact_sheet(strips: Sequence[Strip], path: Path, *, frames: int = 6, width: int = 150, columns: int = 2) -> None:
    """Write a PNG: `columns` strips side by side, `frames` evenly spaced frames each, `width` pixels a frame."""
    tiles = [_strip(strip, frames, width) for strip in strips]
    rows = -(-len(tiles) // columns)
    tile_width, tile_height = max(tile.width for tile in tiles), max(tile.height for tile in tiles)
    sheet = Image.new("RGB", (columns * (tile_width + 3 * GAP), rows * (tile_height + 2 * GAP)), "white")
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(tile, (column * (tile_width + 3 * GAP), row * (tile_height + 2 * GAP)))
    sheet.save(path, optimize=True)


def _strip(strip: Strip, frames: int, width: int) -> Image.Image:
    count = probe(strip.video).frames
    wanted = sorted({round(index) for index in np.linspace(0, count - 1, frames)})
    pictures = []
    for index, frame in enumerate(read_frames(strip.video)):
        if index in wanted:
            picture = Image.fromarray(frame)
            pictures.append(picture.resize((width, round(width * picture.height / picture.width))))
    height = pictures[0].height
    tile = Image.new("RGB", (len(pictures) * (width + GAP) - GAP, height + CAPTION), "white")
    ImageDraw.Draw(tile).text((0, 1), strip.caption, fill=COLORS[strip.tone], font=ImageFont.load_default(FONT))
    for index, picture in enumerate(pictures):
        tile.paste(picture, (index * (width + GAP), CAPTION))
    return tile
