"""The end of a workflow: a summary in the exit handler's log, and a Slack-compatible message with counts, cost, links.

Nothing here may fail a workflow or hide its real outcome: what goes wrong is a line in the log. The address comes from
LEICOS_WEBHOOK_URL (the chart takes it from a Secret), else from the run's configuration.
"""

from __future__ import annotations

import os

from leicos_jobs.cluster.status import RunStatus, status
from leicos_jobs.core import logs
from leicos_jobs.run import layout
from leicos_jobs.run.opened import Run, open_run
from leicos_jobs.stages.webhook import send

URL = "LEICOS_WEBHOOK_URL"
ARGO_URL = "LEICOS_ARGO_URL"


def finish(uri: str, outcome: str, workflow: str | None = None) -> None:
    """Print the summary and send it. `workflow`: namespace/name, for the link to Argo's UI. Never raises."""
    address = os.environ.get(URL, "")
    try:
        run = open_run(uri)
        address = address or run.config.webhook or ""
        text = summary(run, outcome, workflow)
    except Exception as error:  # noqa: BLE001 - whatever it is, the workflow's outcome is not ours to change
        logs.event("finish.no_summary", outcome=outcome, error=f"{type(error).__name__}: {error}")
        text = "\n".join([headline("run", outcome), f"run: {uri}"])
    print(text)
    if address and not send(address, text):
        logs.event("finish.webhook_not_sent", outcome=outcome)


def summary(run: Run, outcome: str, workflow: str | None = None, effort: str | None = None) -> str:
    """Outcome, counts, cost and links. `effort`: what to say instead of GPU pools and dollars, where there are none."""
    found = status(run)
    lines = [headline(run.config.name, outcome), *counts(found, effort)]
    if (made := run.commits.stage("assemble")) is not None:
        lines.append(f"dataset: {run.store.uri}/{layout.SYNTHETIC} ({made.facts.get('episodes', '?')} episodes)")
    if (told := run.commits.stage("report")) is not None:
        if red := told.facts.get("failed_checks"):
            lines.append(f"FAILED CHECKS: {', '.join(red)} (see the report)")
        lines.append(f"report: {run.store.uri}/{layout.REPORT}/index.html")
    lines.append(f"run: {run.store.uri}")
    if argo := os.environ.get(ARGO_URL):
        lines.append(f"workflow: {argo.rstrip('/')}/workflows" + (f"/{workflow}" if workflow else ""))
    return "\n".join(lines)


def headline(name: str, outcome: str) -> str:
    """First line: what Slack shows in a notification."""
    return f"leicos {name}: {outcome}"


def counts(found: RunStatus, effort: str | None = None) -> list[str]:
    """Samples and cost."""
    if not found.samples:
        return ["there is no plan yet"]
    lines = [
        f"{found.samples} samples: {found.labelled} labelled, {found.rejected} refused by the gate, "
        f"{found.quarantined} set aside, {found.missing} missing",
        effort or f"{found.gpu_hours:.1f} GPU-hours, {found.dollars:.2f} dollars (at least)",
    ]
    lines += [f"set aside in {item.stage}: {item.count} x {item.error}" for item in found.quarantine_reasons[:3]]
    return lines
