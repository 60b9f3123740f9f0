"""convert: sources of demos -> one LeRobot v2.1 dataset, with an explicit map back to every demo and row.

Only successful, sound demos go in; every other one is left out with a reason. Besides LeRobot's own files it writes
GR00T's modality.json and stats.json, and in meta/leicos: episodes.jsonl (episode -> content of its demo, first_row,
stride, frames, control_hz), origins.jsonl (its file and demo), images.jsonl (digests of its images), starts.jsonl (the
simulator's state at its first frame) and left_out.jsonl. The bytes depend on the input only, not on the number of
workers.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from leicos_jobs.convert.choose_demos import Choice, opened, same_stride, survey
from leicos_jobs.convert.demo import DemoJob, DemoResult, convert_demo, prepare_process
from leicos_jobs.core.errors import InputError, writing
from leicos_jobs.core.text import json_line, sentence_problem
from leicos_jobs.formats import gr00t
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.episode_starts import EpisodeStart, write_starts
from leicos_jobs.formats.leisaac_problems import Problem, fix_for
from leicos_jobs.formats.leisaac_timing import TimeBase
from leicos_jobs.formats.lerobot_check import require
from leicos_jobs.formats.lerobot_v21 import DatasetWriter, EncodeSettings
from leicos_jobs.formats.sources import control_rate, task_of
from leicos_jobs.robots.embodiment import Embodiment
from leicos_jobs.run.layout import EPISODES, IMAGES, LEFT_OUT, ORIGINS
from leicos_jobs.work.process_pool import Progress, spread

SHOWN = 10
"""Demos that an error names one by one."""

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

    task: text of every episode; None: each demo's own. tasks: of the demos of each source, where they differ; None in
    it: `task`. cameras: which to take, the generated one first. control_hz: rows per second where a source does not say
    (LeIsaac single-arm: 60). time: which rows become frames. encode: x264's settings. workers: processes, all cores if
    None. strict: a demo left out for another reason than having failed is an error. accept_unmarked: a demo without a
    mark counts as successful.
    """

    embodiment: Embodiment
    task: str | None = None
    tasks: tuple[str | None, ...] = ()
    cameras: tuple[str, ...] = ("front",)
    control_hz: float | None = None
    time: TimeBase = field(default_factory=TimeBase)
    encode: EncodeSettings = field(default_factory=EncodeSettings)
    workers: int | None = None
    strict: bool = False
    accept_unmarked: bool = False


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
    Raises InputError if a file is unusable, `out` is not ours to clean or to write, or no demo is left; RetryError on a
    stop or a full disk. Then `out` is gone: nothing stays that looks finished.
    """
    called = list(names) if names is not None else [str(path) for path in sources]
    staging = out.with_name(f".{out.name}.converting")
    with writing(out):
        _clear(out)
        shutil.rmtree(staging, ignore_errors=True)
        try:
            with opened(sources, options.embodiment) as recordings:
                choices = survey(recordings, options.cameras, accept_unmarked=options.accept_unmarked)
                rate = control_rate(recordings, options.control_hz)
            _set_tasks(choices, options)
            _refuse_if_poor(choices, called, options.strict)
            results = _convert_all(choices, sources, staging, rate, options, progress)
            same_stride(choices)
            _refuse_if_poor(choices, called, options.strict)
            report = _write(choices, results, out, called, rate, options)
            require(out, decode=False)
            return report
        except BaseException:
            shutil.rmtree(out, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _clear(out: Path) -> None:
    """Empty the folder for a new dataset, but only if all that is in it is a dataset's."""
    if out.is_dir():
        strangers = sorted({path.name for path in out.iterdir()} - _OURS)
        if strangers:
            raise InputError(f"{out}: holds {strangers[0]!r}, which is not part of a dataset", fix="give a new folder")
        shutil.rmtree(out)
    elif out.exists():
        raise InputError(f"{out}: is not a folder", fix="give a new folder")


def _convert_all(
    choices: Sequence[Choice],
    sources: Sequence[Path],
    staging: Path,
    rate: float,
    options: ConvertOptions,
    progress: Progress | None,
) -> dict[int, DemoResult]:
    """Convert what is not out yet; returns results by place in `choices` and settles each choice."""
    todo = [place for place, choice in enumerate(choices) if choice.problem is None]
    encode = dataclasses.asdict(options.encode)
    jobs = [
        DemoJob(
            file=sources[choices[place].source],
            name=choices[place].name,
            robot=options.embodiment,
            cameras=options.cameras,
            control_hz=rate,
            out=staging / f"{place:06d}",
            base=options.time,
            **encode,
        )
        for place in todo
    ]
    outcomes = spread(
        convert_demo,
        jobs,
        workers=options.workers,
        prepare=prepare_process,
        progress=progress,
        name=lambda job: f"{job.file}: {job.name}",
    )
    results: dict[int, DemoResult] = {}
    for place, outcome in zip(todo, outcomes, strict=True):
        if isinstance(outcome, Problem):
            choices[place].settle(outcome)
        else:
            choices[place].settle(outcome.timing)
            results[place] = outcome
    return results


def _set_tasks(choices: Sequence[Choice], options: ConvertOptions) -> None:
    """Give each demo its task text; one without any is out."""
    for choice in choices:
        choice.task = task_of(options.task, options.tasks, choice.source, choice.task)
        if choice.problem is None and (wrong := sentence_problem(choice.task or "")):
            choice.problem = Problem("no-task", f"its task text {wrong}")


def _refuse_if_poor(choices: Sequence[Choice], called: Sequence[str], strict: bool) -> None:
    """Raise InputError if no demo is left, or if `strict` and one is out that did not simply fail."""
    out = [choice for choice in choices if choice.problem]
    odd = [choice for choice in out if choice.problem and choice.problem.kind != "failed"]
    if len(out) == len(choices):
        raise InputError(
            f"no demo of {', '.join(called)} can be used ({len(choices)} in all){_listed(out, called)}",
            fix=fix_for(choice.problem.kind for choice in out if choice.problem),
        )
    if strict and odd:
        raise InputError(
            f"{len(odd)} demos would be left out{_listed(odd, called)}", fix="repair or remove them, or drop --strict"
        )


def _listed(choices: Sequence[Choice], called: Sequence[str]) -> str:
    lines = [f"\n  {called[one.source]}: {one.name} is left out: {one.problem}" for one in choices[:SHOWN]]
    more = [f"\n  ... and {len(choices) - SHOWN} more"] if len(choices) > SHOWN else []
    return "".join(lines + more)


def _write(
    choices: Sequence[Choice],
    results: Mapping[int, DemoResult],
    out: Path,
    called: Sequence[str],
    rate: float,
    options: ConvertOptions,
) -> ConvertReport:
    """Put the converted demos together; info.json comes last."""
    robot = options.embodiment
    timings = [choice.timing for choice in choices if choice.timing]
    fps = timings[0].fps(rate)
    writer = DatasetWriter(out, robot, options.cameras, fps)
    stats = gr00t.StatsBuilder()
    episodes, origins, images, left_out, starts = [], [], [], [], []
    tasks: dict[str, int] = {}
    for place, choice in enumerate(choices):
        file = called[choice.source]
        if choice.problem:
            entry = LeftOut(file=file, demo=choice.name, kind=choice.problem.kind, reason=choice.problem.text)
            left_out.append(entry)
            continue
        result = results[place]
        actions, states, text = result.actions, result.states, choice.task or ""
        first, task = writer.frames, tasks.setdefault(text, len(tasks))
        index = writer.add_episode(actions, states, text, result.videos, image_stats=result.image_stats)
        stats.add(layout.columns(actions, states, fps, episode_index=index, first_index=first, task_index=task))
        content: dict[str, Any] = {"demo_sha256": result.sha256(), "tables_sha256": result.tables_sha256}
        content |= {} if choice.states else {"states": False}
        episodes.append({"episode_index": index, **content, "control_hz": rate, **dataclasses.asdict(result.timing)})
        origins.append({"episode_index": index, "file": file, "demo": choice.name})
        images.append(" ".join(result.images[options.cameras[0]]) + "\n")
        starts.append(
            EpisodeStart(
                episode_index=index,
                control_hz=rate,
                stride=result.timing.stride,
                row=result.timing.first_row,
                success=True,
                state=result.state,
            )
        )
    (out / EPISODES).parent.mkdir(parents=True)
    (out / EPISODES).write_text("".join(map(json_line, episodes)), encoding="utf-8")
    (out / ORIGINS).write_text("".join(map(json_line, origins)), encoding="utf-8")
    (out / IMAGES).write_text("".join(images), encoding="utf-8")
    write_starts(out, starts)
    (out / LEFT_OUT).write_text("".join(json_line(entry.model_dump()) for entry in left_out), encoding="utf-8")
    gr00t.write_meta(out, robot, options.cameras, stats)
    writer.finish()
    return ConvertReport(
        episodes=writer.episodes,
        frames=writer.frames,
        fps=float(fps),
        control_hz=rate,
        stride=timings[0].stride,
        cameras=options.cameras,
        demos=len(choices),
        left_out=tuple(left_out),
    )
