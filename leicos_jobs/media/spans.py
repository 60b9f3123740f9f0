"""Parts of video files: LeRobot v3.0 puts many episodes into one. Their frames, and their packets without encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from leicos_jobs.core.errors import no_room
from leicos_jobs.core.files import link_or_copy
from leicos_jobs.media.decode import decode_frames, open_video
from leicos_jobs.media.errors import VideoError
from leicos_jobs.media.probe import probe
from leicos_jobs.media.remux import restamp


@dataclass(frozen=True)
class Span:
    """Part of a video. begin, end: seconds on the file's clock, [begin, end); both None: all of it."""

    path: Path
    begin: float | None = None
    end: float | None = None

    def window(self, fps: Fraction) -> tuple[float, float]:
        """[from, to) in seconds, half a frame early: time stamps are rounded to the container's clock."""
        half = 0.5 / float(fps)
        return (self.begin or 0.0) - half, (float("inf") if self.end is None else self.end) - half

    @property
    def whole(self) -> bool:
        """Whether it is all of the file."""
        return self.begin is None and self.end is None


def span_frames(span: Span, fps: Fraction) -> Iterator[av.VideoFrame]:
    """Decoded frames of a span in display order, as the codec gives them. Raises VideoError."""
    if span.whole:
        yield from decode_frames(span.path)
        return
    begin, end = span.window(fps)
    with open_video(span.path) as (container, stream):
        try:
            _seek(container, stream, begin)
            for frame in container.decode(stream):
                if frame.time is None or frame.time >= end:
                    return
                if frame.time >= begin:
                    yield frame
        except av.FFmpegError as error:
            raise VideoError(span.path, "truncated", f"damaged near {span.begin:g} s ({error})") from error


def picture_digest(frame: av.VideoFrame) -> str:
    """Digest of a decoded picture in its codec's own pixel format: decoders agree on it bit for bit, and conversions to
    RGB do not. 64 bits, as `leisaac_images.image_digest`."""
    return hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()[:16]


def carry(span: Span, dst: Path, fps: Fraction) -> bool:
    """Put a span at constant rate into an mp4 of its own without encoding; False where that cannot be done.

    It can be for H.264 yuv420p that begins, and whose successor begins, with a key frame. Raises VideoError.
    """
    with open_video(span.path) as (_, stream):
        if (stream.codec_context.codec.canonical_name, stream.codec_context.pix_fmt) != ("h264", "yuv420p"):
            return False
    if span.whole:
        info = probe(span.path)
        if info.fps == fps and info.constant and not info.start and not info.has_audio:
            link_or_copy(span.path, dst)
        else:
            restamp(span.path, dst, fps)
        return True
    part = dst.with_name(dst.name + ".cut.mp4")
    try:
        if not _cut(span, part, fps):
            return False
        restamp(part, dst, fps)
        return True
    finally:
        part.unlink(missing_ok=True)


def _cut(span: Span, dst: Path, fps: Fraction) -> bool:
    """Copy the packets of a span. False if they are not one stretch of the file that can be decoded alone."""
    begin, end = span.window(fps)
    with open_video(span.path) as (container, stream), av.open(str(dst), "w", format="mp4") as output:
        try:
            target = output.add_stream_from_template(stream)
            _seek(container, stream, begin)
            inside = False
            for packet in container.demux(stream):
                if not packet.size or packet.pts is None:
                    continue
                time = float(packet.pts * stream.time_base) if stream.time_base else 0.0
                if inside and not begin <= time < end:
                    return packet.is_keyframe and time >= end
                if not inside and time < begin:
                    continue
                if not inside and not packet.is_keyframe:
                    return False
                inside = True
                packet.stream = target
                output.mux(packet)
        except av.FFmpegError as error:
            if full := no_room(error):
                raise full from error
            raise VideoError(span.path, "unreadable", f"cannot be cut ({error})") from error
    return inside


def _seek(container: av.container.InputContainer, stream: av.VideoStream, begin: float) -> None:
    """Go to the last key frame at or before a time."""
    if begin > 0 and stream.time_base:
        container.seek(int(begin / stream.time_base), stream=stream, backward=True)
