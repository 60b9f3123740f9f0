"""The commands that pods run, one per stage; on a desk they do exactly the same."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import click

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.pod import in_pod
from leicos_jobs.core.stages import STAGES, Kind, Stage
from leicos_jobs.run.cluster_uri import cluster_uri
from leicos_jobs.run.opened import Run, open_run
from leicos_jobs.run.samples import Sample


def _reachable(_context: click.Context, _option: click.Parameter, uri: str) -> str:
    """The run's URI; in a pod, where a folder would vanish with it, only what `leicos submit` takes too."""
    return cluster_uri(uri) if in_pod() else uri


run_option = click.option(
    "--run",
    "uri",
    required=True,
    metavar="URI",
    callback=_reachable,
    help="Root of the run: a folder or s3://...",
)
outputs_option = click.option(
    "--outputs",
    type=click.Path(path_type=Path),
    default=Path("/tmp/outputs"),
    show_default=True,
    help="Folder for the task's output parameters, one file each.",
)


workflow_option = click.option("--workflow", required=True, help="Name of the workflow that plans the rounds.")
round_option = click.option("--round", "number", type=int, required=True, help="Number of the round, from 0.")
shard_option = click.option("--shard", type=int, required=True, help="Index of the shard.")


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
    from leicos_jobs.run import identity
    from leicos_jobs.stages import start as stage

    run = stage.start(uri, config, amend=amend)
    needed = json.dumps(identity.is_trained(run.config))
    _output(outputs, post_train=needed, train_idm="true")


def command(name: str) -> click.Command:
    """The command of a stage. Those that need no options of their own come from the table of stages alone."""
    stage = STAGES[name]
    own = globals().get(stage.module)
    if isinstance(own, click.Command):
        return own
    if stage.kind is Kind.WHOLE:
        return _whole(stage)
    return _shard(stage) if stage.in_round else _slice(stage)


def _whole(stage: Stage) -> click.Command:
    def call(uri: str) -> None:
        module = importlib.import_module(f"leicos_jobs.stages.{stage.module}")
        getattr(module, stage.module)(open_run(uri))

    epilog = f"Example: leicos {stage.name} --run runs/lift"
    return click.command(stage.name, help=stage.summary, epilog=epilog)(run_option(call))


def _shard(stage: Stage) -> click.Command:
    def call(uri: str, workflow: str, number: int, shard: int) -> None:
        from leicos_jobs.run import rounds

        run = open_run(uri)
        _work(stage, run, rounds.read_shard(run, workflow, number, shard), f"{workflow}-{number:02d}-{shard:05d}")

    epilog = f"Example: leicos {stage.name} --run runs/lift --workflow w --round 0 --shard 0"
    options = run_option(workflow_option(round_option(shard_option(call))))
    return click.command(stage.name, help=stage.summary, epilog=epilog)(options)


def _slice(stage: Stage) -> click.Command:
    def call(uri: str, workflow: str, shard: int) -> None:
        from leicos_jobs.run import rounds

        run = open_run(uri)
        _work(stage, run, rounds.replay_shard(run, stage, shard), f"{workflow}-{shard:05d}")

    named = click.option("--workflow", default="here", show_default=True, help="Its name; workers are named after it.")
    index = click.option("--shard", type=int, default=0, show_default=True, help="Index of the slice of the samples.")
    epilog = f"Example: leicos {stage.name} --run runs/lift --shard 0"
    return click.command(stage.name, help=stage.summary, epilog=epilog)(run_option(named(index(call))))


def _work(stage: Stage, run: Run, samples: list[Sample], worker: str) -> None:
    from leicos_jobs.work.worker import Worker

    module = importlib.import_module(f"leicos_jobs.stages.{stage.module}")
    Worker(getattr(module, f"{stage.module.title().replace('_', '')}Stage")(run), samples, worker).work()


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
@workflow_option
@round_option
@outputs_option
def plan_round(uri: str, workflow: str, number: int, outputs: Path) -> None:
    """Cut what is missing into balanced shards.

    Outputs: shards, a JSON list of their indices; videos and labels, "true" or "false": whether they make any.
    """
    from leicos_jobs.stages import plan_round as stage

    planned = stage.plan_round(open_run(uri), workflow, number)
    _output(outputs, shards=list(planned.shards), videos=planned.videos, labels=planned.labels)


@click.command(epilog="Example: leicos account --run runs/lift --workflow w --round 0")
@run_option
@workflow_option
@round_option
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
    """Decide whether enough samples succeeded. Outputs: replay-shards and controls-shards, JSON lists of indices."""
    from leicos_jobs.stages import fan_in as stage

    _, replay, controls = stage.fan_in(open_run(uri))
    _output(outputs, replay_shards=replay, controls_shards=controls)


@click.command(epilog="Example: leicos report runs/lift")
@click.argument("target", required=False, metavar="[RUN]")
@click.option("--run", "named", metavar="URI", help="The same, as the other stages take it.")
def report(target: str | None, named: str | None) -> None:
    """Write the HTML report. Of a run that has failed or is still at work, what is there so far: report/so-far/."""
    from leicos_jobs.run.results import Results
    from leicos_jobs.stages import report as stage

    if (uri := target or named) is None:
        raise InputError("no run is named", fix="leicos report RUN")
    run = open_run(cluster_uri(uri) if in_pod() else uri)
    if Results(run).key("report") is None and not in_pod():
        click.echo(f"the run is not finished; report so far: {stage.so_far(run)}")
        return
    record = stage.report(run)
    click.echo(f"report: {run.store.uri}/{record.path('index.html')}")


@click.command(epilog="Example: leicos finish --run runs/lift --status Succeeded")
@click.option("--run", "uri", required=True, metavar="URI", help="Root of the run.")
@click.option("--status", required=True, help="The workflow's status as Argo says it.")
@click.option("--workflow", metavar="NAMESPACE/NAME", help="The workflow, for the message's link to Argo.")
@click.option("--failures", default="", metavar="JSON", help="What failed: Argo's {{workflow.failures}}.")
def finish(uri: str, status: str, workflow: str | None, failures: str) -> None:
    """Print how and why the workflow ended and send the webhook. Never fails: it must not hide the real outcome."""
    from leicos_jobs.stages.finish import finish as stage

    stage(uri, status, workflow, failures)
