"""view: look at a run in a browser, or take one sample to Rerun."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click


@click.command(epilog="Example: leicos view runs/lift")
@click.argument("uri", metavar="RUN")
@click.option("--port", type=click.IntRange(0, 65535), default=8766, show_default=True, help="0: any that is free.")
@click.option("--rerun", "sample", metavar="SAMPLE", help="Write this sample as a Rerun recording instead.")
@click.option("--out", type=click.Path(path_type=Path), help="File of the recording. Default: SAMPLE.rrd.")
def view(uri: str, port: int, sample: str | None, out: Path | None) -> None:
    """Show a run's samples, videos, curves, lineage and failures in a browser, on this machine alone; reads, never
    writes. Until Ctrl-C."""
    from leicos_jobs.run.opened import open_run

    run = open_run(uri)
    if sample is not None:
        from leicos_jobs.view.recording import record

        click.echo(f"recording: {record(run, sample, out)}")
        return
    from leicos_jobs.view.server import HOST, serve

    with tempfile.TemporaryDirectory(prefix="leicos-") as scratch, serve(run, Path(scratch), port) as server:
        click.echo(f"{run.store.uri} at http://{HOST}:{server.server_port}/ until Ctrl-C")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
