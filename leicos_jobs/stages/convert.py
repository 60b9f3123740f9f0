"""convert: LeIsaac HDF5 files -> one LeRobot v2.1 dataset, with an explicit map back to every demo and row.

Only successful, sound demos go in; every other one is left out with a reason. Besides LeRobot's own files it writes
GR00T's modality.json and stats.json, and meta/leicos: episodes.jsonl (episode -> file, its sha256, demo, first_row,
stride, frames, control_hz) and left_out.jsonl. The bytes depend on the input only, not on the number of workers.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import gr00t
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.leisaac_hdf5 import Demo, Recording, control_rate
from leicos_jobs.formats.leisaac_problems import Problem
from leicos_jobs.formats.leisaac_timing import TimeBase
from leicos_jobs.formats.lerobot_check import require
from leicos_jobs.formats.lerobot_v21 import DatasetWriter, EncodeSettings
from leicos_jobs.robots.embodiment import Embodiment
from leicos_jobs.stages.convert_demo import DemoJob, DemoResult
from leicos_jobs.stages.convert_pool import Progress, run_jobs

EPISODES = Path("meta/leicos/episodes.jsonl")
LEFT_OUT = Path("meta/leicos/left_out.jsonl")

_OURS = frozenset({"data", "videos", "meta"})


class LeftOut(BaseModel):
    """A demo that is not in the dataset. kind: a word of `leisaac_problems.ProblemKind`; reason: a sentence."""

    model_config = ConfigDict(frozen=True)

    file: str
    demo: str
    kind: str
    reason: str


class ConvertReport(BaseModel):
    """What was written. stride is that of every episode; fps = control_hz / stride."""

    model_config = ConfigDict(frozen=True)

    episodes: int
    frames: int
    fps: float
    control_hz: float
    stride: int
    cameras: tuple[str, ...]
    demos: int
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class ConvertOptions:
    """How to convert.

    task: text of every episode. cameras: which to take. control_hz: rows a second where a file does not say (LeIsaac
    single-arm: 60). time: which rows become frames. encode: x264's settings. workers: processes, all cores if None.
    strict: a demo left out for another reason than having failed is an error.
    """

    embodiment: Embodiment
    task: str
    cameras: tuple[str, ...] = ("front",)
    control_hz: float | None = None
    time: TimeBase = field(default_factory=TimeBase)
    encode: EncodeSettings = field(default_factory=EncodeSettings)
    workers: int | None = None
    strict: bool = False


@dataclass
class _Item:
    """A demo on its way: why it is out, or what became of it."""

    source: int
    name: str
    problem: Problem | None
    sizes: dict[str, tuple[int, int]]
    result: DemoResult | None = None


def convert(
    sources: Sequence[Path],
    out: Path,
    options: ConvertOptions,
    *,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> ConvertReport:
    """Convert the files, in the order given and demos in natural order, into the folder `out`, which is cleaned first.

    names: how the map calls the files (e.g. their s3:// URIs), their paths when left out. progress: called with
    (demos done, demos in all).
    Raises InputError if a file is unusable, `out` is not ours to clean, no demo is left, or it cannot write; RetryError
    on a stop. Then `out` is gone: nothing stays that looks finished.
    """
    called = list(names) if names is not None else [str(path) for path in sources]
    staging = out.with_name(f".{out.name}.converting")
    _clear(out)
    shutil.rmtree(staging, ignore_errors=True)
    try:
        rate, items = _survey(sources, options)
        _refuse_if_poor(items, called, options.strict)
        hashes = _convert_items(items, sources, staging, rate, options, progress)
        _same_stride(items)
        _refuse_if_poor(items, called, options.strict)
        report = _write(items, out, called, hashes, rate, options)
        require(out, decode=False)
        return report
    except BaseException as error:
        shutil.rmtree(out, ignore_errors=True)
        if isinstance(error, OSError):
            raise InputError(
                f"{out}: cannot be written: {error}", fix="free some space or give another folder"
            ) from error
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _clear(out: Path) -> None:
    """Empty the folder for a new dataset, but only if all that is in it is a dataset's."""
    if out.is_dir():
        strangers = sorted({path.name for path in out.iterdir()} - _OURS)
        if strangers:
            raise InputError(f"{out}: holds {strangers[0]!r}, which is no part of a dataset", fix="give a new folder")
        shutil.rmtree(out)
    elif out.exists():
        raise InputError(f"{out}: is not a folder", fix="give a new folder")


def _survey(sources: Sequence[Path], options: ConvertOptions) -> tuple[float, list[_Item]]:
    """Look at every demo without its images: control rate, and what is out already."""
    if not sources:
        raise InputError("no file to convert", fix="give a recording of LeIsaac")
    items: list[_Item] = []
    recordings: list[Recording] = []
    try:
        for index, path in enumerate(sources):
            recordings.append(Recording(path))
            for demo in recordings[-1].demos(options.cameras):
                items.append(_Item(index, demo.name, verdict(demo), demo.camera_sizes))
        rate = control_rate(recordings, options.control_hz)
    finally:
        for recording in recordings:
            recording.close()
    for camera in options.cameras:
        sizes = Counter(item.sizes[camera] for item in items if item.problem is None)
        for item in items:
            if item.problem is None and item.sizes[camera] != (usual := sizes.most_common(1)[0][0]):
                found = "{}x{}".format(*item.sizes[camera])
                item.problem = Problem("image-size", f"`obs/{camera}` is {found}, others are {usual[0]}x{usual[1]}")
    return rate, items


def verdict(demo: Demo) -> Problem | None:
    """Why a demo is left out, as far as its tables and marks say; None if its images decide."""
    if demo.problem and demo.problem.kind == "unreadable":
        return demo.problem
    if not demo.marked:
        return Problem("interrupted", "it has no success mark; its recording was interrupted")
    if not demo.success:
        return Problem("failed", "it is marked as failed")
    return demo.problem


def _convert_items(
    items: Sequence[_Item],
    sources: Sequence[Path],
    staging: Path,
    rate: float,
    options: ConvertOptions,
    progress: Progress | None,
) -> list[str]:
    """Convert what is not out yet; returns the files' sha256."""
    todo = [item for item in items if item.problem is None]
    encode = dataclasses.asdict(options.encode)
    jobs = [
        DemoJob(
            file=sources[item.source],
            name=item.name,
            cameras=options.cameras,
            control_hz=rate,
            out=staging / f"{number:06d}",
            base=options.time,
            **encode,
        )
        for number, item in enumerate(todo)
    ]
    outcomes, hashes = run_jobs(jobs, sources, options.workers, progress)
    for item, outcome in zip(todo, outcomes, strict=True):
        if isinstance(outcome, Problem):
            item.problem = outcome
        else:
            item.result = outcome
    return hashes


def _same_stride(items: Iterable[_Item]) -> None:
    """A dataset has one rate: demos whose stride is not the usual one (the smaller of two equally usual) are out."""
    strides = Counter(item.result.timing.stride for item in items if item.result)
    if len(strides) < 2:
        return
    usual = min(strides, key=lambda stride: (-strides[stride], stride))
    for item in items:
        if item.result and (own := item.result.timing.stride) != usual:
            item.problem = Problem("stride-differs", f"its image changes every {own} rows, in others every {usual}")
            item.result = None


def _refuse_if_poor(items: Sequence[_Item], called: Sequence[str], strict: bool) -> None:
    """Raise InputError if no demo is left, or if `strict` and one is out that did not simply fail."""
    out = [item for item in items if item.problem]
    odd = [item for item in out if item.problem and item.problem.kind != "failed"]
    listed = "".join(
        f"\n  {called[item.source]}: {item.name} is left out: {item.problem}" for item in (odd or out)[:10]
    )
    if len(out) == len(items):
        raise InputError(
            f"no demo of {', '.join(called)} can be used ({len(items)} in all){listed}",
            fix="record successful demonstrations (key N marks success in LeIsaac)",
        )
    if strict and odd:
        raise InputError(f"{len(odd)} demos would be left out{listed}", fix="repair or remove them, or drop --strict")


def _write(
    items: Sequence[_Item],
    out: Path,
    called: Sequence[str],
    hashes: Sequence[str],
    rate: float,
    options: ConvertOptions,
) -> ConvertReport:
    """Put the converted demos together; info.json comes last."""
    robot = options.embodiment
    timings = [item.result.timing for item in items if item.result]
    fps = timings[0].fps(rate)
    writer = DatasetWriter(out, robot, options.cameras, fps)
    stats = gr00t.StatsBuilder()
    episodes, left_out = [], []
    for item in items:
        result = item.result
        if result is None:
            problem = item.problem or Problem("malformed", "it gave no result")
            entry = LeftOut(file=called[item.source], demo=item.name, kind=problem.kind, reason=problem.text)
            left_out.append(entry)
            continue
        actions, states = robot.to_motor(result.actions), robot.to_motor(result.states)
        first = writer.frames
        index = writer.add_episode(actions, states, options.task, result.videos, image_stats=result.image_stats)
        stats.add(layout.columns(actions, states, fps, episode_index=index, first_index=first, task_index=0))
        episodes.append(
            {
                "episode_index": index,
                "file": called[item.source],
                "file_sha256": hashes[item.source],
                "demo": item.name,
                "success": True,
                "control_hz": rate,
                **dataclasses.asdict(result.timing),
            }
        )
    (out / EPISODES.parent).mkdir(parents=True)
    (out / EPISODES).write_text("".join(map(layout.json_line, episodes)), encoding="utf-8")
    (out / LEFT_OUT).write_text("".join(layout.json_line(entry.model_dump()) for entry in left_out), encoding="utf-8")
    gr00t.write_meta(out, robot, options.cameras, stats)
    writer.finish()
    return ConvertReport(
        episodes=writer.episodes,
        frames=writer.frames,
        fps=float(fps),
        control_hz=rate,
        stride=timings[0].stride,
        cameras=options.cameras,
        demos=len(items),
        left_out=tuple(left_out),
    )
