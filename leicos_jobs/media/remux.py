"""Changing a video's rate without touching its pictures, and turning any video into ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext

from leicos_jobs.core.errors import no_room
from leicos_jobs.media.decode import open_video, read_frames
from leicos_jobs.media.encode import write_video
from leicos_jobs.media.errors import VideoError
from leicos_jobs.media.probe import probe
from leicos_jobs.media.rates import as_rate


def restamp(src: Path, dst: Path, fps: float | Fraction) -> int:
    """Copy an mp4's video with frame k at k/fps; returns the frames. Decoded pictures stay bit for bit the same.

    Cosmos labels everything 16 fps; readers that look frames up by time need the true rate. The k-th frame in display
    order gets time stamp k; frames may be stored in another order (B-frames). Audio and other streams are dropped.
    Raises VideoError if the source cannot be read.
    """
    return _join([src], dst, as_rate(fps))[0]


def concatenate(sources: Sequence[Path], dst: Path, fps: float | Fraction) -> list[int]:
    """Join videos into one without re-encoding, frame k of all at k/fps; returns the frames of each.

    All must have the same stream headers (`stream_header`), or players would decode the later ones wrongly. Raises
    VideoError that names the file.
    """
    headers = {path: stream_header(path) for path in sources}
    for path, header in headers.items():
        if header != headers[sources[0]]:
            raise VideoError(path, "codec", f"was encoded unlike {sources[0]}", fix="transcode it with equal settings")
    return _join(sources, dst, as_rate(fps))


def stream_header(path: Path) -> bytes:
    """Codec, size and parameter sets of a video: equal for videos that can be joined. Raises VideoError."""
    with open_video(path) as (_, stream):
        context = stream.codec_context
        facts = f"{context.name} {context.width}x{context.height} {context.pix_fmt} ".encode()
        return facts + (context.extradata or b"")


def _join(sources: Sequence[Path], dst: Path, rate: Fraction) -> list[int]:
    orders = [_display_order(path) for path in sources]
    # One lead of storage order over display order for the whole file, or decoding times would run backwards
    lead = max(lead for _, lead in orders)
    part = dst.with_name(dst.name + ".part")
    begun = 0
    source = sources[0]
    try:
        with (
            open_video(source) as (_, first),
            av.open(str(part), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as output,
        ):
            # opaque: PyAV does not look for an encoder, and for AV1 there is none of its decoder's name
            target = output.add_stream_from_template(first, opaque=first.codec_context.name != "h264")
            target.time_base = 1 / rate
            for source, (order, _) in zip(sources, orders, strict=True):
                for number, packet in enumerate(_packets(source, target, rate)):
                    packet.stream = target
                    packet.time_base = 1 / rate
                    packet.pts = begun + order[number]
                    packet.dts = begun + number - lead
                    packet.duration = 1
                    output.mux(packet)
                begun += len(order)
        part.replace(dst)
    except av.FFmpegError as error:
        if full := no_room(error):
            raise full from error
        raise VideoError(source, "unreadable", f"cannot be re-stamped ({error})") from error
    finally:
        part.unlink(missing_ok=True)
    return [len(order) for order, _ in orders]


def _packets(path: Path, target: av.VideoStream, rate: Fraction) -> Iterator[av.Packet[av.VideoStream]]:
    """A video's packets, with the rate inside their H.264 headers rewritten: some readers prefer it to the file's."""
    with open_video(path) as (container, stream):
        rewrite = None
        if stream.codec_context.name == "h264":
            text = f"h264_metadata=tick_rate={2 * rate.numerator}/{rate.denominator}"
            rewrite = BitStreamFilterContext(text, stream, target)
        for packet in container.demux(stream):
            if packet.size:
                yield from rewrite.filter(packet) if rewrite else [packet]


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


def transcode(src: Path, dst: Path, fps: float | Fraction | None = None) -> int:
    """Decode any video (AV1, HEVC, odd pixel formats) and write it as ours, frame for frame; returns the frames.

    fps: rate to write, the source's own when left out. No frame is dropped or repeated. Raises VideoError.
    """
    rate = probe(src).fps if fps is None else as_rate(fps)
    return write_video(dst, read_frames(src), rate)
