"""A demo's finished video into the dataset: its own packets where that is valid, else its frames encoded again."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.video.reformatter import VideoReformatter

from leicos_jobs.core import signals
from leicos_jobs.formats.leisaac_problems import Problem
from leicos_jobs.formats.leisaac_timing import Timing
from leicos_jobs.formats.lerobot_stats import ImageStats, Stats, sample_indices
from leicos_jobs.media.decode import to_rgb
from leicos_jobs.media.encode import Encoder
from leicos_jobs.media.errors import VideoError
from leicos_jobs.media.spans import Span, carry, picture_digest, span_frames


@dataclass(frozen=True)
class FinishedVideo:
    """What to take. span: where it lies. source_fps: its rate. rows: of the demo. size: (width, height) that the
    metadata says. timing, fps: rows that become frames, and their rate."""

    span: Span
    source_fps: Fraction
    rows: int
    size: tuple[int, int]
    timing: Timing
    fps: Fraction

    def take(self, path: Path, *, crf: int, preset: str, gop: int) -> tuple[Stats, list[str]] | Problem:
        """Write the mp4; returns statistics of its images and their digests, or why the demo is left out.

        crf, preset, gop: of the encoding, where it must be.
        """
        try:
            if self.timing.frames == self.rows and carry(self.span, path, self.fps):
                return self._read(None)
            with Encoder(path, self.fps, self.size, crf=crf, preset=preset, gop=gop) as encoder, ExitStack() as stack:
                read = self._read(encoder)
                if isinstance(read, Problem):
                    stack.callback(encoder.abort)
                return read
        except VideoError as error:
            return Problem("unreadable", error.message)

    def _read(self, encoder: Encoder | None) -> tuple[Stats, list[str]] | Problem:
        stats, digests, reformatter, count = ImageStats(), list[str](), VideoReformatter(), 0
        sampled = set(sample_indices(self.timing.frames))
        for row, frame in enumerate(span_frames(self.span, self.source_fps)):
            signals.check()
            count += 1
            if (frame.width, frame.height) != self.size:
                wide, high = self.size
                return Problem("image-size", f"its video is {frame.width}x{frame.height}, info.json says {wide}x{high}")
            if row not in self.timing.rows:
                continue
            if encoder or len(digests) in sampled:
                image = to_rgb(frame, reformatter)
                if encoder:
                    encoder.add(image)
                if len(digests) in sampled:
                    stats.add(image)
            digests.append(picture_digest(frame))
        if count != self.rows:
            return Problem("malformed", f"{self.span.path}: has {count} frames of it for {self.rows} rows")
        return stats.result(), digests
