"""Writing H.264: one thread, no B-frames, exact time stamps, the same bytes every time.

One encoder thread a process and one process a core is the fast shape for many episodes; thread count changes neither
CPU a frame nor bytes (docs/decisions/cpu_baseline.md 3.2). Converting rgb24 to yuv420p through one kept reformatter
with one thread costs less than half of what PyAV's convenience call does (docs/decisions/cpu_baseline.md 3.4).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Self

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from leicos_jobs.core.errors import DefectError, InputError, LeicosError, writing
from leicos_jobs.media.rates import as_rate

U8 = NDArray[np.uint8]

CRF = 26
PRESET = "superfast"
"""With `CONSTANT` about the PSNR and bytes of lerobot's default AV1, in the least processor time of all presets that
reach them (benchmarks/convert)."""
GOP = 2
"""lerobot's interval of key frames: any frame is at most one decode away, which random access in training needs."""

WITHOUT_TREE = frozenset({"ultrafast", "superfast"})
"""x264's presets without its macroblock tree."""
CONSTANT = "aq-mode=0:qcomp=1"
"""For those presets. Adaptive quantisation costs them up to twice the bytes for no decibel. And qcomp 1: one quantiser
whatever the scene holds; the usual 0.6 takes 3 to 8 dB off scenes with much detail (benchmarks/convert, detail)."""

_SHORTER = 6 * (1 - 0.6)
"""Quantiser steps that x264 adds for half the duration: six double a quantiser, which goes with the duration to the
power of 1 - qcomp (x264 ratecontrol.c, get_qscale); none where qcomp is 1."""

_SMPTE170M = 6
"""ISO/IEC 23091-2 code of BT.601 525-line. swscale converts with BT.601 whatever the size, so the file says so."""


class Encoder:
    """An mp4 being written, one image at a time.

    The file appears under its own name only when it is complete: until `close` the bytes are in `<name>.part`, which
    an exception removes. Use as a context manager, or call `close` / `abort`.
    """

    _picture = PictureType.NONE
    """The kind that is asked of x264 for every picture; NONE leaves it the choice."""

    def __init__(
        self,
        path: Path,
        fps: float | Fraction,
        size: tuple[int, int],
        *,
        crf: float = CRF,
        preset: str = PRESET,
        gop: int = GOP,
        source_size: tuple[int, int] | None = None,
    ) -> None:
        """Open `path`. size: (width, height) of the video; source_size: of the images, if they must be scaled.

        Raises InputError for odd sizes (yuv420p halves both) and where it may not write; RetryError on a full disk.
        """
        width, height = size
        if width % 2 or height % 2 or width <= 0 or height <= 0:
            raise InputError(
                f"{path}: H.264 yuv420p needs an even width and height, got {width}x{height}",
                fix="crop or scale the images to even sizes",
            )
        self.path = path
        self.frames = 0
        self._shape = (*(source_size or size)[::-1], 3)
        self._scaled = source_size is not None and source_size != size
        self._size = size
        self._rate = as_rate(fps)
        self._tick = 1 / self._rate
        self._part = path.with_name(path.name + ".part")
        self._reformatter = VideoReformatter()
        self._last: av.VideoFrame | None = None
        # bitexact: no library versions and no dates in the file. faststart: the index first, so that a browser or a
        # reader over S3 needs no second round trip.
        with writing(path):  # PyAV's errors are OSErrors
            self._container = av.open(
                str(self._part), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}
            )
        self._stream = self._container.add_stream("libx264", rate=self._rate)
        configure(self._stream.codec_context, self._size, self._rate, crf, preset, gop)

    def add(self, image: U8) -> None:
        """Append one image, (H, W, 3) uint8 RGB. It is copied before the call returns, so buffers may be reused.

        Raises InputError if the shape or type is not the one announced.
        """
        if image.shape != self._shape or image.dtype != np.uint8:
            found = f"{image.dtype} {image.shape}"
            raise InputError(f"{self.path}: frame {self.frames} is {found}, not uint8 {self._shape}")
        source = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="rgb24")
        self._last = self._reformatter.reformat(
            source,
            width=self._size[0],
            height=self._size[1],
            format="yuv420p",
            dst_colorspace=int(Colorspace.ITU601),
            interpolation=Interpolation.AREA if self._scaled else Interpolation.BILINEAR,
            dst_color_range=int(ColorRange.MPEG),
            threads=1,
        )
        self._encode(self._last)

    def repeat(self) -> None:
        """Append the last image once more without converting it again."""
        if self._last is None:
            raise DefectError(f"{self.path}: repeat() before the first image")
        self._encode(self._last)

    def _encode(self, frame: av.VideoFrame) -> None:
        frame.pts = self.frames
        frame.time_base = self._tick
        frame.pict_type = self._picture
        with writing(self.path):
            self._mux(self._stream.encode(frame))
        self.frames += 1

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        self._container.mux(packets)

    def close(self) -> int:
        """Finish the file and give it its name; returns the number of frames. Raises InputError if there is none."""
        if not self.frames:
            self.abort()
            raise InputError(f"{self.path}: a video needs at least one frame")
        try:
            with writing(self.path):
                self._mux(self._stream.encode(None))
                self._container.close()
        except LeicosError:
            self.abort()
            raise
        self._part.replace(self.path)
        return self.frames

    def abort(self) -> None:
        """Drop what was written."""
        with suppress(av.FFmpegError, OSError):  # the trouble that led here, such as a full disk, shows up again
            self._container.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_error: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def configure(
    context: VideoCodecContext, size: tuple[int, int], rate: Fraction, crf: float, preset: str, gop: int
) -> None:
    """Set a codec context that is not open yet to our H.264.

    crf: x264's at 30 frames per second. x264 spends less on pictures that are shown for a shorter time; a dataset's are
    all worth the same, whatever rate they are labelled with.
    """
    shorter = 0.0 if preset in WITHOUT_TREE else _SHORTER
    crf = min(51.0, max(0.0, crf - shorter * math.log2(rate / 30)))
    context.width, context.height = size
    context.pix_fmt = "yuv420p"
    context.time_base = 1 / rate
    context.framerate = rate
    context.gop_size = gop
    context.max_b_frames = 0
    context.thread_count = 1
    context.color_range = int(ColorRange.MPEG)
    context.colorspace = context.color_primaries = context.color_trc = _SMPTE170M
    context.options = {"crf": f"{crf:.2f}", "preset": preset, "x264-params": _x264_params(preset)}


@cache
def _x264_params(preset: str) -> str:
    """x264's own parameters, `name=value` joined by colons.

    asm: keeps x264 off AVX-512 where the processor has it. With it, its look-ahead (core 165, macroblock tree) gives
    other bytes in about one of 300 short videos when the machine is busy; with AVX2 none of 12,000 differed, at the
    same speed. tests/media repeats the trial.
    """
    found = [CONSTANT] if preset in WITHOUT_TREE else []
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        flags = ""
    return ":".join(found + (["asm=avx2"] if "avx512f" in flags else []))


def write_video(
    path: Path,
    frames: Iterable[U8],
    fps: float | Fraction,
    *,
    crf: int = CRF,
    preset: str = PRESET,
    gop: int = GOP,
    size: tuple[int, int] | None = None,
) -> int:
    """Write images, each (H, W, 3) uint8 RGB, as an mp4; returns how many.

    size: (width, height) to scale to; left out, the first image's. Raises InputError for no frame, odd sizes or images
    that differ in shape; the file exists only if all went well.
    """
    images = iter(frames)
    first = next(images, None)
    if first is None:
        raise InputError(f"{path}: a video needs at least one frame")
    source = (first.shape[1], first.shape[0])
    with Encoder(path, fps, size or source, crf=crf, preset=preset, gop=gop, source_size=source) as encoder:
        for image in chain([first], images):
            encoder.add(image)
    return encoder.frames
