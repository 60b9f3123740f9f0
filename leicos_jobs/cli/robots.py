"""Robots as files: check one, or begin one from a dataset or a recording."""

from __future__ import annotations

from pathlib import Path

import click

from leicos_jobs.cli.output import json_option

EPILOG = """\b
Examples:
  leicos robot from dataset > mine.yaml
  leicos robot from demos.hdf5 --name mine --out mine.yaml
  leicos robot check mine.yaml
"""


@click.group(epilog=EPILOG)
def robot() -> None:
    """A robot is a YAML file that source.robot and --robot name: joints, units, limits, where recordings hold them."""


@robot.command(epilog="Example: leicos robot check mine.yaml")
@click.argument("name", metavar="FILE|NAME")
@json_option
def check(name: str, as_json: bool) -> None:
    """Check a robot's file, or show a shipped robot, as a table."""
    from leicos_jobs.inspect.robots import table
    from leicos_jobs.robots.embodiment import embodiment, parse
    from leicos_jobs.run.inputs import read_file

    found = parse(read_file(Path(name)), name) if Path(name).is_file() else embodiment(name)
    click.echo(found.model_dump_json(indent=2) if as_json else "\n".join(table(found)))


@robot.command(name="from", epilog="Example: leicos robot from dataset --name mine --out mine.yaml")
@click.argument("source", type=click.Path(path_type=Path), metavar="DATASET|FILE")
@click.option("--name", help="What to call it; without it as the folder or file.")
@click.option("--out", type=click.Path(path_type=Path), help="New file; without it the text is printed.")
def begin(source: Path, name: str | None, out: Path | None) -> None:
    """Write a robot's file from a LeRobot dataset (names, ranges) or an HDF5 recording (widths, ranges).

    What was guessed is marked in it; put in the robot's own limits.
    """
    from leicos_jobs.core.errors import InputError, writing
    from leicos_jobs.inspect.robots import robot_from
    from leicos_jobs.robots.embodiment import parse

    text = robot_from(source, name)
    parse(text, str(out or source))
    if out is None:
        click.echo(text, nl=False)
        return
    if out.exists():
        raise InputError(f"{out}: is there already", fix="give a new file")
    with writing(out):
        out.write_text(text, encoding="utf-8")
