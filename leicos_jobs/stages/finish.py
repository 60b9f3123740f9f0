"""finish: the exit handler. It says how the workflow ended and where the results are, and never fails itself."""

from __future__ import annotations

from leicos_jobs.core import logs
from leicos_jobs.core.errors import LeicosError
from leicos_jobs.run import layout
from leicos_jobs.run.opened import Run, open_run
from leicos_jobs.stages import rounds
from leicos_jobs.stages.webhook import send


def finish(uri: str, status: str) -> None:
    """Print a summary and send the webhook, if one is configured."""
    try:
        run = open_run(uri)
    except LeicosError as error:
        logs.event("finish.no_run", status=status, error=error.message)
        return
    text = summary(run, status)
    print(text)
    if run.config.webhook:
        send(run.config.webhook, text)


def summary(run: Run, status: str) -> str:
    """Outcome, counts and links, in a few lines."""
    lines = [f"leicos {run.config.name}: {status}", f"run: {run.store.uri}"]
    try:
        counts = rounds.account(run)
        lines.append(
            f"samples: {counts.total} planned, {counts.labelled} labelled, {counts.rejected} refused by the gate, "
            f"{len(counts.quarantined)} quarantined, {len(counts.missing)} missing"
        )
    except LeicosError as error:
        lines.append(f"samples: {error.message}")
    if (made := run.commits.stage("assemble")) is not None:
        lines.append(f"dataset: {run.store.uri}/{layout.SYNTHETIC} ({made.facts['episodes']} episodes)")
    if (told := run.commits.stage("report")) is not None:
        if red := told.facts.get("failed_checks"):
            lines.append(f"FAILED CHECKS: {', '.join(red)} (see the report)")
        lines.append(f"report: {run.store.uri}/{layout.REPORT}/index.html")
    return "\n".join(lines)
