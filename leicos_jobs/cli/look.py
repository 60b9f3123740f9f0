"""Commands that look: inspect, status, check, config, label-videos, gc, verify."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from leicos_jobs.core.errors import InputError
from leicos_jobs.robots.data import DEFAULT


@click.command(epilog="Example: leicos inspect demos.hdf5 --json")
@click.argument("target")
@click.option(
    "--camera",
    "cameras",
    multiple=True,
    help="Camera that convert would take; again for several. Default: the usual one.",
)
@click.option("--accept-unmarked", is_flag=True, help="A demo without a success mark counts as successful.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--strict", is_flag=True, help="Exit with 78 if there is a problem. A failed demo is none.")
def inspect(target: str, cameras: tuple[str, ...], accept_unmarked: bool, as_json: bool, strict: bool) -> None:
    """Say what a recording, a LeRobot dataset or a run holds, every problem in it, and what convert would do."""
    from leicos_jobs.inspect.facts import inspect as look
    from leicos_jobs.work.sources import staged

    with staged([target]) as (path,):
        found = look(path, cameras, accept_unmarked=accept_unmarked)
    click.echo(found.model_dump_json(indent=2) if as_json else found.text())
    if strict and (count := len(found.problems)):
        raise InputError(f"{target} has {count} problem(s)", fix="see the problems above")


@click.command(epilog="Example: leicos status runs/lift --watch")
@click.argument("uri", metavar="RUN")
@click.option("--watch", is_flag=True, help="Again every 10 seconds until nothing is missing.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(uri: str, watch: bool, as_json: bool) -> None:
    """Say how far a run is, from its store alone: committed, missing, quarantined and why, rate, cost."""
    from leicos_jobs.run.opened import open_run
    from leicos_jobs.run.status import status as look

    run, found = open_run(uri), None
    while True:
        found = look(run, found)
        click.echo(found.model_dump_json(indent=2) if as_json else found.text())
        if not watch or found.done:
            return
        time.sleep(10)


@click.command(epilog="Example: leicos check runs/lift --repair")
@click.argument("uri", metavar="RUN")
@click.option("--repair", is_flag=True, help="Remove what is damaged, so that the next start does it again.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def check(uri: str, repair: bool, as_json: bool) -> None:
    """Compare every object of a run with what was written, each once, and name the damaged ones.

    Exit code 78 if there are any and they are not removed. Do not use --repair while the run's workflow is running.
    """
    from leicos_jobs.cli.bars import bar
    from leicos_jobs.run.check import check as look

    with bar("checking") as progress:
        result = look(uri, repair=repair, progress=progress)
    click.echo(result.model_dump_json(indent=2) if as_json else result.text())
    if result.damaged and not repair:
        raise InputError(
            f"{result.run}: {len(result.damaged)} objects are damaged",
            fix=f"run `leicos check {uri} --repair`, then start the run again",
        )


@click.command(epilog="Example: leicos config lift.yaml")
@click.argument("target", required=False, metavar="FILE|RUN")
@click.option("--schema", is_flag=True, help="Print the JSON schema instead.")
def config(target: str | None, schema: bool) -> None:
    """Check a configuration file and print it resolved, print a run's own, or print the schema of all fields."""
    from leicos_jobs.run.config import load_config

    if schema:
        from leicos_jobs.run import schema as fields

        click.echo(fields.schema())
        return
    if target is None:
        raise InputError("name a configuration file", fix="leicos config FILE, or leicos config --schema")
    if target.startswith("s3://") or Path(target).is_dir():
        from leicos_jobs.run.opened import config_of

        click.echo(json.dumps(config_of(target), indent=2))
        return
    from leicos_jobs.run.check_config import check_backends

    loaded = load_config(Path(target))
    check_backends(loaded)
    click.echo(json.dumps(loaded.model_dump(mode="json"), indent=2))


@click.command(
    name="label-videos", epilog="Example: leicos label-videos runs/lift/idm/latest videos/*.mp4 --out labels"
)
@click.argument("artifact", type=click.Path(path_type=Path))
@click.argument("videos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for NAME.parquet.")
@click.option("--backend", default="compact", show_default=True, help="IDM backend of the artifact.")
@click.option("--robot", default=DEFAULT, show_default=True, help="A shipped robot, or a robot's YAML file.")
@click.option("--seed", default=0, show_default=True, help="IDM seed, as in the run's configuration.")
@click.option("--settings", default="{}", help="The labeller's settings, YAML or JSON, as in label.settings.")
def label_videos(
    artifact: Path, videos: tuple[Path, ...], out: Path, backend: str, robot: str, seed: int, settings: str
) -> None:
    """Label any videos with an IDM artifact: exactly what the label stage gives for the same bytes."""
    from leicos_jobs.core.yaml_text import mapping
    from leicos_jobs.stages.label_videos import Labelling, label_files

    chosen = mapping(settings, "--settings", "write them as in label.settings, e.g. --settings '{threads: 8}'")
    labeller = Labelling(backend, chosen, robot, seed)
    for name, rows in label_files(artifact, videos, out, labeller):
        click.echo(f"{name}: {rows} rows")


@click.command(epilog="Example: leicos gc runs/lift --delete")
@click.argument("uri", metavar="RUN")
@click.option("--delete", is_flag=True, help="Remove them; without it they are only listed.")
def gc(uri: str, delete: bool) -> None:
    """List objects that no record counts: losers of races, results under former settings, former attempts' partials.

    Do not use --delete while the run's workflow is running.
    """
    from leicos_jobs.run.opened import open_run
    from leicos_jobs.run.orphans import orphans

    run = open_run(uri)
    count = total = 0
    for key in orphans(run):
        count, total = count + 1, total + (run.store.size(key) or 0)
        click.echo(key)
        if delete:
            run.store.delete(key)
    click.echo(f"{count} objects, {total / 1e6:.1f} MB {'removed' if delete else 'could be removed'}", err=True)


@click.command(epilog="Example: leicos verify gr00t-dreams --checkout GR00T-Dreams --checkpoint ckpt --sample a.mp4")
@click.argument("backend", type=click.Choice(["gr00t-dreams", "cosmos", "isaac"]))
@click.option("--checkout", type=click.Path(path_type=Path), help="Checkout of the upstream repository.")
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Trained weights.")
@click.option("--sample", type=click.Path(path_type=Path), help="A video, a clip (cosmos) or a recording (isaac).")
def verify(backend: str, checkout: Path | None, checkpoint: Path | None, sample: Path | None) -> None:
    """Check a backend against its upstream, on a machine that has the hardware and the weights."""
    from leicos_jobs.stages.verify import verify as check

    check(backend, checkout, checkpoint, sample)


@click.command(epilog="Example: leicos explain lift.yaml")
@click.argument("path", type=click.Path(path_type=Path))
def explain(path: Path) -> None:
    """Print the tutorial's Cosmos commands for a configuration, what runs instead, and why it differs."""
    from leicos_jobs.backends.cosmos_predict25.explain import explain as tell
    from leicos_jobs.backends.cosmos_predict25.settings import CosmosSettings
    from leicos_jobs.run.config import load_config

    loaded = load_config(path)
    ours = loaded.generate.backend == "cosmos-predict2.5"
    settings = CosmosSettings.model_validate(loaded.generate.settings if ours else {})
    size = (loaded.generate.width, loaded.generate.height)
    click.echo("\n".join(tell(settings, loaded.source.task or "Task_of_the_demo", loaded.generate.frames, size)))
