"""What a file really holds: packets counted, time stamps looked at, and on demand every frame decoded.

A container's own words about codec, rate and length are taken as claims: LeIsaac's "h264" edit changes only metadata,
Cosmos labels every video 16 fps, and a killed writer leaves an index that promises more than the bytes give.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from leicos_jobs.media.decode import decode_frames, open_video
from leicos_jobs.media.errors import VideoError
from leicos_jobs.media.rates import as_rate


@dataclass(frozen=True)
class VideoInfo:
    """Facts of the first video stream.

    fps: from the time stamps. frames: packets really there. declared: frames the index promises (0: it does not say).
    constant: frame k is at k/fps within one tick of the container's clock. keyframes: packets that start a picture
    group. start: time stamp of the first frame in seconds.
    """

    path: Path
    width: int
    height: int
    codec: str
    pix_fmt: str
    fps: Fraction
    frames: int
    declared: int
    constant: bool
    keyframes: int
    start: Fraction
    has_audio: bool

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height

    @property
    def seconds(self) -> float:
        """Length at `fps`."""
        return float(self.frames / self.fps)


def probe(path: Path) -> VideoInfo:
    """Read the whole file's packets without decoding (about 150,000 a second). Raises VideoError if that fails."""
    stamps: list[int] = []
    keyframes = 0
    with open_video(path) as (container, stream):
        try:
            for packet in container.demux(stream):
                if packet.size and packet.pts is not None:
                    stamps.append(packet.pts)
                    keyframes += packet.is_keyframe
        except av.FFmpegError as error:
            raise VideoError(path, "truncated", f"damaged after packet {len(stamps)} ({error})") from error
        if not stamps:
            raise VideoError(path, "frames", "has no frame")
        stamps.sort()
        clock = Fraction(stream.time_base or 1)
        fps, constant = _rate(stamps, clock, stream.average_rate)
        return VideoInfo(
            path=path,
            width=stream.codec_context.width,
            height=stream.codec_context.height,
            codec=stream.codec_context.codec.canonical_name,  # of the format: decoders of AV1 go by names of their own
            pix_fmt=stream.codec_context.pix_fmt or "unknown",
            fps=fps,
            frames=len(stamps),
            declared=stream.frames,
            constant=constant,
            keyframes=keyframes,
            start=stamps[0] * clock,
            has_audio=bool(container.streams.audio),
        )


def _rate(stamps: list[int], clock: Fraction, claimed: Fraction | None) -> tuple[Fraction, bool]:
    """Frames per second from sorted time stamps: the claimed rate if they agree with it, else the mean spacing."""
    if claimed and _fits(stamps, clock, claimed):
        return claimed, True
    if len(stamps) < 2 or stamps[-1] == stamps[0]:
        return claimed or Fraction(1), False
    measured = (len(stamps) - 1) / ((stamps[-1] - stamps[0]) * clock)
    return measured, _fits(stamps, clock, measured)


def _fits(stamps: list[int], clock: Fraction, fps: Fraction) -> bool:
    step = float(1 / (fps * clock))
    return all(abs(stamp - stamps[0] - index * step) <= 1.0 for index, stamp in enumerate(stamps))


def verify(
    path: Path,
    *,
    frames: int | None = None,
    fps: float | Fraction | None = None,
    size: tuple[int, int] | None = None,
    codec: str | None = "h264",
    pix_fmt: str | None = "yuv420p",
) -> VideoInfo:
    """Decode every frame and compare with what is wanted; None leaves a check out. size: (width, height).

    Raises VideoError whose `fault` says which check failed first: missing, unreadable, no-video, truncated, codec,
    pix-fmt, size, fps, frames. H.264's entropy coding can swallow flipped bytes inside a picture: against that only
    the file's digest helps.
    """
    info = probe(path)
    if info.declared > info.frames:
        raise VideoError(path, "truncated", f"its index promises {info.declared} frames, {info.frames} are there")
    transcode = "transcode it to H.264 yuv420p at a constant rate"
    if codec is not None and info.codec != codec:
        raise VideoError(path, "codec", f"is {info.codec}, not {codec}", fix=transcode)
    if pix_fmt is not None and info.pix_fmt != pix_fmt:
        raise VideoError(path, "pix-fmt", f"is {info.pix_fmt}, not {pix_fmt}", fix=transcode)
    if size is not None and info.size != size:
        raise VideoError(path, "size", f"is {info.width}x{info.height}, not {size[0]}x{size[1]}")
    if fps is not None and (info.fps != as_rate(fps) or not info.constant):
        steady = "" if info.constant else ", not constant"
        raise VideoError(path, "fps", f"plays at {float(info.fps):g} frames/s{steady}, not {float(fps):g}")
    decoded = 0
    for frame in decode_frames(path, strict=True):
        if frame.is_corrupt:
            raise VideoError(path, "truncated", f"frame {decoded} is damaged")
        decoded += 1
    if decoded != info.frames:
        raise VideoError(path, "truncated", f"{info.frames} packets give only {decoded} frames")
    if frames is not None and decoded != frames:
        raise VideoError(path, "frames", f"has {decoded} frames, not {frames}")
    return info
