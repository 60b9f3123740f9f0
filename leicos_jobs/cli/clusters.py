"""Commands for clusters: submit, resubmit, render, lint."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from leicos_jobs.cli.output import json_option, note
from leicos_jobs.core.errors import InputError


@click.command(epilog="Example: leicos submit s3://robots/runs/lift --config lift.yaml -n leicos")
@click.argument("uri", metavar="RUN")
@click.option("--config", help="Configuration file, s3:// URI or inline YAML; without it the run's own.")
@click.option("--template", default="leicos-pipeline", show_default=True, help="WorkflowTemplate to submit.")
@click.option("-p", "--parameter", multiple=True, metavar="NAME=VALUE", help="A workflow parameter.")
@click.option("-n", "--namespace", help="Kubernetes namespace; default: the context's.")
@click.option("--context", help="kubeconfig context.")
@click.option("--amend", is_flag=True, help="Replace a different configuration; what it affects is done again.")
def submit(uri: str, config: str | None, parameter: tuple[str, ...], **options: Any) -> None:
    """Check the configuration, upload local recordings, write run.json and create the Workflow.

    It prints the argo command that does the same.
    """
    from leicos_jobs.cluster.submit import submit as send

    wrong = [item for item in parameter if "=" not in item]
    if wrong:
        raise InputError(f"parameter {wrong[0]!r} has no value", fix="write -p name=value")
    values = dict(item.split("=", 1) for item in parameter)
    click.echo(send(uri, config, parameters=values, **options).text())


@click.command(epilog="Example: leicos resubmit s3://robots/runs/lift --retry-quarantined")
@click.argument("uri", metavar="RUN")
@click.option("--retry-quarantined", is_flag=True, help="Give quarantined samples new chances.")
@click.option("--template", default="leicos-pipeline", show_default=True, help="WorkflowTemplate to submit.")
@click.option("-n", "--namespace", help="Kubernetes namespace; default: the context's.")
@click.option("--context", help="kubeconfig context.")
def resubmit(uri: str, **options: Any) -> None:
    """Start a run's workflow again: every stage does only what has no record."""
    from leicos_jobs.cluster.submit import resubmit as send

    click.echo(send(uri, **options).text())


@click.command(epilog="Example: leicos render --out manifests/")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for NAME.yaml; without it standard output.")
def render(out: Path | None) -> None:
    """Write the Argo WorkflowTemplates of this release."""
    from leicos_jobs.local.shipped import shipped_texts

    for name, text in shipped_texts().items():
        if out is None:
            click.echo(f"---\n{text}", nl=False)
        else:
            out.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text)
            click.echo(out / name, err=True)


@click.command(epilog="Example: leicos lint --workers 300 --rounds 3 --replay-workers 40 manifests/*.yaml")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--workers", type=int, help="Workers per round: does the Workflow object fit etcd's limit?")
@click.option("--rounds", type=int, default=3, show_default=True, help="Rounds, with --workers.")
@click.option("--replay-workers", type=int, default=0, show_default=True, help="Replay pods, with --workers.")
@json_option
def lint(paths: tuple[Path, ...], workers: int | None, rounds: int, replay_workers: int, as_json: bool) -> None:
    """Check manifests offline: undefined references, missing commands and resources, item and object size."""
    from hera_workflows import lint as linter
    from leicos_jobs.core.yaml_text import documents
    from leicos_jobs.local import shipped_manifests

    loaded = [item for path in paths for item in documents(path.read_bytes(), str(path)) if item]
    if not all(isinstance(item, dict) for item in loaded):
        raise InputError(
            "a document of the files is not a manifest", fix="give Kubernetes objects, one per YAML document"
        )
    problems = linter.check(loaded or shipped_manifests())
    if workers is not None:
        problems += linter.check_size(workers, rounds, replay_workers)
    if as_json:
        click.echo(json.dumps([asdict(problem) for problem in problems], indent=2))
    for problem in () if as_json else problems:
        click.echo(str(problem), err=True)
    if problems:
        raise InputError(f"{len(problems)} problem(s) in the manifests", fix="correct them; Argo would fail later")
    note("no problems")
