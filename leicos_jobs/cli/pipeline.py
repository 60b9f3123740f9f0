"""The commands that pods run, one a stage; on a desk they do exactly the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from leicos_jobs.run.opened import Run, open_run

F = TypeVar("F", bound=Callable[..., Any])

run_option = click.option("--run", "uri", required=True, metavar="URI", help="Root of the run: a folder or s3://...")
outputs_option = click.option(
    "--outputs",
    type=click.Path(path_type=Path),
    default=Path("/tmp/outputs"),
    show_default=True,
    help="Folder for the task's output parameters, one file each.",
)


def _shard_options(function: F) -> F:
    for option in (
        click.option("--shard", type=int, required=True, help="Index of the shard."),
        click.option("--round", "number", type=int, required=True, help="Number of the round, from 0."),
        click.option("--workflow", required=True, help="Name of the workflow that planned the round."),
        run_option,
    ):
        function = option(function)
    return function


def _output(folder: Path, **values: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value)
        (folder / name.replace("_", "-")).write_text(text)


@click.command(epilog="Example: leicos start --run runs/lift --config lift.yaml")
@run_option
@click.option("--config", default="", help="File, s3:// URI or inline YAML; empty goes on with the run's own.")
@click.option("--amend", is_flag=True, help="Replace a different configuration; what it affects is done again.")
@outputs_option
def start(uri: str, config: str, amend: bool, outputs: Path) -> None:
    """Check the configuration and every backend's settings, and make run.json.

    Outputs: post-train and train-idm, "true" or "false".
    """
    from leicos_jobs.stages import start as stage

    run = stage.start(uri, config, amend=amend)
    needed = json.dumps(stage.needs_post_training(run.config))
    _output(outputs, post_train=needed, train_idm="true")


def _whole(name: str, target: str, text: str, example: str = "") -> click.Command:
    """A command that runs one whole-stage function of `leicos_jobs.stages`."""

    def call(uri: str) -> None:
        import importlib

        module, _, function = target.partition(":")
        getattr(importlib.import_module(f"leicos_jobs.stages.{module}"), function)(open_run(uri))

    epilog = example or f"Example: leicos {name} --run runs/lift"
    return click.command(name, help=text, epilog=epilog)(run_option(call))


convert = _whole("convert", "convert:convert", "Convert the recordings into a LeRobot v2.1 dataset.")
cosmos_dataset = _whole(
    "cosmos-dataset", "cosmos_dataset:cosmos_dataset", "Write the generator's post-training folder."
)
post_train = _whole("post-train", "post_train:post_train", "Post-train the generator and export its checkpoint.")
train_idm = _whole("train-idm", "train_idm:train_idm", "Train the IDM, label the held-out demos' real videos.")
controls = _whole("controls", "controls:controls", "Replay true, foreign and shuffled actions for comparison.")
curate = _whole("curate", "curate:curate", "Choose the samples that enter the synthetic dataset.")
assemble = _whole("assemble", "assemble:assemble", "Write the synthetic LeRobot v2.1 dataset with provenance.")
report = _whole("report", "report:report", "Write report/index.html and report/single.html.")


@click.command(epilog="Example: leicos plan --run runs/lift --dry-run")
@run_option
@click.option("--dry-run", is_flag=True, help="Print counts, shards, GPU-hours, cost and bytes; write nothing.")
def plan(uri: str, dry_run: bool) -> None:
    """Choose the samples and write their conditioning clips and start states."""
    from leicos_jobs.run.forecast import forecast
    from leicos_jobs.stages import plan as stage

    run = open_run(uri)
    click.echo(forecast(run).text())
    if not dry_run:
        stage.plan(run)


@click.command(name="plan-round", epilog="Example: leicos plan-round --run runs/lift --workflow w --round 0")
@run_option
@click.option("--workflow", required=True, help="Name of the workflow; its rounds lie under plan/rounds/<name>/.")
@click.option("--round", "number", type=int, required=True, help="Number of the round, from 0.")
@outputs_option
def plan_round(uri: str, workflow: str, number: int, outputs: Path) -> None:
    """Cut what is missing into balanced shards. Output: shards, a JSON list of their indices."""
    from leicos_jobs.stages import plan_round as stage

    _output(outputs, shards=stage.plan_round(open_run(uri), workflow, number))


def _work(stage: str, run: Run, workflow: str, number: int, shard: int) -> None:
    import importlib

    from leicos_jobs.run import rounds
    from leicos_jobs.work.worker import Worker

    module = importlib.import_module(f"leicos_jobs.stages.{stage}")
    samples = rounds.read_shard(run, workflow, number, shard)
    Worker(getattr(module, f"{stage.capitalize()}Stage")(run), samples, f"{workflow}-{number:02d}-{shard:05d}").work()


@click.command(epilog="Example: leicos generate --run runs/lift --workflow w --round 0 --shard 0")
@_shard_options
def generate(uri: str, workflow: str, number: int, shard: int) -> None:
    """Generate the videos of a shard; each is committed as soon as it is verified."""
    _work("generate", open_run(uri), workflow, number, shard)


@click.command(epilog="Example: leicos gate --run runs/lift --workflow w --round 0 --shard 0")
@_shard_options
def gate(uri: str, workflow: str, number: int, shard: int) -> None:
    """Check the generated videos of a shard."""
    _work("gate", open_run(uri), workflow, number, shard)


@click.command(epilog="Example: leicos label --run runs/lift --workflow w --round 0 --shard 0")
@_shard_options
def label(uri: str, workflow: str, number: int, shard: int) -> None:
    """Label the videos of a shard that passed the gate."""
    _work("label", open_run(uri), workflow, number, shard)


@click.command(epilog="Example: leicos account --run runs/lift --workflow w --round 0")
@run_option
@click.option("--workflow", required=True, help="Name of the workflow.")
@click.option("--round", "number", type=int, required=True, help="Number of the round, from 0.")
@outputs_option
def account(uri: str, workflow: str, number: int, outputs: Path) -> None:
    """Count what is missing after a round. Output: missing."""
    from leicos_jobs.core import logs
    from leicos_jobs.run import rounds

    result = rounds.account(open_run(uri))
    logs.event("account.done", workflow=workflow, round=number, missing=len(result.missing), total=result.total)
    _output(outputs, missing=len(result.missing))


@click.command(name="fan-in", epilog="Example: leicos fan-in --run runs/lift")
@run_option
@outputs_option
def fan_in(uri: str, outputs: Path) -> None:
    """Decide whether enough samples succeeded. Output: replay-shards, a JSON list of indices."""
    from leicos_jobs.stages import fan_in as stage

    _, shards = stage.fan_in(open_run(uri))
    _output(outputs, replay_shards=shards)


@click.command(epilog="Example: leicos replay --run runs/lift --shard 0")
@run_option
@click.option("--shard", type=int, default=0, show_default=True, help="Index of the slice of the plan.")
def replay(uri: str, shard: int) -> None:
    """Replay a slice of the labelled samples in the simulator."""
    from leicos_jobs.run import rounds
    from leicos_jobs.stages.replay import ReplayStage
    from leicos_jobs.work.worker import Worker

    run = open_run(uri)
    Worker(ReplayStage(run), rounds.replay_shard(run, shard), f"replay-{shard:05d}").work()


@click.command(epilog="Example: leicos finish --run runs/lift --status Succeeded")
@run_option
@click.option("--status", required=True, help="The workflow's status as Argo says it.")
@click.option("--workflow", metavar="NAMESPACE/NAME", help="The workflow, for the message's link to Argo.")
def finish(uri: str, status: str, workflow: str | None) -> None:
    """Print how the workflow ended and send the configured webhook. Never fails: it must not hide the real outcome."""
    from leicos_jobs.stages.finish import finish as stage

    stage(uri, status, workflow)
