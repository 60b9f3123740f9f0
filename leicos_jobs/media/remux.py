"""Changing a video's rate without touching its pictures, and turning any video into ours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext

from leicos_jobs.media.decode import open_video, read_frames
from leicos_jobs.media.encode import CRF, GOP, PRESET, write_video
from leicos_jobs.media.errors import VideoError
from leicos_jobs.media.probe import probe
from leicos_jobs.media.rates import as_rate


def restamp(src: Path, dst: Path, fps: float | Fraction) -> int:
    """Copy an mp4's video with frame k at k/fps; returns the frames. Decoded pictures stay bit for bit the same.

    Cosmos labels everything 16 fps; readers that look frames up by time need the true rate. The k-th frame in display
    order gets time stamp k; frames may be stored in another order (B-frames). Audio and other streams are dropped.
    Raises VideoError if the source cannot be read.
    """
    rate = as_rate(fps)
    order, shift = _display_order(src)
    part = dst.with_name(dst.name + ".part")
    try:
        with (
            open_video(src) as (container, stream),
            av.open(str(part), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as output,
        ):
            target = output.add_stream_from_template(stream, opaque=False)
            target.time_base = 1 / rate
            # The rate inside the H.264 headers is rewritten too: some readers prefer it to the container's.
            rewrite = None
            if stream.codec_context.name == "h264":
                text = f"h264_metadata=tick_rate={2 * rate.numerator}/{rate.denominator}"
                rewrite = BitStreamFilterContext(text, stream, target)
            position = 0
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                for piece in rewrite.filter(packet) if rewrite else [packet]:
                    piece.stream = target
                    piece.time_base = 1 / rate
                    piece.pts = order[position]
                    piece.dts = position - shift
                    piece.duration = 1
                    output.mux(piece)
                    position += 1
        part.replace(dst)
    except av.FFmpegError as error:
        raise VideoError(src, "unreadable", f"cannot be re-stamped ({error})") from error
    finally:
        part.unlink(missing_ok=True)
    return len(order)


def _display_order(src: Path) -> tuple[list[int], int]:
    """Display index of each stored packet, and by how much storage must run ahead so that dts <= pts."""
    stamps: list[int] = []
    with open_video(src) as (container, stream):
        for packet in container.demux(stream):
            if packet.size:
                if packet.pts is None:
                    raise VideoError(src, "unreadable", f"packet {len(stamps)} has no time stamp", fix="transcode it")
                stamps.append(packet.pts)
    if not stamps:
        raise VideoError(src, "frames", "has no frame")
    rank = {stamp: index for index, stamp in enumerate(sorted(set(stamps)))}
    if len(rank) != len(stamps):
        raise VideoError(src, "unreadable", "two frames have the same time stamp", fix="transcode it")
    order = [rank[stamp] for stamp in stamps]
    return order, max(position - index for position, index in enumerate(order))


def transcode(
    src: Path,
    dst: Path,
    fps: float | Fraction | None = None,
    *,
    crf: int = CRF,
    preset: str = PRESET,
    gop: int = GOP,
    size: tuple[int, int] | None = None,
) -> int:
    """Decode any video (AV1, HEVC, odd pixel formats) and write it as ours, frame for frame; returns the frames.

    fps: rate to write, the source's own when left out. No frame is dropped or repeated. Raises VideoError.
    """
    rate = probe(src).fps if fps is None else as_rate(fps)
    return write_video(dst, read_frames(src), rate, crf=crf, preset=preset, gop=gop, size=size)
