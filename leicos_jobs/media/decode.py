"""Reading frames as RGB, in display order, every one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from leicos_jobs.media.errors import VideoError

U8 = NDArray[np.uint8]

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,ivf,obu,h264,hevc,mpegvideo,m4v,gif,yuv4mpegpipe"
)
"""FFmpeg's names of what is a video itself. Lists (concat, hls, dash) name other files, which would be opened."""


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, VideoStream]]:
    """Open a file and its first video stream. Raises VideoError: missing, unreadable, no-video or codec."""
    try:
        container = av.open(str(path), metadata_errors="replace", options={"format_whitelist": CONTAINERS})
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise VideoError(path, "missing", f"cannot be opened: {error.strerror}", fix="check the path") from error
    except (av.FFmpegError, OSError) as error:
        message = f"is not a video, or was cut before its index was written ({error})"
        raise VideoError(path, "unreadable", message) from error
    try:
        if not container.streams.video:
            raise VideoError(path, "no-video", "has no video stream, or was cut inside its index")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise VideoError(path, "codec", "its codec is not known, or its header is damaged")
        yield container, stream
    finally:
        container.close()


def decode_frames(path: Path, *, threads: int = 1, strict: bool = False) -> Iterator[av.VideoFrame]:
    """Yield decoded frames as the codec gives them.

    strict: a damaged picture is an error, not concealed; for checking only, since pixels are not deblocked then, which
    no check needs and which takes a third of the time.

    Raises VideoError: as `open_video`, or truncated when the decoder stops at damage.
    """
    with open_video(path) as (container, stream):
        stream.codec_context.thread_count = threads
        if threads == 1:
            stream.codec_context.thread_type = av.codec.context.ThreadType.NONE
        if strict:
            stream.codec_context.options = {"err_detect": "explode", "skip_loop_filter": "all"}
        done = 0
        try:
            for frame in container.decode(stream):
                yield frame
                done += 1
        except av.FFmpegError as error:
            message = f"damaged after frame {done} ({error})"
            raise VideoError(path, "truncated", message) from error


def read_frames(path: Path, *, threads: int = 1) -> Iterator[U8]:
    """Yield each frame as a new (H, W, 3) uint8 RGB array. threads: decoder threads, 0 lets the codec choose."""
    reformatter = VideoReformatter()
    for frame in decode_frames(path, threads=threads):
        yield to_rgb(frame, reformatter)


def to_rgb(frame: av.VideoFrame, reformatter: VideoReformatter) -> U8:
    """One decoded frame as (H, W, 3) uint8 RGB, through a reformatter that the caller keeps."""
    image = reformatter.reformat(frame, format="rgb24", interpolation=Interpolation.BILINEAR, threads=1)
    return np.asarray(image.to_ndarray(), dtype=np.uint8)


def read_all(path: Path, *, threads: int = 1) -> U8:
    """Every frame, (N, H, W, 3) uint8 RGB. Raises VideoError as `read_frames`, and `frames` if there is none."""
    images = list(read_frames(path, threads=threads))
    if not images:
        raise VideoError(path, "frames", "has no frame")
    return np.stack(images)
