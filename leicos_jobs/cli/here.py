"""Commands for this machine: run, init, record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from leicos_jobs.cli.bars import bar
from leicos_jobs.cli.output import note
from leicos_jobs.core.cores import available_cores
from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.tasks.data import DEFAULT


@click.command(
    epilog="""\b
Examples:
  leicos run examples/lift_cube.yaml
  leicos run --source demos.hdf5 --task "Lift the red cube up." --out runs/lift
  leicos run --out runs/lift --retry-quarantined
"""
)
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option(
    "--source", multiple=True, help="Recordings, datasets' folders, s3:// URIs; they replace those in CONFIG."
)
@click.option("--task", help="Task text, where there is no CONFIG; without it each demo's own.")
@click.option("--camera", help="Camera to generate, where there is no CONFIG; without it the usual one.")
@click.option("--robot", help="A shipped robot, or a robot's YAML file, where there is no CONFIG.")
@click.option(
    "--accept-unmarked",
    is_flag=True,
    help="Demos without a success mark count as successful, where there is no CONFIG.",
)
@click.option("--out", help="Root of the run; default runs/<name>. Starting it again goes on where it stopped.")
@click.option("--workers", type=int, default=available_cores(), show_default=True, help="Pods at a time.")
@click.option("--amend", is_flag=True, help="Accept a changed configuration; what it affects is done again.")
@click.option("--retry-quarantined", is_flag=True, help="Give quarantined samples new chances.")
@click.option("--max-rounds", type=int, default=3, show_default=True, help="Rounds for what earlier ones left over.")
def run(
    config: Path | None,
    source: tuple[str, ...],
    task: str | None,
    camera: str | None,
    robot: str | None,
    accept_unmarked: bool,
    out: str | None,
    **options: Any,
) -> None:
    """Run the whole pipeline here: the manifest that a cluster runs, each pod as a local process.

    Everything that is committed stays; the same command again does only what is missing. With --out alone it goes on
    with the configuration that the run has.
    """
    from leicos_jobs.cli.local_run import run_here
    from leicos_jobs.inspect.defaults import config_for
    from leicos_jobs.run.config import load_config
    from leicos_jobs.run.opened import open_run

    if config is not None:
        chosen = load_config(config, files=[name if "://" in name else str(Path(name).resolve()) for name in source])
    elif source:
        chosen = config_for(source, task, camera, robot=robot, accept_unmarked=accept_unmarked, say=note)
    elif out is not None:
        chosen = open_run(out).config
    else:
        raise InputError("nothing to run", fix="leicos run CONFIG, or leicos run --source FILE --task TEXT")
    sys.exit(run_here(chosen, out or f"runs/{chosen.name}", **options))


@click.command(epilog='Example: leicos init demos.hdf5 --task "Lift the red cube up." > lift.yaml')
@click.argument("source", nargs=-1, required=True)
@click.option("--task", help="Task text of all demos; without it each demo's own, as LeRobot datasets have it.")
@click.option("--camera", help="Camera to generate; without it the usual one.")
@click.option("--robot", help="A shipped robot, or a robot's YAML file; without it the sources tell.")
@click.option("--accept-unmarked", is_flag=True, help="A demo without a success mark counts as successful.")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="SECTION=NAME",
    help="Another backend, e.g. generate=cosmos, idm=gr00t-dreams, replay=isaac-sim; may be given several times.",
)
def init(
    source: tuple[str, ...],
    task: str | None,
    camera: str | None,
    robot: str | None,
    accept_unmarked: bool,
    backends: tuple[str, ...],
) -> None:
    """Write a commented configuration for recordings and datasets to standard output, with its backends' settings.

    What was decided, and why, is said on standard error.
    """
    from leicos_jobs.inspect.defaults import config_for
    from leicos_jobs.run.template import commented_yaml

    named = dict(text.partition("=")[::2] for text in backends)
    if unknown := sorted(named.keys() - {"generate", "idm", "replay"}):
        raise InputError(
            f"--backend {unknown[0]}: no section that names a backend",
            fix="write generate=NAME, idm=NAME or replay=NAME",
        )
    chosen = config_for(source, task, camera, robot=robot, accept_unmarked=accept_unmarked, backends=named, say=note)
    click.echo(commented_yaml(chosen), nl=False)


@click.command(epilog="Example: leicos record demos.hdf5 --episodes 90 --seed 0")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--episodes", type=click.IntRange(1), default=90, show_default=True, help="Demonstrations to record.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which demonstrations.")
@click.option("--width", type=int, default=320, show_default=True, help="Of the camera image, pixels.")
@click.option("--height", type=int, default=240, show_default=True, help="Of the camera image, pixels.")
@click.option("--failed-share", type=float, default=0.2, show_default=True, help="Share of failed demonstrations.")
@click.option("--workers", type=int, default=available_cores(), show_default=True, help="Processes.")
@click.option(
    "--engine", type=click.Choice(["mujoco", "physx"]), default="mujoco", show_default=True, help="Whose physics."
)
@click.option("--task", default=DEFAULT, show_default=True, help="A shipped task, or the path of a task's YAML.")
def record(path: Path, episodes: int, **options: Any) -> None:
    """Record SO-101 demonstrations of a scripted expert at a task, in LeIsaac's HDF5 format."""
    from leicos_jobs.stages.record import record as stage

    if path.exists():
        raise InputError(f"{path} exists already", fix="give another name, or remove it first")
    with bar("recording") as progress:
        facts = stage(path, episodes, progress=progress, **options)
    click.echo(f"{path}: {episodes} demonstrations, {facts.get('successes', '?')} successful")
    sys.exit(ExitCode.DONE)
