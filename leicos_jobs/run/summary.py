"""How a run ended, in a few lines: for the terminal, the exit handler's log and the webhook."""

from __future__ import annotations

import os

from leicos_jobs.run import layout
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.status import RunStatus, status

ARGO_URL = "LEICOS_ARGO_URL"


def summary(run: Run, outcome: str, workflow: str | None = None, effort: str | None = None) -> str:
    """Outcome, counts, cost and links. `effort`: what to say instead of GPU pools and dollars, where there are none."""
    found = status(run)
    lines = [headline(run.config.name, outcome), *counts(found, effort)]
    results = Results(run)
    if (made := results.current("assemble")) is not None and made.files:
        lines.append(f"dataset: {run.store.uri}/{made.folder} ({made.facts.get('episodes', '?')} episodes)")
    if (told := results.current("report")) is not None:
        if found.verdict:
            lines.append(found.verdict)
        if red := told.facts.get("failed_checks"):
            lines.append(f"FAILED CHECKS: {', '.join(red)} (see the report)")
        lines.append(f"report: {run.store.uri}/{told.path('index.html')}")
    elif run.store.size(page := layout.so_far("index.html")) is not None:
        lines.append(f"report so far: {run.store.uri}/{page}")
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
        f"{found.samples} samples: {found.labelled} labelled, {found.refused} refused by the gate, "
        f"{found.quarantined} quarantined, {found.missing} missing",
        effort or f"{found.gpu_hours:.1f} GPU-hours, {found.dollars:.2f} dollars (at least)",
    ]
    lines += [f"quarantined in {item.stage}: {item.count} x {item.error}" for item in found.quarantine_reasons[:3]]
    return lines
