"""Which runs pods can work on: one rule, asked by `leicos submit` and by every command of a pod."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from helpers import command_line

from leicos_jobs.core import pod
from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.run.cluster_uri import cluster_uri

UNFIT = [
    "/tmp/run",
    "runs/lift",
    "file:///tmp/run",
    "s3://bucket",
    "s3://bucket/",
    "s3://bucket/../lift",
    "s3://bucket/runs//lift",
    "s3://bucket/runs/lift\n",
    "s3://bucket/a\tb",
    "s3://bucket/it's",
    's3://bucket/"lift"',
    "s3://bucket/`id`",
    "s3://bucket/a\\b",
    "s3://bucket/{{=1+1}}",
    "s3://bucket/{{workflow.name}}",
]


@pytest.mark.parametrize("uri", UNFIT)
def test_what_pods_cannot_use_is_refused_with_a_fix(uri: str) -> None:
    with pytest.raises(InputError) as caught:
        cluster_uri(uri)
    assert caught.value.fix


def test_letters_of_every_script_and_other_signs_stay_as_they_are() -> None:
    for uri in ("s3://bucket/runs/lift", "s3://bucket/läufe/würfel #1?", "s3://bucket/{lift}"):
        assert cluster_uri(uri) == uri
    assert cluster_uri("s3://bucket/runs/lift/") == "s3://bucket/runs/lift"


def leicos(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return command_line.leicos(*arguments, cwd=cwd, env={**os.environ, **environment})


@pytest.mark.parametrize("command", ["start", "convert", "report"])
def test_a_pod_refuses_a_folder_and_a_laptop_does_not(command: str, tmp_path: Path) -> None:
    here = leicos(command, "--run", "run", cwd=tmp_path)
    there = leicos(command, "--run", "run", cwd=tmp_path, **{pod.POD: "true"})
    assert "is not a run" in here.stderr
    assert there.returncode == ExitCode.INPUT
    assert "pods cannot reach a folder" in there.stderr


def test_a_pod_says_why_it_fails_where_kubernetes_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod, "TERMINATION_LOG", tmp_path / "log")
    pod.explain("outside a pod nothing is written")
    assert not (tmp_path / "log").exists()
    monkeypatch.setenv(pod.POD, "true")
    pod.explain("x" * 10_000)
    assert len((tmp_path / "log").read_text()) == pod.EXPLANATION_MAX
    monkeypatch.setattr(pod, "TERMINATION_LOG", tmp_path / "no" / "folder")
    pod.explain("never fails")
