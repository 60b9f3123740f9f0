"""Which demos go into a dataset, and why the others do not: one rule for `convert` and for `inspect`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.leisaac_problems import Problem
from leicos_jobs.formats.leisaac_timing import Timing
from leicos_jobs.formats.sources import KINDS, Source, SourceDemo, open_source
from leicos_jobs.robots.embodiment import Embodiment


@dataclass
class Choice:
    """A demo on its way. source: index of its file. problem: why it is out, None while it is in. timing: once its
    images were looked at. sizes: camera -> (width, height). task: its own task text, if its source has one. states:
    whether its source has the simulator's states."""

    source: int
    name: str
    rows: int
    success: bool | None
    seed: int | None
    sizes: dict[str, tuple[int, int]]
    problem: Problem | None
    timing: Timing | None = None
    task: str | None = None
    states: bool = True

    def settle(self, found: Timing | Problem) -> None:
        """Take over what the images say."""
        if isinstance(found, Problem):
            self.problem, self.timing = found, None
        else:
            self.timing = found


@contextmanager
def opened(sources: Sequence[Path], robot: Embodiment | None = None) -> Iterator[list[Source]]:
    """All sources open at once. robot: whose demos they are; None: their tables tell.

    Raises InputError if there is none or one is unusable.
    """
    if not sources:
        raise InputError("no file to convert", fix=f"give {KINDS}")
    recordings: list[Source] = []
    try:
        for path in sources:
            recordings.append(open_source(path, robot))
        yield recordings
    finally:
        for recording in recordings:
            recording.close()


def survey(recordings: Sequence[Source], cameras: Sequence[str], *, accept_unmarked: bool = False) -> list[Choice]:
    """Look at every demo without its images, in the order of the files and natural order within.

    accept_unmarked: a demo without a mark counts as successful.
    """
    choices = []
    for index, recording in enumerate(recordings):
        own = []
        for demo in recording.demos(cameras):
            success = demo.success if demo.marked else None
            problem = verdict(demo, accept_unmarked)
            choice = Choice(index, demo.name, demo.rows, success, demo.seed, demo.camera_sizes, problem)
            choice.task = demo.task
            choice.states = problem is None and demo.has_states
            own.append(choice)
        _no_marks(own)
        _other_units(own)
        choices += own
    for camera in cameras:
        _same_size(choices, camera)
    return choices


def verdict(demo: SourceDemo, accept_unmarked: bool = False) -> Problem | None:
    """Why a demo is left out, as far as its tables and marks say; None if its images decide."""
    if demo.problem and demo.problem.kind == "unreadable":
        return demo.problem
    if not demo.marked and accept_unmarked:
        return demo.problem
    if not demo.marked:
        return Problem("interrupted", "it has no success mark; its recording was interrupted")
    if not demo.success:
        return Problem("failed", "it is marked as failed")
    return demo.problem


def _no_marks(choices: Sequence[Choice]) -> None:
    """Where no demo of a file is marked, nothing was interrupted: what recorded it does not mark success."""
    if any(choice.success is not None for choice in choices):
        return
    for choice in choices:
        if choice.problem and choice.problem.kind == "interrupted":
            choice.problem = Problem("unmarked", "no demo of the file has a success mark (attribute `success`)")


def _other_units(choices: Sequence[Choice]) -> None:
    """A file has one unit: where most demos cannot be of this robot, the others only happen to lie in its range."""
    left = [choice for choice in choices if choice.problem is None]
    out = [choice.problem for choice in choices if choice.problem and choice.problem.kind == "outside-limits"]
    if len(out) > len(left):
        for choice in left:
            choice.problem = Problem("outside-limits", f"most demos of its file cannot be this robot's: {out[0].text}")


def camera_sizes(choices: Sequence[Choice]) -> dict[str, tuple[str, ...]]:
    """Every camera of the demos with the sizes that it has, e.g. front -> 640x480."""
    found: dict[str, set[tuple[int, int]]] = {}
    for choice in choices:
        for camera, size in choice.sizes.items():
            found.setdefault(camera, set()).add(size)
    return {name: tuple(f"{wide}x{high}" for wide, high in sorted(found[name])) for name in sorted(found)}


def described_cameras(cameras: Mapping[str, Sequence[str]]) -> str:
    """What `camera_sizes` found, for people: front 640x480, wrist 320x240."""
    return ", ".join(f"{name} {' and '.join(sizes)}" for name, sizes in cameras.items()) or "none"


def _same_size(choices: Sequence[Choice], camera: str) -> None:
    """A dataset has one image size: demos of another than the usual one are out."""
    left = [choice for choice in choices if choice.problem is None]
    if not left:
        return
    usual = Counter(choice.sizes[camera] for choice in left).most_common(1)[0][0]
    for choice in left:
        if (own := choice.sizes[camera]) != usual:
            text = f"`obs/{camera}` is {own[0]}x{own[1]}, others are {usual[0]}x{usual[1]}"
            choice.problem = Problem("image-size", text)


def same_stride(choices: Sequence[Choice]) -> None:
    """A dataset has one rate: demos whose stride is not the usual one (the smaller of two equally usual) are out."""
    strides = Counter(choice.timing.stride for choice in choices if choice.timing)
    if len(strides) < 2:
        return
    usual = min(strides, key=lambda stride: (-strides[stride], stride))
    for choice in choices:
        if choice.timing and (own := choice.timing.stride) != usual:
            choice.settle(Problem("stride-differs", f"its image changes every {own} rows, in others every {usual}"))
