"""Small videos whose order can be read, and videos as others write them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def images(count: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A bright square that moves one pixel a frame over a gradient: every frame differs and order can be read."""
    ramp = np.linspace(30, 120, width)[None, :, None] + np.linspace(0, 60, height)[:, None, None]
    video = np.repeat((ramp + np.zeros((1, 1, 3)))[None], count, axis=0)
    for index in range(count):
        video[index, 8:24, index % 40 : index % 40 + 12] = (220, 40, 40)
    return video.astype(np.uint8)


def foreign(
    path: Path, frames: np.ndarray, *, codec: str = "libx264", rate: int = 16, pix_fmt: str = "yuv420p"
) -> None:
    """A video as others write it: PyAV's defaults, with B-frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))
