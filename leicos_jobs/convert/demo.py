"""One demo into its videos and rows: the work that `convert` spreads over processes.

A finished video is carried without encoding where that is valid. Images are read once: stride and phase are guessed
from the first block, frames are encoded as they come by, and the guess is checked against all image changes at the end.
Only a wrong guess costs a second reading.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.convert.finished_video import FinishedVideo
from leicos_jobs.core import signals
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import DefectError, no_room
from leicos_jobs.formats.leisaac_images import ChangeFinder, image_digest, keep_large_blocks
from leicos_jobs.formats.leisaac_problems import Problem
from leicos_jobs.formats.leisaac_timing import MAX_DENOMINATOR, TimeBase, Timing, agreed, find_timing
from leicos_jobs.formats.lerobot_stats import ImageStats, Stats, sample_indices
from leicos_jobs.formats.sources import SourceDemo, open_source
from leicos_jobs.media.encode import CRF, GOP, PRESET, Encoder
from leicos_jobs.media.encode_repeats import GOP as REPEAT_GOP
from leicos_jobs.media.encode_repeats import RepeatEncoder
from leicos_jobs.media.probe import verify
from leicos_jobs.media.spans import Span
from leicos_jobs.robots.embodiment import Embodiment

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

_Encoded = tuple[Timing, Stats, list[str]]
"""Timing, image statistics, and digests of the images of one camera."""
MOSTLY_NEW = 0.75
"""Share of a demo's first rows with a new image, from which on its images are taken not to be repeated."""


@dataclass(frozen=True)
class DemoJob:
    """What to convert and how. out: folder for `<camera>.mp4`, made here."""

    file: Path
    name: str
    robot: Embodiment
    cameras: tuple[str, ...]
    control_hz: float
    out: Path
    base: TimeBase = field(default_factory=TimeBase)
    crf: int = CRF
    preset: str = PRESET
    gop: int = GOP


@dataclass(frozen=True)
class DemoResult:
    """A converted demo: its timing, actions and states (frames, width) in motor units, and a verified video with
    statistics for each camera, the generated one first.

    tables_sha256: digest of the demo's tables. images: camera -> digests of the images of its frames, in order.
    state: the simulator's at the first frame, as `Demo.state_at` gives it; None if the recording has none there.
    """

    timing: Timing
    actions: F32
    states: F32
    videos: dict[str, Path]
    image_stats: dict[str, Stats]
    tables_sha256: str
    images: dict[str, list[str]]
    state: dict[str, list[float]] | None

    def sha256(self) -> str:
        """Digest of the demo's content: its tables, and its images of the generated camera that are in the dataset."""
        return digest_of([self.tables_sha256, dict([next(iter(self.images.items()))])])


def prepare_process() -> None:
    """Initialiser of a worker process."""
    signals.install()
    keep_large_blocks()


def convert_demo(job: DemoJob) -> DemoResult | Problem:
    """Convert one demo, or say why it is left out. Raises InputError where it cannot write."""
    signals.check()
    job.out.mkdir(parents=True, exist_ok=True)
    with open_source(job.file, job.robot, probed=True) as source:
        demo = source.demo(job.name, job.cameras)
        if demo.problem:
            return demo.problem
        fixed = demo.fixed_timing(job.base)
        if isinstance(fixed, Problem):
            return fixed
        timing = fixed
        videos, stats, images = {}, {}, {}
        for camera in job.cameras:
            path = job.out / f"{camera}.mp4"
            span = demo.span(camera)
            if span is not None and timing is not None:
                outcome = _take_video(job, demo, span, timing, path)
            else:
                outcome = _encode_camera(job, demo, camera, path, timing)
            if isinstance(outcome, Problem):
                return outcome
            timing, stats[camera], images[camera] = outcome
            verify(path, frames=timing.frames, fps=timing.fps(job.control_hz), size=demo.camera_sizes[camera])
            videos[camera] = path
        if timing is None:
            return Problem("missing-camera", "no camera was asked for")
        rows = np.asarray(timing.rows)
        actions, states = demo.motor_actions[rows], demo.motor_states[rows]
        state = demo.state_at(timing.first_row) if demo.has_states else None
        return DemoResult(timing, actions, states, videos, stats, demo.tables_sha256(), images, state)


def _take_video(job: DemoJob, demo: SourceDemo, span: Span, timing: Timing, path: Path) -> _Encoded | Problem:
    """Take a finished video over. timing: of the demo, which needs no look at its images."""
    rate, size = Fraction(job.control_hz).limit_denominator(MAX_DENOMINATOR), demo.camera_sizes[path.stem]
    video = FinishedVideo(span, rate, demo.rows, size, timing, timing.fps(job.control_hz))
    found = video.take(path, crf=job.crf, preset=job.preset, gop=job.gop)
    return found if isinstance(found, Problem) else (timing, *found)


def _encode_camera(job: DemoJob, demo: SourceDemo, camera: str, path: Path, known: Timing | None) -> _Encoded | Problem:
    """Encode one camera. known: the timing that an earlier camera of the demo gave."""
    try:
        found = _pass(job, demo, camera, path, known)
        if isinstance(found, Timing) and known is None:
            found = _pass(job, demo, camera, path, found)
    except (OSError, RuntimeError) as error:
        if full := no_room(error):
            raise full from error
        return Problem("unreadable", f"`obs/{camera}` is damaged ({error})")
    if isinstance(found, Timing):
        raise DefectError(f"{job.file}: {job.name}: `obs/{camera}` changes at other rows when it is read again")
    return found


def _pass(
    job: DemoJob, demo: SourceDemo, camera: str, path: Path, expected: Timing | None
) -> _Encoded | Timing | Problem:
    """Read all images once. Returns the timing alone if the frames that were encoded by guess are not its frames."""
    finder = ChangeFinder()
    guess = expected
    writer: _FrameWriter | None = None
    try:
        for start, block in demo.blocks(camera):
            signals.check()
            finder.feed(start, block)
            if start == 0:
                guess = guess or _timing(finder, job, demo)
                repeats = len(finder.changes) < MOSTLY_NEW * len(block)
                writer = _FrameWriter(job, demo.camera_sizes[camera], path, guess, repeats) if guess else None
            if writer:
                writer.take(start, block, finder.changes)
        found = demo.fixed_timing(job.base) or agreed(
            expected, find_timing(finder.changes, demo.rows, job.base), (job.cameras[0], camera)
        )
        if writer and found == guess:
            return writer.timing, writer.finish(), writer.digests
    except BaseException:
        if writer:
            writer.encoder.abort()
        raise
    if writer:
        writer.encoder.abort()
    return found


def _timing(finder: ChangeFinder, job: DemoJob, demo: SourceDemo) -> Timing | None:
    found = find_timing(finder.changes, demo.rows, job.base)
    return found if isinstance(found, Timing) else None


class _FrameWriter:
    """Encodes the rows of a timing out of blocks as they come; an unchanged image is not converted again."""

    def __init__(self, job: DemoJob, size: tuple[int, int], path: Path, timing: Timing, repeats: bool) -> None:
        """repeats: rows repeat images; matters if every row is taken."""
        self.timing = timing
        fps = timing.fps(job.control_hz)
        self.encoder = (
            RepeatEncoder(path, fps, size, crf=job.crf, preset=job.preset)
            if repeats and timing.stride == 1 and job.gop == REPEAT_GOP
            else Encoder(path, fps, size, crf=job.crf, preset=job.preset, gop=job.gop)
        )
        self._stats = ImageStats()
        self._sampled = set(sample_indices(timing.frames))
        self._next = 0
        self.digests: list[str] = []

    def take(self, start: int, block: U8, changes: list[int]) -> None:
        """Encode the wanted rows among start, start+1, ...; changes: all image changes up to the block's end."""
        while self._next < self.timing.frames and (row := self.timing.row(self._next)) < start + len(block):
            image = block[row - start]
            if self._next and not _changed(changes, self.timing.row(self._next - 1), row):
                self.encoder.repeat()
                self.digests.append(self.digests[-1])
            else:
                self.encoder.add(image)
                self.digests.append(image_digest(image))
            if self._next in self._sampled:
                self._stats.add(image)
            self._next += 1

    def finish(self) -> Stats:
        """Complete the file; returns the image statistics."""
        self.encoder.close()
        return self._stats.result()


def _changed(changes: list[int], after: int, upto: int) -> bool:
    return bisect_right(changes, upto) > bisect_right(changes, after)
