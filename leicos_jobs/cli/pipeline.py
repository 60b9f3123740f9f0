"""The commands that pods run, one per stage; on a desk they do exactly the same."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from leicos_jobs.cli.output import json_option
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.pod import in_pod
from leicos_jobs.core.stages import STAGES, Kind, Stage
from leicos_jobs.run.cluster_uri import cluster_uri
from leicos_jobs.run.opened import Run, open_run


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
worker_option = click.option("--worker", type=int, required=True, help="Index of the worker.")
max_workers_option = click.option(
    "--max-workers", type=click.IntRange(0), default=0, help="At most so many; 0: as the configuration says."
)


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
    return _in_round(stage) if stage.in_round else _once(stage)


def _whole(stage: Stage) -> click.Command:
    def call(uri: str) -> None:
        module = importlib.import_module(f"leicos_jobs.stages.{stage.module}")
        getattr(module, stage.module)(open_run(uri))

    epilog = f"Example: leicos {stage.name} --run runs/lift"
    return click.command(stage.name, help=stage.summary, epilog=epilog)(run_option(call))


def _in_round(stage: Stage) -> click.Command:
    def call(uri: str, workflow: str, number: int, worker: int) -> None:
        from leicos_jobs.run import layout

        _work(stage, open_run(uri), workflow, layout.round_name(number), worker)

    epilog = f"Example: leicos {stage.name} --run runs/lift --workflow w --round 0 --worker 0"
    options = run_option(workflow_option(round_option(worker_option(call))))
    return click.command(stage.name, help=stage.summary, epilog=epilog)(options)


def _once(stage: Stage) -> click.Command:
    def call(uri: str, workflow: str, worker: int) -> None:
        _work(stage, open_run(uri), workflow, stage.name, worker)

    epilog = f"Example: leicos {stage.name} --run runs/lift --workflow w --worker 0"
    options = run_option(workflow_option(worker_option(call)))
    return click.command(stage.name, help=stage.summary, epilog=epilog)(options)


def _work(stage: Stage, run: Run, workflow: str, name: str, worker: int) -> None:
    from leicos_jobs.work.pulling import worker_of

    module = importlib.import_module(f"leicos_jobs.stages.{stage.module}")
    work = getattr(module, f"{stage.module.title().replace('_', '')}Stage")(run)
    worker_of(stage, work, workflow, name, worker).work()


@click.command(
    epilog="""\b
Examples:
  leicos plan --run runs/lift --dry-run
  leicos plan --run runs/lift --simulate --gpus 64
"""
)
@run_option
@click.option("--dry-run", is_flag=True, help="Print counts, workers, GPU-hours, cost and bytes; write nothing.")
@click.option("--simulate", is_flag=True, help="Play the generation on several numbers of GPUs; write nothing.")
@click.option("--gpus", type=click.IntRange(1), help="With --simulate: about so many; default plan.workers.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="With --simulate: times played.")
@click.option(
    "--lost", type=click.FloatRange(0, 10), default=0.05, show_default=True, help="With --simulate: of pods, per hour."
)
@click.option(
    "--pod-start", type=click.FloatRange(0), default=60, show_default=True, help="With --simulate: seconds of a pod."
)
@json_option
def plan(
    uri: str,
    dry_run: bool,
    simulate: bool,
    gpus: int | None,
    seeds: int,
    lost: float,
    pod_start: float,
    as_json: bool,
) -> None:
    """Choose the samples and write their conditioning clips and start states."""
    from leicos_jobs.run.forecast import Forecast, forecast
    from leicos_jobs.run.pool_size import PoolSizes, pool_sizes
    from leicos_jobs.stages import plan as stage

    run = open_run(uri)
    told: list[Forecast | PoolSizes] = [forecast(run)]
    if simulate:
        told.append(pool_sizes(run, gpus or run.config.plan.workers, seeds, lost, pod_start))
    if as_json:
        click.echo(json.dumps({type(item).__name__: asdict(item) for item in told}, indent=2))
    else:
        click.echo("\n".join(item.text() for item in told))
    if not (dry_run or simulate):
        stage.plan(run)


@click.command(name="plan-round", epilog="Example: leicos plan-round --run runs/lift --workflow w --round 0")
@run_option
@workflow_option
@round_option
@max_workers_option
@outputs_option
def plan_round(uri: str, workflow: str, number: int, max_workers: int, outputs: Path) -> None:
    """List what is missing, for workers to take.

    Outputs: workers, a JSON list of their indices; videos and labels, "true" or "false": whether they make any.
    """
    from leicos_jobs.stages import plan_round as stage

    planned = stage.plan_round(open_run(uri), workflow, number, max_workers)
    _output(outputs, workers=list(range(planned.workers)), videos=planned.videos, labels=planned.labels)


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


@click.command(name="fan-in", epilog="Example: leicos fan-in --run runs/lift --workflow w")
@run_option
@workflow_option
@max_workers_option
@outputs_option
def fan_in(uri: str, workflow: str, max_workers: int, outputs: Path) -> None:
    """Decide whether enough samples succeeded, and list what there is to replay.

    Outputs: replay-workers and controls-workers, JSON lists of their indices.
    """
    from leicos_jobs.stages import fan_in as stage

    _, replay, controls = stage.fan_in(open_run(uri), workflow, max_workers)
    _output(outputs, replay_workers=list(range(replay)), controls_workers=list(range(controls)))


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
