"""Commands that look: inspect, status, check, config, label-videos, gc, verify, explain."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import click

from leicos_jobs.cli.output import json_option, note
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
@json_option
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
@json_option
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
@json_option
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
    """Check a configuration file as `leicos start` does and print it resolved, print a run's own, or the schema.

    All three are JSON, which is YAML too: `leicos config RUN > again.yaml` begins another run with it.
    """
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
    from leicos_jobs.stages.start import require_startable

    loaded = load_config(Path(target))
    require_startable(loaded)
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
@json_option
def gc(uri: str, delete: bool, as_json: bool) -> None:
    """List objects that no record counts: losers of races, results under former settings, former attempts' partials.

    Do not use --delete while the run's workflow is running.
    """
    from leicos_jobs.run.opened import open_run
    from leicos_jobs.run.orphans import orphans

    run = open_run(uri)
    sizes = {}
    for key in orphans(run):
        sizes[key] = run.store.size(key) or 0
        if not as_json:
            click.echo(key)
        if delete:
            run.store.delete(key)
    if as_json:
        click.echo(json.dumps({"removed": delete, "bytes": sizes}, indent=2))
    done = "removed" if delete else "could be removed"
    note(f"{len(sizes)} objects, {sum(sizes.values()) / 1e6:.1f} MB {done}")


@click.command(epilog="Example: leicos verify gr00t-dreams --checkout GR00T-Dreams --checkpoint ckpt --sample a.mp4")
@click.argument("backend", type=click.Choice(["gr00t-dreams", "cosmos", "isaac"]))
@click.option("--checkout", type=click.Path(path_type=Path), help="Checkout of the upstream repository.")
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Trained weights.")
@click.option("--sample", type=click.Path(path_type=Path), help="A video, a clip (cosmos) or a recording (isaac).")
def verify(backend: str, checkout: Path | None, checkpoint: Path | None, sample: Path | None) -> None:
    """Check a backend against its upstream, on a machine that has the hardware and the weights."""
    from leicos_jobs.stages.verify import verify as check

    check(backend, checkout, checkpoint, sample)


@click.command(
    epilog="""\b
Examples:
  leicos explain disk-full
  leicos explain 75
  leicos explain lift.yaml
"""
)
@click.argument("subject", required=False, metavar="CODE|CONFIG")
@json_option
def explain(subject: str | None, as_json: bool) -> None:
    """Say what an error's code means and what to do; without one, list them all.

    For a configuration's file: each step of the LeIsaac x Cosmos tutorial, what does it here, and why it differs.
    """
    from leicos_jobs.core.error_codes import entries, with_exit

    known = entries()
    if subject is not None and Path(subject).is_file():
        from leicos_jobs.inspect.tutorial import steps_for
        from leicos_jobs.run.config import load_config

        steps = steps_for(load_config(Path(subject)))
        told: object = [asdict(step) for step in steps]
        text = "\n".join(line for step in steps for line in step.lines())
    else:
        codes = list(known) if subject is None else with_exit(subject) or [subject]
        if unknown := [code for code in codes if code not in known]:
            fix = "`leicos explain` lists all codes; for a configuration name its file"
            raise InputError(f"{unknown[0]}: neither a code nor a file", fix=fix)
        told = {code: known[code].model_dump(mode="json", exclude={"modules"}) for code in codes}
        text = "\n".join(known[code].text(code) if len(codes) == 1 else f"{code}: {known[code].what}" for code in codes)
    click.echo(json.dumps(told, indent=2) if as_json else text)
