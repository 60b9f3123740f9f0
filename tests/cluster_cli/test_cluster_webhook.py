"""The exit handler's message: what it says, where it goes, and that nothing of it fails a workflow."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cluster_cli.handmade import INPUTS, HandMade, configuration

from leicos_jobs.core import pod
from leicos_jobs.run import summary
from leicos_jobs.run.opened import create_run
from leicos_jobs.stages import finish


class Listener:
    """A server that keeps what it is sent."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.received.append(json.loads(body))
                self.send_response(listener.status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_the_message_says_outcome_counts_cost_and_links(
    made: HandMade, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.run = create_run(made.run.store.uri, configuration(webhook=listener.url, name="lift"), known=INPUTS)
    monkeypatch.setenv(summary.ARGO_URL, "https://argo.example.com/")
    made.idm()
    for item in made.plan(3)[:2]:
        made.through(item, "replay")
    dataset = made.whole("assemble", episodes=2)
    report = made.whole("report")
    finish.finish(made.run.store.uri, "Succeeded", workflow="leicos/leicos-pipeline-x")
    (message,) = listener.received
    lines = message["text"].splitlines()
    assert lines[0] == "leicos lift: Succeeded"
    assert lines[1] == "3 samples: 2 labelled, 0 refused by the gate, 0 quarantined, 1 missing"
    assert lines[2].endswith("dollars (at least)")
    assert f"dataset: {made.run.store.uri}/{dataset.folder} (2 episodes)" in lines
    assert f"report: {made.run.store.uri}/{report.folder}/index.html" in lines
    assert lines[-1] == "workflow: https://argo.example.com/workflows/leicos/leicos-pipeline-x"


def test_the_address_of_the_chart_wins_and_no_address_sends_nothing(
    made: HandMade, listener: Listener, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    create_run(made.run.store.uri, configuration(), known=INPUTS)
    finish.finish(made.run.store.uri, "Failed")
    assert listener.received == []
    assert "leicos leicos: Failed" in capsys.readouterr().out
    monkeypatch.setenv(finish.URL, listener.url)
    finish.finish(made.run.store.uri, "Failed")
    assert len(listener.received) == 1


def test_a_run_that_cannot_be_read_is_still_told(
    made: HandMade, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(finish.URL, listener.url)
    finish.finish(made.run.store.uri, "Error")
    (message,) = listener.received
    assert message["text"] == f"leicos run: Error\nrun: {made.run.store.uri}"


def told(*nodes: tuple[str, str, str]) -> str:
    """workflow.failures as Argo writes it: a JSON list, quoted once more."""
    names = ("templateName", "message", "finishedAt")
    return json.dumps(json.dumps([dict(zip(names, node, strict=True)) | {"phase": "Failed"} for node in nodes]))


START = ("start", "main: Error (exit code 78): gate.x: no such field\n  fix: remove it", "2026-11-28T06:00:01Z")
DAG = ("main", "child 'leicos-pipeline-x-1' failed", "2026-11-28T06:00:09Z")


def test_why_it_failed_is_told_before_the_rest_even_without_a_run(
    made: HandMade, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(finish.URL, listener.url)
    monkeypatch.setenv(pod.POD, "true")
    finish.finish(made.run.store.uri, "Failed", failures=told(DAG, START, START))
    create_run(made.run.store.uri, configuration(name="lift"), known=INPUTS)
    finish.finish(made.run.store.uri, "Failed", failures=told(DAG, START))
    without, with_run = (message["text"].splitlines() for message in listener.received)
    cause = "failed: start: main: Error (exit code 78): gate.x: no such field fix: remove it"
    assert without[:3] == ["leicos run: Failed", cause, f"run: {made.run.store.uri}"]
    assert without[3].endswith(f"leicos submit {made.run.store.uri} --config FILE")
    assert with_run[:2] == ["leicos lift: Failed", cause]
    assert with_run[-1].endswith(f"leicos resubmit {made.run.store.uri}")


def test_the_latest_causes_are_told_and_the_others_counted() -> None:
    nodes = [
        ("label", f"main: Error (exit code 70): fault {number}", f"2026-11-28T06:00:0{number}Z") for number in range(5)
    ]
    lines = finish.causes(told(*nodes))
    assert [line[-7:] for line in lines[:3]] == ["fault 4", "fault 3", "fault 2"]
    assert lines[3:] == ["failed: 2 more, see the workflow"]


def test_failures_in_a_file_are_read_and_what_cannot_be_read_is_a_line_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "argument").write_text(told(START))
    assert len(finish.causes(f"@{tmp_path / 'argument'}")) == 1
    assert finish.causes('"null"') == finish.causes("{{workflow.failures}}") == finish.causes("@/no/such") == []
    assert capsys.readouterr().err.count("finish.failures_not_read") == 3


def test_of_a_workflow_that_succeeded_no_failures_are_told(made: HandMade, capsys: pytest.CaptureFixture[str]) -> None:
    create_run(made.run.store.uri, configuration(), known=INPUTS)
    finish.finish(made.run.store.uri, "Succeeded", failures=told(START))
    assert "failed:" not in capsys.readouterr().out


@pytest.mark.parametrize("status", [404, 500])
def test_a_refusing_server_is_a_line_in_the_log(
    made: HandMade, listener: Listener, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    listener.status = status
    create_run(made.run.store.uri, configuration(webhook=listener.url), known=INPUTS)
    finish.finish(made.run.store.uri, "Succeeded")
    log = capsys.readouterr().err
    assert "finish.webhook_not_sent" in log
    assert listener.url not in log


def test_nobody_there_is_a_line_in_the_log(made: HandMade, capsys: pytest.CaptureFixture[str]) -> None:
    create_run(made.run.store.uri, configuration(webhook="http://127.0.0.1:1/hook"), known=INPUTS)
    finish.finish(made.run.store.uri, "Succeeded")
    assert "finish.webhook_not_sent" in capsys.readouterr().err
