"""Recordings to datasets for use elsewhere, without a run around them."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from leicos_jobs.cli.bars import bar
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import require_sentence
from leicos_jobs.robots.data import DEFAULT

V21, V30 = "v2.1", "v3.0"
EPILOG = """\b
Examples:
  leicos to-lerobot demos.hdf5 --task "Lift the red cube up." --out dataset
  leicos to-lerobot one.hdf5 two.hdf5 --task "Lift." --out dataset --format v3.0 --row-for-row
  leicos to-lerobot runs/lift --out synthetic-v3 --format v3.0
"""


@click.command(name="to-lerobot", epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...|DATASET|RUN")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New folder for the dataset.")
@click.option("--format", "version", type=click.Choice([V21, V30]), default=V21, show_default=True, help="LeRobot's.")
@click.option("--task", help="Task text of every episode; recordings do not hold it.")
@click.option("--camera", "cameras", multiple=True, default=("front",), show_default=True, help="May be repeated.")
@click.option("--robot", default=DEFAULT, show_default=True, help="A shipped robot, or a robot's YAML file.")
@click.option("--stride", type=click.IntRange(1, 30), help="Rows per frame; without it found from repeated images.")
@click.option("--row-for-row", is_flag=True, help="Take every row, as LeIsaac's converter does.")
@click.option("--control-hz", type=float, default=60.0, show_default=True, help="Rows per second, if no file says it.")
@click.option("--accept-unmarked", is_flag=True, help="A demo without a success mark counts as successful.")
@click.option("--strict", is_flag=True, help="A demo left out for another reason than having failed is an error.")
@click.option("--workers", type=click.IntRange(1), help="Processes; without it all cores.")
def to_lerobot(
    sources: tuple[Path, ...],
    out: Path,
    version: str,
    task: str | None,
    cameras: tuple[str, ...],
    robot: str,
    stride: int | None,
    row_for_row: bool,
    control_hz: float,
    accept_unmarked: bool,
    strict: bool,
    workers: int | None,
) -> None:
    """Convert LeIsaac recordings, a v2.1 dataset or a run's synthetic dataset into a LeRobot dataset.

    Demos that are left out are told with the reason.
    """
    from leicos_jobs.convert.dataset import ConvertOptions, convert
    from leicos_jobs.formats.leisaac_timing import TimeBase
    from leicos_jobs.robots.embodiment import embodiment

    if remote := [source for source in sources if str(source).startswith("s3:")]:
        raise InputError(f"{remote[0]}: to-lerobot reads files on this machine", fix="copy it here (aws s3 cp)")
    if any(source.is_dir() for source in sources):
        _export(sources, out, version)
        return
    if not task:
        raise InputError("--task is missing", fix='write what the robot does, e.g. --task "Lift the red cube up."')
    require_sentence(task, "--task")
    if stride is not None and row_for_row:
        raise InputError("--stride and --row-for-row contradict each other", fix="leave one out")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is not empty", fix="give a new folder")
    options = ConvertOptions(
        embodiment=embodiment(robot),
        task=task,
        cameras=cameras,
        control_hz=control_hz,
        time=TimeBase(stride=stride, row_for_row=row_for_row),
        workers=workers,
        strict=strict,
        accept_unmarked=accept_unmarked,
    )
    first = out if version == V21 else out.with_name(f".{out.name}.{V21}")
    try:
        with bar("converting") as progress:
            report = convert(sources, first, options, progress=progress)
        if version == V30:
            _export((first,), out, V30)
    finally:
        if first != out:
            shutil.rmtree(first, ignore_errors=True)
    for item in report.left_out:
        click.echo(f"left out: {item.file} {item.demo}: {item.reason}", err=True)
    click.echo(f"{out}: {report.episodes} episodes, {report.frames} frames at {report.fps:g} fps")


def _export(sources: tuple[Path, ...], out: Path, version: str) -> None:
    from leicos_jobs.formats.lerobot_v30 import export_v30

    if len(sources) != 1 or version != V30:
        raise InputError(
            f"{sources[0]}: a folder is taken as a dataset, which is exported alone, and to v3.0 only",
            fix=f"leicos to-lerobot DATASET --format {V30}",
        )
    with bar("exporting") as progress:
        info = export_v30(_dataset(sources[0]), out, progress=progress)
    click.echo(f"{out}: {info['total_episodes']} episodes, {info['total_frames']} frames")


def _dataset(source: Path) -> Path:
    """The folder itself, or the synthetic dataset of the run that it is. Raises InputError if that has none."""
    from leicos_jobs.run.layout import RUN
    from leicos_jobs.run.opened import open_run
    from leicos_jobs.run.results import Results

    if not (source / RUN).is_file():
        return source
    made = Results(open_run(str(source))).needed("assemble")
    if not made.files:
        raise InputError(f"{source}: no sample passed curation, so there is no dataset", fix="see the run's report")
    return source / made.folder
