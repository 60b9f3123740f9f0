"""The end of a workflow: a summary in the exit handler's log, and a Slack-compatible message with counts, cost, links.

Nothing here may fail a workflow or hide its real outcome: what goes wrong is a line in the log. The address comes from
LEICOS_WEBHOOK_URL (the chart takes it from a Secret), else from the run's configuration.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request

from leicos_jobs.core import logs
from leicos_jobs.run.opened import open_run
from leicos_jobs.run.summary import headline, summary

URL = "LEICOS_WEBHOOK_URL"
TIMEOUT_SECONDS = 10.0


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


def send(url: str, text: str) -> bool:
    """POST {"text": text}; returns whether it arrived. The URL is a secret: it is never logged."""
    request = urllib.request.Request(
        url, data=json.dumps({"text": text}).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            return True
    except (urllib.error.URLError, OSError, ValueError) as error:
        logs.event("webhook.failed", error=type(error).__name__)
        return False
