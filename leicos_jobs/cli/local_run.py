"""`leicos run`: start the run, execute the shipped manifest here, say what happens while it happens."""

from __future__ import annotations

import resource
import shutil
import sys
import time
from pathlib import Path

import click

from leicos_jobs.cli.output import note, quiet
from leicos_jobs.core import signals
from leicos_jobs.core.errors import STOPPED, ExitCode
from leicos_jobs.local import INTERRUPTED, Node, NodeEvent, WorkflowResult, run_workflow, shipped_manifests
from leicos_jobs.run import failures
from leicos_jobs.run.check_config import check_backends
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import create_run
from leicos_jobs.run.summary import headline, summary
from leicos_jobs.stages.start import amended

ENTRY = "leicos-pipeline"
SHOWN_TYPES = ("Pod", "Retry")
MARKS = {"Succeeded": ("done", "green"), "Failed": ("failed", "red"), "Error": ("error", "red")}


class Progress:
    """Lines for what ended, and on a terminal one live line for what is running."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.running: dict[str, Node] = {}
        self.silent = quiet()
        self.live = sys.stderr.isatty() and not self.silent

    def __call__(self, event: NodeEvent) -> None:
        """Take an event of the interpreter."""
        node = event.node
        if node.type not in SHOWN_TYPES:
            return
        if node.phase == "Running" and node.type == "Pod":
            self.running[node.name] = node
        elif node.phase != "Running":
            self.running.pop(node.name, None)
            if node.phase in MARKS and event.previous != node.phase and node.type == "Pod":
                self._ended(node)
        if self.live:
            self._line()

    def _ended(self, node: Node) -> None:
        stopped = node.message == INTERRUPTED
        word, color = ("stopped", "yellow") if stopped else MARKS[node.phase]
        if self.silent and (stopped or node.phase == "Succeeded"):
            return
        seconds = (node.finished or node.started) - node.started
        clock = f"{time.monotonic() - self.began:6.1f} s"
        name = node.display_name.removesuffix("(0)")
        text = f"{clock}  {click.style(word, fg=color)} {label(node.name) or name} ({seconds:.1f} s)"
        if node.phase != "Succeeded" and not stopped:
            text += f"\n         {first_line(node)}; log: {node.log}"
        self._clear()
        click.echo(text, err=True)

    def _line(self) -> None:
        names = [f"{label(node.name)} {node.progress}".strip() for node in self.running.values()]
        text = f"{time.monotonic() - self.began:6.1f} s  " + ", ".join(names)
        self._clear()
        click.echo(text[: shutil.get_terminal_size().columns - 1], err=True, nl=False)

    def _clear(self) -> None:
        if self.live:
            click.echo("\r\x1b[K", err=True, nl=False)


def first_line(node: Node) -> str:
    """Of a node's message; the log has the rest."""
    return node.message.partition("\n")[0]


def label(name: str) -> str:
    """`w.round.worker(0:0).generate(1)` -> `round worker 0 generate`: what a person wants to read of a node's name."""
    parts = []
    for part in name.split(".")[1:]:
        word, _, rest = part.partition("(")
        item = rest.split(":")[0].rstrip(")") if ":" in rest else ""
        parts.append(f"{word} {item}".strip())
    return " ".join(parts)


def run_here(
    config: RunConfig, out: str, *, workers: int, amend: bool, max_rounds: int, retry_quarantined: bool = False
) -> int:
    """Run the whole pipeline on this machine; returns the exit code. Committed work is kept whatever happens."""
    signals.install()
    check_backends(config)
    run = amended(out, config) if amend else create_run(out, config)
    if retry_quarantined:
        note(failures.forget(run.store))
    local = "://" not in out
    logs = (Path(out) if local else Path("runs") / config.name) / "logs" / time.strftime("%Y%m%d-%H%M%S")
    note(f"run {run.store.uri}, logs {logs}")
    began, used = time.monotonic(), cpu_seconds()
    result = run_workflow(
        shipped_manifests(),
        ENTRY,
        {"run": run.store.uri, "config": "", "max-rounds": str(max_rounds), "max-workers": str(workers)},
        workers=workers,
        logs=logs,
        on_event=Progress(),
        max_backoff=2.0,
    )
    if result.interrupted:
        click.echo(
            f"{headline(config.name, STOPPED)}; the same command goes on, `leicos status {out}` says how far it is"
        )
        return ExitCode.RETRY
    click.echo(summary(run, result.phase, effort=effort(cpu_seconds() - used, time.monotonic() - began)))
    return exit_code(result)


def cpu_seconds() -> float:
    """CPU time of all processes that this one started and that have ended, theirs included."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def effort(cpu: float, wall: float) -> str:
    """What this start took of the machine: nothing is rented here, so there is no price."""
    return f"{cpu / 60:.1f} minutes of CPU time in {wall / 60:.1f} minutes on this machine"


def exit_code(result: WorkflowResult) -> int:
    """The workflow's outcome as one of `ExitCode`: the command's own code where one failed."""
    if result.succeeded:
        return ExitCode.DONE
    for node in result.failures():
        pods = [pod for pod in result.nodes.values() if pod.parent == node.name and pod.log is not None]
        last = pods[-1] if pods else node
        click.echo(f"{label(node.name)}: {first_line(last)}", err=True)
        if last.log is not None and last.log.is_file():
            for line in last.log.read_text(errors="replace").splitlines()[-12:]:
                click.echo(f"  | {line}", err=True)
    codes = [node.exit_code for node in result.failures() if node.exit_code in tuple(ExitCode)]
    return codes[0] if codes and codes[0] is not None else ExitCode.DEFECT
