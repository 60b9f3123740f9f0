"""The end of a workflow: a summary in the exit handler's log, and a Slack-compatible message with cause, counts, links.

Nothing here may fail a workflow or hide its real outcome: what goes wrong is a line in the log. The address comes from
LEICOS_WEBHOOK_URL (the chart takes it from a Secret), else from the run's configuration.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import urllib.error
import urllib.request
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from leicos_jobs.core import logs, pod
from leicos_jobs.run.opened import Run, open_run
from leicos_jobs.run.results import Results
from leicos_jobs.run.summary import headline, summary

URL = "LEICOS_WEBHOOK_URL"
TIMEOUT_SECONDS = 10.0
CAUSES_MAX = 3
SUCCEEDED = "Succeeded"
OF_OTHER_NODES = re.compile(
    r"child '.*' (failed|errored)|No more retries left|Max duration limit exceeded"
    r"|retryStrategy\.expression evaluated to false"
)
"""What Argo 4.1 says of a DAG or of a node with retries: that another node failed, not why."""


class FailedNode(BaseModel):
    """A node of the workflow that failed, as Argo's `workflow.failures` lists it."""

    model_config = ConfigDict(frozen=True)

    template: str = Field(alias="templateName")
    message: str = ""
    finished: str | None = Field(default=None, alias="finishedAt")


_NODES = TypeAdapter(list[FailedNode])


def finish(uri: str, outcome: str, workflow: str | None = None, failures: str = "") -> None:
    """Print the summary and send it. Never raises.

    workflow: namespace/name, for the link to Argo's UI. failures: what Argo puts for {{workflow.failures}}.
    """
    address = os.environ.get(URL, "")
    why = [] if outcome == SUCCEEDED else causes(failures)
    run: Run | None = None
    try:
        run = open_run(uri)
        address = address or run.config.webhook or ""
        first, *rest = summary(run, outcome, workflow).splitlines()
        command = f"leicos resubmit {shlex.quote(uri)}"
    except Exception as error:  # noqa: BLE001 - whatever it is, the workflow's outcome is not ours to change
        logs.event("finish.no_summary", outcome=outcome, error=f"{type(error).__name__}: {error}".splitlines()[0])
        first, rest = headline("run", outcome), [f"run: {uri}"]
        command = f"leicos submit {shlex.quote(uri)} --config FILE"
    if outcome != SUCCEEDED and pod.in_pod():
        rest.append(f"to go on when the cause is mended (Argo's own retry is not for leicos): {command}")
    text = "\n".join([first, *why, *rest])
    print(text)
    if address and not send(address, text):
        logs.event("finish.webhook_not_sent", outcome=outcome)
    if outcome != SUCCEEDED and run is not None:  # last, since it takes its time
        _report_so_far(run, outcome, why)


def _report_so_far(run: Run, outcome: str, why: list[str]) -> None:
    """Write the report of what is there, and say where, unless the run has one. Never raises."""
    from leicos_jobs.stages.report import so_far

    try:
        if Results(run).current("report") is None:
            print(f"report so far: {so_far(run, why or [f'the workflow ended as {outcome}'])}")
    except Exception as error:  # noqa: BLE001 - as above
        logs.event("finish.no_report", error=f"{type(error).__name__}: {error}".splitlines()[0])


def causes(failures: str) -> list[str]:
    """Lines that say which templates failed and why, the latest first; none if Argo says nothing that can be read."""
    try:
        # Argo quotes the JSON list once more, as a Go string; a long one it puts into a file (@PATH).
        text = Path(failures[1:]).read_text() if failures.startswith("@") else failures
        nodes = _NODES.validate_json(ast.literal_eval(text)) if text else []
    except (OSError, ValueError, SyntaxError, TypeError, ValidationError) as error:
        logs.event("finish.failures_not_read", error=type(error).__name__)
        return []
    told = [node for node in nodes if node.message and not OF_OTHER_NODES.match(node.message)]
    told.sort(key=lambda node: node.finished or "", reverse=True)
    lines = list(dict.fromkeys(f"failed: {node.template}: {' '.join(node.message.split())}" for node in told))
    more = len(lines) - CAUSES_MAX
    return [*lines[:CAUSES_MAX], *([f"failed: {more} more, see the workflow"] if more > 0 else [])]


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
