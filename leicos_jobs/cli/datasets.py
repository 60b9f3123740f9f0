"""Recordings to datasets for use elsewhere, without a run around them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leicos_jobs.cli.bars import bar
from leicos_jobs.cli.output import note
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import require_sentence

if TYPE_CHECKING:
    from leicos_jobs.convert.dataset import ConvertOptions
    from leicos_jobs.robots.embodiment import Embodiment

V21, V30 = "v2.1", "v3.0"
EPILOG = """\b
Examples:
  leicos to-lerobot demos.hdf5 --task "Lift the red cube up." --out dataset
  leicos to-lerobot one.hdf5 two.hdf5 --task "Lift." --out dataset --format v3.0 --row-for-row
  leicos to-lerobot s3://bucket/any-lerobot-dataset --out dataset --format v2.1
  leicos to-lerobot runs/lift --out synthetic-v3 --format v3.0
"""


MERGE_EPILOG = """\b
Examples:
  leicos merge dataset runs/lift --out all
  leicos merge one two s3://bucket/three --out s3://bucket/all --format v3.0
"""
LEISAAC_EPILOG = """\b
Examples:
  leicos to-leisaac runs/lift --out lift.hdf5
  leicos to-leisaac dataset --out demos.hdf5 --no-pictures
"""


@click.command(name="to-lerobot", epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, metavar="FILE|DATASET...|RUN")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New folder for the dataset.")
@click.option("--format", "version", type=click.Choice([V21, V30]), default=V21, show_default=True, help="LeRobot's.")
@click.option("--task", help="Task text of every episode; without it each demo's own, which recordings lack.")
@click.option(
    "--camera", "cameras", multiple=True, help="May be repeated. Default: all of a dataset, else the usual one."
)
@click.option("--robot", help="A shipped robot, or a robot's YAML file; without it the source tells.")
@click.option("--stride", type=click.IntRange(1, 30), help="Rows per frame; without it found from repeated images.")
@click.option("--row-for-row", is_flag=True, help="Take every row, as LeIsaac's converter does.")
@click.option("--control-hz", type=float, default=60.0, show_default=True, help="Rows per second, if no file says it.")
@click.option("--accept-unmarked", is_flag=True, help="A demo without a success mark counts as successful.")
@click.option("--strict", is_flag=True, help="A demo left out for another reason than having failed is an error.")
@click.option("--workers", type=click.IntRange(1), help="Processes; without it all cores.")
def to_lerobot(
    sources: tuple[str, ...],
    out: Path,
    version: str,
    task: str | None,
    cameras: tuple[str, ...],
    robot: str | None,
    stride: int | None,
    row_for_row: bool,
    control_hz: float,
    accept_unmarked: bool,
    strict: bool,
    workers: int | None,
) -> None:
    """Convert recordings, datasets of any version or a run's synthetic dataset into a LeRobot dataset.

    Demos that are left out are told with the reason. A v2.1 dataset alone becomes v3.0 with all of its columns;
    otherwise actions, states, cameras and task texts are taken.
    """
    from leicos_jobs.convert.dataset import ConvertOptions
    from leicos_jobs.formats.leisaac_timing import TimeBase
    from leicos_jobs.inspect.robots import robot_of_source
    from leicos_jobs.run.layout import RUN
    from leicos_jobs.work.datasets import local_dataset
    from leicos_jobs.work.sources import staged

    if task is not None:
        require_sentence(task, "--task")
    if stride is not None and row_for_row:
        raise InputError("--stride and --row-for-row contradict each other", fix="leave one out")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is not empty", fix="give a new folder")
    with staged(sources) as paths:
        if len(paths) == 1 and version == V30 and _exportable(paths[0]):
            _export(tuple(paths), out, version)
            return
        places = [local_dataset(str(path), path) if (path / RUN).is_file() else path for path in paths]
        arm = robot_of_source(places[0], robot)
        options = ConvertOptions(
            embodiment=arm,
            task=task,
            cameras=cameras or _cameras(places[0], arm),
            control_hz=control_hz,
            time=TimeBase(stride=stride, row_for_row=row_for_row),
            workers=workers,
            strict=strict,
            accept_unmarked=accept_unmarked,
        )
        _convert(places, sources, out, version, options)


def _convert(places: Sequence[Path], sources: Sequence[str], out: Path, version: str, options: ConvertOptions) -> None:
    from leicos_jobs.convert.dataset import convert

    first = out if version == V21 else out.with_name(f".{out.name}.{V21}")
    try:
        with bar("converting") as progress:
            report = convert(places, first, options, names=sources, progress=progress)
        if version == V30:
            _export((first,), out, V30)
    finally:
        if first != out:
            shutil.rmtree(first, ignore_errors=True)
    for item in report.left_out:
        note(f"left out: {item.file} {item.demo}: {item.reason}")
    click.echo(f"{out}: {report.episodes} episodes, {report.frames} frames at {report.fps:g} fps")


def _exportable(path: Path) -> bool:
    """Whether the export to v3.0 takes it whole: a run, or a v2.1 dataset."""
    from leicos_jobs.formats.lerobot_places import is_dataset, read_places
    from leicos_jobs.run.layout import RUN

    return (path / RUN).is_file() or (is_dataset(path) and read_places(path).version == V21)


def _cameras(path: Path, robot: Embodiment) -> tuple[str, ...]:
    """Those that are taken where nobody named any."""
    from leicos_jobs.formats.sources import FRONT, camera_names, open_source, usual_camera

    with open_source(path, robot) as source:
        there = camera_names(source)
        return tuple(there) if path.is_dir() else (usual_camera(there, robot) or FRONT,)


def _export(sources: tuple[Path, ...], out: Path, version: str) -> None:
    from leicos_jobs.formats.lerobot_v30 import export_v30
    from leicos_jobs.work.datasets import local_dataset

    if len(sources) != 1 or version != V30:
        raise InputError(
            f"{sources[0]}: a folder is taken as a dataset, which is exported alone, and to v3.0 only",
            fix=f"leicos to-lerobot DATASET --format {V30}",
        )
    with tempfile.TemporaryDirectory(prefix="leicos-") as scratch, bar("exporting") as progress:
        info = export_v30(local_dataset(str(sources[0]), Path(scratch)), out, progress=progress)
    click.echo(f"{out}: {info['total_episodes']} episodes, {info['total_frames']} frames")


@click.command(name="merge", epilog=MERGE_EPILOG)
@click.argument("sources", nargs=-1, required=True, metavar="RUN|DATASET...")
@click.option("--out", required=True, help="New folder, or s3://bucket/prefix.")
@click.option("--format", "version", type=click.Choice([V21, V30]), help="LeRobot's. Default: v3.0 if one of them is.")
def merge(sources: tuple[str, ...], out: str, version: str | None) -> None:
    """Merge LeRobot datasets (v2.0, v2.1, v3.0) and runs' synthetic datasets into one.

    Videos are copied as they are. meta/leicos/merged.jsonl says which dataset each episode came from.
    """
    from leicos_jobs.convert.merge import merge as write

    with bar("merging") as progress:
        info = write(sources, out, version=version, progress=progress)
    facts = f"{info['total_episodes']} episodes, {info['total_frames']} frames, {info['total_tasks']} tasks"
    click.echo(f"{out}: {facts}, LeRobot {info['codebase_version']}")


@click.command(name="to-leisaac", epilog=LEISAAC_EPILOG)
@click.argument("source", metavar="RUN|DATASET")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New HDF5 file.")
@click.option("--robot", help="A shipped robot, or a robot's YAML file; without it the run's or dataset's own.")
@click.option("--no-pictures", is_flag=True, help="A small file, for replay only.")
@click.option("--no-simulate", is_flag=True, help="Do not carry the actions out: no `states`.")
def to_leisaac(source: str, out: Path, robot: str | None, no_pictures: bool, no_simulate: bool) -> None:
    """Write a run's synthetic dataset, or any dataset of leicos (v2.1), as LeIsaac's HDF5.

    Each episode begins in its own simulator state; actions stand at the control rate.
    """
    from leicos_jobs.convert.simulate import embedded
    from leicos_jobs.convert.to_leisaac import to_leisaac as write
    from leicos_jobs.formats.lerobot_read import Dataset
    from leicos_jobs.robots.embodiment import embodiment
    from leicos_jobs.work.datasets import local_dataset, robot_of_dataset, run_at

    with tempfile.TemporaryDirectory(prefix="leicos-") as scratch:
        run = run_at(source)
        dataset = Dataset(local_dataset(source, Path(scratch)))
        arm = embodiment(robot) if robot else run.robot if run else robot_of_dataset(dataset)
        with bar("writing") as progress:
            report = write(
                dataset,
                out,
                arm,
                simulate=None if no_simulate else embedded(arm, run.config.replay if run else None),
                pictures=not no_pictures,
                progress=progress,
            )
    for numbers, text in (
        (report.without_states, "have no `states`: the embedded simulator does not have their scene, or was not asked"),
        (report.unmarked, "have no mark `success`: no rule of their task is known, and LeIsaac's converter skips them"),
        (report.disagreeing, "are marked successful, but did not succeed when their actions were carried out here"),
    ):
        if numbers:
            note(f"{len(numbers)} of {report.episodes} episodes {text}")
    click.echo(f"{out}: {report.episodes} episodes, {report.rows} rows")
