"""inspect: what a recording, a LeRobot dataset or a run holds, every problem in it, and what convert would do and why.

It decides with the same code as convert, so its prediction is convert's behaviour; it writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from leicos_jobs.convert.choose_demos import (
    Choice,
    camera_sizes,
    described_cameras,
    opened,
    same_stride,
    survey,
)
from leicos_jobs.convert.demo import prepare_process
from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.core.text import printable
from leicos_jobs.formats import gr00t
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.leisaac_hdf5 import Recording
from leicos_jobs.formats.leisaac_problems import Problem, fix_for
from leicos_jobs.formats.leisaac_timing import TimeBase, Timing, agreed
from leicos_jobs.formats.lerobot_check import check, robot_of
from leicos_jobs.formats.lerobot_extras import stored_images
from leicos_jobs.formats.lerobot_places import V20
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.formats.lerobot_source import LeRobotSource, recognised
from leicos_jobs.formats.lerobot_v30 import VERSION as V30
from leicos_jobs.formats.lerobot_v30_check import DatasetV30, check_v30
from leicos_jobs.formats.sources import FRONT, camera_names, open_source, usual_camera
from leicos_jobs.robots.embodiment import shipped
from leicos_jobs.run.layout import RUN
from leicos_jobs.run.opened import open_run
from leicos_jobs.run.results import Results
from leicos_jobs.work.process_pool import Progress, spread

DEFAULT_HZ = 60.0
"""LeIsaac's single-arm tasks; only for showing seconds where a file does not say its rate."""

RUN_DATASETS = ("convert", "assemble")
"""Stages that make a run's datasets."""


SHOWN = 10
"""Names that a remark lists."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class DemoFacts(_Model):
    """A demo and its fate. success None: no mark. position: its place in LeIsaac's own, lexicographic order.

    kind, reason: why convert leaves it out, None if it takes it; first_row, stride, frames: then what it takes.
    """

    name: str
    position: int
    rows: int
    success: bool | None
    seed: int | None
    cameras: dict[str, str]
    kind: str | None
    reason: str | None
    first_row: int | None = None
    stride: int | None = None
    frames: int | None = None

    def text(self) -> str:
        """One line for people."""
        mark = {True: "success", False: "failed", None: "no mark"}[self.success]
        fate = f"left out: {self.kind}: {self.reason}"
        if self.kind is None:
            fate = f"taken: {self.frames} frames, rows {self.first_row}, {self.first_row}+{self.stride}, ..."
        return f"  {self.name:<10} {self.rows:>6} rows  {mark:<8} {fate}"


class RecordingFacts(_Model):
    """A LeIsaac HDF5 file. control_hz None: the file does not say. cameras: camera -> the sizes it has. strangers:
    entries that are not demos. remarks: what is odd but does no harm. problems: what `convert` with
    `strict` would refuse it for."""

    path: str
    bytes: int
    control_hz: float | None
    cameras: dict[str, tuple[str, ...]]
    demos: tuple[DemoFacts, ...]
    strangers: tuple[str, ...]
    remarks: tuple[str, ...]
    problems: tuple[str, ...]

    def text(self) -> str:
        """What people read."""
        rate = f"{self.control_hz:g} Hz" if self.control_hz else f"not said (LeIsaac single-arm: {DEFAULT_HZ:g} Hz)"
        taken = [demo for demo in self.demos if demo.kind is None]
        out = Counter(demo.kind for demo in self.demos if demo.kind)
        reasons = ", ".join(f"{count} {kind}" for kind, count in sorted(out.items())) or "none"
        head = [
            f"{self.path}: LeIsaac recording, {self.bytes / 1e6:.1f} MB, control rate {rate}",
            f"  {len(self.demos)} demos; convert takes {len(taken)} ({sum(demo.frames or 0 for demo in taken)} frames),"
            f" leaves out: {reasons}",
            f"  cameras: {described_cameras(self.cameras)}",
        ]
        head += [f"  remark: {remark}" for remark in self.remarks]
        head += [f"  problem: {problem}" for problem in self.problems]
        return "\n".join(head + [demo.text() for demo in self.demos])


class DatasetFacts(_Model):
    """A LeRobot folder and everything that is wrong with it. version: v2.0, v2.1 or v3.0. robot: the shipped one that
    it is of, or None. taken: episodes that a run would take; left_out: why not the others; None if nobody asked."""

    path: str
    version: str
    robot_type: str | None
    episodes: int
    frames: int
    fps: float
    cameras: tuple[str, ...]
    tasks: tuple[str, ...]
    problems: tuple[str, ...]
    robot: str | None = None
    taken: int | None = None
    left_out: tuple[str, ...] = ()

    def text(self) -> str:
        """What people read."""
        head = [
            f"{self.path}: LeRobot {self.version} dataset of {self.robot_type}, {self.episodes} episodes,"
            f" {self.frames} frames at {self.fps:g} frames/s, cameras {', '.join(self.cameras) or 'none'}",
            *(f"  task: {task}" for task in self.tasks),
        ]
        if self.taken is not None:
            of = f", robot {self.robot}" if self.robot else f"; write its robot: leicos robot from {self.path}"
            head.append(f"  a run takes {self.taken} of {self.episodes} episodes{of}")
            head += [f"    left out: {reason}" for reason in self.left_out]
        return "\n".join(head + ([f"  problem: {problem}" for problem in self.problems] or ["  no problem found"]))


class RunFacts(_Model):
    """The datasets that the present configuration of a run in a local folder has made."""

    path: str
    datasets: tuple[DatasetFacts, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Of all its datasets."""
        return tuple(problem for dataset in self.datasets for problem in dataset.problems)

    def text(self) -> str:
        """What people read."""
        return "\n".join([f"{self.path}: run", *(dataset.text() for dataset in self.datasets)])


def inspect(
    target: str | Path,
    cameras: Sequence[str] = (),
    *,
    accept_unmarked: bool = False,
    time: TimeBase | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> RecordingFacts | DatasetFacts | RunFacts:
    """Look at an HDF5 file, a LeRobot folder (v2.0, v2.1, v3.0) or a run's folder.

    cameras: which ones convert would take, the usual one if none is named. accept_unmarked: as convert's. time: how it
    would choose rows. Reads all images of the demos that are sound. Raises InputError if the target is none of them.
    """
    path = Path(target)
    if path.is_file():
        return _recording(path, tuple(cameras), accept_unmarked, time or TimeBase(), workers, progress)
    if (path / layout.INFO).is_file():
        return _with_fate(_dataset(path), path, tuple(cameras))
    if (path / RUN).is_file():
        results = Results(open_run(str(path)))
        records = [record for stage in RUN_DATASETS if (record := results.current(stage)) is not None and record.files]
        return RunFacts(path=str(path), datasets=tuple(_dataset(path / record.folder) for record in records))
    raise InputError(f"{target}: no such file or dataset", fix="name a LeIsaac HDF5 file, a LeRobot folder or a run")


@dataclass(frozen=True)
class _Look:
    file: Path
    name: str
    cameras: tuple[str, ...]
    base: TimeBase


def _timing(look: _Look) -> Timing | Problem:
    with open_source(look.file, probed=True) as recording:
        demo = recording.demo(look.name, look.cameras)
        if demo.problem:
            return demo.problem
        timing: Timing | None = None
        for camera in look.cameras:
            try:
                found = demo.timing(camera, look.base)
            except (OSError, RuntimeError) as error:
                return Problem("unreadable", f"`obs/{camera}` is damaged ({error})")
            both = agreed(timing, found, (look.cameras[0], camera))
            if isinstance(both, Problem):
                return both
            timing = both
        return timing or Problem("missing-camera", "no camera was asked for")


def _recording(
    path: Path,
    cameras: tuple[str, ...],
    accept_unmarked: bool,
    base: TimeBase,
    workers: int | None,
    progress: Progress | None,
) -> RecordingFacts:
    with opened([path]) as (recording,):
        if not isinstance(recording, Recording):
            raise DefectError(f"{path}: is no recording")
        cameras = cameras or ((usual_camera(camera_names(recording)) or FRONT),)
        choices = survey([recording], cameras, accept_unmarked=accept_unmarked)
        order = {name: place for place, name in enumerate(recording.lexicographic)}
        rate, strangers = recording.control_hz, tuple(map(printable, recording.strangers))
        remarks = _remarks(recording, choices)
    todo = [choice for choice in choices if choice.problem is None]
    looks = [_Look(path, choice.name, cameras, base) for choice in todo]
    found = spread(
        _timing,
        looks,
        workers=workers,
        prepare=prepare_process,
        progress=progress,
        name=lambda job: f"{job.file}: {job.name}",
    )
    for choice, timing in zip(todo, found, strict=True):
        choice.settle(timing)
    same_stride(choices)
    problems = [
        f"{each.name}: {each.problem.text}" for each in choices if each.problem and each.problem.kind != "failed"
    ]
    if not choices:
        problems.append("it has no demo (groups data/demo_0, data/demo_1, ...)")
    elif all(choice.problem for choice in choices):
        advice = fix_for(choice.problem.kind for choice in choices if choice.problem)
        problems.append(f"convert would take no demo and stop with exit code 78; {advice}")
    return RecordingFacts(
        path=str(path),
        bytes=path.stat().st_size,
        control_hz=rate,
        cameras=camera_sizes(choices),
        demos=tuple(_demo_facts(choice, order[choice.name]) for choice in choices),
        strangers=strangers,
        remarks=tuple(remarks),
        problems=tuple(problems),
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(printable, names[:SHOWN])) + more


def _demo_facts(choice: Choice, position: int) -> DemoFacts:
    timing, problem = choice.timing, choice.problem
    return DemoFacts(
        name=choice.name,
        position=position,
        rows=choice.rows,
        success=choice.success,
        seed=choice.seed,
        cameras={camera: f"{width}x{height}" for camera, (width, height) in choice.sizes.items()},
        kind=problem.kind if problem else None,
        reason=problem.text if problem else None,
        first_row=timing.first_row if timing else None,
        stride=timing.stride if timing else None,
        frames=timing.frames if timing else None,
    )


def _remarks(recording: Recording, choices: Sequence[Choice]) -> list[str]:
    """What is odd about the file as a whole; none of it keeps convert from working."""
    found = []
    if recording.control_hz is None:
        found.append("env_args does not say the control rate; convert needs control_hz")
    if recording.strangers:
        found.append(f"entries of `data` that are not demos are ignored: {_some(recording.strangers)}")
    numbers = [int(choice.name.removeprefix("demo_")) for choice in choices]
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        found.append(f"demo numbers have gaps (demo_{numbers[0]} to demo_{numbers[-1]}, {len(numbers)} demos)")
    if recording.names != recording.lexicographic:
        found.append("LeIsaac's own converter and replay count demos in lexicographic order (demo_10 before demo_2)")
    return found


def _with_fate(facts: DatasetFacts, path: Path, cameras: tuple[str, ...]) -> DatasetFacts:
    """The same, with what a run would take of it."""
    with opened([path]) as (source,):
        robot = recognised(source.places) if isinstance(source, LeRobotSource) else None
        wanted = cameras or ((usual_camera(camera_names(source), robot) or FRONT),)
        choices = survey([source], wanted)
    out = [f"{choice.name}: {choice.problem}" for choice in choices if choice.problem]
    more = [f"... and {len(out) - SHOWN} more"] if len(out) > SHOWN else []
    fate = {"robot": robot.name if robot else None, "taken": len(choices) - len(out)}
    return facts.model_copy(update=fate | {"left_out": (*out[:SHOWN], *more)})


def _dataset(path: Path) -> DatasetFacts:
    info = layout.read_json(path / layout.INFO)
    dataset: Dataset | DatasetV30
    version = info.get("codebase_version") if isinstance(info, dict) else None
    problems: list[str] = []
    if version == V30:
        dataset = DatasetV30(path)
        problems = check_v30(dataset, robot=robot_of(path, dataset.info))
    elif version == V20:  # its statistics are of another kind; what matters of it is told by what a run takes
        dataset = Dataset(path, (V20,))
    else:
        dataset = Dataset(path)
        problems = check(path, robot=robot_of(path, dataset.info))
    robots = [robot for robot in shipped().values() if robot.robot_type == dataset.info.get("robot_type")]
    if robots and (path / gr00t.MODALITY).is_file():
        problems += gr00t.check(path, robots[0], dataset.cameras)
    return DatasetFacts(
        path=str(path),
        version=str(dataset.info["codebase_version"]),
        robot_type=dataset.info.get("robot_type"),
        episodes=len(dataset.entries),
        frames=sum(entry.length for entry in dataset.entries),
        fps=float(dataset.fps),
        cameras=(*dataset.cameras, *(f"{name} (images in the tables)" for name in stored_images(dataset.features))),
        tasks=tuple(dataset.tasks.values()),
        problems=tuple(problems),
    )
